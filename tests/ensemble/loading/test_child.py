"""What a confined child may do. Each deed runs in a child of its own and writes down what came of it."""

import json
import logging
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ensemble.loading import child, confine
from ensemble.loading.confine import Limits

ENOUGH = Limits(seconds=60, memory=2**32, file=2**20)


def attempt(deed: Callable[[], object], result: Path) -> None:
    """Do the deed; write down the error it met, or that there was none."""
    try:
        deed()
        said = "done"
    except OSError as error:
        said = type(error).__name__
    result.write_text(json.dumps(said))


def write_outside(folder: str, port: int) -> None:
    outside = Path(folder).parent
    deeds: dict[str, Callable[[], object]] = {
        "make": (outside / "new").touch,
        "change": lambda: (outside / "precious").write_text("x"),
        "remove": (outside / "precious").unlink,
        "move": lambda: (Path(folder) / "own").rename(outside / "moved"),
        "connect": lambda: socket.create_connection(("127.0.0.1", port), timeout=5),
        "listen": lambda: socket.create_server(("127.0.0.1", 0)),
        "send": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port)),
        "call a neighbour": lambda: socket.socket(socket.AF_UNIX),
        "run": lambda: subprocess.run(["/bin/true"], check=True),
        "signal": lambda: os.kill(os.getppid(), 0),
        "large": lambda: (Path(folder) / "large").write_bytes(bytes(2**20 + 1)),
        "read": (outside / "precious").read_text,
        "temporary": lambda: tempfile.mkdtemp(prefix="x"),
        "null": lambda: Path(os.devnull).write_text("x"),
    }
    (Path(folder) / "own").write_text("x")
    for name, deed in deeds.items():
        attempt(deed, Path(folder) / f"{name}.json")


def take_memory(size: int) -> None:
    held = bytearray(size)
    held[::4096] = b"x" * len(held[::4096])
    time.sleep(60)


def spin() -> None:
    while True:
        pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


def test_a_confined_child_writes_in_its_folder_alone_and_reaches_nobody(folder: Path, tmp_path: Path) -> None:
    if confine.landlock_version() < 6:
        pytest.skip("this kernel's Landlock is older than version 6")
    (tmp_path / "precious").write_text("mine")
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = child.run(write_outside, [str(folder), server.getsockname()[1]], folder, ENOUGH)

    assert ended == "the conversion ended with exit code 0"
    said = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    refused = ("make", "change", "remove", "move", "run", "signal")
    sockets = ("connect", "listen", "send", "call a neighbour")
    assert said == {
        **dict.fromkeys((*refused, *sockets), "PermissionError"),
        "large": "OSError",
        **dict.fromkeys(("read", "temporary", "null"), "done"),
    }
    assert (tmp_path / "precious").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["precious", "work"]


def test_a_child_that_takes_too_much_memory_is_stopped(folder: Path) -> None:
    limits = Limits(seconds=60, memory=2**28, file=2**20)

    assert child.run(take_memory, [2**29], folder, limits) == (
        "the conversion took over 0.25 GiB of memory and was stopped"
    )


def test_a_child_that_takes_too_long_is_stopped(folder: Path) -> None:
    assert child.run(spin, [], folder, Limits(0.5, 2**32, 2**20)) == (
        "the conversion took over 0.5 s and was stopped"
    )


def test_a_kernel_that_cannot_confine_is_told_of(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "unisono"):
        child.run(_unconfined, [str(folder)], folder, ENOUGH)

    assert caplog.messages == ["models are loaded less confined: this kernel has no Landlock"]


def _unconfined(folder: str) -> None:
    """Stands in for a child that wrote down that it isn't confined."""
    (Path(folder) / "unconfined.txt").write_text("this kernel has no Landlock")


def answering(version: int, error: int = 0) -> Callable[..., int]:
    """Stands in for the kernel."""

    def call(number: int, *arguments: Any, absent: int | None = None) -> int:
        if absent is not None:
            return version
        if error:
            raise OSError(error, os.strerror(error))
        assert arguments
        return os.open(os.devnull, os.O_RDONLY) if number == confine.CREATE_RULESET else 0

    return call


def test_other_systems_are_not_asked_for_landlock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr(confine, "system_call", None)

    assert confine.landlock_version() == 0


@pytest.mark.parametrize(
    ("kernel", "filters", "said"),
    [
        (answering(0), True, "this system has no Landlock: models may write files"),
        (answering(3), True, None),
        (answering(3), False, "this system can't refuse sockets: models may use the network"),
        (answering(7), False, "this system can't refuse sockets: models may use networks other than TCP"),
        (answering(7, 1), True, "Landlock failed (Operation not permitted): models may write files"),
        (
            answering(0),
            False,
            (
                "this system has no Landlock: models may write files; "
                "this system can't refuse sockets: models may use the network"
            ),
        ),
        (answering(7), True, None),
    ],
)
def test_what_a_kernel_cannot_do_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kernel: Callable[..., int], filters: bool, said: str | None
) -> None:
    monkeypatch.setattr(confine, "system_call", kernel)
    # What these do is for good, and this process goes on.
    monkeypatch.setattr(confine, "_limit", lambda _limits: None)
    monkeypatch.setattr(confine, "_gain_no_privileges", lambda: None)
    monkeypatch.setattr(confine, "refuse_sockets", lambda: filters)

    assert confine.confine(folder, ENOUGH) == said
