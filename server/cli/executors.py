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
    Parameter(name="--workers", help="Processes, which share the cores, or Ray actors. 0: one a core."),
]
RayAddressOption = Annotated[
    str | None,
    Parameter(
        name="--ray-address", help="A running Ray cluster; if not given, one on this machine is started."
    ),
]


def executor_of(kind: str, workers: int, ray_address: str | None) -> "Executor":
    """Return who does the work."""
    from ensemble.executors.inline import InlineExecutor  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.executors.process import ProcessExecutor  # noqa: PLC0415 - heavy: as above
    from ensemble.executors.ray_actors import RayExecutor  # noqa: PLC0415 - heavy: as above

    workers = workers or os.cpu_count() or 1
    if kind == "ray":
        return RayExecutor(workers, address=ray_address)
    return InlineExecutor() if kind == "inline" else ProcessExecutor(workers)
