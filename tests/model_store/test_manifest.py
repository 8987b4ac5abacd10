import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store import canonical
from model_store.errors import InvalidDraftError, InvalidNameError, StoreCorruptError
from model_store.manifest import BlobRef, Derived, Draft, GoldenRecord, Manifest, MemberRecord
from model_store.output import Output
from model_store.weights import parse_weights, weights_json

A, B, C = ("a" * 64, "b" * 64, "c" * 64)

NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,15}", fullmatch=True)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.dictionaries(
    st.text(max_size=5),
    st.none() | st.integers() | FLOATS | st.lists(st.text(max_size=5), max_size=2),
    max_size=2,
)
REFS = st.builds(BlobRef, st.binary(min_size=32, max_size=32).map(bytes.hex), st.integers(0, 2**50))
MEMBERS = st.builds(
    MemberRecord,
    name=NAMES,
    format=st.sampled_from(["keras", "onnx"]),
    blob=REFS,
    signature=JSON,
    derived=st.dictionaries(st.just("onnx"), st.builds(Derived, REFS, JSON)),
    inputs=st.dictionaries(NAMES, NAMES, max_size=2),
)
DRAFTS = st.builds(
    Draft,
    members=st.lists(MEMBERS, min_size=1, max_size=2, unique_by=lambda member: member.name).map(tuple),
    classes=st.lists(st.text(max_size=5), max_size=3).map(tuple),
    signature=JSON,
    pool=JSON,
    weights=REFS,
    evidence=JSON,
    parent=st.none() | st.integers(1, 2**40),
    golden=st.none() | st.builds(GoldenRecord, REFS, REFS, st.floats(0, 1)),
)


def small_draft(**changes: Any) -> Draft:
    parts: dict[str, Any] = {
        "members": (MemberRecord("forest", "onnx", BlobRef(A, 3), {}, {}),),
        "classes": ("0", "1"),
        "signature": {},
        "pool": {"form": "linear"},
        "weights": BlobRef(B, 9),
        "evidence": {"loss": 0.25},
        "parent": None,
    }
    return Draft(**{**parts, **changes})


def test_a_manifest_is_written_as_this_release_writes_it() -> None:
    # A store of this release must be readable by all that follow: a changed line here is a new schema.
    data = Manifest("digits", 3, small_draft(parent=2)).to_bytes()

    assert data.decode() == (
        '{"classes":["0","1"],"ensemble":"digits","evidence":{"loss":0.25},"members":[{"blob":{"digest":"'
        + A
        + '","size":3},"derived":{},"format":"onnx","name":"forest","signature":{}}],"parent":2,"pool":'
        '{"form":"linear"},"schema":1,"signature":{},"version":3,"weights":{"digest":"' + B + '","size":9}}\n'
    )


def test_what_a_members_scores_are_is_one_key_more() -> None:
    output = Output("logits", ("b", "a"), ("softmax",), (1, 0))
    member = MemberRecord("forest", "onnx", BlobRef(A, 3), {}, {}, output)
    manifest = Manifest("digits", 3, small_draft(members=(member,)))

    assert json.loads(manifest.to_bytes())["members"][0]["output"] == {
        "kind": "logits",
        "classes": ["b", "a"],
        "steps": ["softmax"],
        "columns": [1, 0],
    }
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


def test_a_member_with_adapted_scores_is_another_than_its_file() -> None:
    plain = MemberRecord("forest", "onnx", BlobRef(A, 3), {}, {}, Output("softmax"))
    outputs = [Output("logits", steps=("softmax",)), Output(columns=(1, 0)), Output(columns=(0, 1))]
    digests = {MemberRecord("forest", "onnx", BlobRef(A, 3), {}, {}, output).digest for output in outputs}

    assert plain.digest == A
    assert len(digests - {A}) == 3


@pytest.mark.parametrize(
    "output", [{"kind": 1}, {"classes": "ab"}, {"classes": [1]}, {"columns": ["1"]}, {"columns": [True]}, []]
)
def test_an_output_that_is_none_is_refused(output: object) -> None:
    data = json.loads(Manifest("digits", 3, small_draft()).to_bytes())
    data["members"][0]["output"] = output

    with pytest.raises(StoreCorruptError, match="the manifest can't be read"):
        Manifest.from_bytes(canonical.encode(data))


