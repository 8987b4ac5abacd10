import pytest

from model_store.errors import VersionNotFoundError
from server.lifecycle.wanted import VersionPolicy, wanted

LABELS = {"stable": 2, "canary": 5}
LIVE = [1, 2, 3, 5]


@pytest.mark.parametrize(
    ("policy", "current", "expected"),
    [
        (VersionPolicy(), 3, (3,)),
        (VersionPolicy({"digits": ("latest",)}), 3, (3,)),
        (VersionPolicy({"digits": ("2",)}), 3, (2,)),
        (VersionPolicy({"digits": ("stable",)}), 3, (2,)),
        (VersionPolicy({"": ("stable",)}), 3, (2,)),
        (VersionPolicy({"": ("stable",), "digits": ("1",)}), 3, (1,)),
        (VersionPolicy({"letters": ("1",)}), 3, (3,)),
        (VersionPolicy({"digits": ("stable", "latest")}), 3, (2, 3)),
        (VersionPolicy({"digits": ("stable", "2")}), 3, (2,)),
        (VersionPolicy(keep_latest=3), 3, (3, 5, 2)),
        (VersionPolicy(keep_latest=9), 1, (1, 5, 3, 2)),
        (VersionPolicy({"digits": ("stable", "1")}, keep_latest=2), 3, (2, 1)),
        (VersionPolicy({"digits": ("stable",)}, keep_latest=2), 3, (2, 5)),
    ],
)
def test_the_first_choice_answers_and_the_newest_fill_up(
    policy: VersionPolicy, current: int, expected: tuple[int, ...]
) -> None:
    assert wanted(policy, "digits", current=current, labels=LABELS, live=LIVE) == expected


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("beta", r"no label 'beta'.*it has \['canary', 'stable'\]: set it with `unisono label digits beta"),
        ("4", r"no version 4, which is to be served; it has \[1, 2, 3, 5\]"),
    ],
)
def test_what_is_not_there_is_said(choice: str, said: str) -> None:
    policy = VersionPolicy({"digits": (choice,)})
    with pytest.raises(VersionNotFoundError, match=said):
        wanted(policy, "digits", current=3, labels=LABELS, live=LIVE)


def test_only_who_wants_another_version_than_the_current_one_reads_the_whole_journal() -> None:
    assert not VersionPolicy().looks_back("digits")
    assert VersionPolicy(keep_latest=2).looks_back("digits")
    assert VersionPolicy({"digits": ("stable",)}).looks_back("digits")
    assert not VersionPolicy({"digits": ("stable",)}).looks_back("letters")


def test_ensembles_that_are_named_are_known() -> None:
    assert VersionPolicy({"": ("stable",), "digits": ("1",)}).named == {"digits"}
