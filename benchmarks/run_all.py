"""Runs every benchmark of this folder, one after another; each prints and writes what it measured."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# Not benchmarks but what they are made of.
PARTS = {"run_all", "autogluon_selection", "ensembles", "form_members", "networks", "measure", "results"}


def main() -> int:
    """Run them; return how many failed."""
    scripts = [path for path in sorted(HERE.glob("*.py")) if path.stem not in PARTS]
    failed = []
    for script in scripts:
        print(f"\n== {script.name}", flush=True)
        if subprocess.run([sys.executable, script], cwd=HERE.parent, check=False).returncode:
            failed.append(script.name)
    print(f"\n{len(scripts) - len(failed)} of {len(scripts)} ran" + (f"; failed: {failed}" if failed else ""))
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
