"""What people build does load: nothing that the checks refuse is in it, and the answers stay.

`UNISONO_PROOF=whole` takes networks of keras.applications too.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from ensemble.loading.convert import Conversion, convert, parity
from ensemble.loading.golden import Golden
from ensemble.loading.load import load_servable
from ensemble.publishing.agreement import with_scores_output
from ensemble.publishing.publish import PublishOptions, publish
from ensemble.runtimes.onnx_runtime import OnnxMember
from model_store.store import Store
from tests.support import architectures
from tests.support.figures import report

WHOLE = os.environ.get("UNISONO_PROOF") == "whole"
# Publishing starts TensorFlow once more for each.
PUBLISHED = architectures.APPLICATIONS if WHOLE else ()


@pytest.fixture(name="files", scope="module")
def fixture_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return architectures.make(tmp_path_factory.mktemp("networks"), (*architectures.NAMES, *PUBLISHED))


@pytest.fixture(scope="module")
def conversions(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Conversion]:
    small = {name: files[name] for name in architectures.NAMES}
    return convert(small, tmp_path_factory.mktemp("work"))


@pytest.mark.slow
@pytest.mark.parametrize("name", architectures.NAMES)
def test_every_architecture_loads_and_keeps_its_answers(
    conversions: dict[str, Conversion], name: str
) -> None:
    made = conversions[name]
    # A model with several outputs is served by one of them.
    signature = with_scores_output(name, made.signature, made.signature.outputs[0].name)
    member = OnnxMember.open(made.onnx, name=name, digest="0" * 64, signature=signature)

    assert parity(made, member)["max_abs_error"] < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_network_of_keras_applications_is_published_and_loaded(
    files: dict[str, Path], name: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    store = Store.open(str(tmp_path / "store"))
    publish(store, "network", {name: files[name]}, PublishOptions())

    manifest = store.manifest("network")
    [record] = manifest.members
    found = record.derived["onnx"].parity
    golden = Golden.read(store, manifest)
    assert found["max_abs_error"] <= 1e-5
    assert golden is not None
    np.testing.assert_allclose(load_servable(store, "network").score(golden.rows), golden.scores, atol=1e-6)
    size = record.blob.size / 2**20
    report(pytestconfig, f"{name}, {size:.0f} MiB: {found['max_abs_error']:.1g} from Keras at most")
