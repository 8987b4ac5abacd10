"""The figures of a command, in a file for Prometheus' textfile collector."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile


class MetricsFile:
    """Gauges `PREFIX_name`, by name with what each means; the file is replaced whole each time."""

    def __init__(self, path: Path, prefix: str, texts: Mapping[str, str], labels: Sequence[str] = ()) -> None:
        self._path = path
        self._registry = CollectorRegistry()
        self._gauges = {
            name: Gauge(f"{prefix}_{name}", text, labels, registry=self._registry)
            for name, text in texts.items()
        }

    def write(self, values: Mapping[str, float | None], *labels: str) -> None:
        """Set the gauges of `values` for these labels, those that are None left as they were; write all."""
        for name, value in values.items():
            if value is not None:
                gauge = self._gauges[name]
                (gauge.labels(*labels) if labels else gauge).set(value)
        write_to_textfile(str(self._path), self._registry)
