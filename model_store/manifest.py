"""What one version is made of: members, pool, weights, evidence, and the version it came from.

A manifest is immutable and its bytes are hashed, so it holds no time and no author: those are the journal's.
Blobs are named by digest only; nothing in a manifest is a path.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from model_store import canonical
from model_store.canonical import parsed, part
from model_store.errors import InvalidDraftError
from model_store.names import check_name, is_digest
from model_store.output import AS_IT_IS, Output, identity_with_inputs

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class BlobRef:
    """Which bytes: their sha256 in hex and how many there are."""

    digest: str
    size: int

    def __post_init__(self) -> None:
        """Refuse what would name another file than a blob's."""
        if not is_digest(self.digest) or self.size < 0:
            raise InvalidDraftError(
                f"{self.digest[:80]!r} of {self.size} bytes is no sha256 and size of a blob"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the form that manifests hold."""
        return {"digest": self.digest, "size": self.size}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(part(str, data, "digest"), part(int, data, "size"))


@dataclass(frozen=True, slots=True)
class Derived:
    """A member in another format, made from the published one, and how well the two agree (`parity`)."""

    blob: BlobRef
    parity: Mapping[str, Any]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read the form that manifests hold."""
        return cls(BlobRef.from_json(part(dict, data, "blob")), part(dict, data, "parity"))


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """One member as published: `format` says of what kind its file is; `derived`, by format, was made of it.

    `output` says what its scores are, and what was done to them; versions of older releases don't tell.
    `inputs` are the ensemble's, by the file's own names, where it takes them by others or in another shape.
    """

    name: str
    format: str
    blob: BlobRef
    signature: Mapping[str, Any]
    derived: Mapping[str, Derived] = field(default_factory=dict)
    output: Output = AS_IT_IS
    inputs: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a name that can't be one."""
        check_name(self.name, "member")

    @property
    def digest(self) -> str:
        """The sha256 that its weight is tied to: of the published file, and of what goes in and comes out."""
        return self.output.identity(identity_with_inputs(self.blob.digest, self.inputs))

    @property
    def adapted(self) -> bool:
        """Whether it is served from a file that takes or gives something else than the published one."""
        return self.output.adapted or bool(self.inputs)

    def to_json(self) -> dict[str, Any]:
        """Return the form that manifests hold."""
        said = {"output": self.output.to_json(), "inputs": dict(self.inputs)}
        found = {key: value for key, value in asdict(self).items() if key not in said}
        # Left out where nothing is known, so that the bytes of such a version stay what they were.
        return found | {key: value for key, value in said.items() if value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        derived = part(dict, data, "derived")
        return cls(
            name=part(str, data, "name"),
            format=part(str, data, "format"),
            blob=BlobRef.from_json(part(dict, data, "blob")),
            signature=part(dict, data, "signature"),
            derived={name: Derived.from_json(part(dict, derived, name)) for name in derived},
            output=Output.from_json(part(dict, data, "output")) if "output" in data else AS_IT_IS,
            inputs=_inputs(part(dict, data, "inputs")) if "inputs" in data else {},
        )


def _inputs(data: Mapping[str, Any]) -> dict[str, str]:
    """Read a member's `inputs`."""
    return {name: part(str, data, name) for name in data}


@dataclass(frozen=True, slots=True)
class GoldenRecord:
    """Rows, and the scores that members and ensemble gave to them, to be given again within `tolerance`."""

    rows: BlobRef
    scores: BlobRef
    tolerance: float

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read the form that manifests hold."""
        return cls(
            BlobRef.from_json(part(dict, data, "rows")),
            BlobRef.from_json(part(dict, data, "scores")),
            part(float, data, "tolerance"),
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """A version that has no number yet.

    `signature` is the ensemble's, `weights` the blob with the bytes of `weights_json`, `evidence` any
    JSON that says what the weights rest on, `parent` the version it came from, `golden` the scores that it
    gives to some rows, which versions of older releases lack.
    """

    members: tuple[MemberRecord, ...]
    classes: tuple[str, ...]
    signature: Mapping[str, Any]
    pool: Mapping[str, Any]
    weights: BlobRef
    evidence: Mapping[str, Any]
    parent: int | None
    golden: GoldenRecord | None = None

    def __post_init__(self) -> None:
        """Refuse a draft without members, or in which a name means two of them."""
        names = [member.name for member in self.members]
        if not names or len(set(names)) != len(names):
            raise InvalidDraftError(f"members must be one or more, with distinct names; got {names}")

    @property
    def digests(self) -> dict[str, str]:
        """Member name -> the sha256 of its published file."""
        return {member.name: member.digest for member in self.members}

    @property
    def blobs(self) -> frozenset[BlobRef]:
        """All the bytes this needs: members, what was derived from them, the weights, golden outputs."""
        derived = {made.blob for member in self.members for made in member.derived.values()}
        golden = () if self.golden is None else (self.golden.rows, self.golden.scores)
        return frozenset({self.weights, *derived, *golden, *(member.blob for member in self.members)})

    def to_json(self) -> dict[str, Any]:
        """Return the form that manifests hold."""
        return {
            "members": [member.to_json() for member in self.members],
            "classes": list(self.classes),
            "signature": dict(self.signature),
            "pool": dict(self.pool),
            "weights": self.weights.to_json(),
            "evidence": dict(self.evidence),
            "parent": self.parent,
            # Left out where there is none, so that the bytes of such a version stay what they were.
            **({} if self.golden is None else {"golden": asdict(self.golden)}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        members, classes = part(list, data, "members"), part(list, data, "classes")
        if not all(isinstance(name, str) for name in classes):
            raise ValueError(f"classes are {classes!r}, not all text")
        return cls(
            members=tuple(MemberRecord.from_json(member) for member in members),
            classes=tuple(classes),
            signature=part(dict, data, "signature"),
            pool=part(dict, data, "pool"),
            weights=BlobRef.from_json(part(dict, data, "weights")),
            evidence=part(dict, data, "evidence"),
            parent=None if data["parent"] is None else part(int, data, "parent"),
            golden=GoldenRecord.from_json(part(dict, data, "golden")) if "golden" in data else None,
        )


@dataclass(frozen=True, slots=True)
class Manifest:
    """One numbered version of an ensemble."""

    ensemble: str
    version: int
    draft: Draft

    @property
    def members(self) -> tuple[MemberRecord, ...]:
        """The members, in the order they were published."""
        return self.draft.members

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the scores' columns; empty if they have none."""
        return self.draft.classes

    @property
    def signature(self) -> Mapping[str, Any]:
        """What the ensemble takes and gives: all the members' inputs, one output."""
        return self.draft.signature

    @property
    def pool(self) -> Mapping[str, Any]:
        """The form of the average."""
        return self.draft.pool

    @property
    def evidence(self) -> Mapping[str, Any]:
        """Where the weights came from: data digest, losses, whatever the publisher recorded."""
        return self.draft.evidence

    @property
    def parent(self) -> int | None:
        """The version this one was made from."""
        return self.draft.parent

    @property
    def digests(self) -> dict[str, str]:
        """Member name -> the sha256 of its published file."""
        return self.draft.digests

    def to_json(self) -> dict[str, Any]:
        """Return the form that is stored."""
        return {
            "schema": SCHEMA,
            "ensemble": self.ensemble,
            "version": self.version,
            **self.draft.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        if data.get("schema") != SCHEMA:
            raise ValueError(
                f"schema is {data.get('schema')!r}; this release reads {SCHEMA}: use a newer one"
            )
        return cls(
            check_name(part(str, data, "ensemble"), "ensemble"),
            part(int, data, "version"),
            Draft.from_json(data),
        )

    def to_bytes(self) -> bytes:
        """Return the bytes that are stored and hashed; InvalidDraftError for what JSON can't say."""
        try:
            data = canonical.encode(self.to_json())
        except (TypeError, ValueError) as error:
            raise InvalidDraftError(
                f"the draft can't be written as JSON: {error}; use finite numbers, text, lists"
            ) from error

        if len(data) > canonical.MAX_BYTES:
            raise InvalidDraftError(
                f"the manifest would have {len(data)} bytes; {canonical.MAX_BYTES} may be: cut the evidence"
            )
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote; StoreCorruptError if it is anything else."""
        return parsed(cls.from_json, data, "the manifest")
