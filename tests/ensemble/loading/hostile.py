"""Model files that mean harm, made on the spot: none is stored, and none does anything if it works."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.support.onnx_models import save_graph, write_linear

Fill = Callable[[Any], object]


def layer(module: str, kind: str, **config: Any) -> dict[str, Any]:
    """One layer as a description names it."""
    return {"module": module, "class_name": kind, "config": config, "registered_name": None}


def dense(weights: Any) -> None:
    """Fill in the parameters of a Dense layer of 3 units on 4 inputs."""
    weights["layers/dense/vars/0"] = np.ones((4, 3), np.float32)
    weights["layers/dense/vars/1"] = np.ones(3, np.float32)


def write_keras(
    path: Path,
    *layers: Mapping[str, Any],
    fill: Fill = dense,
    extra: Mapping[str, bytes] | None = None,
    packing: int = zipfile.ZIP_STORED,
) -> None:
    """Write a `.keras` file of a stack of layers on four inputs."""
    given = layer("keras.layers", "InputLayer", batch_shape=[None, 4], dtype="float32", name="x")
    config = layer("keras", "Sequential", name="stack", layers=[given, *layers])
    file = io.BytesIO()
    with h5py.File(file, "w") as weights:
        fill(weights)
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", file.getvalue())
        for name, content in (extra or {}).items():
            archive.writestr(name, content)


def harmless(path: Path) -> None:
    """Write what the others are made from: it loads, so they are refused for what is added."""
    write_keras(path, layer("keras.layers", "Dense", units=3, name="dense"))


def _function(module: str, name: str) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def _activated_by(module: str, name: str) -> Callable[[Path], None]:
    return lambda path: write_keras(
        path, layer("keras.layers", "Dense", units=3, activation=_function(module, name))
    )


def _of(module: str, kind: str, **config: Any) -> Callable[[Path], None]:
    return lambda path: write_keras(path, layer(module, kind, **config))


def _with(name: str, content: bytes = b"x") -> Callable[[Path], None]:
    return lambda path: write_keras(
        path,
        layer("keras.layers", "Dense", units=3),
        extra={name: content},
        packing=zipfile.ZIP_DEFLATED,
    )


def _external_onnx(path: Path, place: str) -> None:
    write_linear(path)
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    tensor.external_data.add(key="location", value=place)
    path.write_bytes(model.SerializeToString())


def _custom_onnx(path: Path) -> None:
    shape = ("rows", 3)
    save_graph(path, [helper.make_node("Identity", ["x"], ["y"])], inputs={"x": shape}, outputs={"y": shape},
               parameters={})  # fmt: skip
    model = onnx.load(path)
    model.graph.node[0].domain = "my.library"
    model.opset_import.add(domain="my.library", version=1)
    path.write_bytes(model.SerializeToString())


# What is refused without any child: how it is made, and what the refusal says.
REFUSED_AT_ONCE: dict[str, tuple[Callable[[Path], object], str]] = {
    "lambda": (_of("keras.layers", "Lambda", function={"class_name": "__lambda__"}), "holds a Lambda layer"),
    "nested lambda": (
        _of("keras.layers", "TimeDistributed", layer=layer("keras.layers", "Lambda")), "holds a Lambda layer",
    ),
    "saved model": (_of("keras.layers", "TFSMLayer", filepath="evil_model"), "holds a TFSMLayer layer"),
    "os.system": (_activated_by("os", "system"), "package 'os'"),
    "deny-listed function": (_activated_by("keras.utils", "get_file"), "'get_file' of 'keras.utils'"),
    "other function": (_activated_by("keras.config", "set_floatx"), "'set_floatx' of 'keras.config'"),
    "vocabulary": (_of("keras.layers", "StringLookup", vocabulary="/etc/passwd"), "names 'StringLookup'"),
    "callback": (_of("keras.callbacks", "BackupAndRestore", backup_dir="backup"), "names 'BackupAndRestore'"),
    "own class": (_of("my_package", "Dense", units=3), "package 'my_package'"),
    "traversal": (_with("../../evil.py"), "which no .keras file does"),
    "absolute": (_with("/etc/cron.d/evil"), "which no .keras file does"),
    "zip bomb": (_with("assets/zeros", bytes(2**24)), "it may be a zip bomb"),
    "zip bomb of JSON": (_of("keras.layers", "Dense", name="x" * (17 * 2**20)), "16777216 may be"),
    "external data": (lambda path: _external_onnx(path, "weights.bin"), "in another file"),
    "external data above": (lambda path: _external_onnx(path, "../../etc/passwd"), "in another file"),
    "custom operators": (_custom_onnx, "uses operators of ['my.library']"),
    "pickle": (lambda path: path.write_bytes(b"\x80\x04\x95" + bytes(20)), "a pickle, which runs code"),
    "h5": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(20)), "an HDF5 file"),
}  # fmt: skip


def _linked(weights: Any) -> None:
    dense(weights)
    weights["layers/dense/vars/2"] = h5py.ExternalLink("/etc/hostname", "/")


def write_h5(path: Path, *layers: Mapping[str, Any], fill: Fill = dense) -> None:
    """Write a stack of layers on four inputs in Keras' older format."""
    given = {"class_name": "InputLayer", "config": {"batch_shape": [None, 4], "name": "x"}}
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(
            {"class_name": "Sequential", "config": {"name": "stack", "layers": [given, *layers]}}
        )
        fill(file)


