"""What members give to golden rows, asked once for each member and rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from model_store.manifest import Manifest, MemberRecord
from model_store.store import Store

from ..errors import InvalidModelError
from ..loading.golden import Golden
from ..loading.load import served_blob
from ..member import Rows, Scores
from ..runtimes.onnx_runtime import OnnxMember
from ..signature import Signature
from .prepare import Prepared


def golden_scores(
    store: Store, earlier: Sequence[Manifest], members: Mapping[str, Prepared], rows: Rows
) -> dict[str, Scores]:
    """Return what each member gives to `rows`: what an earlier version kept of it, or what it gives now.

    What was kept comes first: a publish repeated on another machine is to be the same to the last bit.
    """
    found = _kept(store, earlier, members, rows)
    for name, member in members.items():
        if name in found:
            continue
        if member.golden is not None:
            found[name] = member.golden
        elif member.earlier is not None:
            found[name] = _asked(store, earlier[-1].ensemble, member.earlier, rows)
        else:
            raise InvalidModelError(f"member {name!r} was neither opened now nor published before")
    return found


def _kept(
    store: Store, earlier: Sequence[Manifest], members: Mapping[str, Prepared], rows: Rows
) -> dict[str, Scores]:
    """Return what earlier versions kept of these members on these rows."""
    found: dict[str, Scores] = {}
    for manifest in reversed(earlier):
        same = {
            record.name
            for record in manifest.members
            if record.name in members and _same(record, members[record.name])
        } - found.keys()
        golden = Golden.read(store, manifest) if same else None
        if golden is None:
            continue
        for name in same:
            inputs = members[name].signature.inputs
            if all(_equal(golden.rows, rows, spec.name) for spec in inputs):
                found[name] = golden.members[name]
    return found


def _same(record: MemberRecord, member: Prepared) -> bool:
    return record.digest == member.digest and dict(record.signature) == member.signature.to_json()


def _equal(kept: Rows, rows: Rows, name: str) -> bool:
    """Whether the input `name` has the same rows, bit for bit."""
    return (
        name in kept and kept[name].dtype == rows[name].dtype and kept[name].tobytes() == rows[name].tobytes()
    )


def _asked(store: Store, ensemble: str, record: MemberRecord, rows: Rows) -> Scores:
    """Open a member of an earlier version and ask it."""
    ref = served_blob(record)
    signature = Signature.from_json(record.signature)
    with TemporaryDirectory(prefix="unisono-golden-") as folder:
        path = Path(folder) / ref.digest
        store.copy_blob(ensemble, ref, path)
        return OnnxMember.open(path, name=record.name, digest=record.digest, signature=signature).predict(
            rows
        )
