"""Writes docs/reference/commands.md from the commands themselves; `--check` fails where the page is stale."""

import re
import sys
from pathlib import Path

from .main import application

PAGE = Path(__file__).parents[2] / "docs/reference/commands.md"
# Variables that are the same for every command.
SHARED = r"STORE\b|ADDRESS\b"


def page() -> str:
    """Render the page."""
    text: str = application().generate_docs(output_format="markdown", recursive=True)
    lines, command = [], ""
    for line in text.splitlines():
        if line.startswith("## unisono "):
            command = line.split()[-1].upper()
        # The generator leaves the command out of the variables' names.
        lines.append(re.sub(rf"env: UNISONO_(?!{SHARED})", f"env: UNISONO_{command}_", line.rstrip()))
    return "\n".join(lines).strip() + "\n"


def main() -> int:
    """Write or check the page."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page())
        return 0
    if PAGE.exists() and PAGE.read_text() == page():
        return 0
    sys.stderr.write(f"{PAGE} is not what the commands say: run `make docs` and commit it\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
