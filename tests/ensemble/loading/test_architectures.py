"""Large networks that people build do load: nothing that the checks refuse is in them, and the answers stay.

Those of `training`, and layers of many kinds, are in tests/e2e/test_every_kind.py.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from ensemble.loading.golden import Golden
from ensemble.loading.load import load_servable
from ensemble.publishing.publish import PublishOptions, publish
from model_store.store import Store
from tests.support import architectures
from tests.support.figures import report


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("UNISONO_PROOF") != "whole", reason="minutes long: `make proof` runs it")
@pytest.mark.parametrize("name", architectures.APPLICATIONS)
def test_a_network_of_keras_applications_is_published_and_loaded(
    name: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    files = architectures.make(tmp_path, [name])
    store = Store.open(str(tmp_path / "store"))
    publish(store, "network", files, PublishOptions())

    manifest = store.manifest("network")
    [record] = manifest.members
    found = record.derived["onnx"].parity
    golden = Golden.read(store, manifest)
    assert found["max_abs_error"] <= 1e-5
    assert golden is not None
    np.testing.assert_allclose(load_servable(store, "network").score(golden.rows), golden.scores, atol=1e-6)
    size = record.blob.size / 2**20
    report(pytestconfig, f"{name}, {size:.0f} MiB: {found['max_abs_error']:.1g} from Keras at most")
