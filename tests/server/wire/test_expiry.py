import base64
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.expiry import earliest_end
from tests.support.certificates import authority, signed


def end_of(certificate: Path) -> float:
    """What openssl says."""
    command = ["openssl", "x509", "-in", str(certificate), "-noout", "-enddate"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return datetime.strptime(text.strip(), "notAfter=%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC).timestamp()


def self_signed(folder: Path, days: int) -> Path:
    path = folder / f"{days}.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=x",
        "-days",
        str(days),
    ]
    subprocess.run(
        [*command, "-keyout", str(folder / "key"), "-out", str(path)], check=True, capture_output=True
    )
    return path


# Beyond 2049 the year has four digits.
@pytest.mark.parametrize("days", [1, 365, 20_000])
def test_a_certificate_ends_when_openssl_says(tmp_path: Path, days: int) -> None:
    path = self_signed(tmp_path, days)
    assert earliest_end(path.read_bytes()) == end_of(path)


def test_of_a_chain_the_first_to_end_counts(tmp_path: Path) -> None:
    first = authority(tmp_path, "first")
    server, long = signed(tmp_path, "server", first), self_signed(tmp_path, 30)
    chain = b"a note\n" + long.read_bytes() + server.certificate.read_bytes()
    assert earliest_end(chain) == end_of(server.certificate)


@given(st.binary(max_size=300))
def test_what_is_no_certificate_has_no_end(data: bytes) -> None:
    text = b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(data) + b"\n-----END CERTIFICATE-----\n"
    for pem in (data, text):
        with pytest.raises(ValueError, match="no certificate that can be read"):
            earliest_end(pem)


def test_the_name_that_openssl_gives_trusted_certificates_does_not_matter(tmp_path: Path) -> None:
    path = self_signed(tmp_path, 1)
    trusted = path.read_bytes().replace(b" CERTIFICATE-", b" TRUSTED CERTIFICATE-")
    assert earliest_end(trusted) == end_of(path)
