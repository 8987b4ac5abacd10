"""When certificates end, read from their bytes: the standard library tells it of a peer's only.

A certificate is SEQUENCE { SEQUENCE { [0] version, serial, algorithm, issuer, SEQUENCE { notBefore, notAfter
(RFC 5280, 4.1), in DER: each part is a tag, a length and its content.
"""

import base64
import re
from datetime import UTC, datetime

# OpenSSL takes all three names.
PEM = re.compile(rb"-----BEGIN (X509 |TRUSTED |)CERTIFICATE-----(.+?)-----END \1CERTIFICATE-----", re.DOTALL)
VERSION = 0xA0
# Between the version, which may be left out, and the validity: serial, algorithm, issuer.
BEFORE_VALIDITY = 3
LONG = 0x80
# Times with two digits for the year, and with four.
FORMATS = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}


def earliest_end(pem: bytes) -> float:
    """Return when the first certificate of a PEM file ends, in seconds since 1970. Raises ValueError."""
    try:
        return min(_not_after(base64.b64decode(found[2])) for found in PEM.finditer(pem))
    except (ValueError, IndexError) as error:
        raise ValueError(f"no certificate that can be read: {error}") from error


def _not_after(der: bytes) -> float:
    """Read the end of one certificate's validity; ValueError or IndexError if it is none."""
    _, certificate, _ = _part(der)
    _, signed, _ = _part(certificate)
    tag, _, rest = _part(signed)
    at = rest if tag == VERSION else signed
    for _ in range(BEFORE_VALIDITY):
        _, _, at = _part(at)
    _, validity, _ = _part(at)
    _, _, last = _part(validity)
    tag, text, _ = _part(last)
    if tag not in FORMATS:
        raise ValueError(f"a time has the tag {tag}")
    return datetime.strptime(text.decode("ascii"), FORMATS[tag]).replace(tzinfo=UTC).timestamp()


def _part(data: bytes) -> tuple[int, bytes, bytes]:
    """Return the tag and content of the first part of `data`, and what follows it."""
    length, start = data[1], 2
    if length & LONG:
        start += length & ~LONG
        length = int.from_bytes(data[2:start], "big")
    return data[0], data[start : start + length], data[start + length :]
