"""Certificates for Envoy: files of its own form, which it reads again when they are replaced."""

import json
from pathlib import Path
from typing import Any

from server.wire.tls import Certificates

SECRET_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - a type's name
CERTIFICATE, CLIENTS = "certificate", "clients"


def secret_source(folder: str, name: str) -> dict[str, Any]:
    """Say in Envoy's words where the secret `name` lies, and what to watch for it."""
    source = {"path": str(_file(folder, name)), "watched_directory": {"path": folder}}
    return {"name": name, "sds_config": {"path_config_source": source, "resource_api_version": "V3"}}


def write_secrets(folder: str, certificates: Certificates) -> None:
    """Write them anew, each file in one step, for nobody else to read."""
    pair = {
        "certificate_chain": {"inline_string": certificates.certificate.decode()},
        "private_key": {"inline_string": certificates.key.decode()},
    }
    _write(folder, CERTIFICATE, {"tls_certificate": pair})
    if certificates.client_ca is not None:
        trusted = {"trusted_ca": {"inline_string": certificates.client_ca.decode()}}
        _write(folder, CLIENTS, {"validation_context": trusted})


def _write(folder: str, name: str, secret: dict[str, Any]) -> None:
    file = _file(folder, name)
    fresh = file.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps({"resources": [{"@type": SECRET_TYPE, "name": name, **secret}]}))
    fresh.rename(file)


def _file(folder: str, name: str) -> Path:
    return Path(folder) / f"{name}.json"
