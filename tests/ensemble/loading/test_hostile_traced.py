"""What the kernel sees while files that mean harm are examined: no socket, nothing written elsewhere.

`UNISONO_PROOF=whole` has Keras and TensorFlow load some: one that takes all memory, a SavedModel that reads a
file, one without harm of each kind, and damaged ones.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ensemble.loading.convert import START_BYTES
from tests.ensemble.loading import hostile
from tests.support import keras_models
from tests.support.figures import report
from tests.support.onnx_models import write_linear
from tests.support.syscalls import need_strace

ROOT = Path(__file__).parents[3]
WHOLE = os.environ.get("UNISONO_PROOF") == "whole"
# What may be asked of the network, and what changes a disk, with a path as an argument.
NETWORK = ("socket", "connect", "bind", "sendto")
CHANGES = (
    "creat", "unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir", "link",
    "linkat", "symlink", "symlinkat", "truncate", "chmod", "fchmodat", "chown", "fchownat", "mknodat",
)  # fmt: skip
OPEN = re.compile(
    r'\bopen(?:at)?\((?:(?:AT_FDCWD|\d+)(?:<(?P<at>[^>]*)>)?, )?"(?P<path>[^"]*)", (?P<flags>[A-Z_|]+)'
)
WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND")
CALL = re.compile(r"^\d+ +(?P<name>\w+)\(")
QUOTED = re.compile(r'"([^"]*)"')
THREAD_NAME = re.compile(r"/proc/self/task/\d+/comm")
MIB = 2**20
# What is said of files that are not refused.
TAKEN = "taken"
# Files that the corpus names, which nobody may open for as much as a look.
BAIT = ("/etc/passwd", "/etc/hostname", "cron.d", "evil", "weights.bin", "backup")


def traced(folder: Path, files: list[Path]) -> list[str]:
    """Examine `files` under strace; return what it saw."""
    log = folder / "strace.log"
    calls = ",".join(f"?{name}" for name in ("open", "openat", *NETWORK, *CHANGES))
    strace = ["strace", "-f", "-qq", "-y", "-s", "4096", "-o", str(log), "-e", f"trace={calls}"]
    module = "tests.ensemble.loading.examine_all"
    command = [*strace, sys.executable, "-B", "-m", module, str(folder / "work"), *map(str, files)]
    (folder / "work").mkdir()
    environment = os.environ | {"TMPDIR": str(folder / "work"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=3000
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return log.read_text().splitlines()


def sockets(lines: list[str]) -> list[str]:
    """What was asked of the network, also where it was refused, and of sockets between processes."""
    return [line for line in lines if (call := CALL.match(line)) and call["name"] in NETWORK]


def written_outside(lines: list[str], folder: Path) -> list[str]:
    """The calls that write or change anything that isn't below `folder`."""
    found = []
    for line in lines:
        call, opened = CALL.match(line), OPEN.search(line)
        paths = []
        if opened and WRITES.search(opened["flags"]):
            paths = [os.path.normpath(Path(opened["at"] or ROOT, opened["path"]))]
        elif call and call["name"] in CHANGES:
            paths = [os.path.normpath(Path(ROOT, path)) for path in QUOTED.findall(line)]
        # Semaphores' shared memory, as multiprocessing's, has no file behind it, nor have threads' names.
        allowed = (f"{folder}/", os.devnull, "/dev/shm/sem.", "/dev/shm/sm")  # noqa: S108 - what is allowed
        found += [line for path in paths if not path.startswith(allowed) and not THREAD_NAME.fullmatch(path)]
    return found


def baited(lines: list[str]) -> list[str]:
    """The paths of the corpus that were opened, but for the corpus' own files and Keras'."""
    paths = (opened["path"] for line in lines if (opened := OPEN.search(line)))
    known = ("/corpus/", "/site-packages/")
    return [
        path for path in paths if any(bait in path for bait in BAIT) and not any(own in path for own in known)
    ]


