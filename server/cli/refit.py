"""`unisono refit`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from . import tables
from .executors import ExecutorOption, RayAddressOption, WorkersOption, executor_of
from .main import EXIT_DONE, EXIT_HELD
from .options import (
    DEFAULT_STORE,
    NO_CANDIDATES,
    CandidateOptions,
    ExpectOption,
    OutputOption,
    ReportOption,
    StoreOption,
)

DataOption = Annotated[
    list[str],
    Parameter(
        name="--data",
        consume_multiple=True,
        negative=(),
        help="Validation rows to learn from: data files, folders or patterns; s3://, gs:// and az:// too.",
    ),
]
TestOption = Annotated[
    list[str] | None,
    Parameter(
        name="--test",
        consume_multiple=True,
        negative=(),
        help="Rows that nothing was learned from, to report the losses on.",
    ),
]
LabelOption = Annotated[
    str,
    Parameter(
        help="The column or array of what is true: class numbers or names. Of labels (0 or 1 each) and values"
        " an array [row, column], a column of lists, or columns LABEL_0, LABEL_1, ..."
    ),
]
DryRunOption = Annotated[bool, Parameter(negative=(), help="Learn, compare and judge, but publish nothing.")]
ForceOption = Annotated[
    bool, Parameter(negative=(), help="Publish even if the gate holds the weights back; needs --why.")
]
MinGainOption = Annotated[
    float,
    Parameter(
        help="How much lower the held-out loss surely has to be, in nats a row, or in the loss's own unit."
    ),
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
PoolsOption = Annotated[
    str,
    Parameter(
        help="The forms that compete, with commas between: linear (the weighted average), temperature (that,"
        " then sharpened or softened), log (the weighted geometric mean). The one being served always does."
    ),
]
ObjectiveOption = Annotated[
    str,
    Parameter(
        help="The loss that decides. Of classes: log_loss (if left out), brier, accuracy, f1 (the mean over"
        " classes) or auc (the area under the ROC curve, each class against all); all but log_loss go with"
        " linear pools only. Of independent labels: log_loss or brier. Of values: mse (if left out), or"
        " pinball:Q for the quantile Q."
    ),
]
SampleWeightOption = Annotated[
    str | None, Parameter(help="The column that says how much each row counts; all alike if left out.")
]
GroupOption = Annotated[
    str | None, Parameter(help="The column of what rows belong together by: they are never split by a fold.")
]
TimeOrderOption = Annotated[
    str | None, Parameter(help="The column to put rows in order by: they are judged by what came before.")
]
SliceOption = Annotated[
    list[str] | None,
    Parameter(
        name="--slice",
        negative=(),
        help="A column whose every value marks a slice that must not lose; once for each column.",
    ),
]
MaxCostOption = Annotated[
    float | None,
    Parameter(
        help="Let members go, for speed, as long as that raises the held-out loss by no more than this, in"
        " nats a row; weights of fewer members are then published if they surely cost no more."
    ),
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
    pools: PoolsOption = "linear",
    objective: ObjectiveOption = "",
    sample_weight: SampleWeightOption = None,
    group: GroupOption = None,
    time_order: TimeOrderOption = None,
    slices: SliceOption = None,
    max_cost: MaxCostOption = None,
    outside: CandidateOptions = NO_CANDIDATES,
    expect_seq: ExpectOption = None,
    batch_size: BatchSizeOption = 256,
    cache: CacheOption = None,
    executor: ExecutorOption = "inline",
    workers: WorkersOption = 0,
    ray_address: RayAddressOption = None,
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
    from .candidates import candidates  # noqa: PLC0415 - heavy: only when the command runs
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
        pools=tuple(pools.split(",")),
        objective=objective,
        sample_weight=sample_weight,
        group=group,
        time_order=time_order,
        slices=tuple(slices or ()),
        max_cost=max_cost,
        expect_seq=expect_seq,
        executor=None if executor == "inline" else executor_of(executor, workers, ray_address),
    )
    with metrics_of(metrics, name) as tell, candidates(outside, store, name) as newcomers:
        opened = job.opened(newcomers)
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
