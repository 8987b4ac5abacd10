"""The `unisono` command: its subcommands, its exit codes and how it reports an error."""

import sys
from typing import NoReturn

from cyclopts import App
from rich.console import Console

from ensemble.errors import EnsembleError
from model_store.errors import StoreError

EXIT_DONE = 0
EXIT_USAGE = 1
EXIT_ERROR_ROWS = 2
EXIT_HELD = 3
EXIT_VERIFY_FAILED = 4
EXIT_INTERRUPTED = 130

# Name -> where its function is and what it does, in the order people meet them. Imported only when chosen.
COMMANDS = {
    "demo": (
        "server.cli.demo:demo",
        "Train, publish, refit, serve, predict and score on real digits, in one go.",
    ),
    "train": ("server.cli.train:train", "Make members: train the small models on real data."),
    "publish": ("server.cli.publish:publish", "Publish model files as a new version of an ensemble."),
    "refit": ("server.cli.refit:refit", "Learn new weights on validation data and publish them."),
    "serve": ("server.cli.serve:serve", "Serve the store's ensembles over gRPC, with Prometheus metrics."),
    "predict": ("server.cli.predict:predict", "Ask a running server."),
    "score": ("server.cli.score:score", "Score files in batch; needs no server."),
    "list": ("server.cli.list:list_ensembles", "List the ensembles in a store."),
    "inspect": ("server.cli.inspect:inspect", "Show one version: members, weights, evidence."),
    "history": (
        "server.cli.history:history",
        "Show the journal: what was published and rolled back, and why.",
    ),
    "rollback": ("server.cli.rollback:rollback", "Make an older version the current one again."),
}


def application() -> App:
    """Build the command line without importing any command."""
    app = App(
        name="unisono",
        help="Serve many trained models as one: their weighted average, with weights learned on data.",
        version="0.1.0",
        result_action="return_value",
    )
    for name, (place, purpose) in COMMANDS.items():
        app.command(place, name=name, help=purpose)
    return app


def run() -> NoReturn:
    """Run the command named on the command line and exit with its code."""
    try:
        code = application()(exit_on_error=True)
    except (EnsembleError, StoreError) as error:
        Console(stderr=True, highlight=False).print(f"[red]error[/red] {error}", markup=True)
        sys.exit(EXIT_USAGE)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(code or EXIT_DONE)
