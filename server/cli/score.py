"""`unisono score`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from model_store.store import Store

from .main import EXIT_DONE
from .options import DEFAULT_STORE, StoreOption
from .progress import rows_progress

InputOption = Annotated[
    list[Path],
    Parameter(
        name="--input", consume_multiple=True, help="Parquet, CSV, NPZ or NPY: files, folders or patterns."
    ),
]
OutputOption = Annotated[
    Path, Parameter(name="--output", help="A new or empty folder; gets Parquet files and _SUCCESS.json.")
]
VersionOption = Annotated[
    int | None, Parameter(name="--version", help="The version to score with; the current one if not given.")
]
BatchSizeOption = Annotated[
    int, Parameter(name="--batch-size", help="Rows a batch; changes the speed, never the scores.")
]
KeepOption = Annotated[
    str, Parameter(name="--keep", help="Columns to copy beside the scores, separated by commas.")
]


def score(  # noqa: PLR0913 - one parameter an option
    name: str,
    *,
    inputs: InputOption,
    output: OutputOption,
    version: VersionOption = None,
    batch_size: BatchSizeOption = 256,
    keep: KeepOption = "",
    store: StoreOption = DEFAULT_STORE,
) -> int:
    """Score files with ensemble NAME into a folder of Parquet files; needs no server.

    The scores are bit for bit those that the server gives. A job that was cut off starts again; one
    that is done is left alone.
    """
    from ensemble.data.dataset import open_dataset  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.loading.load import load_servable  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.scoring.run import ScoreOptions  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.scoring.run import score as run  # noqa: PLC0415 - heavy: only when the command runs

    options = ScoreOptions(batch_size=batch_size)
    servable = load_servable(Store.open(store), name, version)
    kept = [column.strip() for column in keep.split(",") if column.strip()]
    dataset = open_dataset(inputs, servable.signature, keep=kept)
    with rows_progress(dataset.rows, "scored", Console(stderr=True)) as advance:
        result = run(servable, dataset, output, options, on_progress=advance)
    parts = f"{len(result.parts)} part{'s' if len(result.parts) != 1 else ''} in {output}"
    who = f"{name} version {servable.version}"
    if result.already_done:
        print(f"already done: {result.rows:,} rows scored with {who}, {parts}")
    else:
        speed = result.rows / max(result.seconds, 1e-9)
        print(
            f"scored {result.rows:,} rows with {who} in {result.seconds:.1f} s ({speed:,.0f} rows/s): {parts}"
        )
    return EXIT_DONE
