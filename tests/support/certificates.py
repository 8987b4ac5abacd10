"""Certificates, made by openssl when a test needs them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


def authority(folder: Path, name: str) -> Pair:
    """A certificate that may sign others."""
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    _openssl(
        *(
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ),
        *("-subj", f"/CN={name}", "-keyout", str(pair.key), "-out", str(pair.certificate)),
    )
    return pair


def signed(folder: Path, name: str, by: Pair) -> Pair:
    """A certificate for 127.0.0.1 and localhost, good for servers and clients."""
    pair, request = Pair(folder / f"{name}.pem", folder / f"{name}.key"), folder / f"{name}.csr"
    extensions = folder / "extensions"
    extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    _openssl(
        *("req", *NEW_KEY),
        *("-subj", f"/CN={name}", "-keyout", str(pair.key), "-out", str(request)),
    )
    _openssl(
        *("x509", "-req", "-in", str(request), "-CA", str(by.certificate), "-CAkey", str(by.key)),
        *("-CAcreateserial", "-days", "2", "-extfile", str(extensions), "-out", str(pair.certificate)),
    )
    return pair


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
