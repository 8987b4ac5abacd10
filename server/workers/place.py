"""What a worker is told at its start: one environment variable, as JSON."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from server.config import ServeSettings

VARIABLE = "UNISONO_WORKER"


@dataclass(frozen=True, slots=True)
class Place:
    """One worker of several."""

    store: str  # its address
    settings: ServeSettings
    index: int
    link: int  # the file descriptor of its end of the line
    folder: str  # that all workers share
    python: str  # what runs Python, for processes of the worker's own
    held: tuple[str, ...] = ()  # ensembles that callers had unloaded

    @property
    def refit_lock(self) -> Path:
        """The file that is locked by the worker that refits."""
        return Path(self.folder) / "refit.lock"

    @property
    def admin_socket(self) -> Path:
        """Where Envoy listens for what only we say to it."""
        return Path(self.folder) / f"envoy-{self.index}.sock"

    def to_json(self) -> str:
        """Write it."""
        return json.dumps(asdict(self), default=str)


def read_place(environment: Mapping[str, str] = os.environ) -> Place:
    """Read what `to_json` wrote."""
    told: dict[str, Any] = json.loads(environment[VARIABLE])
    return Place(**{**told, "settings": _settings(told["settings"]), "held": tuple(told["held"])})


def shared_out(settings: ServeSettings, host: str, port: int, http_port: int | None = None) -> ServeSettings:
    """Return what each worker is told: the ports that all share, and its share of the cores."""
    threads = settings.threads or max(settings.member_threads // settings.workers, 1)
    return replace(settings, host=host, grpc_port=port, http_port=http_port, metrics_port=0, threads=threads)


def _settings(told: Mapping[str, Any]) -> ServeSettings:
    paths = {field.name for field in fields(ServeSettings) if "Path" in str(field.type)}
    made: dict[str, Any] = {
        name: Path(value) if name in paths and value is not None else value for name, value in told.items()
    }
    made |= {name: tuple(value) for name, value in made.items() if isinstance(value, list)}
    return ServeSettings(**made)