def test_golden_outputs_are_one_key_more() -> None:
    golden = GoldenRecord(BlobRef(A, 3), BlobRef(C, 4), 0.5)
    without = json.loads(Manifest("digits", 3, small_draft()).to_bytes())
    data = json.loads(Manifest("digits", 3, small_draft(golden=golden)).to_bytes())

    assert data == without | {
        "golden": {"rows": {"digest": A, "size": 3}, "scores": {"digest": C, "size": 4}, "tolerance": 0.5}
    }
    assert small_draft(golden=golden).blobs == small_draft().blobs | {BlobRef(A, 3), BlobRef(C, 4)}


@given(NAMES, st.integers(1, 2**40), DRAFTS)
def test_a_manifest_reads_back_as_it_was_and_has_one_spelling(name: str, version: int, draft: Draft) -> None:
    manifest = Manifest(name, version, draft)
    data = manifest.to_bytes()

    assert Manifest.from_bytes(data) == manifest
    assert Manifest.from_bytes(data).to_bytes() == data


def test_a_manifest_passes_its_draft_through() -> None:
    draft = small_draft(parent=2)
    manifest = Manifest("digits", 3, draft)

    assert manifest.members == draft.members
    assert manifest.classes == ("0", "1")
    assert manifest.signature == {}
    assert manifest.pool == {"form": "linear"}
    assert manifest.evidence == {"loss": 0.25}
    assert manifest.parent == 2
    assert manifest.digests == {"forest": A}


def test_a_draft_names_all_the_bytes_it_needs() -> None:
    keras = MemberRecord("sepconv", "keras", BlobRef(A, 3), {}, {"onnx": Derived(BlobRef(C, 4), {})})

    assert small_draft(members=(keras,)).blobs == {BlobRef(A, 3), BlobRef(C, 4), BlobRef(B, 9)}


@pytest.mark.parametrize("digest", ["", "A" * 64, "a" * 63, "../" + "a" * 61, "a" * 64 + "\n"])
def test_a_blob_is_named_by_a_digest_and_nothing_else(digest: str) -> None:
    with pytest.raises(InvalidDraftError, match="is no sha256 and size of a blob"):
        BlobRef(digest, 3)
    with pytest.raises(InvalidDraftError, match="of -1 bytes"):
        BlobRef(A, -1)


def test_members_are_one_or_more_with_distinct_names() -> None:
    member = MemberRecord("forest", "onnx", BlobRef(A, 3), {})

    with pytest.raises(
        InvalidDraftError, match=r"members must be one or more, with distinct names; got \[\]"
    ):
        small_draft(members=())
    with pytest.raises(InvalidDraftError, match=r"got \['forest', 'forest'\]"):
        small_draft(members=(member, member))
    with pytest.raises(InvalidNameError, match=r"member name 'a\.b'"):
        MemberRecord("a.b", "onnx", BlobRef(A, 3), {})


@pytest.mark.parametrize("value", [float("nan"), object(), b"bytes"])
def test_evidence_that_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(
        InvalidDraftError, match=r"the draft can't be written as JSON: .*; use finite numbers"
    ):
        Manifest("digits", 1, small_draft(evidence={"loss": value})).to_bytes()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": 2}, "schema is 2; this release reads 1: use a newer one"),
        ({"ensemble": "../x"}, "ensemble name '../x'"),
        ({"version": "3"}, "'version' is '3', not int"),
        ({"version": True}, "'version' is True, not int"),
        ({"parent": 1.5}, "'parent' is 1.5, not int"),
        ({"classes": [1]}, r"classes are \[1\], not all text"),
        ({"classes": "01"}, "'classes' is '01', not list"),
        ({"members": []}, "members must be one or more"),
        ({"members": [3]}, "3 is no object"),
        ({"members": [{}]}, "it lacks 'derived'"),
        ({"weights": {"digest": "../../etc/passwd", "size": 1}}, "is no sha256 and size"),
        ({"weights": {"digest": A, "size": -1}}, "is no sha256 and size"),
        ({"evidence": None}, "'evidence' is None, not dict"),
    ],
)
def test_a_manifest_that_is_not_one_is_corrupt(change: dict[str, Any], reason: str) -> None:
    data = canonical.encode({**Manifest("digits", 1, small_draft()).to_json(), **change})

    with pytest.raises(StoreCorruptError, match=f"the manifest can't be read: .*{reason}"):
        Manifest.from_bytes(data)


