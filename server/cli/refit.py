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


def refit(  # noqa: PLR0913, PLR0915 - one parameter an option; lazy imports
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
    store: StoreOption = DEFAULT_STORE,
    output_format: OutputOption = "table",
) -> int:
    """Learn new weights for ensemble NAME on labelled rows, and publish them if they are better.

    The members stay as they are. Exit code 0: published, or a dry run; 3: the gate held the weights back.
    """
    from ensemble.data.dataset import open_dataset  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.refit.cache import ScoresCache  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.refit.gate import GateOptions  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.refit.learn import LearnOptions  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.refit.run import RefitOptions  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.refit.run import refit as run  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.signature import Signature  # noqa: PLC0415 - only when the command runs
    from model_store.store import Store  # noqa: PLC0415 - only when the command runs

    from . import refit_report  # noqa: PLC0415 - only when the command runs
    from .progress import rows_progress  # noqa: PLC0415 - only when the command runs
    from .reporting import content, write  # noqa: PLC0415 - only when the command runs
    from .user import user_name  # noqa: PLC0415 - only when the command runs

    write_report = write.writer(report)
    opened = Store.open(store)
    manifest = opened.manifest(name)
    signature, classes = Signature.from_json(manifest.signature), manifest.classes
    validation = open_dataset(data, signature, label=label, classes=classes)
    unseen = open_dataset(test, signature, label=label, classes=classes) if test else None
    rows = validation.rows + (unseen.rows if unseen else 0)
    with rows_progress(rows, "predicted", Console(stderr=True)) as advance:
        kept = ScoresCache(cache) if cache else None
        gate = GateOptions(min_gain=min_gain)
        learning = LearnOptions(unseen, batch_size, cache=kept, progress=advance, gate=gate)
        options = RefitOptions(dry_run, force, why, by or user_name(), learning=learning)
        result = run(opened, name, validation, options)
    write_report(content.of_refit(result, refit_report.outcome(result, dry_run=dry_run)))
    if output_format == "json":
        tables.print_json(refit_report.as_json(result, dry_run=dry_run))
    else:
        refit_report.show(tables.console(), result, dry_run=dry_run)
    return EXIT_HELD if result.version is None and not dry_run else EXIT_DONE
