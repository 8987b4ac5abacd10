import json
import re
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ensemble.errors import InvalidRequestError, UnavailableError
from model_store.journal import Entry
from model_store.manifest import BlobRef, Draft, Manifest, MemberRecord
from model_store.store import Store
from server.cli.main import application
from server.cli.reporting.charts import Charts
from server.cli.reporting.content import certificate, of_version
from server.cli.reporting.page import page
from tests.support.flowers import NAME

ENTRY = Entry(2, "publish", 2, None, 1, "e" * 64, "2026-03-01T12:00:00Z", "ann", "")


def store_of(evidence: Mapping[str, Any]) -> Manifest:
    """A manifest with this evidence."""
    blob = BlobRef("d" * 64, 1)
    return Manifest(NAME, 2, Draft((MemberRecord("a", "onnx", blob, {}),), (), {}, {}, blob, evidence, 1))


def refit(folder: Path, report: str, *more: str) -> int:
    files = ("--data", str(folder / "val.npz"), "--test", str(folder / "test.npz"))
    code: int = application()(["refit", NAME, *files, "--report", str(folder / report), *more])
    return code


def inspect(folder: Path, report: str, *more: str) -> Any:
    """Have the report of a version written; return it, read again."""
    application()(["inspect", NAME, "--report", str(folder / report), *more])
    text = (folder / report).read_text()
    return json.loads(text) if report.endswith(".json") else text


