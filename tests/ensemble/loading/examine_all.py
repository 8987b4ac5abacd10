"""Examines model files and writes down why each was refused: run as a module, to be watched from outside.

python -m tests.ensemble.loading.examine_all FOLDER FILE...

The optional formats are allowed for files whose name ends in `.allowed`.
"""

import json
import resource
import sys
from pathlib import Path

from ensemble.errors import InvalidModelError
from ensemble.loading.formats import OPTIONAL
from ensemble.publishing.examine import examine


def main(folder: Path, files: list[str]) -> None:
    """Write FOLDER/ends.json: by file, the reason; by how many bytes the peak grew; the children's peak."""
    before = _peak()
    ends = {}
    for index, file in enumerate(files):
        work = folder / f"work-{index}"
        work.mkdir()
        try:
            allowed = frozenset(OPTIONAL) if file.endswith(".allowed") else frozenset()
            list(examine(Path(file), work, allowed))
        except InvalidModelError as error:
            ends[file] = str(error)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    found = {"ends": ends, "grown": _peak() - before, "children": children}
    (folder / "ends.json").write_text(json.dumps(found))


def _peak() -> int:
    """The most bytes of memory that this process ever held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
