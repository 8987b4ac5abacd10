"""Sockets are refused where the system can do that."""

import ctypes
import errno
import os
import socket
import sys
from pathlib import Path

import pytest

from ensemble.loading import child, no_sockets
from ensemble.loading.confine import Limits


def try_sockets(folder: str) -> None:
    """Try each kind of socket, and a pair of pipes; write down what came of it."""
    for name, make in {
        "tcp": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
        "udp": lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
        "unix": lambda: socket.socket(socket.AF_UNIX),
        "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "pipe": os.pipe,
    }.items():
        try:
            make()
            said = "made"
        except OSError as error:
            said = errno.errorcode[error.errno or 0]
        (Path(folder) / name).write_text(said)


def test_a_confined_child_can_make_none(tmp_path: Path) -> None:
    child.run(try_sockets, [str(tmp_path)], tmp_path, Limits(seconds=60, memory=2**32, file=2**20))

    told = tmp_path / "unconfined.txt"
    if told.exists() and "can't refuse sockets" in told.read_text():
        pytest.skip(told.read_text())
    said = {path.name: path.read_text() for path in tmp_path.iterdir() if path != told}
    assert said == {**dict.fromkeys(("tcp", "udp", "unix", "netlink"), "EACCES"), "pipe": "made"}


def run_filter(steps: list[tuple[int, int, int, int]], number: int, machine: int) -> int:
    """Do what the kernel does with a filter; return its answer."""
    value, at = 0, 0
    while True:
        code, skip_if, skip_unless, operand = steps[at]
        at += 1
        if code == 0x06:
            return operand
        if code == 0x20:
            value = {0: number, 4: machine}[operand]
            continue
        holds = value == operand if code == 0x15 else value >= operand
        at += skip_if if holds else skip_unless


@pytest.mark.parametrize(
    ("name", "number", "machine", "refused"),
    [
        ("socket", 41, 0xC000003E, True),
        ("read", 0, 0xC000003E, False),
        ("socketpair", 53, 0xC000003E, False),
        ("io_uring_setup", 425, 0xC000003E, True),
        ("a call of x32", 0x40000029, 0xC000003E, True),
        ("a call of 32 bits", 0, 0x40000003, True),
    ],
)
def test_the_filter_refuses_what_makes_sockets_alone(
    monkeypatch: pytest.MonkeyPatch, name: str, number: int, machine: int, refused: bool
) -> None:
    found: list[int] = []

    def take(program: ctypes.Structure) -> bool:
        steps = [
            (step.code, step.skip_if, step.skip_unless, step.value)
            for step in program.steps[: program.length]
        ]
        found.append(run_filter(steps, number, machine))
        return True

    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(no_sockets, "set_filter", take)

    assert no_sockets.refuse_sockets(), name
    # EACCES is 13.
    assert found == [0x0005000D if refused else 0x7FFF0000], name


@pytest.mark.parametrize(
    ("system", "machine", "largest"),
    [("Darwin", "x86_64", 2**63), ("Linux", "riscv64", 2**63), ("Linux", "x86_64", 2**31)],
)
def test_other_systems_are_not_asked(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, largest: int
) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(sys, "maxsize", largest)
    monkeypatch.setattr(no_sockets, "set_filter", None)

    assert not no_sockets.refuse_sockets()


def test_a_kernel_that_says_no_is_believed() -> None:
    # A program without steps is none.
    empty = no_sockets._Program(0, None)  # noqa: SLF001 - the kernel's edge

    assert not no_sockets.set_filter(empty)
