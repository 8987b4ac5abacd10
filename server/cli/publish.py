"""`unisono publish`."""

from pathlib import Path
from types import ModuleType
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from ensemble.errors import InvalidModelError
from model_store.manifest import Manifest, MemberRecord
from model_store.store import Store

from . import member_files, tables
from .main import EXIT_DONE
from .options import (
    DEFAULT_STORE,
    AllowH5Option,
    AllowSavedModelOption,
    ExpectOption,
    StoreOption,
    allowed_formats,
)
from .user import user_name

MemberOption = Annotated[
    list[str],
    Parameter(
        name="--member",
        negative=(),
        help="A member's name and its file (Keras, ONNX, LightGBM, XGBoost), as NAME=FILE; once for each.",
    ),
]
WeightsOption = Annotated[
    str | None,
    Parameter(help="How much each member counts, as NAME=NUMBER,NAME=NUMBER; all alike if left out."),
]
ClassesOption = Annotated[
    str | None,
    Parameter(help="The names of the classes, in the order of the scores, as A,B,C; 0,1,2 if left out."),
]
ScoresOption = Annotated[
    list[str] | None,
    Parameter(
        name="--scores-output",
        negative=(),
        help="Which output of a member is its scores, as NAME=OUTPUT; needed where several could be.",
    ),
]
InputOption = Annotated[
    list[str] | None,
    Parameter(
        name="--member-input",
        negative=(),
        help="Which of the ensemble's inputs a member takes as its own INPUT, as NAME=INPUT:ENSEMBLES, where "
        "it has another name for it or wants it flat or channels first; once for each.",
    ),
]
MemberClassesOption = Annotated[
    list[str] | None,
    Parameter(
        name="--member-classes",
        negative=(),
        help="The classes of a member's columns in its own order, as NAME=B,C,A, where it differs from the "
        "ensemble's.",
    ),
]
KindOption = Annotated[
    list[str] | None,
    Parameter(
        name="--output-kind",
        negative=(),
        help="What a member's output is, as NAME=softmax, sigmoid, logits or values; told by looking if left "
        "out.",
    ),
]
WhyOption = Annotated[str, Parameter(help="The reason, for the journal.")]
ByOption = Annotated[
    str | None, Parameter(help="Who publishes, for the journal; the login name if left out.")
]
IdOption = Annotated[
    str | None,
    Parameter(
        help="Your name for this publish. Repeated with the same id and files, it publishes nothing more: "
        "safe to retry when an answer was lost."
    ),
]


def publish(  # noqa: PLR0913 - one parameter an option
    name: str,
    *,
    member: MemberOption,
    weights: WeightsOption = None,
    classes: ClassesOption = None,
    scores_output: ScoresOption = None,
    member_input: InputOption = None,
    member_classes: MemberClassesOption = None,
    output_kind: KindOption = None,
    why: WhyOption = "",
    by: ByOption = None,
    expect_seq: ExpectOption = None,
    publish_id: IdOption = None,
    allow_h5: AllowH5Option = False,
    allow_saved_model: AllowSavedModelOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> int:
    """Publish model files as a new version of ensemble NAME, which running servers take up.

    Files of Keras, LightGBM and XGBoost are converted to ONNX, once, and their scores compared with those of
    the library. If anything is wrong with a file, nothing is published.
    """
    publishing = _publishing()
    files = {key: Path(path) for key, path in member_files.pairs(member, "--member", "NAME=FILE").items()}
    options = publishing.PublishOptions(
        classes=None if classes is None else tuple(classes.split(",")),
        outputs=member_files.pairs(scores_output or [], "--scores-output", "NAME=OUTPUT"),
        inputs=member_files.inputs(member_input or []),
        member_classes=member_files.classes(member_classes or []),
        kinds=member_files.pairs(output_kind or [], "--output-kind", "NAME=KIND"),
        weights=None if weights is None else _numbers(weights),
        by=by or user_name(),
        why=why,
        expect_seq=expect_seq,
        publish_id=publish_id,
        allowed=allowed_formats(h5=allow_h5, saved_model=allow_saved_model),
    )
    opened = Store.open(store)
    if any(path.suffix != ".onnx" for path in files.values()):
        # The conversion takes some seconds; without a word it would look stuck.
        Console(stderr=True, highlight=False).print("checking and converting the members ...", markup=False)
    entry = publishing.publish(opened, name, files, options)
    manifest = opened.manifest(name, entry.version)
    _print_members(manifest, opened.weights(manifest))
    print(f"published {name} version {manifest.version}")
    return EXIT_DONE


def _publishing() -> ModuleType:
    """Import what publishes; InvalidModelError where only the serving part is installed."""
    try:
        from ensemble.publishing import publish  # noqa: PLC0415 - heavy: only when the command runs
    except ModuleNotFoundError as error:
        raise InvalidModelError(
            f"publishing needs {error.name!r}, which isn't installed here: pip install 'unisono[keras]'"
        ) from error
    return publish


def _numbers(text: str) -> dict[str, float]:
    """Read NAME=NUMBER,NAME=NUMBER."""
    pairs = member_files.pairs(text.split(","), "--weights", "NAME=NUMBER")
    try:
        return {name: float(value) for name, value in pairs.items()}
    except ValueError as error:
        raise InvalidModelError(
            f"--weights {text!r} holds no number: {error}; give NAME=0.5,NAME=0.5"
        ) from None


def _print_members(manifest: Manifest, weights: dict[str, float]) -> None:
    """Print what was published, one line a member."""
    made = tables.table(
        "member",
        "format",
        "size",
        "classes",
        "weight",
        "agreement",
        numbers=("size", "classes", "weight"),
    )
    for record in manifest.members:
        figures = (
            record.format,
            tables.size(record.blob.size),
            str(len(manifest.classes)),
            f"{weights[record.name]:.4f}",
            _parity(record),
        )
        made.add_row(Text(record.name, style="bold"), *(Text(figure) for figure in figures))
    tables.console().print(made)


def _parity(record: MemberRecord) -> str:
    """Say how well a converted member agrees with what was published."""
    derived = record.derived.get("onnx")
    if derived is None:
        return "served as it is"
    parity = derived.parity
    return f"off by {parity['max_abs_error']:.1g} at most on {parity['rows']} rows ({parity['against']})"
