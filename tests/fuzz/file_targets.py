"""The readers of files: what a store holds, models on their way into one, rows to be scored."""

import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import h5py

from ensemble.data import tf_example
from ensemble.errors import InvalidDataError, InvalidModelError
from ensemble.loading.formats import format_of
from ensemble.loading.keras_file import check_keras_file
from ensemble.loading.onnx_file import read_signature
from ensemble.loading.weights_file import check_weights
from ensemble.signature import Signature
from model_store.errors import StoreError
from model_store.journal import Entry
from model_store.manifest import BlobRef, Draft, Manifest, MemberRecord
from model_store.weights import parse_weights, weights_json
from tests.ensemble.loading.hostile import dense, harmless, layer
from tests.fuzz.target import Scratch, Target
from tests.support.onnx_models import write_linear
from tests.support.tfs import example

DIGESTS = {"forest": "a" * 64, "sepconv": "b" * 64}
SIGNATURE = {
    "inputs": [{"name": "x", "dtype": "float32", "shape": [-1, 8]}],
    "outputs": [{"name": "y", "dtype": "float32", "shape": [2]}],
}


def file_targets() -> Iterator[Target]:
    """Make the targets; each file lies in a folder that goes with its target."""
    yield Target("journal", lambda data: Entry.from_bytes(data, 3), [entry()], (StoreError,))
    yield Target("manifest", Manifest.from_bytes, [manifest()], (StoreError,))
    yield Target(
        "weights",
        lambda data: parse_weights(data, DIGESTS),
        [weights_json({"forest": 0.25, "sepconv": 0.75}, DIGESTS)],
        (StoreError,),
    )
    yield Target("signature", read_manifest_signature, [json.dumps(SIGNATURE).encode()], (InvalidModelError,))
    yield Target(
        "tf_record",
        tf_example.features,
        [example(x=[0.5], n=[1, -1], t=[b"ab"]).SerializeToString()],
        (InvalidDataError,),
    )
    onnx, keras = made(write_linear), made(harmless)
    yield Target("format", as_file(format_of), [onnx, keras], (InvalidModelError,))
    yield Target("onnx", as_file(read_signature), [onnx], (InvalidModelError,))
    yield Target("keras_zip", as_file(check_keras_file), [keras], (InvalidModelError,))
    yield Target("keras_config", as_file(check_keras_file, in_archive), [config()], (InvalidModelError,))


def hdf5_target() -> Target:
    """Parameters of a Keras model. HDF5's own library crashes on some files: see `make fuzz`."""
    file = BytesIO()
    with h5py.File(file, "w") as weights:
        dense(weights)
    return Target("hdf5", as_file(check_weights, as_weights), [file.getvalue()], (InvalidModelError,))


def entry() -> bytes:
    """One entry of a journal."""
    written = Entry(
        seq=3, op="label", version=2, label="canary", prev=1, manifest_sha256="c" * 64,
        at="2026-03-01T12:00:00Z", by="ann", why="to compare",
    )  # fmt: skip
    return written.to_bytes()


def manifest() -> bytes:
    """The manifest of two members."""
    members = tuple(
        MemberRecord(name, "onnx", BlobRef(digest, 10), SIGNATURE) for name, digest in DIGESTS.items()
    )
    draft = Draft(
        members, ("no", "yes"), SIGNATURE, {"form": "linear"}, BlobRef("c" * 64, 99), {"note": 1.5}, 1
    )
    return Manifest("digits", 2, draft).to_bytes()


def read_manifest_signature(data: bytes) -> Signature | None:
    """Read a signature where a manifest holds one; other JSON is refused before."""
    try:
        value = json.loads(data)
        return Signature.from_json(value)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def config() -> bytes:
    """The description of a small Keras model."""
    layers = [layer("keras.layers", "Dense", units=3, activation="relu")]
    return json.dumps(layer("keras", "Sequential", name="stack", layers=layers)).encode()


def in_archive(data: bytes) -> bytes:
    """Make `data` the description in a `.keras` file."""
    return archive({"config.json": data, "metadata.json": b"{}", "model.weights.h5": b"\x89HDF"})


def as_weights(data: bytes) -> bytes:
    """Make `data` the parameters in a `.keras` file."""
    return archive({"config.json": config(), "metadata.json": b"{}", "model.weights.h5": data})


def archive(files: dict[str, bytes]) -> bytes:
    """Pack `files`."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as into:
        for name, content in files.items():
            into.writestr(name, content)
    return packed.getvalue()


def made(write: Callable[[Path], object]) -> bytes:
    """Return the bytes of a file that `write` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        write(path)
        return path.read_bytes()


def as_file(
    read: Callable[[Path], object], wrap: Callable[[bytes], bytes] = bytes
) -> Callable[[bytes], object]:
    """Make a reader of files one of bytes."""
    scratch = Scratch()
    return lambda data: read(scratch.holding(wrap(data)))
