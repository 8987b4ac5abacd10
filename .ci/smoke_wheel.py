"""Uses an installed unisono as its users do: serve, ask, score, refit; from outside the checkout.

The one argument is the checkout, for the members that the tests have built; nothing is imported from it.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path


def unisono(*words: object) -> str:
    """Run the installed command; return what it printed."""
    command = [str(Path(sys.executable).with_name("unisono")), *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main(checkout: Path) -> None:
    """Do it all once, with the store and members that the tests left in the checkout's cache."""
    import unisono as package  # noqa: PLC0415 - what is being tested

    # The library works by its long name, with nothing on the path.
    from unisono.ensemble.refit.solver import solve  # noqa: PLC0415 - what is being tested

    place = Path(str(package.__file__)).resolve().parent
    if checkout in place.parents or not callable(solve):
        raise SystemExit(f"unisono comes from the checkout, {place}, and not from the wheel")
    # What the `unisono` command does before anything else.
    sys.path.insert(0, str(place))
    from server.cli.demonstration.server_process import serving  # noqa: PLC0415 - what is being tested

    store = max((checkout / ".cache/stores").glob("*/ensembles"), key=lambda path: path.stat().st_mtime)
    rows = checkout / ".cache/small_members" / store.parent.name / "test.npz"
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "serve.log"
        with serving(str(store.parent), log) as server:
            answer = json.loads(
                unisono("predict", "digits", "--input", rows, "--address", server.address, "-o", "json")
            )
            if not server.metrics().startswith("# HELP"):
                raise SystemExit("no metrics")
        unisono("score", "digits", "--input", rows, "--output", f"{folder}/scores", "--store", store.parent)
        inspected = json.loads(unisono("inspect", "digits", "--store", store.parent, "-o", "json"))
    members = ", ".join(sorted(inspected["weights"]))
    sys.stdout.write(
        f"the wheel, in a clean environment, served version {answer['version']} of {members}, ready in"
        f" {server.ready_seconds:.2f} s, and scored a file\n"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
