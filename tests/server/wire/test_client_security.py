"""Our own client against our own server, behind mutual TLS and tokens, as an operator would set it up."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import InvalidRequestError, UnavailableError
from ensemble.publishing.publish import PublishOptions, publish
from model_store.store import Store
from server.app import running
from server.config import ServeSettings
from server.wire.client import Client
from server.wire.client_security import ClientSecurity
from tests.support.certificates import Pair, authority, signed
from tests.support.onnx_models import write_linear

TOKEN = "predict-predict-predict"  # noqa: S105 - made up


@pytest.fixture(name="settings")
def fixture_settings(tmp_path: Path) -> ServeSettings:
    """Everything on; the client's pair is `client`."""
    first = authority(tmp_path, "first")
    server = signed(tmp_path, "server", first)
    signed(tmp_path, "client", first)
    (tmp_path / "tokens").write_text(f"{TOKEN} predict\n")
    (tmp_path / "token").write_text(f"{TOKEN} predict\n")
    (tmp_path / "wrong").write_text("somebody-elses-token\n")
    return ServeSettings(
        grpc_port=0, metrics_port=0, poll_interval_secs=0.02, auth_token_file=tmp_path / "tokens",
        tls_cert=server.certificate, tls_key=server.key, tls_client_ca=first.certificate,
    )  # fmt: skip


@pytest.fixture(name="store")
def fixture_store(tmp_path: Path) -> Store:
    write_linear(tmp_path / "a.onnx", seed=0)
    store = Store.open(str(tmp_path / "store"))
    publish(store, "m", {"a": tmp_path / "a.onnx"}, PublishOptions())
    return store


def shown(folder: Path, *, file: str | None) -> ClientSecurity:
    pair = Pair(folder / "client.pem", folder / "client.key")
    return ClientSecurity(folder / "first.pem", pair.certificate, pair.key, folder / file if file else None)


async def test_a_client_with_certificate_and_token_is_served(
    tmp_path: Path, store: Store, settings: ServeSettings
) -> None:
    async with running(store, settings) as ports:
        with Client(f"127.0.0.1:{ports.grpc}", security=shown(tmp_path, file="token")) as client:
            assert await asyncio.to_thread(client.healthy)
            answer = await asyncio.to_thread(client.infer, "m", {"x": np.ones((1, 4), np.float32)})
    assert answer.version == 1


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_a_client_without_a_token_hears_of_health_only(
    tmp_path: Path, store: Store, settings: ServeSettings, token: str | None
) -> None:
    async with running(store, settings) as ports:
        with Client(f"127.0.0.1:{ports.grpc}", security=shown(tmp_path, file=token)) as client:
            assert await asyncio.to_thread(client.healthy)
            with pytest.raises(InvalidRequestError, match="wants a token it knows"):
                await asyncio.to_thread(client.infer, "m", {"x": np.ones((1, 4), np.float32)})


async def test_a_client_without_a_certificate_hears_nothing(
    tmp_path: Path, store: Store, settings: ServeSettings
) -> None:
    async with running(store, settings) as ports:
        for security in (ClientSecurity(), ClientSecurity(tls_ca=tmp_path / "first.pem")):
            client = Client(f"127.0.0.1:{ports.grpc}", timeout=5, security=security)
            with client, pytest.raises(UnavailableError, match="did not answer"):
                await asyncio.to_thread(client.healthy)


async def test_a_running_server_takes_up_new_tokens(
    tmp_path: Path, store: Store, settings: ServeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "unisono"):
        async with running(store, settings) as ports:
            (tmp_path / "tokens").write_text("newcomer-newcomer predict\n")
            async with asyncio.timeout(10):
                while "the tokens were replaced" not in caplog.text:
                    await asyncio.sleep(0.01)
            client = Client(f"127.0.0.1:{ports.grpc}", security=shown(tmp_path, file="token"))
            with client, pytest.raises(InvalidRequestError, match="wants a token it knows"):
                await asyncio.to_thread(client.signature, "m")
    assert TOKEN not in caplog.text


async def test_what_other_machines_can_do_is_in_the_log(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    everywhere = ServeSettings(host="0.0.0.0", grpc_port=0, metrics_port=0)  # noqa: S104 - that is the point
    async with running(store, everywhere):
        pass
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "listening on 0.0.0.0, beyond this machine: without TLS" in caplog.text
    assert "whoever reaches it may call it: see --auth-token-file" in caplog.text


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda path: ClientSecurity(token_file=path / "none").metadata(), "can't read .*none: No such file"),
        (lambda path: ClientSecurity(token_file=path / "empty").metadata(), "empty holds no token"),
        (lambda path: ClientSecurity(tls_cert=path / "a").pem(), "need --tls-ca"),
        (lambda path: ClientSecurity(tls_ca=path / "a", tls_key=path / "b").pem(), "go together"),
        (lambda path: ClientSecurity(tls_ca=path / "none").pem(), "can't read .*none: No such file"),
    ],
)
def test_files_that_do_not_do_are_said(tmp_path: Path, ask: Callable[[Path], object], said: str) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(InvalidRequestError, match=said):
        ask(tmp_path)
