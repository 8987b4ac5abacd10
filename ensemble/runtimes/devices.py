"""What members compute on, and which member goes where. Decisions only; the runtimes carry them out.

No GPU was at hand when this was written: docs/runtimes.md says what was tested, and what was not measured.
"""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["cpu", "cuda", "tensorrt"]
# What ONNX Runtime calls providers, each alone or with its options, the first wish first.
Providers = tuple[str | tuple[str, dict[str, str]], ...]
CPU: Providers = ("CPUExecutionProvider",)
# Without a fraction, parts of a GPU share this much of it: the rest is the driver's and the libraries'.
SHARED_FRACTION = 0.9
# The variable that the driver reads, before it is first used: which GPUs there are for a process.
VISIBLE = "CUDA_VISIBLE_DEVICES"
_CUDA, _TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
_WISHES: Mapping[str, tuple[str, ...]] = {"cpu": (), "cuda": (_CUDA,), "tensorrt": (_TENSORRT, _CUDA)}


@dataclass(frozen=True, slots=True)
class Devices:
    """What members may compute on. A `memory_fraction` of 0 takes what is needed, as it is needed.

    TensorFlow divides each device into `logical` ones; ONNX Runtime computes on the GPU `index`.
    """

    kind: Kind = "cpu"
    memory_fraction: float = 0.0
    logical: int = 1
    index: int = 0


def providers(available: Sequence[str], devices: Devices, memory: int = 0) -> tuple[Providers, list[str]]:
    """Return what ONNX Runtime should compute with, and what was wished for but isn't available.

    `memory` is how many bytes the GPU has: a fraction of it bounds what the CUDA provider takes.
    """
    wished = _WISHES[devices.kind]
    missing = [name for name in wished if name not in available]
    found = [(name, _options(name, devices, memory)) for name in wished if name in available]
    # Whatever a provider can't run goes to the next; the processor can run all.
    return (*found, *CPU), missing


def memory_limits(devices: Devices, memory: int) -> list[int]:
    """Return how many MiB each logical part of a GPU of `memory` bytes may take; none if it may grow."""
    if not memory or (not devices.memory_fraction and devices.logical == 1):
        return []
    whole = memory * (devices.memory_fraction or SHARED_FRACTION)
    return [int(whole / devices.logical / 2**20)] * devices.logical


def placed(devices: Sequence[str], taken: Mapping[str, int]) -> str:
    """Return the device that the next member goes on: of the fewest bytes `taken`, the first of equals."""
    return min(devices, key=lambda device: taken.get(device, 0))


def gpu_memory(index: int, driver: Any = None) -> int:
    """Return how many bytes the GPU `index` has, as NVIDIA's driver says; 0 if there is none."""
    try:
        cuda: Any = ctypes.CDLL("libcuda.so.1") if driver is None else driver
    except OSError:
        return 0
    device, memory = ctypes.c_int(), ctypes.c_size_t()
    steps: tuple[Callable[[], int], ...] = (
        lambda: int(cuda.cuInit(0)),
        lambda: int(cuda.cuDeviceGet(ctypes.byref(device), index)),
        lambda: int(cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device)),
    )
    # 0 is the driver's word for success; the first failure ends the asking.
    return memory.value if all(step() == 0 for step in steps) else 0


def visible_gpus(environment: Mapping[str, str], driver: Any = None) -> tuple[str, ...]:
    """Return the GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` of `environment` names them."""
    try:
        cuda: Any = ctypes.CDLL("libcuda.so.1") if driver is None else driver
    except OSError:
        return ()
    count = ctypes.c_int()
    if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)):
        return ()
    named = environment.get(VISIBLE)
    # The driver leaves out all that follows a name it doesn't know.
    names = map(str, range(count.value)) if named is None else map(str.strip, named.split(","))
    return tuple(names)[: count.value]


def _options(provider: str, devices: Devices, memory: int) -> dict[str, str]:
    options = {"device_id": str(devices.index)}
    if provider == _CUDA:
        # Doubling what it takes, as it does by default, soon leaves nothing to anybody else.
        options["arena_extend_strategy"] = "kSameAsRequested"
        if devices.memory_fraction and memory:
            options["gpu_mem_limit"] = str(int(memory * devices.memory_fraction))
    return options
