"""Members that run as one graph."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import MemberError
from ensemble.runtimes import merged as merged_module
from ensemble.runtimes.merged import MergedMembers, Merger, mergeable
from ensemble.runtimes.onnx_runtime import OnnxMember, Way
from ensemble.signature import Signature, TensorSpec
from tests.support.members import Constant
from tests.support.onnx_models import write_convnet, write_forest, write_linear

X = TensorSpec("x", "float32", (4,))
IMAGE = TensorSpec("image", "float32", (16, 16, 1))


def opened(path: Path, put: TensorSpec = X, classes: int = 3, output: str = "scores") -> OnnxMember:
    signature = Signature((put,), (TensorSpec(output, "float32", (classes,)),))
    return OnnxMember.open(path, name=path.name, digest=path.name * 8, signature=signature, threads=2)


def reading(folder: Path) -> Callable[[str], bytes]:
    return lambda name: (folder / name).read_bytes()


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

    scores = MergedMembers.open(members, reading(tmp_path)).predict(rows)

    assert {name: own.tobytes() for name, own in scores.items()} == {
        member.name: member.predict(rows).tobytes() for member in members
    }


def test_members_that_would_give_other_scores_are_not_merged(tmp_path: Path) -> None:
    members = linear_members(tmp_path)
    write_linear(tmp_path / "b", seed=9)

    with pytest.raises(MemberError, match=r"members \['a', 'b'\] give other scores in one graph"):
        MergedMembers.open(members, reading(tmp_path))


def test_rows_that_lack_an_input_are_refused(tmp_path: Path) -> None:
    merged = MergedMembers.open(linear_members(tmp_path), reading(tmp_path))

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

    assert mergeable([forest, special, *plain, other, Constant("constant")]) == plain


@pytest.mark.usefixtures("_always_worth_it")
def test_a_merger_makes_one_graph_of_the_same_members_once(tmp_path: Path) -> None:
    members, merger = linear_members(tmp_path), Merger()

    first = merger.merged(members, reading(tmp_path))

    assert first is not None
    assert first.names == {"a", "b"}
    assert merger.merged(linear_members(tmp_path), reading(tmp_path)) is first


@pytest.mark.usefixtures("_never_worth_it")
def test_what_is_no_faster_is_not_merged_nor_tried_again(tmp_path: Path) -> None:
    members, merger = linear_members(tmp_path), Merger()
    assert merger.merged(members, reading(tmp_path)) is None

    def read(name: str) -> bytes:
        raise AssertionError(f"{name} is read again")

    assert merger.merged(members, read) is None


@pytest.mark.usefixtures("_always_worth_it")
def test_a_lone_member_and_members_that_cannot_be_merged_stay_by_themselves(tmp_path: Path) -> None:
    write_linear(tmp_path / "a")
    write_forest(tmp_path / "forest", trees=1)
    signature = Signature((X,), (TensorSpec("probabilities", "float32", (3,)),))
    forest = OnnxMember.open(tmp_path / "forest", name="forest", digest="f", signature=signature, threads=1)
    linear = OnnxMember.open(
        tmp_path / "a",
        name="a",
        digest="a",
        signature=Signature((X,), (TensorSpec("scores", "float32", (3,)),)),
        threads=1,
    )

    assert Merger().merged([linear], reading(tmp_path)) is None
    assert Merger().merged([linear, forest], reading(tmp_path)) is None
