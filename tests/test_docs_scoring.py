"""Every command and every line of Python of docs/scoring.md, in the order of the page."""

import gzip
import re
import shlex
from pathlib import Path

import obstore
import pyarrow.parquet as pq
import pytest
from obstore.store import S3Store

from ensemble.errors import TooManyErrorRowsError
from server.cli.main import EXIT_TOO_MANY_ERROR_ROWS, application
from tests.support.s3 import BUCKET, s3_server

PAGE = (Path(__file__).parents[1] / "docs/scoring.md").read_text()
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXIT_CODE = re.compile(r"# exit code (\d)")


def typed(line: str) -> int:
    """Run one command in this process; return its exit code."""
    try:
        code = application()(shlex.split(line, comments=True)[1:], exit_on_error=False)
    except TooManyErrorRowsError:
        code = EXIT_TOO_MANY_ERROR_ROWS
    return int(code or 0)


@pytest.mark.slow
def test_every_command_of_the_page_does_what_the_page_says(
    published: Path,
    small_members: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("demo").mkdir()
    Path("demo/members").symlink_to(small_members)
    Path("demo/store").symlink_to(published)
    commands = 0
    with s3_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        client = S3Store(BUCKET, client_options={"allow_http": True})
        for language, block in BLOCK.findall(PAGE):
            if language == "python":
                exec(block, {})  # noqa: S102 - our own page
                continue
            if "s3://" in block:
                obstore.put(client, "in/a.csv.gz", gzip.compress(whole_rows(Path("rows.csv"))))
            told = EXIT_CODE.search(block)
            assert typed(block) == (int(told[1]) if told else 0), block
            commands += 1
        assert any(obstore.list(client, "scores/_SUCCESS.json")) or obstore.head(
            client, "scores/_SUCCESS.json"
        )
    assert commands == 7
    assert "already done" in capsys.readouterr().out
    assert pq.read_table("scores").num_rows == 360
    assert pq.read_table("checked").num_rows == 47
    errors = pq.read_table("checked/_errors").to_pylist()
    assert [(row["row"], row["code"]) for row in errors] == [(3, "parse"), (7, "missing"), (9, "columns")]
    assert pq.read_table("side-by-side").equals(pq.read_table("scores"))
    assert pq.read_table("more").column_names == [
        "source", "row", "scores", "label", "entropy", "disagreement", "member_scores"
    ]  # fmt: skip


def whole_rows(path: Path) -> bytes:
    """The lines of the page's file that nothing is wrong with."""
    lines = path.read_bytes().splitlines(keepends=True)
    return b"".join([lines[0], *lines[20:]])
