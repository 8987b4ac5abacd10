"""What a `.keras` file may hold. The bad ones are made here, on the spot."""

import ast
import importlib.util
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ensemble.errors import InvalidModelError
from ensemble.loading import keras_allowed
from ensemble.loading.formats import format_of
from ensemble.loading.keras_file import check_keras_file

DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 3}, "registered_name": None}


def config_of(*layers: Mapping[str, Any], **more: Any) -> str:
    model = {"module": "keras", "class_name": "Sequential", "config": {"layers": list(layers)}}
    return json.dumps(model | more)


def write(
    path: Path,
    config: str | bytes = config_of(DENSE),
    *,
    extra: Mapping[str, bytes] | None = None,
    without: str = "",
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    parts = {
        "metadata.json": b'{"keras_version": "3.15.1"}',
        "config.json": config,
        "model.weights.h5": b"\x89HDF",
    }
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in (parts | dict(extra or {})).items():
            if name != without:
                archive.writestr(name, content)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.keras"


def test_layers_of_keras_are_taken(path: Path) -> None:
    check_keras_file(write(path))


def test_assets_are_taken(path: Path) -> None:
    check_keras_file(write(path, extra={"assets/vocabulary.txt": b"a\nb"}))


def test_how_it_was_trained_does_not_matter(path: Path) -> None:
    loss = {"module": "my_losses", "class_name": "function", "config": "my_loss"}

    check_keras_file(write(path, config_of(DENSE, compile_config={"loss": loss})))


@pytest.mark.parametrize("kind", ["Lambda", "TFSMLayer", "TorchModuleWrapper", "__lambda__"])
def test_layers_that_run_code_are_refused(path: Path, kind: str) -> None:
    nested = {
        "module": "keras.layers",
        "class_name": "TimeDistributed",
        "config": {"layer": {"class_name": kind}},
    }

    with pytest.raises(InvalidModelError, match=f"holds a {kind} layer, which runs code"):
        check_keras_file(write(path, config_of(DENSE, nested)))


@pytest.mark.parametrize("module", ["os", "my_package.layers", "keras_evil"])
def test_classes_of_other_packages_are_refused(path: Path, module: str) -> None:
    custom = {"module": module, "class_name": "system", "config": {}}

    with pytest.raises(InvalidModelError, match=f"needs 'system' of the package '{module}'"):
        check_keras_file(write(path, config_of(custom)))


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside", "assets/../../outside", "a\\b", "evil.py"])
def test_names_that_no_keras_file_has_are_refused(path: Path, name: str) -> None:
    with pytest.raises(InvalidModelError, match=r"which no \.keras file does"):
        check_keras_file(write(path, extra={name: b""}))


def test_a_name_that_is_there_twice_is_refused(path: Path) -> None:
    write(path)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("config.json", config_of(DENSE))

    with pytest.raises(InvalidModelError, match="must be there once each"):
        check_keras_file(path)


@pytest.mark.parametrize("name", ["config.json", "metadata.json", "model.weights.h5"])
def test_a_part_that_is_missing_is_refused(path: Path, name: str) -> None:
    with pytest.raises(InvalidModelError, match=r"is not a \.keras file"):
        check_keras_file(write(path, without=name))


def test_a_zip_bomb_is_refused(path: Path) -> None:
    bomb = {"model.weights.h5": bytes(10_000_000)}

    with pytest.raises(InvalidModelError, match=r"unpacks to 10000000 bytes from \d+; 100 times is the most"):
        check_keras_file(write(path, extra=bomb, compression=zipfile.ZIP_DEFLATED))


def test_an_archive_that_unpacks_to_too_much_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ensemble.loading.keras_file.MAX_BYTES", 100)

    with pytest.raises(InvalidModelError, match="unpacks to 202 bytes; 100 may be"):
        check_keras_file(write(path))


def test_a_part_that_says_it_takes_more_than_the_file_has_is_refused_before_it_is_read(path: Path) -> None:
    data = bytearray(write(path).read_bytes())
    # In the first entry of the archive's directory, 20 bytes in: how many bytes its part takes.
    at = data.index(b"PK\1\2") + 20
    data[at : at + 4] = (2**32 - 1000).to_bytes(4, "little")
    path.write_bytes(data)

    with pytest.raises(InvalidModelError, match=r"says that 'metadata\.json' takes 4294966296 of them"):
        check_keras_file(path)


def test_a_rare_compression_is_refused(path: Path) -> None:
    with pytest.raises(InvalidModelError, match="packed in a rare way"):
        check_keras_file(write(path, compression=zipfile.ZIP_LZMA))


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ("no json", r"holds a config\.json that is no JSON"),
        (b"\xff\xfe\xff", r"holds a config\.json that is no JSON"),
        ("[" * 200_000, r"holds a config\.json that is no JSON"),
        ("[]", r"holds a config\.json that is no JSON object"),
        ('"' + "x" * (16 * 2**20) + '"', r"holds config\.json of 16777218 bytes; 16777216 may be"),
    ],
    ids=["text", "bytes", "depth", "list", "size"],
)
def test_a_description_that_is_none_is_refused(path: Path, config: str | bytes, what: str) -> None:
    with pytest.raises(InvalidModelError, match=what):
        check_keras_file(write(path, config))


