"""Members that run as one graph."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import MemberError
from ensemble.runtimes import measurements as measurements_module
from ensemble.runtimes import merged as merged_module
from ensemble.runtimes.measurements import Measurements
from ensemble.runtimes.merged import MergedMembers, Merger, Merging, mergeable, worthwhile
from ensemble.runtimes.onnx_runtime import OnnxMember, Way
from ensemble.runtimes.source import Source
from ensemble.signature import Signature, TensorSpec
from tests.support.members import Constant
from tests.support.onnx_models import write_convnet, write_forest, write_linear

X = TensorSpec("x", "float32", (4,))
IMAGE = TensorSpec("image", "float32", (16, 16, 1))


def opened(path: Path, put: TensorSpec = X, classes: int = 3, output: str = "scores") -> OnnxMember:
    signature = Signature((put,), (TensorSpec(output, "float32", (classes,)),))
    return OnnxMember.open(path, name=path.name, digest=path.name * 8, signature=signature, threads=2)


def sources(folder: Path, members: Sequence[OnnxMember]) -> dict[str, Source]:
    return {
        one.name: Source.at(folder / one.name, name=one.name, digest=one.digest, signature=one.signature)
        for one in members
    }


def linear_members(folder: Path, count: int = 2) -> list[OnnxMember]:
    for seed, name in enumerate("abcd"[:count]):
        write_linear(folder / name, seed=seed)
    return [opened(folder / name) for name in "abcd"[:count]]


@pytest.fixture
def _always_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged_module, "WORTH", 1e9)


@pytest.fixture
def _never_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged_module, "WORTH", 1e-9)


@pytest.mark.parametrize("count", [1, 2, 7, 16, 64, 65, 257])
def test_each_member_gets_the_bits_that_it_gives_alone(tmp_path: Path, count: int) -> None:
    for seed, name in enumerate("ab"):
        write_convnet(tmp_path / name, seed=seed)
    members = [opened(tmp_path / name, IMAGE, 10) for name in "ab"]
    rows = {"image": np.random.default_rng(0).random((count, 16, 16, 1), np.float32)}

    scores = MergedMembers.open(members, sources(tmp_path, members), threads=2).predict(rows)

    assert {name: own.tobytes() for name, own in scores.items()} == {
        member.name: member.predict(rows).tobytes() for member in members
    }


def test_members_that_would_give_other_scores_are_not_merged(tmp_path: Path) -> None:
    members = linear_members(tmp_path)
    write_linear(tmp_path / "b", seed=9)

    with pytest.raises(MemberError, match=r"members \['a', 'b'\] give other scores in one graph"):
        MergedMembers.open(members, sources(tmp_path, members), threads=2)


def test_rows_that_lack_an_input_are_refused(tmp_path: Path) -> None:
    members = linear_members(tmp_path)
    merged = MergedMembers.open(members, sources(tmp_path, members), threads=2)

    with pytest.raises(MemberError, match="merged members failed on 2 rows: 'x'"):
        merged.predict({"y": np.zeros((2, 4), np.float32)})


def test_only_members_that_run_as_they_are_may_share_a_graph(tmp_path: Path) -> None:
    plain = linear_members(tmp_path, 3)
    write_forest(tmp_path / "forest")
    forest = opened(tmp_path / "forest", output="probabilities")
    special = OnnxMember("special", "s", plain[0].signature, Way(2, fewest=2), 1e-8, plain[0].session)
    other = OnnxMember(
        "other",
        "o",
        Signature((TensorSpec("x", "float64", (4,)),), plain[0].signature.outputs),
        Way(2),
        0.0,
        plain[0].session,
    )

    assert mergeable([forest, special, *plain, other, Constant("constant")]) == [forest, *plain]


@pytest.mark.usefixtures("_always_worth_it")
def test_a_merger_makes_one_graph_of_the_same_members_once(tmp_path: Path) -> None:
    members, merger = linear_members(tmp_path), Merger(Measurements(None))

    first = merger.merged(members, sources(tmp_path, members))

    assert first is not None
    assert first.names == {"a", "b"}
    assert merger.merged(linear_members(tmp_path), sources(tmp_path, members)) is first


@pytest.mark.usefixtures("_always_worth_it")
def test_what_is_known_to_be_worth_it_is_merged_again_without_a_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members, kept = linear_members(tmp_path), tmp_path / "kept"
    rows = {"x": np.random.default_rng(0).random((5, 4), np.float32)}
    first = Merger(Measurements(kept)).merged(members, sources(tmp_path, members))
    monkeypatch.delattr(merged_module, "least_seconds")
    monkeypatch.delattr(merged_module, "spread")

    again = Merger(Measurements(kept)).merged(members, sources(tmp_path, members))

    assert first is not None
    assert again is not None
    assert again is not first
    assert again.predict(rows)["a"].tobytes() == first.predict(rows)["a"].tobytes()


@pytest.mark.usefixtures("_never_worth_it")
def test_what_is_no_faster_is_not_merged_nor_tried_again(tmp_path: Path) -> None:
    members, merger = linear_members(tmp_path), Merger(Measurements(None))
    known = sources(tmp_path, members)
    assert merger.merged(members, known) is None
    for name in "ab":
        (tmp_path / name).unlink()

    assert merger.merged(members, known) is None


def test_a_member_that_must_run_on_one_thread_is_in_no_graph_on_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = linear_members(tmp_path, 3)
    pinned = dataclasses.replace(plain[0], way=Way(1, pinned=True))
    monkeypatch.setattr(measurements_module, "cores", lambda: 2)
    members, graphs = [pinned, *plain[1:]], dict[int, MergedMembers]()

    merging = Merger(Measurements(None)).merging(members, sources(tmp_path, members), graphs)

    assert set(merging.seconds) == {0, 1, 2}
    assert {threads: sorted(graph.names) for threads, graph in graphs.items()} == {
        1: ["a", "b", "c"],
        2: ["b", "c"],
    }


def test_a_lone_member_stays_by_itself(tmp_path: Path) -> None:
    members = linear_members(tmp_path, 1)

    assert Merger(Measurements(None)).merged(members, sources(tmp_path, members)) is None


@pytest.mark.usefixtures("_always_worth_it")
def test_members_that_cannot_be_merged_stay_by_themselves(tmp_path: Path) -> None:
    write_forest(tmp_path / "forest", trees=1)
    members = [opened(tmp_path / "forest", output="probabilities"), *linear_members(tmp_path, 1)]

    assert Merger(Measurements(None)).merged(members, sources(tmp_path, members)) is None


@pytest.mark.parametrize(
    ("one_thread", "two_threads", "expected"),
    [(0.9, 0.5, 2), (0.5, 0.49, 1), (1.2, 1.0, 0), (0.99, 1.5, 1)],
)
def test_the_quickest_graph_is_taken_and_of_equals_that_of_one_thread(
    one_thread: float, two_threads: float, expected: int
) -> None:
    seconds = {
        0: {1: 1.0, 16: 3.0},
        1: {1: one_thread, 16: one_thread * 3},
        2: {1: two_threads, 16: two_threads * 3},
    }

    assert worthwhile(seconds) == expected


def test_without_a_graph_there_is_nothing_to_take() -> None:
    assert worthwhile({0: {1: 1.0}}) == 0


def test_a_decision_comes_back_from_json_as_it_was() -> None:
    merging = Merging(2, ("a", "b"), {0: {1: 0.5}, 2: {1: 0.25}})

    assert Merging.from_json(json.loads(json.dumps(merging.to_json()))) == merging
