"""`unisono score`."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console

from model_store.store import Store

from .executors import ExecutorOption, RayAddressOption, WorkersOption, executor_of
from .main import EXIT_DONE, EXIT_ERROR_ROWS
from .options import DEFAULT_STORE, StoreOption
from .progress import ProgressMode, rows_progress

InputOption = Annotated[
    list[str],
    Parameter(
        name="--input",
        consume_multiple=True,
        negative=(),
        help="Data files, folders or patterns; s3://, gs:// and az:// too.",
    ),
]
OutputOption = Annotated[
    str,
    Parameter(
        name="--output",
        help="A new or empty folder, or s3://, gs://, az://; gets Parquet files and _SUCCESS.json.",
    ),
]
VersionOption = Annotated[
    int | None, Parameter(name="--version", help="The version to score with; the current one if not given.")
]
RuntimeOption = Annotated[
    Literal["onnxruntime", "openvino", "auto"],
    Parameter(
        name="--runtime",
        help="What runs the members; auto: for each what is measured to be fastest, as in serve.",
    ),
]
DeviceOption = Annotated[
    Literal["cpu", "cuda", "tensorrt"],
    Parameter(name="--device", help="What members compute on; processes have a GPU each. It must be there."),
]
BatchSizeOption = Annotated[
    int | None,
    Parameter(name="--batch-size", help="Rows a batch at most; if not given, what is found to be quickest."),
]
KeepOption = Annotated[
    str, Parameter(name="--keep", help="Columns to copy beside the scores, separated by commas.")
]
IdOption = Annotated[
    str | None,
    Parameter(
        name="--id-column", help="A column that names the rows, copied to the scores and to the error rows."
    ),
]
OutputsOption = Annotated[
    str, Parameter(name="--outputs", help="Some of scores,label,entropy,disagreement; by name, with commas.")
]
MembersOption = Annotated[bool, Parameter(name="--member-outputs", help="Also each member's own scores.")]
ErrorsOption = Annotated[
    str,
    Parameter(name="--max-error-rows", help="How many rows may fail: a number, or a percentage like 0.5%."),
]
ProgressOption = Annotated[
    ProgressMode,
    Parameter(name="--progress", help="A bar, plain lines, JSON events on stderr, or nothing."),
]

MetricsFileOption = Annotated[
    Path | None,
    Parameter(name="--metrics-file", help="Keep rows done and failed here, for Prometheus' textfiles."),
]
OverwriteOption = Annotated[
    bool,
    Parameter(name="--overwrite", help="Replace another job's results in the folder once these are whole."),
]


def score(  # noqa: PLR0913 - one parameter an option
    name: str,
    *,
    inputs: InputOption,
    output: OutputOption,
    version: VersionOption = None,
    batch_size: BatchSizeOption = None,
    id_column: IdOption = None,
    keep: KeepOption = "",
    outputs: OutputsOption = "scores",
    member_outputs: MembersOption = False,
    max_error_rows: ErrorsOption = "0",
    overwrite: OverwriteOption = False,
    runtime: RuntimeOption = "onnxruntime",
    device: DeviceOption = "cpu",
    executor: ExecutorOption = "inline",
    workers: WorkersOption = 0,
    ray_address: RayAddressOption = None,
    progress: ProgressOption = "auto",
    metrics_file: MetricsFileOption = None,
    store: StoreOption = DEFAULT_STORE,
) -> int:
    """Score files with ensemble NAME into a folder of Parquet files; needs no server.

    The scores are bit for bit those of a server with the same --runtime. A job that was cut off goes on where
    it was; one that is done is left alone. Rows that can't be scored are listed in _errors, and the exit code
    is 2.
    """
    from ensemble.data.dataset import open_dataset  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.scoring.columns import Columns  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.scoring.run import ErrorLimit, ScoreOptions, Stored  # noqa: PLC0415 - heavy: as above
    from ensemble.scoring.run import score as run  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.scoring.target import Target  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.truth import truth_of  # noqa: PLC0415 - heavy: only when the command runs

    from .score_metrics import ScoreMetrics  # noqa: PLC0415 - heavy: only when the command runs

    columns = Columns(_names(outputs), member_outputs)
    options = ScoreOptions(batch_size, None, columns, ErrorLimit.parse(max_error_rows), overwrite)
    opened = Store.open(store)
    manifest = opened.manifest(name, version)
    columns.check(truth_of(record.output for record in manifest.members))
    target = Target.of_manifest(opened, manifest)
    dataset = open_dataset(inputs, target.signature, keep=_names(keep), identity=id_column, lenient=True)
    who = executor_of(executor, workers, ray_address, device)
    scorer = Stored(store, target, who, runtime, device)
    with rows_progress(dataset.rows, "scored", Console(stderr=True), progress) as advance:
        metrics = ScoreMetrics(metrics_file, dataset.rows, advance) if metrics_file else None
        told = metrics.advance if metrics else advance
        result = run(scorer, dataset, output, options, on_progress=told)
        if metrics:
            metrics.finish(result.failed)
    print(_told(result, f"{name} version {target.version}", output))
    return EXIT_ERROR_ROWS if result.failed else EXIT_DONE


def _names(text: str) -> tuple[str, ...]:
    """Read names that are separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _told(result: Any, who: str, output: str) -> str:
    """Say in one line what was done."""
    parts = f"{len(result.parts)} part{'s' if len(result.parts) != 1 else ''} in {output}"
    failed = (
        f"; {result.failed:,} rows could not be scored, see {output.rstrip('/')}/_errors"
        if result.failed
        else ""
    )
    if result.already_done:
        return f"already done: {result.rows:,} rows scored with {who}, {parts}{failed}"
    now = result.rows + result.failed - result.done_before
    speed = now / max(result.seconds, 1e-9)
    before = f", {result.done_before:,} of them before" if result.done_before else ""
    return (
        f"scored {result.rows:,} rows with {who} in {result.seconds:.1f} s ({speed:,.0f} rows/s){before}:"
        f" {parts}{failed}"
    )
