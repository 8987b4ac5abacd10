"""Starts the `unisono` command, from a checkout and from an installed wheel alike."""

import sys
from pathlib import Path


def main() -> None:
    """Run the command line."""
    # In the wheel `server`, `ensemble`, `model_store` and `training` lie beside this file.
    here = Path(__file__).resolve().parent
    if (here / "server").is_dir():
        sys.path.insert(0, str(here))
    from server.cli.main import run  # noqa: PLC0415 - only importable now

    run()


if __name__ == "__main__":
    main()
