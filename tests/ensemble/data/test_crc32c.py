from hypothesis import given
from hypothesis import strategies as st

from ensemble.data.crc32c import crc32c, masked_crc32c


def test_the_check_values_of_rfc_3720() -> None:
    records = [b"\0" * 32, b"\xff" * 32, bytes(range(32)), bytes(range(31, -1, -1)), b"123456789"]
    expected = [0x8A9136AA, 0x62A8AB43, 0x46DD794E, 0x113FDB5C, 0xE3069283]
    assert crc32c(records).tolist() == expected


def test_the_mask_is_the_one_that_tensorflow_writes() -> None:
    # The length 71 of a record and its CRC, as tf.io.TFRecordWriter framed it.
    length, crc = bytes.fromhex("4700000000000000"), bytes.fromhex("bac3fb9b")
    assert masked_crc32c([length]).tolist() == [int.from_bytes(crc, "little")]


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_records_side_by_side_are_summed_as_they_are_alone(records: list[bytes]) -> None:
    assert crc32c(records).tolist() == [bit_by_bit(record) for record in records]


def bit_by_bit(record: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in record:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
