"""Opens members on the runtime that is asked for, or on the one that was measured to be fastest.

Rule: no runtime is imported before one of its members is to be opened or measured: a decision that is kept
costs nothing but reading it.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec

from ..errors import InvalidModelError, UnavailableError
from ..member import Member
from .choice import REFERENCE, Choice, Plan, compare
from .devices import CPU, Devices, Providers, gpu_memory, providers
from .measurements import Measurements, release, thread_counts
from .onnx_runtime import OnnxMember, available_providers
from .source import KERAS, Found, OpenedMember, Runtime, Source

log = logging.getLogger("unisono.runtimes")

AUTO = "auto"
TENSORFLOW = "tensorflow"
# Gives a member, computing on so many threads; 0 leaves that open.
Open = Callable[[Source, int], Member]


class Opener:
    """Opens members on the best of `runtimes`, the reference first; the decisions are in `measurements`."""

    def __init__(
        self, runtimes: Mapping[str, Runtime], measurements: Measurements, devices: Devices | None = None
    ) -> None:
        self._runtimes = runtimes
        self._devices = devices or Devices()
        self._measurements = measurements

    def __call__(self, source: Source, threads: int = 0) -> Member:
        """Open a member on `threads`, or if that is 0 on as many as are measured to be best."""
        choice, member = self._chosen(source, threads)
        if member is not None:
            return member
        return self._runtimes[choice.plan.runtime](source, threads=choice.plan.threads, known=choice.found)

    def choice(self, source: Source, threads: int = 0) -> Choice:
        """Return the decision for a member: the one that is kept, or a new one."""
        return self._chosen(source, threads)[0]

    def _chosen(self, source: Source, threads: int) -> tuple[Choice, OpenedMember | None]:
        """Return the decision; and the member, if it had to be opened for that."""
        tried = [
            Plan(runtime, count)
            for runtime in self._runtimes
            # TensorFlow has one pool of threads for all members.
            for count in thread_counts(threads)[: 1 if runtime == TENSORFLOW else None]
        ]
        made: list[OpenedMember] = []

        def measure() -> Choice:
            choice, member = compare(
                {
                    plan: lambda plan=plan: self._runtimes[plan.runtime](source, threads=plan.threads)  # type: ignore[misc]
                    for plan in tried
                }
            )
            made.append(member)
            return choice

        facts = [
            *("choice", source.digest, source.model, repr(source.signature)),
            *map(str, tried),
            repr(self._devices),
            *(release(runtime) for runtime in self._runtimes),
        ]
        choice = self._measurements.measured(facts, measure, Choice.from_json)
        return choice, made[0] if made else None


def open_plainly(source: Source, threads: int = 0) -> Member:
    """Open a member on the reference, on `threads`; 0: one a core."""
    return OnnxMember.opened(source, threads=threads)


def installed(devices: Devices | None = None, *, tensorflow: bool = False) -> dict[str, Runtime]:
    """Return the runtimes that are installed here, by name, the reference first.

    TensorFlow is among them only where that is said: it takes seconds to import, and half a gigabyte.
    """
    devices = devices or Devices()
    runtimes: dict[str, Runtime] = {REFERENCE: partial(OnnxMember.opened, providers=_providers(devices))}
    # OpenVINO computes on the CPU here; beside a GPU it is no match.
    if find_spec("openvino") and devices.kind == "cpu":
        runtimes["openvino"] = _open_on_openvino
    if tensorflow and find_spec("tensorflow") and find_spec("keras"):
        runtimes[TENSORFLOW] = _Tensorflow(devices)
    return runtimes


def opener(
    wish: str, measurements: Measurements, devices: Devices | None = None, *, try_tensorflow: bool = False
) -> Opener:
    """Return what opens members: the runtime called `wish`, or for "auto" the fastest one for each.

    InvalidModelError if it isn't installed. "auto" tries TensorFlow only where `try_tensorflow` says so.
    """
    runtimes = installed(devices, tensorflow=try_tensorflow or wish == TENSORFLOW)
    if wish == AUTO:
        return Opener(runtimes, measurements, devices)
    if wish not in runtimes:
        raise InvalidModelError(
            f"runtime {wish!r} is not installed; installed are {list(runtimes)}: install unisono[{wish}]"
        )
    if wish == TENSORFLOW:
        return Opener({wish: _Originals(runtimes[wish], runtimes[REFERENCE])}, measurements, devices)
    return Opener({wish: runtimes[wish]}, measurements, devices)


class _Tensorflow:
    """Opens members on TensorFlow, which is imported for the first one."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices
        self._runtime: Runtime | None = None

    def __call__(self, source: Source, *, threads: int, known: Found | None = None) -> OpenedMember:
        if KERAS not in source.formats:
            raise InvalidModelError(f"member {source.name!r} has no Keras original, which TensorFlow runs")
        if self._runtime is None:
            from .tensorflow_runtime import TensorflowRuntime  # noqa: PLC0415 - heavy, and an extra

            self._runtime = TensorflowRuntime(self._devices)
        return self._runtime(source, threads=threads, known=known)


class _Originals:
    """Opens members that have a Keras original on TensorFlow, the others on the reference."""

    def __init__(self, tensorflow: Runtime, reference: Runtime) -> None:
        self._tensorflow = tensorflow
        self._reference = reference

    def __call__(self, source: Source, *, threads: int, known: Found | None = None) -> OpenedMember:
        if KERAS in source.formats:
            return self._tensorflow(source, threads=threads, known=known)
        log.info("member %s was published as ONNX: it runs on %s", source.name, REFERENCE)
        return self._reference(source, threads=threads, known=known)


def check_providers(devices: Devices) -> None:
    """Raise `UnavailableError` where ONNX Runtime hasn't what `devices` wishes for."""
    missing = providers(available_providers(), devices)[1]
    if missing:
        raise UnavailableError(
            f"ONNX Runtime has no {', '.join(missing)} here: install the extra gpu in place of onnxruntime,"
            " and NVIDIA's driver; or compute on the processor"
        )


def _providers(devices: Devices) -> Providers:
    """Return what ONNX Runtime computes with; what is wished for and not there is said."""
    if devices.kind == "cpu":
        return CPU
    memory = gpu_memory(devices.index) if devices.memory_fraction else 0
    found, missing = providers(available_providers(), devices, memory)
    for name in missing:
        log.warning(
            "ONNX Runtime has no %s here: members run on what it has; see extra gpu, and NVIDIA's driver",
            name,
        )
    return found


def _open_on_openvino(source: Source, *, threads: int, known: Found | None = None) -> OpenedMember:
    from .openvino_runtime import OpenvinoMember  # noqa: PLC0415 - heavy, and an extra

    return OpenvinoMember.opened(source, threads=threads, known=known)
