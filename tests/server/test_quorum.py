"""A server whose ensemble misses a member: it answers with the weights that were learned for that day."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from ensemble.data.dataset import open_dataset
from ensemble.loading.load import load_servable
from ensemble.refit.run import RefitOptions, refit
from ensemble.signature import Signature
from model_store.store import Store
from server.app import running
from server.config import ServeSettings
from server.wire.messages import message_class
from tests.support.flowers import NAME, publish_uniform, write_rows
from tests.support.http import ask
from tests.support.places import blob_file

SETTINGS = ServeSettings(grpc_port=0, metrics_port=0, poll_interval_secs=0.02)


@pytest.fixture(name="store")
def fixture_store(tmp_path: Path) -> Store:
    """A store whose version 2 was learned: two of three members or more count."""
    store = Store.open(str(tmp_path / "store"))
    publish_uniform(store, tmp_path)
    manifest = store.manifest(NAME)
    data = open_dataset(
        [write_rows(tmp_path / "val.npz")],
        Signature.from_json(manifest.signature),
        label="y",
        classes=manifest.classes,
    )
    refit(store, NAME, data, RefitOptions(force=True, why="a test"))
    return store


def wire_to(port: int) -> Any:
    return grpc.aio.insecure_channel(f"127.0.0.1:{port}")


async def told(wire: Any, rows: np.ndarray) -> Any:
    request = message_class("inference.ModelInferRequest")(model_name=NAME)
    request.inputs.add(name="x", datatype="FP32", shape=rows.shape)
    request.raw_input_contents.append(rows.astype("<f4").tobytes())
    path = "/inference.GRPCInferenceService/ModelInfer"
    response = message_class("inference.ModelInferResponse")
    return await wire.unary_unary(path, type(request).SerializeToString, response.FromString)(
        request, timeout=10
    )


async def test_a_member_that_cannot_be_loaded_is_made_up_for_where_the_quorum_holds(store: Store) -> None:
    manifest, rows = store.manifest(NAME), np.eye(3, dtype=np.float32)
    without = manifest.evidence["without"]
    lost = next(iter(without))
    whole = load_servable(store, NAME)
    blob = blob_file(store, NAME, next(each for each in manifest.members if each.name == lost).blob)
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")

    settings = replace(SETTINGS, quorum=1)
    async with (
        running(store, settings) as ports,
        grpc.aio.insecure_channel(f"127.0.0.1:{ports.grpc}") as wire,
    ):
        answer = await told(wire, rows)
        metrics = (await ask(ports.metrics, "/metrics")).body.decode()

    assert answer.parameters["degraded"].string_param == lost
    others = {each.name: each.predict({"x": rows}) for each in whole.members if each.name != lost}
    expected = sum(without[lost]["weights"][name] * scores for name, scores in others.items())
    given = np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(3, 3)
    np.testing.assert_allclose(given, expected, atol=1e-6)
    assert re.search(rf'unisono_degraded_batches_total{{member="{lost}",model="{NAME}"}} 1.0', metrics)


async def test_without_a_quorum_such_a_version_is_not_taken_up(store: Store) -> None:
    manifest = store.manifest(NAME)
    blob = blob_file(store, NAME, manifest.members[0].blob)
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    async with (
        running(store, SETTINGS) as ports,
        grpc.aio.insecure_channel(f"127.0.0.1:{ports.grpc}") as wire,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await told(wire, np.eye(3, dtype=np.float32))
    assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND)