def _h5(kind: str, fill: Fill = dense, **config: Any) -> Callable[[Path], None]:
    return lambda path: write_h5(path, {"class_name": kind, "config": config}, fill=fill)


def _saved_model(name: str, target: str = "") -> Callable[[Path], None]:
    def write(path: Path) -> None:
        (path / name).parent.mkdir(parents=True)
        (path / "saved_model.pb").touch()
        if target:
            (path / name).symlink_to(target)
        else:
            (path / name).touch()

    return write


# What is refused though its format is allowed, without starting Keras.
REFUSED_THOUGH_ALLOWED: dict[str, tuple[Callable[[Path], None], str]] = {
    "h5 with code": (_h5("Lambda"), "holds a Lambda layer"),
    "h5 with a link": (_h5("Dense", _linked, units=3), "holds the link '/layers/dense/vars/2'"),
    "h5 of any size": (_h5("Dense", units=500_000_000), "units=500000000, and no parameter"),
    "saved model beside code": (_saved_model("assets.extra/evil.py"), "holds 'assets.extra/evil.py'"),
    "saved model with a link": (
        _saved_model("variables/variables.index", "/etc/passwd"), "holds 'variables/variables.index'",
    ),
}  # fmt: skip
# What only the confined child can tell, without starting Keras.
REFUSED_BY_THE_CHILD: dict[str, tuple[Callable[[Path], None], str]] = {
    "units": (_of("keras.layers", "Dense", units=500_000_000), "units=500000000, and no parameter"),
    "link": (
        lambda path: write_keras(path, layer("keras.layers", "Dense", units=3), fill=_linked),
        "holds the link '/layers/dense/vars/2'",
    ),
    "no parameters": (
        lambda path: write_keras(path, layer("keras.layers", "Dense", units=3), fill=lambda _weights: None),
        "units=3, and no parameter",
    ),
}


def write_bomb(path: Path) -> None:
    """Write a model whose parameters are few and whose answers to 64 rows are 38 gigabytes."""
    repeat = layer("keras.layers", "RepeatVector", n=50_000_000, name="repeat")
    write_keras(path, layer("keras.layers", "Dense", units=3), repeat)


def mutants(whole: bytes, flip_each: int, cut_each: int) -> list[bytes]:
    """`whole` with a byte flipped here and there, and cut off here and there."""
    flipped = [
        whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :] for at in range(0, len(whole), flip_each)
    ]
    return [*flipped, *(whole[:at] for at in range(0, len(whole), cut_each))]
