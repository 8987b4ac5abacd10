"""Every row of the pages' tables of errors is a mistake that a stock client makes, told as the row says."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from ensemble.publishing.publish import PublishOptions, publish
from model_store.store import Store
from server.app import running
from server.config import ServeSettings
from server.wire.access import read_tokens
from server.wire.admission import Admission, AdmissionLimits
from server.wire.gate import Gate
from server.wire.reloading import Reloaded
from tests.conformance import test_tfs_client, triton_answers
from tests.conformance.test_tritonclient import served
from tests.support.bindings import Binding
from tests.support.clients import run_triton
from tests.support.models import FakeModels
from tests.support.observers import Recorder
from tests.support.onnx_models import write_linear

PAGES = Path(__file__).parents[2] / "docs/reference"
# What only some servers refuse: the code, and how the text begins.
ELSEWHERE = {
    "no token": ("UNAUTHENTICATED", "this server wants a token it knows"),
    "unknown token": ("UNAUTHENTICATED", "this server wants a token it knows"),
    "other scope": ("PERMISSION_DENIED", "this method needs a token with the scope control"),
    "load not allowed": ("UNAVAILABLE", "explicit model load / unload is not allowed"),
    "unload not allowed": ("UNAVAILABLE", "explicit model load / unload is not allowed"),
    "too many": ("RESOURCE_EXHAUSTED", "server is at its limit"),
    "draining": ("UNAVAILABLE", "GRPC server is shutting down and has stopped accepting new requests."),
    "load of what isn't published": ("NOT_FOUND", "failed to load 'x', failed to poll from model repository"),
    "unload of what isn't published": (
        "NOT_FOUND",
        "failed to unload 'x', it is not in the model repository",
    ),
}
# The row's name where the mistake's is another.
TRITON = {
    "no version loaded yet": "no version loaded",
    "too many rows": "batch too large",
    "no rows": "empty batch",
    "inputs of different numbers of rows": "batch sizes differ",
    "bytes that aren't the shape's": "byte count",
    "typed data of another dtype": "typed mismatch",
    "output asked for twice": "output twice",
    "classification of no classes": "classification of none",
    "shared memory in a request": "shared memory",
    "statistics of an unknown model": "unknown statistics",
    "load or unload where not allowed": "load not allowed",
    "load with a config or files": "load from the wire",
    "load or unload of a member": "load of a member",
    "`repository_name` given": "other repository",
    "a setting is to be changed": "trace change",
    "waited longer than `timeout`": "queue timeout",
    "too many calls or bytes in flight": "too many",
    "no token, or an unknown one": "unknown token",
    "a token of another scope": "other scope",
    "a member failed": "member failed",
    "anything unexpected": "unexpected",
}
# No client makes these: tests/server/wire/test_limits.py does, with gRPC alone.
NOT_OF_CLIENTS = {"no message", "a stream as old as streams may be"}
TFS = {
    "no `model_spec`": "no spec",
    "unknown version, or one not loaded yet": "unknown version",
    "too few or too many inputs": "input count",
    "unknown input": "input name",
    "values that aren't the tensor": "bad tensor",
    "unknown output": "output name",
    "output asked for twice": "output twice",
    "`Regress` on a classifier": "regress",
    "a task of another method": "task of another method",
    "no metadata field": "metadata without field",
    "another metadata field": "metadata of another field",
    "status of an unknown model": "status of a model",
    "status of an unknown version": "status of a version",
    "more than a name in the list": "config with a path",
    "a model that isn't published": "config of what isn't published",
    "inputs of different numbers of rows": "batch sizes differ",
    "reload where not allowed": "reload not allowed",
    "reload without a list of models": "reload without a list",
}


def rows(page: str) -> dict[str, tuple[str, str]]:
    """The table of errors: the situation, the code, and how the text begins."""
    section = (PAGES / page).read_text().partition("\n## Errors\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (.+?) \| ([A-Z_]+) \| `(.+?)`.* \|$", section, re.MULTILINE)
    return {situation: (code, text) for situation, code, text in found}


def alike(text: str, on_page: str) -> bool:
    """Whether `text` begins as the page says, but for names and numbers: the page makes them up."""
    pattern = re.sub(r"'[^']*'", "'[^']*'", re.escape(on_page).replace("\\'", "'"))
    pattern = re.sub(r"(?<!\[\^)\d+", r"\\d+", pattern)
    return re.match(pattern, text.removeprefix("[request id: <id_unknown>] ")) is not None or (
        re.match(r"\[request id: \w+\] " + pattern, text) is not None
    )


def check(
    page: str, told: Mapping[str, tuple[str, str]], names: Mapping[str, str], left_out: set[str]
) -> int:
    """Compare a page's table with what clients were told; return how many rows were compared."""
    table = rows(page)
    missing = [name for name in table if names.get(name, name) not in told and name not in left_out]
    assert missing == []
    for situation, (code, text) in table.items():
        if situation not in left_out:
            got_code, got_text = told[names.get(situation, situation)]
            assert got_code.removeprefix("StatusCode.") == code, situation
            assert alike(got_text, text), f"{situation}: {got_text}"
    return len(table) - len(left_out)


