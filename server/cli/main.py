"""The `unisono` command: its subcommands, its exit codes and how it reports an error."""

import os
import sys
from importlib import metadata
from typing import NoReturn

from cyclopts import App, CycloptsError, config
from rich.console import Console

from ensemble.errors import EnsembleError, TooManyErrorRowsError
from model_store.errors import StoreError

EXIT_DONE = 0
EXIT_USAGE = 1
EXIT_ERROR_ROWS = 2
EXIT_HELD = 3
EXIT_VERIFY_FAILED = 4
EXIT_TOO_MANY_ERROR_ROWS = 5
EXIT_INTERRUPTED = 130

# Name -> where its function is and what it does, in the order people meet them. Imported only when chosen.
COMMANDS = {
    "demo": (
        "server.cli.demo:demo",
        "Train, publish, refit, serve, predict and score on real digits, in one go.",
    ),
    "train": ("server.cli.train:train", "Make members: train networks and trees, as a configuration says."),
    "tune": ("server.cli.tune:tune", "Search for members: which networks, learning how, do best."),
    "publish": ("server.cli.publish:publish", "Publish model files as a new version of an ensemble."),
    "refit": ("server.cli.refit:refit", "Learn new weights on validation data and publish them."),
    "diversity": ("server.cli.diversity:diversity", "Show how members differ, and what that gives."),
    "serve": ("server.cli.serve:serve", "Serve the store's ensembles over gRPC, with Prometheus metrics."),
    "predict": ("server.cli.predict:predict", "Ask a running server."),
    "health": ("server.cli.health:health", "Ask a running server whether it serves."),
    "score": ("server.cli.score:score", "Score files in batch; needs no server."),
    "list": ("server.cli.list:list_ensembles", "List the ensembles in a store."),
    "inspect": ("server.cli.inspect:inspect", "Show one version: members, weights, evidence."),
    "history": (
        "server.cli.history:history",
        "Show the journal: what was published and rolled back, and why.",
    ),
    "diff": ("server.cli.diff:diff", "Show what changed between two versions: members, weights, losses."),
    "rollback": ("server.cli.rollback:rollback", "Make an older version the current one again."),
    "label": ("server.cli.label:label", "Point a label, such as stable, at a version."),
    "verify": ("server.cli.verify:verify", "Check every digest of every published version."),
    "gc": ("server.cli.gc:gc", "Clear away bytes that no published version needs."),
}


# Where settings are read from beside flags: UNISONO_<COMMAND>_<OPTION>, and this TOML file if it is there.
ENVIRONMENT_PREFIX = "UNISONO_"
CONFIG_FILE = "UNISONO_CONFIG"
DEFAULT_CONFIG_FILE = "unisono.toml"


def application() -> App:
    """Build the command line without importing any command."""
    file = os.environ.get(CONFIG_FILE)
    app = App(
        name="unisono",
        help="Serve many trained models as one: their weighted average, with weights learned on data.",
        version=lambda: metadata.version("unisono"),
        result_action="return_value",
        config=[
            config.Env(ENVIRONMENT_PREFIX),
            # A file that was named must be there; the default one may be.
            config.Toml(file or DEFAULT_CONFIG_FILE, must_exist=file is not None, search_parents=False),
        ],
    )
    for order, (name, (place, purpose)) in enumerate(COMMANDS.items()):
        app.command(place, name=name, help=purpose, sort_key=order)
    settings = App(
        name="config", help="Show the settings that `serve` would run with.", sort_key=len(COMMANDS)
    )
    settings.command("server.cli.config_show:show", name="show")
    app.command(settings)
    return app


def run() -> NoReturn:
    """Run the command named on the command line and exit with its code."""
    try:
        code = application()(exit_on_error=False)
    except CycloptsError:
        # What is wrong was printed, with the way out; 2, cyclopts' own code, means error rows here.
        sys.exit(EXIT_USAGE)
    except (EnsembleError, StoreError) as error:
        console = Console(stderr=True, highlight=False)
        console.print("error:", style="bold red", end=" ")
        console.print(str(error), markup=False, soft_wrap=True)
        sys.exit(EXIT_TOO_MANY_ERROR_ROWS if isinstance(error, TooManyErrorRowsError) else EXIT_USAGE)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(code or EXIT_DONE)
