"""Runs every benchmark of this folder, one after another; each prints and writes what it measured."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# The longest last. README.md says what each asks.
SCRIPTS = (
    "engine.py",
    "gate.py",
    "forms.py",
    "diversity.py",
    "refit.py",
    "batch.py",
    "round_trip.py",
    "members.py",
    "overload.py",
    "beside_peers.py",
    "profile_request.py --page",
)


def main() -> int:
    """Run them; return how many failed."""
    failed = []
    for script in SCRIPTS:
        print(f"\n== {script}", flush=True)
        name, *options = script.split()
        if subprocess.run([sys.executable, HERE / name, *options], cwd=HERE.parent, check=False).returncode:
            failed.append(script)
    print(f"\n{len(SCRIPTS) - len(failed)} of {len(SCRIPTS)} ran" + (f"; failed: {failed}" if failed else ""))
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
