"""A model file's format is told by its bytes; others are refused with what they are."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import InvalidModelError
from ensemble.loading.formats import OPTIONAL, Format, format_of
from tests.support.onnx_models import write_forest, write_linear


def zipped(*names: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            archive.writestr(name, "{}")
    return target.getvalue()


def array_file() -> bytes:
    target = io.BytesIO()
    np.save(target, np.zeros(3))
    return target.getvalue()


@pytest.mark.parametrize("write", [write_linear, write_forest])
def test_an_onnx_file_is_known_under_any_name(tmp_path: Path, write: type) -> None:
    write(tmp_path / "model.bin")

    assert format_of(tmp_path / "model.bin") == "onnx"


def test_a_keras_file_is_known_under_any_name(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(zipped("config.json", "metadata.json", "model.weights.h5"))

    assert format_of(path) == "keras"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty; copy it again"),
        (
            b"\x89HDF\r\n\x1a\n" + bytes(100),
            r"is an HDF5 file, .* save it with model\.save\('model\.keras'\), or allow it with --allow-h5",
        ),
        (pickle.dumps({"a": 1}), "is a pickle, which runs code on loading; export it to ONNX"),
        (pickle.dumps([1], protocol=2), "is a pickle"),
        (array_file(), "is a numpy array, not a model"),
        (zipped("x.npy", "y.npy"), "is an NPZ file of arrays, not a model"),
        (zipped("archive/data.pkl"), "is a PyTorch file, which runs code on loading"),
        (zipped("readme.txt"), r"is a zip archive that lacks \['config\.json', 'metadata\.json'"),
        (b"PK\x03\x04 damaged", r"is a damaged zip archive \(.*\); copy it again"),
        (b"\x1f\x8b\x08", "is a gzip archive; unpack it first"),
        (b"\x1c\x00\x00\x00TFL3", "is a TensorFlow Lite file"),
        (b"GGUF\x03", "is a GGUF file"),
        (b'{"trees": {}}', "is a JSON file and no XGBoost model; export it to ONNX"),
        (b"# a script", r"is not a \.keras or \.onnx file: it starts with b'# a scri'"),
        (b"\x08\x09", r"is not a \.keras or \.onnx file"),
        (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", r"is not a \.keras or \.onnx file"),
        (b"\x08\x09\x3a\x7f", r"is not a \.keras or \.onnx file"),
    ],
)
def test_anything_else_is_refused_with_what_it_is(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(content)

    with pytest.raises(InvalidModelError, match=what):
        format_of(path)


def test_a_truncated_onnx_file_is_refused(tmp_path: Path) -> None:
    write_linear(tmp_path / "whole.onnx")
    cut = tmp_path / "cut.onnx"
    cut.write_bytes((tmp_path / "whole.onnx").read_bytes()[:-40])

    with pytest.raises(InvalidModelError, match=r"is not a \.keras or \.onnx file"):
        format_of(cut)


def test_a_saved_model_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").touch()

    with pytest.raises(InvalidModelError, match=r"a SavedModel folder, .* --allow-saved-model"):
        format_of(tmp_path)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match=r"is a folder; name a \.keras or \.onnx file"):
        format_of(tmp_path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="can't be read: No such file or directory; check the path"):
        format_of(tmp_path / "nothing.keras")


@pytest.mark.parametrize(("kind", "other"), [("h5", "saved_model"), ("saved_model", "h5")])
def test_an_optional_format_is_taken_only_where_it_is_allowed(
    tmp_path: Path, kind: Format, other: Format
) -> None:
    path = tmp_path / "model"
    if kind == "saved_model":
        path.mkdir()
        (path / "saved_model.pb").touch()
    else:
        path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))

    assert format_of(path, frozenset({kind})) == kind
    for allowed in (frozenset[Format](), frozenset[Format]({other})):
        with pytest.raises(InvalidModelError, match=f"or allow it with {OPTIONAL[kind]} if you trust who"):
            format_of(path, allowed)
