"""`unisono verify`."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from ensemble.errors import InvalidModelError
from ensemble.loading.formats import Format
from model_store.store import Store
from model_store.verify import Verified
from model_store.verify import verify as verify_layout

from . import tables
from .main import EXIT_DONE, EXIT_VERIFY_FAILED
from .options import (
    DEFAULT_STORE,
    AllowH5Option,
    AllowSavedModelOption,
    OutputOption,
    StoreOption,
    allowed_formats,
)


def verify(
    name: Annotated[str | None, Parameter(help="Which ensemble; all of them if left out.")] = None,
    *,
    model: Annotated[
        Path | None,
        Parameter(
            help="Check this model file instead, as publish would, and say what was found (needs "
            "the keras extra)."
        ),
    ] = None,
    allow_h5: AllowH5Option = False,
    allow_saved_model: AllowSavedModelOption = False,
    store: StoreOption = DEFAULT_STORE,
    output_format: OutputOption = "table",
) -> int:
    """Check every digest of every published version, and the journal's rules.

    Exit code 4 if anything is wrong; each finding says what and the way out.
    """
    if model is not None:
        allowed = allowed_formats(h5=allow_h5, saved_model=allow_saved_model)
        return _verify_model(model, allowed, output_format)
    opened = Store.open(store)
    # A name that isn't there must not count as one without faults.
    names = opened.ensembles() if name is None else [name]
    if name is not None:
        opened.current(name)
    reports = {each: verify_layout(opened.layout(each)) for each in names}
    if output_format == "json":
        shown = [{"name": each, **asdict(report)} for each, report in reports.items()]
        tables.print_json({"store": opened.address, "ensembles": shown})
    else:
        _print(reports)
    return EXIT_VERIFY_FAILED if any(report.findings for report in reports.values()) else EXIT_DONE


def _verify_model(model: Path, allowed: frozenset[Format], output_format: str) -> int:
    """Print what each check of a model file found, and why it was refused, if it was."""
    try:
        from ensemble.publishing.examine import examine  # noqa: PLC0415 - heavy: only when the command runs
    except ModuleNotFoundError as error:
        raise InvalidModelError(
            f"checking a model needs {error.name!r}, which isn't installed here: pip install 'unisono[keras]'"
        ) from error
    passed, refused = [], None
    with tempfile.TemporaryDirectory(prefix="unisono-verify-") as work:
        try:
            for each in examine(model, Path(work), allowed):
                passed.append(each)  # noqa: PERF402 - those before the one that raises must stay
        except InvalidModelError as error:
            refused = str(error).replace(str(Path(work) / "file"), str(model))
    if output_format == "json":
        checks = [asdict(each) for each in passed]
        tables.print_json({"model": str(model), "passed": checks, "refused": refused})
    else:
        console = tables.console()
        rows = tables.table("check", "found")
        for each in passed:
            rows.add_row(Text(each.check, style="bold"), Text(each.found))
        console.print(rows)
        verdict = "refused: " + refused if refused else "can be published"
        console.print(Text(verdict, style="red" if refused else "green"))
    return EXIT_VERIFY_FAILED if refused else EXIT_DONE


def _print(reports: dict[str, Verified]) -> None:
    """Print a line for each ensemble, and its findings below."""
    console = tables.console()
    numbers = ("entries", "versions", "blobs", "bytes")
    rows = tables.table("ensemble", *numbers, "", numbers=numbers)
    for name, report in reports.items():
        count = len(report.findings)
        verdict = Text(f"{count} wrong", style="bold red") if count else Text("whole", style="green")
        figures = (report.entries, report.versions, report.blobs, tables.size(report.bytes))
        rows.add_row(Text(name, style="bold"), *(Text(str(figure)) for figure in figures), verdict)
    console.print(rows)
    for name, report in reports.items():
        for finding in report.findings:
            where = "journal" if finding.version is None else f"version {finding.version}"
            console.print(Text(f"{name} {where}: ", style="bold").append(finding.text, style="red"))
