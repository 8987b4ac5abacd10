"""The options of commands whose work others can do, and who that is."""

import os
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from ensemble.executors.executor import Executor

ExecutorOption = Annotated[
    Literal["inline", "process", "ray"],
    Parameter(name="--executor", help="Where the work is done: here, in several processes, or on Ray."),
]
WorkersOption = Annotated[
    int,
    Parameter(
        name="--workers", help="Processes, which share the cores, or Ray actors. 0: one a core, or a GPU."
    ),
]
RayAddressOption = Annotated[
    str | None,
    Parameter(
        name="--ray-address", help="A running Ray cluster; if not given, one on this machine is started."
    ),
]


def executor_of(kind: str, workers: int, ray_address: str | None, device: str = "cpu") -> "Executor":
    """Return who does the work; on GPUs one worker each, unless told. UnavailableError without a GPU here."""
    from ensemble.executors.inline import InlineExecutor  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.executors.process import ProcessExecutor  # noqa: PLC0415 - heavy: as above
    from ensemble.executors.ray_actors import RayExecutor  # noqa: PLC0415 - heavy: as above

    if device != "cpu":
        return _on_gpus(kind, workers, ray_address, device)
    workers = workers or os.cpu_count() or 1
    if kind == "ray":
        return RayExecutor(workers, address=ray_address)
    return InlineExecutor() if kind == "inline" else ProcessExecutor(workers)


def _on_gpus(kind: str, workers: int, ray_address: str | None, device: str) -> "Executor":
    """Return who works on GPUs: Ray finds them on its nodes, the others have to be here."""
    from ensemble.errors import UnavailableError  # noqa: PLC0415 - beside its use
    from ensemble.executors.inline import InlineExecutor  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.executors.process import ProcessExecutor  # noqa: PLC0415 - heavy: as above
    from ensemble.executors.ray_actors import RayExecutor  # noqa: PLC0415 - heavy: as above
    from ensemble.runtimes.devices import visible_gpus  # noqa: PLC0415 - heavy: as above

    found = visible_gpus(os.environ)
    if kind == "ray" and ray_address is not None:
        return RayExecutor(workers or 1, address=ray_address, gpus=1)
    if not found:
        raise UnavailableError(f"--device {device}: NVIDIA's driver finds no GPU here: leave the option out")
    if kind == "ray":
        return RayExecutor(workers or len(found), gpus=1)
    return InlineExecutor() if kind == "inline" else ProcessExecutor(workers or len(found), gpus=found)
