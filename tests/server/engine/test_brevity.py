from server.engine.brevity import ALONE_SECS, BRIEF_SECS, Brevity
from tests.support.members import Constant, servable

QUICK, SLOW = BRIEF_SECS / 10, BRIEF_SECS * 10


def test_what_was_never_run_is_not_brief() -> None:
    assert not Brevity().brief(servable(Constant("a")), 1)


def test_a_batch_is_brief_if_the_last_ones_of_its_size_and_servable_were() -> None:
    brevity, one, other = Brevity(), servable(Constant("a")), servable(Constant("a"))
    brevity.note(one, 5, QUICK)
    assert [brevity.brief(one, rows) for rows in (3, 4, 7, 8)] == [False, True, True, False]
    assert not brevity.brief(other, 5)


def test_after_a_slow_batch_it_takes_some_quick_ones() -> None:
    brevity, one = Brevity(), servable(Constant("a"))
    brevity.note(one, 1, QUICK)
    brevity.note(one, 1, SLOW)
    quick = 0
    while not brevity.brief(one, 1):
        brevity.note(one, 1, QUICK)
        quick += 1
    assert quick == 23


def test_of_the_only_caller_longer_batches_are_brief() -> None:
    brevity, one = Brevity(), servable(Constant("a"))
    brevity.note(one, 1, ALONE_SECS / 2)
    brevity.note(one, 4, ALONE_SECS * 2)
    told = [brevity.brief(one, rows, alone=alone) for alone in (False, True) for rows in (1, 4, 9)]
    assert told == [False, False, False, True, False, False]
