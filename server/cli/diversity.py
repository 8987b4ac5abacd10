"""`unisono diversity`."""

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ensemble.errors import InvalidRequestError

from . import tables
from .main import EXIT_DONE
from .member_files import Candidates
from .options import DEFAULT_STORE, NO_CANDIDATES, CandidateOptions, OutputOption, StoreOption
from .publish import ClassesOption
from .refit import LabelOption

if TYPE_CHECKING:
    from ensemble.refit.sample import Sample

# What candidates are called where there is no ensemble.
CANDIDATES = "candidates"


def diversity(  # noqa: PLR0913 - one parameter an option
    name: str = "",
    *,
    data: Annotated[
        list[str] | None,
        Parameter(consume_multiple=True, negative=(), help="Labelled rows that no member learned from."),
    ] = None,
    label: LabelOption = "y",
    predictions: Annotated[
        Path | None, Parameter(help="A folder of captured predictions, in place of NAME and --data.")
    ] = None,
    outside: CandidateOptions = NO_CANDIDATES,
    classes: ClassesOption = None,
    report: Annotated[
        Path | None, Parameter(help="Write the figures as a page (.html) with plots, or as .json.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    output_format: OutputOption = "table",
) -> int:
    """Show how the members of ensemble NAME differ on labelled rows, and what differing gives.

    Each two members' errors compared, what each pair would give alone, what each member is worth, and how
    much of the members' loss their ambiguity takes away. A --candidate is compared with the members as if it
    were one that weighs nothing. Without NAME, candidates are compared with each other and weighed alike:
    nothing has to be published, and --classes are theirs.
    """
    from .reporting import write  # noqa: PLC0415 - only when the command runs

    def page() -> write.Render:
        from .reporting.diversity_page import render  # noqa: PLC0415 - heavy: only for pages

        return render()

    write_report = write.writer(report, page)
    _refuse(name, data, predictions, outside, classes)
    if predictions is not None:
        sample, weights = _captured(predictions)
    elif name:
        sample, weights = _of_ensemble(name, data or [], label, outside, store)
    else:
        sample, weights = _of_candidates(outside, classes, data or [], label)
    told = {"name": name or str(predictions or CANDIDATES)} | _told(sample, weights)
    write_report(told)
    if output_format == "json":
        tables.print_json(told)
    else:
        _show(told)
    return EXIT_DONE


def _refuse(
    name: str, data: list[str] | None, predictions: Path | None, outside: Candidates, classes: str | None
) -> None:
    """Refuse what is asked in two ways, or in none; InvalidRequestError."""
    alone = [] if name else outside.candidate or []
    if predictions is not None and outside != NO_CANDIDATES:
        raise InvalidRequestError(
            "a candidate is compared with an ensemble's members: put its own predictions beside the others"
        )
    if bool(data and (name or alone)) == (predictions is not None):
        raise InvalidRequestError(
            "name an ensemble and --data, or --predictions alone, or no ensemble, --data and candidates"
        )
    if len(alone) == 1:
        raise InvalidRequestError("one candidate differs from nothing: name another, or an ensemble")
    if classes is not None and not alone:
        raise InvalidRequestError("--classes are for candidates without an ensemble: others have theirs")


def _captured(predictions: Path) -> tuple["Sample", Any]:
    """Return captured scores; all members count alike."""
    import numpy as np  # noqa: PLC0415 - heavy: only when the command runs

    from ensemble.refit.captured import read_captured  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.refit.sample import Sample  # noqa: PLC0415 - heavy: only when the command runs

    found = read_captured(predictions)
    return Sample.of(found), np.full(len(found.members), 1 / len(found.members))


def _of_candidates(
    outside: Candidates, classes: str | None, data: list[str], label: str
) -> tuple["Sample", Any]:
    """Return the scores of candidates, which count alike."""
    from .candidates import published_apart  # noqa: PLC0415 - heavy: only when the command runs

    names = None if classes is None else tuple(classes.split(","))
    with published_apart(outside, names, CANDIDATES) as store:
        return _of_ensemble(CANDIDATES, data, label, NO_CANDIDATES, store)


def _of_ensemble(
    name: str, data: list[str], label: str, outside: Candidates, store: str
) -> tuple["Sample", Any]:
    """Return the scores of an ensemble's members, then of candidates, and how much each counts."""
    import numpy as np  # noqa: PLC0415 - heavy: only when the command runs

    from ensemble.data.labelled import open_labelled  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.loading.load import load_servable  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.refit.newcomers import as_ensemble, joined  # noqa: PLC0415 - heavy: as above
    from ensemble.refit.predictions import predict_all  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.refit.sample import Sample  # noqa: PLC0415 - heavy: only when the command runs
    from ensemble.truth import Truth  # noqa: PLC0415 - beside its use
    from model_store.store import Store  # noqa: PLC0415 - only when the command runs

    from .candidates import candidates  # noqa: PLC0415 - heavy: only when the command runs

    servable = load_servable(Store.open(store), name)
    if servable.truth is Truth.VALUES:
        raise InvalidRequestError(
            f"how members differ is told of classes and labels; {name!r} is of values: see what"
            " `unisono refit` tells of them"
        )
    rows = open_labelled(data, servable.signature, label, truth=servable.truth, classes=servable.classes)
    sample = Sample.of(predict_all(servable, rows))
    with candidates(outside, store, name) as newcomers:
        if newcomers:
            sample = joined(sample, predict_all(as_ensemble(newcomers, servable), rows))
    weights = servable.weights.by_member
    return sample, np.array([weights.get(member, 0.0) for member in sample.predictions.members])


def _told(sample: "Sample", weights: Any) -> dict[str, Any]:
    """Return all figures; null is infinite, or not to be told."""
    from ensemble.refit import diversity as measured  # noqa: PLC0415 - heavy: only when the command runs

    members = sample.predictions.members
    found = measured.pairs(sample)
    worth = measured.value_of_each(sample, weights)
    decompositions = {
        "brier": measured.squared_decomposition(sample, weights),
        "log_loss_of_geometric_mean": measured.log_decomposition(sample, weights),
    }
    return {
        "rows": sample.predictions.data_rows,
        "members": [
            {
                "name": member,
                "weight": float(weights[place]),
                "log_loss": _finite(found.loss_together[place, place]),
                "first_order_gain": _finite(worth[member].first_order),
                "worth": _finite(worth[member].rises),
            }
            for place, member in enumerate(members)
        ],
        "pairs": [
            {
                "members": [members[one], members[other]],
                **{
                    measure: _finite(getattr(found, measure)[one, other])
                    for measure in found.__dataclass_fields__
                },
            }
            for one in range(len(members))
            for other in range(one + 1, len(members))
        ],
        "ambiguity": {
            loss: {"members": parts.members, "ambiguity": parts.ambiguity, "ensemble": parts.ensemble}
            for loss, parts in decompositions.items()
        },
    }


def _show(told: dict[str, Any]) -> None:
    console = tables.console()
    numbers = ("weight", "log-loss", "g - 1", "worth")
    keys = ("weight", "log_loss", "first_order_gain", "worth")
    members = tables.table("member", *numbers, numbers=numbers)
    for line in told["members"]:
        members.add_row(line["name"], *(_shown(line[key]) for key in keys))
    console.print(members)
    if told["pairs"]:
        measures = [key for key in told["pairs"][0] if key != "members"]
        headings = tuple(key.replace("_", "-") for key in measures)
        pairs = tables.table("pair", *headings, numbers=headings)
        for line in told["pairs"]:
            pairs.add_row(" + ".join(line["members"]), *(_shown(line[key]) for key in measures))
        console.print(pairs)
    for loss, parts in told["ambiguity"].items():
        console.print(
            f"{loss.replace('_', ' ')}: members {parts['members']:.4f} - ambiguity {parts['ambiguity']:.4f}"
            f" = ensemble {parts['ensemble']:.4f}"
        )


def _finite(value: float) -> float | None:
    return float(value) if isfinite(value) else None


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
