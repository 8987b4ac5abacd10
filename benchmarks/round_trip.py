"""How far served scores are from what each member's own library gives, for every kind of member.

    python benchmarks/round_trip.py

Makes a small member of every kind (tests/support/every_kind.py), publishes them, serves them, and asks for
the same rows with the stock Triton client. Writes results/round_trip.json and .md, and the table in
docs/members.md.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from results import fill, save, table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from model_store.store import Store  # noqa: E402 - found by the line above
from server.cli.demonstration.server_process import serving  # noqa: E402
from tests.support import every_kind  # noqa: E402
from tests.support.every_kind import Kind  # noqa: E402

CLIENTS = ROOT / ".venv-clients" / "bin" / "python"
ASK = ROOT / "tests" / "clients" / "every_kind.py"
PAGE = ROOT / "docs" / "members.md"
TASKS = {"digits": "10 classes", "iris": "3 classes", "cancer": "2 classes", "values": "a number"}


def measured(folder: Path) -> tuple[list[Kind], dict[str, float]]:
    """Make, publish, serve and ask; return the members, and how far each model's furthest score is off."""
    kinds = every_kind.make(folder)
    store = Store.open(str(folder / "store"))
    every_kind.put(store, kinds)
    every_kind.write_rows(folder / "asked", kinds)
    with serving(store.address, folder / "serve.log") as server:
        command = [str(CLIENTS), str(ASK), server.address, str(folder / "asked")]
        asked = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return kinds, {model: furthest for model, (furthest, _) in json.loads(asked.stdout).items()}


def markdown(kinds: Sequence[Kind], found: Mapping[str, float]) -> str:
    """Return the table: members by what they give, then the ensembles."""
    lines = [
        [kind.of, kind.name, TASKS[kind.ensemble], str(len(kind.native)), f"{found[kind.model]:.1e}"]
        for kind in kinds
    ]
    lines += [
        ["**all of them, averaged**", ensemble, task, str(every_kind.ROWS), f"{found[ensemble]:.1e}"]
        for ensemble, task in TASKS.items()
    ]
    header = ("made by", "member", "gives", "rows", "largest error")
    return f"{table(header, lines)}\n\nErrors are absolute for scores up to 1 and relative above.\n"


def main() -> None:
    """Measure, and write the table."""
    with tempfile.TemporaryDirectory() as folder:
        kinds, found = measured(Path(folder))
    text = markdown(kinds, found)
    save("round_trip", {"largest_error": found}, text)
    fill(PAGE, {"kinds": text})


if __name__ == "__main__":
    main()