@given(st.data())
def test_a_manifest_with_a_flipped_byte_is_corrupt_or_another_manifest_never_a_crash(
    data: st.DataObject,
) -> None:
    whole = bytearray(Manifest("digits", 1, small_draft()).to_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))

    try:
        Manifest.from_bytes(bytes(whole))
    except StoreCorruptError as error:
        assert "the manifest can't be read" in str(error)  # noqa: PT017 - either way is right


def test_evidence_without_end_is_refused() -> None:
    with pytest.raises(InvalidDraftError, match=r"16777216 may be: cut the evidence"):
        Manifest("digits", 1, small_draft(evidence={"log": "x" * 2**24})).to_bytes()


def test_weights_are_written_sorted_and_tied_to_their_members_digests() -> None:
    data = weights_json({"sepconv": 0.75, "forest": 0.25}, {"forest": A, "sepconv": B})

    assert data.decode() == (
        '{"weights":[{"digest":"' + A + '","member":"forest","weight":0.25},'
        '{"digest":"' + B + '","member":"sepconv","weight":0.75}]}\n'
    )


@given(st.dictionaries(NAMES, st.floats(0, 1), min_size=1))
def test_weights_read_back_to_the_last_bit(weights: dict[str, float]) -> None:
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in weights}

    assert parse_weights(weights_json(weights, digests), digests) == weights


def test_weights_of_other_names_or_not_finite_are_not_written() -> None:
    with pytest.raises(InvalidDraftError, match=r"weights name \['x'\]; the members are \['forest'\]"):
        weights_json({"x": 1.0}, {"forest": A})
    with pytest.raises(InvalidDraftError, match="weights must be finite; got"):
        weights_json({"forest": float("nan")}, {"forest": A})


@pytest.mark.parametrize("digests", [{"forest": B}, {"other": A}, {"forest": A, "x": B}, {}])
def test_weights_of_other_members_are_corrupt(digests: dict[str, str]) -> None:
    data = weights_json({"forest": 1.0}, {"forest": A})

    with pytest.raises(StoreCorruptError, match=r"the weights are for the members \['forest'\]; these are"):
        parse_weights(data, digests)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([{"member": "forest", "digest": A, "weight": "1"}], "'weight' is '1', not float"),
        ([{"member": "forest", "digest": A, "weight": -0.5}], "weights must be finite and >= 0"),
        ([{"member": "forest", "digest": A}], "it lacks 'weight'"),
        ([3], "3 is no object"),
        (
            [
                {"member": "forest", "digest": A, "weight": 0.5},
                {"member": "forest", "digest": A, "weight": 0.6},
            ],
            r"for the members \['forest', 'forest'\]",
        ),
    ],
)
def test_weights_that_are_none_are_corrupt(rows: list[Any], reason: str) -> None:
    with pytest.raises(StoreCorruptError, match=reason):
        parse_weights(canonical.encode({"weights": rows}), {"forest": A})


def test_a_member_that_takes_its_inputs_by_other_names_says_so_and_is_another_member() -> None:
    plain = MemberRecord("forest", "onnx", BlobRef(A, 3), {})
    named = MemberRecord("forest", "onnx", BlobRef(A, 3), {}, inputs={"x": "image"})

    assert (plain.digest, plain.adapted, named.adapted) == (A, False, True)
    text = f'{{"file":"{A}","inputs":{{"x":"image"}}}}\n'
    assert named.digest == hashlib.sha256(text.encode()).hexdigest()
    assert named.to_json()["inputs"] == {"x": "image"}
    assert "inputs" not in plain.to_json()
    assert MemberRecord.from_json(named.to_json()) == named
    with pytest.raises(TypeError, match="'x' is 3, not str"):
        MemberRecord.from_json({**named.to_json(), "inputs": {"x": 3}})
