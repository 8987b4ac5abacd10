from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store import canonical, journal
from model_store.errors import StoreCorruptError
from model_store.journal import Entry, History, replay

ONE, TWO = ("1" * 64, "2" * 64)


def entry(seq: int, version: int, prev: int | None, **changes: Any) -> Entry:
    parts: dict[str, Any] = {
        "op": "publish",
        "label": None,
        "manifest_sha256": str(version) * 64,
        "at": "2026-03-01T12:00:00Z",
        "by": "ann",
        "why": "because",
    }
    return Entry(seq=seq, version=version, prev=prev, **{**parts, **changes})


def test_an_entry_is_written_as_this_release_writes_it() -> None:
    assert entry(2, 2, 1).to_bytes().decode() == (
        '{"at":"2026-03-01T12:00:00Z","by":"ann","label":null,"manifest_sha256":"' + TWO + '","op":"publish",'
        '"prev":1,"seq":2,"version":2,"why":"because"}\n'
    )


@given(
    st.integers(1, 10**19), st.integers(1, 10**9), st.none() | st.integers(1, 10**9), st.text(), st.text(),
    st.sampled_from([("publish", None), ("rollback", None), ("retire", None), ("label", "stable")]),
)  # fmt: skip
def test_an_entry_reads_back_as_it_was(
    seq: int, version: int, prev: int | None, by: str, why: str, kind: tuple[str, str | None]
) -> None:
    written = entry(seq, version, prev, by=by, why=why, op=kind[0], label=kind[1], manifest_sha256=ONE)

    assert Entry.from_bytes(written.to_bytes(), seq) == written


def test_a_key_that_a_later_release_adds_is_left_alone() -> None:
    data = canonical.encode({**canonical.decode(entry(1, 1, None).to_bytes()), "later": "x"})

    assert Entry.from_bytes(data, 1) == entry(1, 1, None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"seq": 2}, "journal entry 1 says it is 2"),
        ({"seq": True}, "not all numbers from 1"),
        ({"version": 0}, "not all numbers from 1"),
        ({"prev": 0}, "not all numbers from 1"),
        ({"prev": "1"}, "not all numbers from 1"),
        ({"manifest_sha256": "xyz"}, "not a digest and text"),
        ({"by": None}, "not a digest and text"),
        ({"op": "delete"}, "op is 'delete'; this release knows"),
        ({"op": []}, r"op is \[\]"),
        ({"op": "label"}, "label is None on a label"),
        ({"publish_id": 7}, "publish_id is 7 on a publish"),
        ({"publish_id": "a/b"}, "publish id name 'a/b' can't be used"),
        ({"op": "rollback", "publish_id": "x"}, "publish_id is 'x' on a rollback"),
        ({"label": "stable"}, "label is 'stable' on a publish"),
        ({"op": "label", "label": "7"}, "label '7' would be taken for a version"),
        ({"op": "label", "label": 7}, "label is 7"),
    ],
)
def test_an_entry_that_is_not_one_is_corrupt(change: dict[str, Any], reason: str) -> None:
    data = canonical.encode({**canonical.decode(entry(1, 1, None).to_bytes()), **change})

    with pytest.raises(StoreCorruptError, match=reason):
        Entry.from_bytes(data, 1)


@given(st.data())
def test_an_entry_with_a_flipped_byte_is_corrupt_or_another_entry_never_a_crash(data: st.DataObject) -> None:
    whole = bytearray(entry(1, 1, None).to_bytes())
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))

    try:
        Entry.from_bytes(bytes(whole), 1)
    except StoreCorruptError as error:
        assert "journal entry 1" in str(error)  # noqa: PT017 - either way is right


def test_an_empty_journal_adds_up_to_nothing() -> None:
    assert replay([]) == History()
    assert History().head is None
    assert History().current is None


def test_a_journal_adds_up_to_what_is_current_labelled_and_retired() -> None:
    history = replay(
        [
            entry(1, 1, None),
            entry(2, 3, 1),
            entry(3, 3, 3, op="label", label="stable"),
            entry(4, 1, 3, op="rollback"),
            entry(5, 4, 1),
            entry(6, 4, 4, op="label", label="stable"),
            entry(7, 3, 4, op="retire"),
        ]
    )

    assert history.current == 4
    assert history.head == history.entries[-1]
    assert history.labels == {"stable": 4}
    assert history.live == [1, 4]
    assert history.published == {1: ONE, 3: "3" * 64, 4: "4" * 64}
    assert [step.current for step in history.entries] == [1, 3, 3, 1, 4, 4, 4]


FIRST = entry(1, 1, None)


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([entry(2, 1, None)], "journal entry 2 follows 0 entries"),
        ([FIRST, entry(3, 2, 1)], "journal entry 3 follows 1 entries"),
        ([FIRST, FIRST], "journal entry 1 follows 1 entries"),
        ([FIRST, entry(2, 2, None)], "says that version None was current; it was 1"),
        ([FIRST, entry(2, 1, 1)], "publishes version 1 a second time"),
        ([entry(1, 5, None), entry(2, 4, 5)], "publishes version 4 a second time"),
        ([FIRST, entry(2, 2, 1, op="rollback")], "is a rollback of version 2, not a published one"),
        ([FIRST, entry(2, 1, 1, op="rollback", manifest_sha256=TWO)], "is a rollback of version 1, not"),
        ([FIRST, entry(2, 1, 1, op="retire")], "retires version 1, which is current"),
        (
            [FIRST, entry(2, 2, 1), entry(3, 1, 2, op="retire"), entry(4, 1, 2, op="rollback")],
            "is a rollback of version 1, not a published one",
        ),
    ],
)
def test_a_journal_that_breaks_a_rule_is_corrupt(entries: list[Entry], reason: str) -> None:
    with pytest.raises(StoreCorruptError, match=reason):
        replay(entries)


@given(st.integers(1, 10**20 - 1), st.integers(1, 10**20 - 1))
def test_file_names_sort_as_their_numbers_do(left: int, right: int) -> None:
    assert (journal.file_name(left) < journal.file_name(right)) == (left < right)
    assert journal.seqs([journal.file_name(left)]) == [left]


def test_names_that_are_no_entry_s_are_left_out() -> None:
    names = [
        journal.file_name(10),
        journal.file_name(9),
        ".tmp-1-aa",
        "1.json",
        journal.file_name(8) + "~",
        ".DS_Store",
    ]

    assert journal.seqs(names) == [9, 10]


def test_a_publish_id_is_used_once() -> None:
    named = entry(1, 1, None, publish_id="nightly")

    assert Entry.from_bytes(named.to_bytes(), 1) == named
    assert replay([named]).publish_of("nightly") == named
    assert replay([named]).publish_of("other") is None
    with pytest.raises(StoreCorruptError, match="journal entry 2 uses publish id 'nightly' a second time"):
        replay([named, entry(2, 2, 1, publish_id="nightly")])