def test_the_page_of_the_open_inference_protocol_says_what_clients_are_told() -> None:
    told = {**triton_answers.ERRORS, **ELSEWHERE}
    assert check("protocol.md", told, TRITON, NOT_OF_CLIENTS) >= 39


OF_A_WHOLE_SERVER = ("load of what isn't published", "unload of what isn't published")


async def test_what_only_some_servers_refuse_is_told_as_the_page_says(
    binding: Binding, tmp_path: Path
) -> None:
    file = tmp_path / "tokens"
    file.write_text("predict-predict-predict predict\ncontrol-control-control control\n")
    tokens = Reloaded("tokens", lambda: read_tokens(file, b"s" * 32), Recorder())
    told: dict[str, tuple[str, str]] = {}
    async with served(binding, FakeModels(), Gate(tokens=tokens), model_control=False) as (address, _, _):
        names = ("no token", "unknown token", "other scope", "load not allowed", "unload not allowed")
        told |= await run_triton("triton_errors.py", address, *names)
    async with served(binding, FakeModels(), Gate(admission=Admission(AdmissionLimits(calls=0)))) as (
        address,
        server,
        _o,
    ):
        [told["too many"]] = (await run_triton("triton_errors.py", address, "unknown model")).values()
        server.drain()
        [told["draining"]] = (await run_triton("triton_errors.py", address, "unknown model")).values()
    expected = set(ELSEWHERE)
    if binding == Binding():
        told |= await _from_a_whole_server(tmp_path)
    else:  # It isn't the transport that tells a published model from another.
        expected -= set(OF_A_WHOLE_SERVER)

    assert {name: code for name, (code, _) in told.items()} == {
        name: f"StatusCode.{ELSEWHERE[name][0]}" for name in expected
    }
    for name, (_, text) in told.items():
        assert text.startswith(ELSEWHERE[name][1]), name


async def _from_a_whole_server(folder: Path) -> Mapping[str, tuple[str, str]]:
    write_linear(folder / "a.onnx", seed=0)
    store = Store.open(str(folder / "store"))
    publish(store, "digits", {"a": folder / "a.onnx"}, PublishOptions())
    settings = ServeSettings(grpc_port=0, metrics_port=0, enable_model_control=True)
    async with running(store, settings) as ports:
        told: Mapping[str, tuple[str, str]] = await run_triton(
            "triton_errors.py", f"127.0.0.1:{ports.grpc}", *OF_A_WHOLE_SERVER
        )
        return told


def test_the_page_of_tensorflow_serving_says_what_clients_are_told() -> None:
    # What is not allowed to load is told by the other dialect's clients, in the same words.
    told = {**test_tfs_client.MISTAKES, "reload not allowed": ELSEWHERE["load not allowed"]}
    assert check("tensorflow-serving.md", told, TFS, set()) >= 34


@pytest.mark.parametrize(
    ("text", "on_page", "same"),
    [
        ("[request id: 7] input 'a' has 3 rows", "input 'X' has 9", True),
        ("[request id: <id_unknown>] input 'a' has 3 rows", "input 'X' has 9", True),
        ("output 'a' has 3 rows", "input 'X' has 9", False),
    ],
)
def test_names_and_numbers_may_differ_and_nothing_else(text: str, on_page: str, same: bool) -> None:
    assert alike(text, on_page) is same
