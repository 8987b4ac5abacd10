"""What scores: one version of an ensemble, named so exactly that its scores are known to be the same."""

from dataclasses import dataclass
from hashlib import sha256

from model_store.manifest import Manifest
from model_store.store import Store
from model_store.weights import weights_json

from ..loading.load import signature_of
from ..servable import Servable
from ..signature import ANY_SIZE, Signature


@dataclass(frozen=True, slots=True)
class Target:
    """A version. `weights_sha256` covers the weights and the digests of the members they are tied to.

    `manifest_sha256` covers all there is, the pool and the files that are run too; "" for what isn't stored.
    """

    ensemble: str
    version: int
    classes: tuple[str, ...]
    members: tuple[str, ...]
    signature: Signature
    weights_sha256: str
    manifest_sha256: str = ""

    @classmethod
    def of_servable(cls, servable: Servable) -> "Target":
        """Name a loaded version."""
        digests = {member.name: member.digest for member in servable.members}
        return cls(
            servable.name,
            servable.version,
            servable.classes,
            tuple(digests),
            servable.signature,
            sha256(weights_json(servable.weights.by_member, digests)).hexdigest(),
        )

    @classmethod
    def of_manifest(cls, store: Store, manifest: Manifest) -> "Target":
        """Name a published version without loading its members."""
        digests = {record.name: record.digest for record in manifest.members}
        return cls(
            manifest.ensemble,
            manifest.version,
            tuple(manifest.classes),
            tuple(digests),
            signature_of(manifest.signature, f"version {manifest.version} of {manifest.ensemble!r}"),
            sha256(weights_json(store.weights(manifest), digests)).hexdigest(),
            sha256(manifest.to_bytes()).hexdigest(),
        )

    @property
    def class_count(self) -> int:
        """How many scores a row has; -1 if that isn't known beforehand."""
        shape = self.signature.outputs[0].shape
        return len(self.classes) or (shape[-1] if shape else ANY_SIZE)
