"""`unisono refit`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from . import tables
from .main import EXIT_DONE, EXIT_HELD
from .options import DEFAULT_STORE, OutputOption, ReportOption, StoreOption

DataOption = Annotated[
    list[Path],
    Parameter(
        name="--data",
        consume_multiple=True,
        negative=(),
        help="Validation rows to learn from: Parquet, CSV or NPZ files, folders or patterns.",
    ),
]
TestOption = Annotated[
    list[Path] | None,
    Parameter(
        name="--test",
        consume_multiple=True,
        negative=(),
        help="Rows that nothing was learned from, to report the losses on.",
    ),
]
LabelOption = Annotated[
    str, Parameter(help="The column or array with the true classes: class numbers or names.")
]
DryRunOption = Annotated[bool, Parameter(negative=(), help="Learn, compare and judge, but publish nothing.")]
ForceOption = Annotated[
    bool, Parameter(negative=(), help="Publish even if the gate holds the weights back; needs --why.")
]
MinGainOption = Annotated[
    float, Parameter(help="How much lower, in nats a row, the held-out log-loss surely has to be.")
]
WhyOption = Annotated[str, Parameter(help="The reason, for the journal.")]
ByOption = Annotated[str, Parameter(help="Who asks, for the journal; the login name if left out.")]
BatchSizeOption = Annotated[int, Parameter(help="Rows a batch; changes the speed, never the weights.")]
CacheOption = Annotated[
    Path | None,
    Parameter(
        help="A folder that keeps members' scores by data and member: what was scored before isn't again."
    ),
]
MetricsOption = Annotated[
    Path | None,
    Parameter(help="Write the refit's metrics here, a .prom file for Prometheus' textfile collector."),
]


def refit(  # noqa: PLR0913 - one parameter an option
    name: str,
    *,
    data: DataOption,
    label: LabelOption = "y",
    test: TestOption = None,
    min_gain: MinGainOption = 0.0,
    dry_run: DryRunOption = False,
    force: ForceOption = False,
    why: WhyOption = "",
    by: ByOption = "",
    batch_size: BatchSizeOption = 256,
    cache: CacheOption = None,
    report: ReportOption = None,
    metrics: MetricsOption = None,
    store: StoreOption = DEFAULT_STORE,
    output_format: OutputOption = "table",
) -> int:
    """Learn new weights for ensemble NAME on labelled rows, and publish them if they are better.

    The members stay as they are. Exit code 0: published, or a dry run; 3: the gate held the weights back.
    """
    from ensemble.refit.job import RefitJob, as_json, outcome  # noqa: PLC0415 - only when the command runs

    from . import refit_report  # noqa: PLC0415 - heavy: only when the command runs
    from .progress import rows_progress  # noqa: PLC0415 - only when the command runs
    from .refit_metrics import metrics_of  # noqa: PLC0415 - only when the command runs
    from .reporting import content, write  # noqa: PLC0415 - only when the command runs
    from .user import user_name  # noqa: PLC0415 - only when the command runs

    write_report = write.writer(report)
    job = RefitJob(
        store=store,
        name=name,
        data=data,
        test=test or (),
        label=label,
        min_gain=min_gain,
        dry_run=dry_run,
        force=force,
        why=why,
        by=by or user_name(),
        batch_size=batch_size,
        cache=cache,
    )
    with metrics_of(metrics, name) as tell:
        opened = job.opened()
        with rows_progress(opened.rows, "predicted", Console(stderr=True)) as advance:
            result = opened.run(advance)
        done = outcome(result, dry_run=dry_run)
        tell(done, result.learned.to_json())
    write_report(content.of_refit(result, done))
    if output_format == "json":
        tables.print_json(as_json(result, dry_run=dry_run))
    else:
        refit_report.show(tables.console(), result, dry_run=dry_run)
    return EXIT_HELD if done == "held" else EXIT_DONE