@pytest.mark.slow
def test_examining_hostile_files_opens_no_socket_and_touches_nothing_else(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    need_strace()
    (tmp_path / "corpus").mkdir()
    reasons = write_corpus(tmp_path / "corpus")
    damaged = []
    if WHOLE:
        reasons |= write_loaded(tmp_path / "corpus")
        damaged = write_damaged(tmp_path / "corpus")

    lines = traced(tmp_path, [*reasons, *damaged])

    found = json.loads((tmp_path / "work/ends.json").read_text())
    ends = {path: found["ends"].get(str(path), TAKEN) for path in reasons}
    assert [path for path, reason in reasons.items() if not re.search(reason, ends[path])] == [], ends
    assert sockets(lines) == []
    assert written_outside(lines, tmp_path / "work") == []
    assert baited(lines) == []
    assert found["grown"] < 128 * MIB
    # The watch looks ten times a second.
    assert found["children"] < 1.5 * START_BYTES
    taken = sum(end == TAKEN for end in ends.values())
    refused = sum(str(path) in found["ends"] for path in damaged)
    broken = f"{refused} of {len(damaged)} damaged ones refused, none did more; " if damaged else ""
    report(
        pytestconfig,
        f"{len(ends) - taken} hostile files examined under strace: all refused, 0 sockets, 0 files outside; "
        f"{taken} harmless ones taken; {broken}{found['grown'] / MIB:.0f} MiB more memory at the peak, "
        f"{found['children'] / MIB:.0f} MiB in the largest confined process",
    )


def write_corpus(folder: Path) -> dict[Path, str]:
    """Write all that is refused without starting Keras; return by file what the refusal says."""
    corpus = {**hostile.REFUSED_AT_ONCE, **hostile.REFUSED_BY_THE_CHILD, **hostile.REFUSED_THOUGH_ALLOWED}
    reasons = {}
    for index, (name, (write, reason)) in enumerate(corpus.items()):
        path = folder / f"{index}{'.allowed' if name in hostile.REFUSED_THOUGH_ALLOWED else ''}"
        write(path)
        reasons[path] = re.escape(reason)
    return reasons


def write_loaded(folder: Path) -> dict[Path, str]:
    """Write what starts Keras; return by file what is said."""
    keras_models.make(folder)
    allowed = {name: folder / f"{name}.allowed" for name in ("two_inputs.h5", "two_inputs", "reader")}
    for name, path in allowed.items():
        (folder / name).rename(path)
    hostile.write_bomb(folder / "bomb")
    return {
        # Some allocations the kernel refuses at once, which is as good.
        folder / "bomb": "took over 3 GiB of memory and was stopped|can't be converted to ONNX",
        allowed["reader"]: r"has the operations \['ReadFile', 'StringLength'\]",
        **dict.fromkeys(
            (folder / "two_inputs.keras", allowed["two_inputs.h5"], allowed["two_inputs"]), TAKEN
        ),
    }


def write_damaged(folder: Path) -> list[Path]:
    """Write files of each kind with a byte flipped here and there, or cut off; a parameter's may be any."""
    write_linear(folder / "linear")
    hostile.harmless(folder / "harmless")
    dense = {"class_name": "Dense", "config": {"units": 3, "name": "dense"}}
    hostile.write_h5(folder / "harmless.h5", dense)
    found = []
    for name, flip_each, cut_each, ending in (
        ("linear", 7, 17, "onnx"), ("harmless", 97, 199, "keras"), ("harmless.h5", 997, 1999, "allowed"),
    ):  # fmt: skip
        whole = (folder / name).read_bytes()
        for index, content in enumerate(hostile.mutants(whole, flip_each, cut_each)):
            found.append(folder / f"mutant-{index}.{ending}")
            found[-1].write_bytes(content)
    return found


def test_what_the_trace_would_show_is_found() -> None:
    """A trace in which everything went wrong."""
    lines = [
        "7 socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 3",
        '7 openat(AT_FDCWD</w>, "/w/work/a", O_WRONLY|O_CREAT, 0666) = 3',
        '7 openat(AT_FDCWD</w>, "/w/work/../evil.py", O_WRONLY|O_CREAT, 0666) = 3',
        '7 unlink("/w/precious") = 0',
        '7 openat(AT_FDCWD</w>, "/etc/passwd", O_RDONLY) = 3',
    ]
    refused = "7 socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0) = -1 EACCES (Permission denied)"
    assert sockets([*lines, refused]) == [lines[0], refused]
    assert written_outside(lines, Path("/w/work")) == lines[2:4]
    assert baited(lines) == ["/w/work/../evil.py", "/etc/passwd"]