def test_a_damaged_archive_is_refused(path: Path) -> None:
    content = write(path).read_bytes()
    path.write_bytes(content.replace(b'"class_name": "Dense"', b'"class_name": "Danse"'))

    with pytest.raises(InvalidModelError, match=r"is a damaged \.keras file"):
        check_keras_file(path)


def test_a_function_that_keras_would_call_is_refused(path: Path) -> None:
    evil = {
        "module": "keras.config",
        "class_name": "function",
        "config": "set_floatx",
        "registered_name": None,
    }
    lenient = DENSE | {"config": {"units": 3, "activation": evil}}

    with pytest.raises(InvalidModelError, match=r"names 'set_floatx' of 'keras\.config'"):
        check_keras_file(write(path, config_of(lenient)))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("keras.utils", "get_file"),
        ("keras.layers", "StringLookup"),
        ("keras.src.legacy.saving", "Functional"),
        ("keras.src.ops.core", "Map"),
        ("keras", "Dense"),
        ("builtins", "eval"),
        (None, "Dense"),
        (None, "__typespec__"),
        ("keras.layers", ["Dense"]),
        (["keras.layers"], "Dense"),
    ],
)
def test_what_is_not_on_the_list_is_refused(path: Path, module: Any, name: Any) -> None:
    layer = {"module": module, "class_name": name, "config": {}}

    with pytest.raises(
        InvalidModelError, match="none of the layers, operations and functions that are loaded"
    ):
        check_keras_file(write(path, config_of(layer)))


def test_a_layer_registered_under_another_name_is_refused(path: Path) -> None:
    with pytest.raises(InvalidModelError, match="registered as 'my_package>Dense'"):
        check_keras_file(write(path, config_of(DENSE | {"registered_name": "my_package>Dense"})))


def test_operations_and_activations_are_taken(path: Path) -> None:
    add = {"module": "keras.src.ops.numpy", "class_name": "Add", "config": {}, "registered_name": "Add"}
    relu = {"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "relu"}

    check_keras_file(write(path, config_of(DENSE | {"config": {"units": 3, "activation": relu}}, add)))


def test_a_description_nested_too_deep_is_refused(path: Path) -> None:
    deep = '{"layers":' * 201 + "1" + "}" * 201

    with pytest.raises(InvalidModelError, match="nested over 200 deep"):
        check_keras_file(write(path, deep))


def test_every_layer_of_the_installed_keras_was_judged() -> None:
    refused = {
        "FlaxLayer", "HashedCrossing", "Hashing", "Input", "InputSpec", "IntegerLookup", "JaxLayer", "Lambda",
        "Layer", "Pipeline", "StringLookup", "TFSMLayer", "TextVectorization", "TorchModuleWrapper",
        "Wrapper",
    }  # fmt: skip
    found = importlib.util.find_spec("keras")
    assert found is not None
    assert found.origin is not None
    names = ast.parse((Path(found.origin).parent / "layers" / "__init__.py").read_text())
    imports = [node for node in ast.walk(names) if isinstance(node, ast.ImportFrom)]
    layers = {name.asname or name.name for node in imports for name in node.names}

    assert {name for name in layers if name[0].isupper()} == keras_allowed.LAYERS | refused


def test_an_archive_that_says_it_is_of_a_later_zip_is_refused(path: Path) -> None:
    data = bytearray(write(path).read_bytes())
    data[data.index(b"PK\x01\x02") + 6] = 235
    path.write_bytes(data)

    for check in (check_keras_file, format_of):
        with pytest.raises(InvalidModelError, match=r"zip file version 23.5"):
            check(path)
