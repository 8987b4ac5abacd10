"""Who may call what over HTTP, and TLS."""

import asyncio
import shutil
import ssl
from pathlib import Path

import pytest

from server.wire.access import read_tokens
from server.wire.gate import Gate
from server.wire.reloading import Reloaded
from server.wire.tls import Certificates, TlsPaths, read_certificates
from tests.server.wire.rest.world import BODY, INFER, world_of
from tests.support.certificates import Pair, authority, signed
from tests.support.observers import Recorder

PREDICT, CONTROL, BOTH = "predict-predict-predict", "control-control-control", "both-both-both-both"
CALLERS = (None, "nobodys-nobodys-nobodys", PREDICT, CONTROL, BOTH)
FOR_PREDICT, FOR_CONTROL = (401, 401, 200, 403, 200), (401, 401, 403, 200, 200)
TABLE = {
    "GET /v2": FOR_PREDICT,
    "GET /v2/models/sums": FOR_PREDICT,
    "GET /v2/models/sums/ready": FOR_PREDICT,
    "GET /v2/models/sums/config": FOR_PREDICT,
    "GET /v2/models/stats": FOR_PREDICT,
    f"POST {INFER}": FOR_PREDICT,
    "POST /v2/repository/index": FOR_PREDICT,
    "POST /v2/repository/models/digits/load": FOR_CONTROL,
    "POST /v2/repository/models/digits/unload": FOR_CONTROL,
    "GET /v2/logging": FOR_PREDICT,
    "GET /v2/trace/setting": FOR_PREDICT,
    "GET /metrics": (401, 401, 200, 200, 200),
    "GET /v2/health/live": (200,) * 5,
    "GET /v2/health/ready": (200,) * 5,
}


async def test_who_may_call_what(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"{PREDICT} predict\n{CONTROL} control\n{BOTH} predict control\n")
    tokens = Reloaded("tokens", lambda: read_tokens(file, b"s" * 32), Recorder())
    statuses = {}
    async with world_of(Gate(tokens=tokens)) as world:
        for resource in TABLE:
            verb, path = resource.split()
            body = BODY if path == INFER else {} if verb == "POST" else None
            told = [
                await world.ask(path, body, headers={"Authorization": f"Bearer {token}"} if token else {})
                for token in CALLERS
            ]
            statuses[resource] = tuple(each.status for each in told)
            for each in told:
                assert ("www-authenticate" in each.headers) == (each.status == 401)

    assert statuses == TABLE


@pytest.fixture(scope="module", name="made")
def fixture_made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    folder = tmp_path_factory.mktemp("certificates")
    first = authority(folder, "first")
    names = ("server", "renewed", "client")
    return {"first": first, **{name: signed(folder, name, first) for name in names}}


def trusting(made: dict[str, Pair], client: str | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(made["first"].certificate))
    if client:
        context.load_cert_chain(made[client].certificate, made[client].key)
    return context


def certificates(folder: Path, made: dict[str, Pair], *, mutual: bool = False) -> Reloaded[Certificates]:
    paths = TlsPaths(folder / "tls.crt", folder / "tls.key", made["first"].certificate if mutual else None)
    put(folder, made["server"])
    return Reloaded("certificates", lambda: read_certificates(paths), Recorder())


def put(folder: Path, pair: Pair) -> None:
    shutil.copy(pair.certificate, folder / "tls.crt")
    shutil.copy(pair.key, folder / "tls.key")


async def name_shown(port: int, context: ssl.SSLContext, server_name: str | None) -> str:
    """The name in the certificate that a new connection is shown."""
    context.check_hostname = server_name is not None
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=server_name or ""
    )
    subject = writer.get_extra_info("peercert")["subject"]
    writer.close()
    return str(subject[0][0][1])


@pytest.mark.parametrize("server_name", ["localhost", None])
async def test_a_replaced_certificate_is_shown_to_new_connections(
    tmp_path: Path, made: dict[str, Pair], server_name: str | None
) -> None:
    reloaded = certificates(tmp_path, made)
    async with world_of(Gate(reloaded)) as world:
        before = await name_shown(world.port, trusting(made), server_name)
        put(tmp_path, made["renewed"])
        reloaded.look()
        after = await name_shown(world.port, trusting(made), server_name)
        assert (await world.ask(INFER, BODY, context=trusting(made))).status == 200

    assert (before, after) == ("server", "renewed")


async def test_without_a_certificate_of_the_authority_nobody_is_let_in(
    tmp_path: Path, made: dict[str, Pair]
) -> None:
    async with world_of(Gate(certificates(tmp_path, made, mutual=True))) as world:
        assert (await world.ask("/v2", context=trusting(made, "client"))).status == 200
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await world.ask("/v2/health/live", context=trusting(made))
