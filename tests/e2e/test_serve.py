import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from time import monotonic

import numpy as np
import pytest
from numpy.typing import NDArray

from ensemble.errors import UnavailableError
from ensemble.loading.load import load_servable
from ensemble.member import Rows, Scores
from ensemble.servable import Servable
from model_store.store import Store
from server.cli.demonstration import triton_client
from server.cli.demonstration.callers import calling
from server.cli.demonstration.scrape import samples_of
from server.cli.demonstration.server_process import ServerProcess, serving
from server.wire.client import Client
from tests.conftest import Unisono
from tests.support.clients import clients_python
from tests.support.figures import report

pytestmark = pytest.mark.slow


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    end = monotonic() + seconds
    while not holds():
        assert monotonic() < end, f"nothing came of it in {seconds} s"
        Event().wait(0.02)


def rows_of(path: Path) -> Rows:
    with np.load(path, allow_pickle=False) as arrays:
        return {"image": arrays["image"]}


def plain_average(servable: Servable, rows: Rows) -> NDArray[np.float64]:
    """The reference: sum(w_k * model_k(x)) in float64, members asked one row at a time."""
    weights = servable.weights.by_member
    total = np.zeros((len(rows["image"]), len(servable.classes)))
    for member in servable.members:
        one_by_one = [member.predict({"image": rows["image"][i : i + 1]}) for i in range(len(total))]
        total += weights[member.name] * np.concatenate(one_by_one).astype(np.float64)
    return total


def test_the_server_gets_ready_without_tensorflow_and_says_where_it_listens(
    server: ServerProcess, pytestconfig: pytest.Config
) -> None:
    libraries = Path(f"/proc/{server.process.pid}/maps").read_text()
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    assert "onnxruntime" in libraries
    # OpenVINO has a library with that word in its name; TensorFlow lies in a folder of its own.
    assert "/tensorflow/" not in libraries
    assert Client(server.address).healthy()
    report(
        pytestconfig, f"unisono serve: ready in {server.ready_seconds:.2f} s, {memory // 1024} MiB resident"
    )


