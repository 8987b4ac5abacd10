"""What members compute on: decisions, without any device."""

from typing import Any

import pytest

from ensemble.runtimes.devices import Devices, gpu_memory, memory_limits, placed, providers, visible_gpus

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
GIB = 2**30


def test_without_a_wish_members_run_on_the_processor_whatever_there_is() -> None:
    assert providers([TENSORRT, CUDA, CPU], Devices()) == ((CPU,), [])


def test_a_gpu_comes_first_and_the_processor_takes_what_it_cannot_run() -> None:
    found, missing = providers([TENSORRT, CUDA, CPU], Devices("cuda", index=1))

    assert found == ((CUDA, {"device_id": "1", "arena_extend_strategy": "kSameAsRequested"}), CPU)
    assert missing == []


def test_a_fraction_of_the_memory_bounds_what_is_taken() -> None:
    found, _ = providers([CUDA, CPU], Devices("cuda", memory_fraction=0.25), 16 * GIB)

    options = {
        "device_id": "0",
        "arena_extend_strategy": "kSameAsRequested",
        "gpu_mem_limit": str(4 * GIB),
    }
    assert found == ((CUDA, options), CPU)


def test_tensorrt_has_cuda_behind_it() -> None:
    found, missing = providers([TENSORRT, CUDA, CPU], Devices("tensorrt"))

    assert [name if isinstance(name, str) else name[0] for name in found] == [TENSORRT, CUDA, CPU]
    assert missing == []


@pytest.mark.parametrize(
    ("available", "kind", "found", "missing"),
    [
        ([CPU], "cuda", [CPU], [CUDA]),
        ([CPU], "tensorrt", [CPU], [TENSORRT, CUDA]),
        ([CUDA, CPU], "tensorrt", [CUDA, CPU], [TENSORRT]),
    ],
)
def test_what_is_wished_for_and_not_there_is_named_and_done_without(
    available: list[str], kind: Any, found: list[str], missing: list[str]
) -> None:
    made, lacking = providers(available, Devices(kind))

    assert [name if isinstance(name, str) else name[0] for name in made] == found
    assert lacking == missing


@pytest.mark.parametrize(
    ("devices", "limits"),
    [
        (Devices("cuda"), []),
        (Devices("cuda", memory_fraction=0.5), [8192]),
        (Devices("cuda", memory_fraction=0.5, logical=2), [4096, 4096]),
        (Devices("cuda", logical=2), [7372, 7372]),
    ],
)
def test_parts_of_a_gpu_share_its_memory_and_a_whole_one_grows(devices: Devices, limits: list[int]) -> None:
    assert memory_limits(devices, 16 * GIB) == limits


def test_a_gpu_whose_memory_is_not_known_grows() -> None:
    assert memory_limits(Devices("cuda", memory_fraction=0.5), 0) == []


def test_a_member_goes_where_the_fewest_bytes_are() -> None:
    devices, taken = ["a", "b", "c"], dict[str, int]()
    places = []
    for size in (50, 30, 10, 10, 10, 40):
        places.append(placed(devices, taken))
        taken[places[-1]] = taken.get(places[-1], 0) + size

    # 50 | 30 | 10, then 20 and 30 on c; of b and c, which are equal, b gets the last.
    assert places == ["a", "b", "c", "c", "c", "b"]
    assert taken == {"a": 50, "b": 70, "c": 30}


class Driver:
    """NVIDIA's driver as far as it is asked: `gpus` of `memory` bytes each; `refuses` fails."""

    def __init__(self, memory: int, refuses: str = "", gpus: int = 1) -> None:
        self.memory, self.refuses, self.gpus = memory, refuses, gpus

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802 - the driver's names
        count._obj.value = self.gpus  # noqa: SLF001 - what ctypes.byref points at
        return int(self.refuses == "cuDeviceGetCount")

    def cuInit(self, _: int) -> int:  # noqa: N802 - the driver's names
        return int(self.refuses == "cuInit")

    def cuDeviceGet(self, device: Any, index: int) -> int:  # noqa: N802
        device._obj.value = index + 7  # noqa: SLF001 - what ctypes.byref points at
        return int(self.refuses == "cuDeviceGet")

    def cuDeviceTotalMem_v2(self, memory: Any, device: Any) -> int:  # noqa: N802
        assert device.value == 8
        memory._obj.value = self.memory  # noqa: SLF001
        return int(self.refuses == "cuDeviceTotalMem_v2")


def test_the_driver_says_how_much_memory_a_gpu_has() -> None:
    assert gpu_memory(1, Driver(80 * GIB)) == 80 * GIB


@pytest.mark.parametrize("refuses", ["cuInit", "cuDeviceGet", "cuDeviceTotalMem_v2"])
def test_a_driver_that_refuses_has_no_memory_to_tell_of(refuses: str) -> None:
    assert gpu_memory(1, Driver(80 * GIB, refuses)) == 0


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise OSError(f"{name} is not there")

    monkeypatch.setattr("ctypes.CDLL", fail)

    assert gpu_memory(0) == 0
    assert visible_gpus({}) == ()


@pytest.mark.parametrize(
    ("environment", "gpus", "found"),
    [
        ({}, 2, ("0", "1")),
        ({"CUDA_VISIBLE_DEVICES": "3, GPU-a"}, 2, ("3", "GPU-a")),
        ({"CUDA_VISIBLE_DEVICES": "1,nonsense,2"}, 1, ("1",)),  # the driver stops at what it doesn't know
        ({"CUDA_VISIBLE_DEVICES": ""}, 0, ()),
    ],
)
def test_a_process_may_use_the_gpus_that_are_shown_to_it(
    environment: dict[str, str], gpus: int, found: tuple[str, ...]
) -> None:
    assert visible_gpus(environment, Driver(GIB, gpus=gpus)) == found


@pytest.mark.parametrize("refuses", ["cuInit", "cuDeviceGetCount"])
def test_a_driver_that_refuses_has_no_gpus(refuses: str) -> None:
    assert visible_gpus({}, Driver(GIB, refuses, gpus=2)) == ()