class Tables(HTMLParser):
    """Collects the cells of every table's body, row by row, and the text of everything."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.text = ""
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, _attributes: object) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")
        self._in_cell = tag == "td" or (self._in_cell and tag == "span")

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag != "td"

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._in_cell:
            self.rows[-1][-1] += data


def test_the_page_says_what_the_json_says(folder: Path) -> None:
    assert refit(folder, "report.json") == 0
    said = json.loads((folder / "report.json").read_text())
    text = page(said, Charts())
    shown = Tables(text)

    for line in said["weights"]:
        after = f"{line['after']:.4f}" if line["after"] else "0"
        change = f"{line['change']:+.4f}".replace("-", "\N{MINUS SIGN}")
        assert [line["member"], "0.3333", after, change] in [row[:4] for row in shown.rows]
    for part in ("validation", "test"):
        for line in said["losses"][part]:
            low, high = line["interval"]
            expected = [
                line["name"],
                f"{line['loss']:.4f}",
                f"[{low:.4f}, {high:.4f}]",
                f"{100 * line['accuracy']:.2f}%",
                f"{line['calibration_error']:.4f}",
            ]
            assert expected in [row[:5] for row in shown.rows]
    for line in said["classes"]["test"]:
        row = next(row for row in shown.rows if row[:2] == [line["name"], str(line["rows"])])
        assert row[2:4] == [f"{line[which]['log_loss']:.4f}" for which in ("incumbent", "learned")]
        held_out = said["parts"][line["name"]]
        assert held_out["loses"] is False
        # Gain, interval, p, and what Holm's test makes of it.
        assert row[7] == f"{held_out['mean']:+.4f}".replace("-", "\N{MINUS SIGN}")
        assert row[9:] == [f"{held_out['chance']:.2g}", f"holds (p > {held_out['limit']:.2g})"]
    for name, loss in said["candidates"].items():
        assert [name.replace("_", " "), f"{loss:.4f}"] in shown.rows
    for sentence in (said["certificate"], *said["verdict"]["reasons"], *said["notes"]):
        assert sentence in shown.text
    for part in ("validation", "test"):
        assert said["data"][part]["digest"] in shown.text
    matrix = said["error_correlation"]["matrix"]
    assert all(f">{value:.2f}<" in text for row in matrix for value in row)


def test_the_page_needs_nothing_from_elsewhere_and_is_the_same_each_time(folder: Path) -> None:
    assert refit(folder, "report.html") == 0
    text = (folder / "report.html").read_text()

    assert text.startswith("<!doctype html>")
    assert "://" not in text
    assert not re.findall(r"<(?:script|link|img|iframe|object)\b|@import|\b(?:src|srcset)=", text)
    # Charts of several drawings on one page: every id is there once, every reference leads to one.
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids)) > 100
    referred = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text))
    assert {first or second for first, second in referred} <= set(ids)
    assert "var(--learned)" in text
    assert "#0" not in text.partition("</style>")[2].replace("&#0", "")

    assert inspect(folder, "one.html") == inspect(folder, "two.html")


def test_a_versions_report_is_that_of_its_refit_with_who_published_it(folder: Path) -> None:
    refit(folder, "refit.json", "--by", "ann", "--why", "new <season>")
    made = json.loads((folder / "refit.json").read_text())
    kept = inspect(folder, "kept.json", "--version", "2")

    assert kept.pop("published") | {"at": ""} == {"at": "", "by": "ann", "why": "new <season>"}
    assert made.pop("published") is None
    assert kept == made
    assert (made["outcome"], made["version"], made["parent"], made["forced"]) == ("published", 2, 1, False)
    assert "by ann: new &lt;season&gt;" in inspect(folder, "kept.html")


def test_what_is_held_is_reported_with_the_reasons(folder: Path) -> None:
    assert refit(folder, "report.html", "--min-gain", "0.5") == 3
    text = (folder / "report.html").read_text()
    assert '<section class="verdict held"><h2>Held: version 1 stays in service</h2>' in text
    assert "the gain is not sure" in text


def test_a_dry_run_and_a_forced_refit_are_called_so(folder: Path) -> None:
    refit(folder, "report.html", "--dry-run")
    assert "Dry run: these weights would be published" in (folder / "report.html").read_text()
    refit(folder, "report.html", "--dry-run", "--min-gain", "0.5")
    assert "Dry run: these weights would be held" in (folder / "report.html").read_text()
    refit(folder, "report.html", "--min-gain", "0.5", "--force", "--why", "a drill")
    text = (folder / "report.html").read_text()
    assert '<section class="verdict held"><h2>Published as version 2 against the gate&#x27;s verdict' in text
    assert inspect(folder, "forced.json")["forced"] is True


def test_figures_that_are_missing_or_infinite_leave_the_rest_as_it_is(folder: Path) -> None:
    """A version of an older release, with a member that rules out a true class."""
    refit(folder, "report.json")
    said = json.loads((folder / "report.json").read_text())
    for line in said["losses"]["test"][:2]:
        line |= {"loss": None, "interval": None}
    said |= {"error_correlation": None, "reliability": {}, "classes": {}, "candidates": {}, "libraries": {}}
    said["held_out_gain"] = None
    for line in said["weights"]:
        line |= {"before": None, "change": None, "worth": None, "interval": [0.1, 0.2], "used": 0.875}
    shown = Tables(page(said, Charts()))

    assert [line["name"] for line in said["losses"]["test"][:2]] == [
        row[0] for row in shown.rows if "∞" in row[1:2]
    ]
    heaviest = said["weights"][0]
    assert [heaviest["member"], f"{heaviest['after']:.4f}", "[0.1000, 0.2000]", "87.50%", "∞"] in shown.rows
    assert "infinite" in shown.text
    for absent in ("Class by class", "What competed", "Do the members err together?", "Learned with"):
        assert absent not in shown.text


def test_what_a_member_is_worth_is_read_from_what_to_serve_without_it() -> None:
    losses = {
        "members": {"a": 0.5, "b": 0.5, "c": 0.5, "d": 0.5},
        "uniform": 0.5,
        "best_single": {"member": "a", "loss": 0.5},
        "incumbent": 0.5,
        "learned": 0.25,
    }
    evidence = {
        "solver": {"converged": True, "gap": 0.0, "how": "newton", "iterations": 1},
        "validation": {"data": {"digest": "d", "rows": 9}, "losses": losses, "gains": {}},
        "verdict": {"publish": True, "reasons": []},
        "without": {"a": {"log_loss": 0.375}, "b": {"log_loss": None}, "c": None},
    }
    manifest = store_of(evidence)
    weights = {"a": 0.5, "b": 0.25, "c": 0.25, "d": 0.0}
    told = of_version(manifest, weights, ENTRY)["weights"]
    assert {line["member"]: line["worth"] for line in told} == {"a": 0.125, "b": None, "c": None, "d": 0.0}
    del evidence["without"]
    assert all("worth" not in line for line in of_version(store_of(evidence), weights, ENTRY)["weights"])
    text = Tables(page(of_version(store_of(evidence), weights, ENTRY), Charts())).text
    assert "loss rises without it" not in text
    assert "95% interval" in text  # of the losses
    assert "Whiskers" not in text


def test_members_that_were_let_go_are_listed_with_their_price(folder: Path) -> None:
    refit(folder, "report.json", "--dry-run")
    said = json.loads((folder / "report.json").read_text())
    assert "Members let go" not in page(said, Charts())
    removed = [{"member": "blunt", "cost": 0.0001, "milliseconds_a_row": 0.25}]
    said["pruning"] = {"max_cost": 0.001, "removed": removed}
    shown = Tables(page(said, Charts()))
    assert ["blunt", "0.0001", "0.2500"] in shown.rows
    assert "--max-cost allowed 0.001 nats a row" in shown.text


def test_the_pool_and_the_loss_that_decided_are_named(folder: Path) -> None:
    refit(folder, "log.html", "--pools", "linear,temperature", "--dry-run")
    text = Tables((folder / "log.html").read_text()).text
    assert "log-loss decides" in text
    assert "linear temperature" in text
    refit(folder, "brier.json", "--objective", "brier", "--dry-run")
    said = json.loads((folder / "brier.json").read_text())
    assert (said["objective"], said["pool"]) == ("brier", {"form": "linear"})
    text = Tables(page(said | {"pool": {"form": "linear", "temperature": 0.698765}}, Charts())).text
    for shown in (
        "held-out Brier score",
        "form linear, temperature 0.6988; Brier score decides",
        "held-out gain",
    ):
        assert shown in text
    assert "held-out gain, nats" not in text


def test_a_certificate_never_claims_more_than_is_proven() -> None:
    solver = {"converged": True, "gap": 1.01e-10, "how": "newton"}
    assert "more than 2e-10 nats lower (newton)" in certificate(solver, 1000)
    # Between nine and ten of a unit, rounding up carries.
    assert "more than 1e-11 nats lower" in certificate(solver | {"gap": 9.6e-12}, 1000)
    # Rounding alone makes errors of this size.
    assert "on these 1,000 rows more than 1e-12 nats" in certificate(solver | {"gap": 0.0}, 1000)
    assert certificate(solver | {"converged": False, "gap": 0.25}, 1000) == (
        "No certificate: the solver stopped with a gap of 0.25 nats (newton)."
    )


def test_a_version_that_no_refit_made_has_no_report(folder: Path) -> None:
    with pytest.raises(InvalidRequestError, match=f"version 1 of '{NAME}' was not made by a refit"):
        inspect(folder, "report.html")


@pytest.mark.parametrize(
    ("name", "said"),
    [("report.pdf", "name a file that ends in .html or .json"), ("none/r.html", "there is no folder")],
)
def test_a_report_that_can_not_be_written_is_refused_before_anything_is_learned(
    folder: Path, name: str, said: str
) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        refit(folder, name)
    assert Store.open(str(folder / "store")).current(NAME) == 1


def test_without_matplotlib_it_is_said_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(
        UnavailableError, match=r"pip install 'unisono\[training\]', or write the report as .json"
    ):
        refit(folder, "report.html")
    assert refit(folder, "report.json") == 0