def test_no_heavy_module_is_imported_by_a_server_that_has_served(store: Path, tmp_path: Path) -> None:
    script = tmp_path / "modules.py"
    script.write_text(
        "import asyncio, json, sys\n"
        "from model_store.store import Store\n"
        "from server.app import running\n"
        "from server.config import ServeSettings\n"
        "async def main():\n"
        "    settings = ServeSettings(grpc_port=0, metrics_port=0)\n"
        "    async with running(Store.open(sys.argv[1]), settings) as ports:\n"
        "        assert ports.grpc > 0\n"
        "asyncio.run(main())\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), str(store)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    modules = set(json.loads(done.stdout))
    assert "onnxruntime" in modules
    heavy = {"openvino", "tensorflow", "keras", "onnx", "tf2onnx", "sklearn", "scipy", "pandas"}
    assert modules.isdisjoint(heavy)


def test_two_hundred_callers_of_the_stock_client_get_exactly_their_own_rows(
    server: ServerProcess, store: Path, small_members: Path, tmp_path: Path
) -> None:
    rows = rows_of(small_members / "test.npz")
    expected = plain_average(load_servable(Store.open(str(store)), "digits"), rows)
    file = tmp_path / "expected.npz"
    np.savez(file, image=rows["image"], expected=expected)

    script = Path(__file__).parents[1] / "clients/digits_callers.py"
    command = [str(clients_python()), str(script), server.address, str(file), "200"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["callers"] == 200
    assert answer["furthest"] < 1e-5


def test_the_stock_sync_client_gets_metadata_and_the_reference_scores(
    server: ServerProcess, store: Path, small_members: Path
) -> None:
    rows = {"image": rows_of(small_members / "test.npz")["image"][:64]}
    expected = plain_average(load_servable(Store.open(str(store)), "digits"), rows)

    script = Path(triton_client.__file__)
    command = [
        str(clients_python()),
        str(script),
        server.address,
        "digits",
        str(small_members / "test.npz"),
        "64",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    scores = np.array(answer.pop("scores"))
    assert answer.pop("server").startswith("unisono ")
    assert answer == {
        "model": "digits",
        "versions": ["1"],
        "platform": "ensemble",
        "inputs": ["image FP32 [-1, 8, 8, 1]"],
        "version": "1",
    }
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_a_refit_under_load_loses_no_request_and_every_answer_is_one_versions(
    server: ServerProcess, store: Path, small_members: Path, unisono: Unisono
) -> None:
    rows = {"image": rows_of(small_members / "test.npz")["image"][:7]}
    with calling(server.address, "digits", rows, callers=32) as tally:
        wait_until(lambda: tally.by_version[1] > 32)
        unisono(
            *("refit", "digits", "--data", small_members / "validation.npz", "--label", "label"),
            *("--store", store),
        )
        wait_until(lambda: tally.by_version[2] > 32)

    opened = Store.open(str(store))
    reference = {v: load_servable(opened, "digits", v).score(rows).tobytes() for v in (1, 2)}
    assert tally.failures == []
    assert reference[1] != reference[2]
    assert set(tally.answers) == set(reference.items())


def test_metrics_tell_of_every_member_and_of_live_agreement(
    server: ServerProcess, small_members: Path
) -> None:
    rows = {"image": rows_of(small_members / "test.npz")["image"][:20]}
    with Client(server.address) as client:
        for _ in range(3):
            client.infer("digits", rows)
        client.infer("digits.forest", rows)
    samples = samples_of(server.metrics(), "digits")
    members = {"sepconv", "bndense", "bnconv", "forest"}

    assert samples["unisono_active_version"][""] == 1
    assert samples["unisono_member_weight"] == dict.fromkeys(members, 0.25)
    assert samples["unisono_batch_rows_sum"][""] == 60
    assert samples["unisono_requests_total"][""] == 3
    assert set(samples["unisono_member_compute_seconds_count"]) == members
    assert samples_of(server.metrics(), "digits.forest")["unisono_batch_rows_sum"][""] == 20

    def compared(client: Client) -> bool:
        client.infer("digits", rows)
        counted = samples_of(server.metrics(), "digits")["unisono_member_compared_rows_total"]
        return all(counted[member] >= 60 for member in members)

    # Of batches that follow each other closely only some are compared, each after its answer.
    with Client(server.address) as client:
        wait_until(lambda: compared(client))


def test_predict_asks_the_running_server(
    server: ServerProcess, small_members: Path, unisono: Unisono, store: Path
) -> None:
    file = small_members / "test.npz"
    words = ("--input", file, "--address", server.address, "-o", "json")
    answer = json.loads(unisono("predict", "digits", "--rows", "3", *words).stdout)
    expected = load_servable(Store.open(str(store)), "digits").score({"image": rows_of(file)["image"][:3]})
    assert answer["version"] == 1
    np.testing.assert_array_equal(np.array(answer["scores"], np.float32), expected)

    refused = unisono("predict", "nobody", *words, code=1).stderr
    assert "Request for unknown model: 'nobody' is not found" in refused


def test_a_second_server_on_the_same_port_says_so_and_ends(
    server: ServerProcess, store: Path, unisono: Unisono
) -> None:
    port = server.address.rpartition(":")[2]
    said = unisono("serve", "--store", store, "--grpc-port", port, "--metrics-port", "0", code=1).stderr
    assert said.splitlines()[-1].startswith(f"error: can't listen on 127.0.0.1:{port}")
    assert "Traceback" not in said


def test_batch_scoring_gives_bit_for_bit_what_the_server_gives(
    server: ServerProcess, store: Path, small_members: Path, unisono: Unisono, tmp_path: Path
) -> None:
    from server.cli.demonstration.play import scores_column  # noqa: PLC0415 - heavy, and for this test only

    unisono(
        *("score", "digits", "--input", small_members / "test.npz", "--output", tmp_path / "scores"),
        *("--store", store, "--batch-size", "100"),
    )
    scored = scores_column(tmp_path / "scores")
    images = rows_of(small_members / "test.npz")["image"]
    with Client(server.address) as client:
        parts: list[Scores] = [
            client.infer("digits", {"image": images[start : start + 37]}).scores
            for start in range(0, len(images), 37)
        ]
    np.testing.assert_array_equal(scored, np.concatenate(parts))


async def test_callers_that_give_up_harm_nobody(server: ServerProcess, small_members: Path) -> None:
    """Half of the callers have a deadline that can't be met; the others get their answers."""
    rows = {"image": rows_of(small_members / "test.npz")["image"][:40]}

    def ask(timeout: float) -> Scores | UnavailableError:
        with Client(server.address, timeout=timeout) as client:
            try:
                return client.infer("digits", rows).scores
            except UnavailableError as error:
                return error

    results = await asyncio.gather(
        *(asyncio.to_thread(ask, 0.002 if caller % 2 else 30.0) for caller in range(12))
    )
    patient = results[::2]
    assert all(isinstance(scores, np.ndarray) for scores in patient)
    assert len({scores.tobytes() for scores in patient if isinstance(scores, np.ndarray)}) == 1


@pytest.mark.skipif(
    os.environ.get("UNISONO_PROOF") != "whole", reason="measures for ten seconds; `make proof` runs it"
)
def test_what_runtime_auto_measured_is_not_measured_again(store: Path, tmp_path: Path) -> None:
    def written() -> dict[str, int]:
        """The measurements that are kept, and when each was written."""
        found = (tmp_path / "cache").rglob("*")
        return {file.name: file.stat().st_mtime_ns for file in found if file.suffix == ".json"}

    kept = []
    for number in range(2):
        options = ["--runtime", "auto", "--cache-dir", str(tmp_path / "cache")]
        with serving(str(store), tmp_path / f"serve-{number}.log", options):
            kept.append(written())
    assert kept[0]
    assert kept[0] == kept[1]
