"""CRC-32C of many records at once, with numpy: what guards each record of a TFRecord file.

One record alone would take a step of Python for each byte. Side by side, a step serves two bytes of all of
them. Records of different lengths are filled up in front: a CRC that begins with 0 doesn't notice zeros.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

POLYNOMIAL = 0x82F63B78  # Castagnoli's, its bits reversed
# TFRecord stores the CRC turned and shifted, so that a CRC over data that holds CRCs is no weaker.
MASK_DELTA = 0xA282EAD8
FIRST = 4  # bytes that a CRC's beginning with all ones is the same as inverting


def masked_crc32c(records: Sequence[bytes]) -> NDArray[np.uint32]:
    """Return the masked CRC-32C of each record."""
    crc = crc32c(records)
    turned = (crc >> np.uint32(15)) | (crc << np.uint32(17))
    return turned + np.uint32(MASK_DELTA)


def crc32c(records: Sequence[bytes]) -> NDArray[np.uint32]:
    """Return the CRC-32C of each record."""
    longest = max((len(record) for record in records), default=0)
    width = -(-max(longest, FIRST) // 2) * 2
    table = np.zeros((len(records), width), dtype=np.uint8)
    ones = np.zeros(len(records), dtype=np.uint32)
    for row, record in enumerate(records):
        if len(record) >= FIRST:
            table[row, width - len(record) :] = np.frombuffer(record, dtype=np.uint8)
            table[row, width - len(record) : width - len(record) + FIRST] ^= 0xFF
        else:
            ones[row] = _plain(record)
    crc = np.zeros(len(records), dtype=np.uint32)
    steps = _steps()
    for pair in np.ascontiguousarray(table.view("<u2").T):
        crc = steps[(crc ^ pair) & np.uint32(0xFFFF)] ^ (crc >> np.uint32(16))
    short = np.fromiter((len(record) < FIRST for record in records), dtype=np.bool_, count=len(records))
    return np.where(short, ones, ~crc)


def _plain(record: bytes) -> int:
    """Return the CRC of a record too short to be filled up."""
    crc = 0xFFFFFFFF
    for byte in record:
        crc = _step(crc ^ byte, 8)
    return crc ^ 0xFFFFFFFF


def _step(crc: int, bits: int) -> int:
    for _ in range(bits):
        crc = (crc >> 1) ^ (POLYNOMIAL if crc & 1 else 0)
    return crc


@cache
def _steps() -> NDArray[np.uint32]:
    """Return what each two bytes do to a CRC."""
    crc = np.arange(1 << 16, dtype=np.uint32)
    for _ in range(16):
        crc = (crc >> np.uint32(1)) ^ np.where(crc & np.uint32(1), np.uint32(POLYNOMIAL), np.uint32(0))
    return crc
