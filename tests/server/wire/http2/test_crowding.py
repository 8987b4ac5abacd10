"""When clients are told to send little of a call: the rule, and what becomes of their windows."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from server.wire.http2.crowding import WORTH, Crowding

LOOKS = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 2000)), max_size=60)


def looks(crowding: Crowding, came: int, refused: int, count: int) -> list[bool]:
    return [crowding.note(came, refused) for _ in range(count)]


def test_a_crowd_is_seen_at_the_first_look_and_gone_soon_after_the_last_refusal() -> None:
    crowding = Crowding()

    assert looks(crowding, came=100, refused=90, count=10) == [True] * 10
    assert looks(crowding, came=20, refused=0, count=7) == [True] * 4 + [False] * 3


def test_a_crowd_of_which_few_are_refused_is_none_any_more() -> None:
    crowding = Crowding()
    looks(crowding, came=100, refused=90, count=10)

    assert looks(crowding, came=1000, refused=1, count=60)[-1] is False
    # At what is a little too much it is neither seen nor forgotten.
    assert not any(looks(crowding, came=1000, refused=300, count=60))
    looks(crowding, came=1000, refused=900, count=60)
    assert all(looks(crowding, came=1000, refused=300, count=60))


def test_few_refusals_and_refusals_among_many_answers_change_nothing() -> None:
    assert not any(looks(Crowding(), came=4, refused=4, count=200))
    assert not any(looks(Crowding(), came=1000, refused=490, count=200))


@given(LOOKS)
def test_it_never_begins_without_most_of_many_refused_nor_ends_while_they_are(
    offers: Sequence[tuple[int, int]],
) -> None:
    crowding, came, refused, before = Crowding(), 0.0, 0.0, False
    for offered, turned_away in offers:
        came, refused = came * 0.9 + offered, refused * 0.9 + min(offered, turned_away)
        narrow = crowding.note(offered, min(offered, turned_away))
        if narrow and not before:
            assert refused >= WORTH
            assert refused > came / 2
        if before and not narrow:
            assert not turned_away or not offered or refused < came / 8
            came = refused = 0.0
        before = narrow
