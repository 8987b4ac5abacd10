"""Everything that HTTP offers, put together. What it needs is imported with this module, and only then."""

from collections.abc import Sequence

from server.wire.calls import Observer
from server.wire.gate import Gate
from server.wire.method import Method
from server.wire.transport_options import TransportOptions

from . import oip
from .scrape import Exposition, metrics_resource
from .transport import HttpTransport


def http_transport(
    methods: Sequence[Method],
    exposition: Exposition,
    *,
    observer: Observer,
    options: TransportOptions,
    max_json_bytes: int,
    gate: Gate | None = None,
) -> HttpTransport:
    """Bind `methods` and the metrics to HTTP."""
    return HttpTransport(
        [*oip.resources(methods), metrics_resource(exposition)],
        observer=observer,
        options=options,
        max_json_bytes=max_json_bytes,
        gate=gate,
    )
