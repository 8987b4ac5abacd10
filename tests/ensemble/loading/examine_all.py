"""Examines model files and writes down why each was refused: run as a module, to be watched from outside.

python -m tests.ensemble.loading.examine_all FOLDER FILE...
"""

import json
import sys
from pathlib import Path

from ensemble.errors import InvalidModelError
from ensemble.publishing.examine import examine


def main(folder: Path, files: list[str]) -> None:
    """Write FOLDER/ends.json: by file, the reason; and by how many bytes the peak of memory grew."""
    before = _peak()
    ends = {}
    for index, file in enumerate(files):
        work = folder / f"work-{index}"
        work.mkdir()
        try:
            list(examine(Path(file), work))
        except InvalidModelError as error:
            ends[file] = str(error)
    (folder / "ends.json").write_text(json.dumps({"ends": ends, "grown": _peak() - before}))


def _peak() -> int:
    """The most bytes of memory that this process ever held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
