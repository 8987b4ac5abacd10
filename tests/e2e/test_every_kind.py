"""A member of every kind, published and served: the stock client gets what the member's own library gives."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ensemble.loading.convert import Conversion, convert, parity
from ensemble.loading.formats import Format
from ensemble.loading.saved_model import pack
from ensemble.publishing import prepare
from ensemble.publishing.agreement import with_scores_output
from ensemble.runtimes.onnx_runtime import OnnxMember
from model_store.store import Store
from server.cli.demonstration.server_process import serving
from tests.support import architectures, every_kind
from tests.support.clients import run_triton
from tests.support.every_kind import Kind
from tests.support.figures import report

pytestmark = pytest.mark.slow


class Converted:
    """Converts all files at once, in one start of TensorFlow, and publishing has each from here."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.made: dict[str, Conversion] = {}

    def __call__(
        self, files: Mapping[str, Path], work: Path, *, formats: Mapping[str, Any], sample: None
    ) -> dict[str, Conversion]:
        """Stand in for `convert` in publishing: what was converted before is not converted again."""
        assert sample is None
        assert work != self.work
        digests = {name: sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
        new = {name: path for name, path in files.items() if digests[name] not in self.made}
        found = convert(new, self.work / str(len(self.made)), formats=formats)
        self.made |= {digests[name]: made for name, made in found.items()}
        return {name: self.made[digest] for name, digest in digests.items()}


@pytest.fixture(name="folder", scope="module")
def fixture_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kinds")


@pytest.fixture(name="kinds", scope="module")
def fixture_kinds(folder: Path) -> list[Kind]:
    return every_kind.make(folder)


@pytest.fixture(name="conversions", scope="module")
def fixture_conversions(folder: Path, kinds: list[Kind]) -> Iterator[Mapping[str, Conversion]]:
    """What became of Keras' and TensorFlow's files; publishing has it from here."""
    converted = Converted(folder / "conversions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "convert", converted)
        keras = {kind.name: kind.file for kind in kinds if kind.file.suffix == ".keras"}
        keras[architectures.LAYERS] = folder / f"{architectures.LAYERS}.keras"
        formats: dict[str, Format] = {"h5": "h5", "saved_model": "saved_model"}
        keras |= {"h5": folder / f"{architectures.SAVED_TWICE}.h5", "saved_model": folder / "packed"}
        pack(folder / architectures.SAVED_TWICE, keras["saved_model"])
        yield converted(keras, folder, formats=formats, sample=None)


@pytest.fixture(name="store", scope="module")
def fixture_store(folder: Path, kinds: list[Kind], conversions: Mapping[str, Conversion]) -> Store:
    assert conversions
    store = Store.open(str(folder / "store"))
    every_kind.put(store, kinds)
    return store


def test_a_network_of_many_kinds_of_layers_keeps_its_answers(conversions: Mapping[str, Conversion]) -> None:
    made = conversions[architectures.LAYERS]
    signature = with_scores_output("layers", made.signature, None)
    member = OnnxMember.open(made.onnx, name="layers", digest="0" * 64, signature=signature)

    assert parity(made, member)["max_abs_error"] < 1e-5


async def test_the_stock_client_gets_what_each_members_own_library_gives(
    store: Store, kinds: list[Kind], folder: Path, pytestconfig: pytest.Config
) -> None:
    every_kind.write_rows(folder / "asked", kinds)
    with serving(store.address, folder / "serve.log") as server:
        found = await run_triton("every_kind.py", server.address, str(folder / "asked"))

    ensembles = {"digits", "values", "iris", "cancer"}
    assert found.keys() == {kind.model for kind in kinds} | ensembles
    assert len(kinds) == 36
    for kind in kinds:
        report(pytestconfig, f"{kind.model} ({kind.of}): off by {found[kind.model][0]:.1g} at most, served")
    assert max(furthest for furthest, _ in found.values()) <= 1e-5
    # Several inputs go by their names; of two outputs each ensemble pools one, and all call theirs scores.
    image, table = "image FP32 [-1, 8, 8, 1]", "table FP32 [-1, 3]"
    told = {model: set(puts) for model, (_, puts) in found.items()}
    assert told["digits"] == told["digits.two_inputs"] == {image, table, "scores FP32 [-1, 10]"}
    assert told["digits.two_outputs"] == {image, "scores FP32 [-1, 10]"}
    assert told["values.two_outputs"] == {image, "scores FP32 [-1, 1]"}
    assert told["values"] == {image, "features FP32 [-1, 10]", "scores FP32 [-1, 1]"}
