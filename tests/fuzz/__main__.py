"""Fuzzes the targets of tests/fuzz/targets.py: `python -m tests.fuzz [NAME ...] --seconds 60`.

libFuzzer, by atheris, changes the seeds and keeps what reaches new lines; each target runs in a process of
its own. A finding is an error that a target shouldn't raise, a crash, more memory than `--memory-mib` above
what it began with, or an input that takes half a minute. The input and the log are left in the corpus, under
found/.
"""

import argparse
import os
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import atheris

from tests.fuzz.target import Target

ROOT = Path(__file__).parents[2]
# What is counted in coverage. Libraries aren't: their errors are found, and their lines aren't looked for.
OURS = ["server", "ensemble", "model_store"]
LONGEST_INPUT = 1 << 16
# For one input, on a busy machine.
LONGEST_SECS = 30
# Address space for libFuzzer's own tables.
MARGIN_BYTES = 1 << 29


def main() -> int:
    """Run every target that is named, or all; return 1 if one has a finding."""
    options = parsed()
    with atheris.instrument_imports(include=OURS):
        from tests.fuzz.targets import targets  # noqa: PLC0415 - what is imported here is instrumented

    made = targets()
    waiting, running, failed = list(options.names or made), dict[int, str](), list[str]()
    while waiting or running:
        if waiting and len(running) < options.jobs:
            name = waiting.pop(0)
            running[started(made[name], options)] = name
            continue
        child, status = os.wait()
        name = running.pop(child)
        if status:
            failed.append(name)
        print(
            f"{name:14}{'FOUND' if status else 'ok':7}{told(folder_of(options) / f'{name}.log')}", flush=True
        )
    for name in failed:
        print((folder_of(options) / f"{name}.log").read_text(errors="replace")[-4000:])
    return 1 if failed else 0


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", help="targets; all if none is named")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--runs", type=int, default=-1, help="of each target at most; -1: as many as it can")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at once")
    parser.add_argument("--seed", type=int, default=0, help="of chance; 0 takes another each time")
    parser.add_argument("--memory-mib", type=int, default=256)
    parser.add_argument("--corpus", type=Path, default=ROOT / ".cache" / "fuzz")
    return parser.parse_args()


def folder_of(options: argparse.Namespace) -> Path:
    """Return where findings and logs go."""
    folder: Path = options.corpus / "found"
    return folder


def started(target: Target, options: argparse.Namespace) -> int:
    """Fuzz `target` in a child; return its process id. It ends with 0 if nothing was found."""
    corpus, found = options.corpus / target.name, folder_of(options)
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    with (found / f"{target.name}.log").open("wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    fuzz(target, list(libfuzzer(options, target.name, corpus)), options.memory_mib << 20)
    os._exit(1)  # libFuzzer ends the process itself


def libfuzzer(options: argparse.Namespace, name: str, corpus: Path) -> Iterator[str]:
    """Say it in libFuzzer's words."""
    yield sys.argv[0]
    yield f"-max_total_time={options.seconds}"
    yield f"-runs={options.runs}"
    yield f"-timeout={LONGEST_SECS}"
    yield f"-max_len={LONGEST_INPUT}"
    yield f"-seed={options.seed}"
    yield f"-artifact_prefix={folder_of(options)}/{name}-"
    yield "-rss_limit_mb=0"  # counted here, against what the process began with
    yield str(corpus)


def fuzz(target: Target, arguments: list[str], more_bytes: int) -> None:
    """Run libFuzzer in this process, which may take `more_bytes` of memory more."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + (more_bytes >> 10)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    space = pages * resource.getpagesize() + more_bytes + MARGIN_BYTES
    # What asks for far more fails even if it never touches it.
    resource.setrlimit(resource.RLIMIT_AS, (space, resource.RLIM_INFINITY))

    def check(data: bytes) -> None:
        target.check(data)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if peak > most:
            raise MemoryError(f"{peak} KiB resident; {most} may be")

    atheris.Setup(arguments, check)
    atheris.Fuzz()


def told(log: Path) -> str:
    """Sum up what libFuzzer said."""
    text = log.read_text(errors="replace")
    runs, coverage = re.findall(r"^Done (\d+) runs", text, re.MULTILINE), re.findall(r"cov: (\d+)", text)
    return f"{int((runs or ['0'])[-1]):>9,} runs, {(coverage or ['0'])[-1]:>4} branches"


if __name__ == "__main__":
    sys.exit(main())
