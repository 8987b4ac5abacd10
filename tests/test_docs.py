import os
import re
import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from server.cli.commands_page import page
from server.cli.demonstration.server_process import ServerProcess, serving
from tests.support.clients import clients_python

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for named, text in BLOCK.findall(README) if named == language]


class Reader:
    """Types the README's commands as its reader would, in a folder where the demo has been."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.server: ServerProcess | None = None
        self.typed: list[str] = []

    def type(self, line: str) -> None:
        """Run one command; a server goes on in the background, on free ports."""
        words = shlex.split(line)
        self.typed.append(line)
        if words[:2] == ["unisono", "serve"]:
            store = words[words.index("--store") + 1] if "--store" in words else "store"
            self.server = self.stack.enter_context(
                serving(str(self.folder / store), self.folder / "serve.log")
            )
            return
        address = {"UNISONO_ADDRESS": self.server.address} if self.server else {}
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=self.folder, env=os.environ | address,
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


@pytest.mark.slow
def test_every_command_of_the_readme_works_as_written(
    published: Path, small_members: Path, tmp_path: Path
) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/members").symlink_to(small_members)
    (tmp_path / "demo/store").symlink_to(published)
    with ExitStack() as stack:
        reader = Reader(tmp_path, stack)
        for block in blocks("sh"):
            for line in block.splitlines():
                if line.startswith("unisono "):
                    reader.type(line)
        # The README's last server serves `mine`, which its Python lines ask for.
        assert reader.server is not None
        [program] = blocks("python")
        assert "localhost:8001" in program
        (tmp_path / "ask.py").write_text(program.replace("localhost:8001", reader.server.address))
        asked = subprocess.run(
            [clients_python(), "ask.py"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert asked.returncode == 0, asked.stderr
    assert len(reader.typed) == 9
    assert re.match(r"\[\[[\d.e+-]+ ", asked.stdout)


def test_the_verbs_that_the_docs_name_are_the_makefiles() -> None:
    verbs = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
    named = {verb for path in pages for verb in re.findall(r"make ([a-z-]+)`", path.read_text())}
    assert named - verbs == set()
    assert {"demo", "test"} <= verbs


def test_the_page_of_commands_is_what_the_commands_say() -> None:
    assert (ROOT / "docs/reference/commands.md").read_text() == page(), "stale: `make docs` writes it anew"


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/**/*.md")) + sorted(ROOT.glob("*.md")), ids=str)
def test_every_link_to_a_file_leads_to_one(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_decision_has_a_number_of_its_own_and_says_it() -> None:
    files = sorted((ROOT / "docs/decisions").glob("*.md"))

    numbers = [int(path.name.split("-")[0]) for path in files]
    assert sorted(set(numbers)) == numbers
    titles = [path.read_text().splitlines()[0] for path in files]
    for number, title in zip(numbers, titles, strict=True):
        assert title.startswith(f"# {number}. ")
