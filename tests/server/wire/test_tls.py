import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from server.wire.call import Call
from server.wire.gate import Gate
from server.wire.health import Health
from server.wire.messages import message_class
from server.wire.method import Method
from server.wire.reloading import Reloaded, UnusableFileError
from server.wire.tls import Certificates, TlsPaths, read_certificates
from server.wire.transport_grpcio import GrpcTransport, TransportOptions
from tests.support.certificates import Pair, authority, signed
from tests.support.observers import Recorder

REQUEST = message_class("inference.ModelReadyRequest")
RESPONSE = message_class("inference.ModelReadyResponse")


@pytest.fixture(scope="module", name="made")
def fixture_made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    """Two authorities; two servers and a client of the first, a client of the second."""
    folder = tmp_path_factory.mktemp("certificates")
    first, second = authority(folder, "first"), authority(folder, "second")
    return {
        "first": first,
        "second": second,
        "server": signed(folder, "server", first),
        "renewed": signed(folder, "renewed", first),
        "client": signed(folder, "client", first),
        "stranger": signed(folder, "stranger", second),
    }


class Files:
    """The files that one server is told of, where any pair can be put."""

    def __init__(self, folder: Path, made: dict[str, Pair], *, mutual: bool = False) -> None:
        self.made = made
        self.paths = TlsPaths(
            folder / "tls.crt", folder / "tls.key", made["first"].certificate if mutual else None
        )
        self.told = Recorder()
        self.put("server")
        self.reloaded: Reloaded[Certificates] = Reloaded("certificates", self.read, self.told)

    def put(self, name: str) -> None:
        shutil.copy(self.made[name].certificate, self.paths.certificate)
        shutil.copy(self.made[name].key, self.paths.key)

    def read(self) -> Certificates:
        return read_certificates(self.paths)


def client_credentials(made: dict[str, Pair], client: str | None, trusts: str = "first") -> Any:
    pair = made[client] if client else None
    return grpc.ssl_channel_credentials(
        made[trusts].certificate.read_bytes(),
        pair.key.read_bytes() if pair else None,
        pair.certificate.read_bytes() if pair else None,
    )


async def ready(_message: Any, _call: Call) -> Any:
    return RESPONSE(ready=True)


@asynccontextmanager
async def listening(files: Files) -> AsyncIterator[str]:
    """The address of a server with one method behind these files."""
    transport = GrpcTransport(
        [Method("test.Service", "Ask", REQUEST, RESPONSE, ready)],
        Health(),
        observer=Recorder(),
        options=TransportOptions("127.0.0.1:0"),
        gate=Gate(files.reloaded),
    )
    port = await transport.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await transport.stop(5)


async def asked(address: str, credentials: Any) -> str:
    """Ask once over a connection of its own; return the code."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    async with (
        grpc.aio.secure_channel(address, credentials, options)
        if credentials
        else grpc.aio.insecure_channel(address, options)
    ) as channel:
        try:
            await channel.unary_unary("/test.Service/Ask")(b"", timeout=10)
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)
        return "OK"


async def certificate_of(address: str) -> str:
    """The name in the certificate that the server shows to a new connection."""
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-connect", address, "-alpn", "h2"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate()
    line = next(line for line in output.decode(errors="replace").splitlines() if line.startswith("subject="))
    return line.rpartition("=")[2].strip()


@pytest.mark.parametrize(
    ("mutual", "client", "code"),
    [
        (False, "plain text", "UNAVAILABLE"),
        (False, None, "OK"),
        (False, "stranger", "OK"),
        (True, "plain text", "UNAVAILABLE"),
        (True, None, "UNAVAILABLE"),
        (True, "stranger", "UNAVAILABLE"),
        (True, "client", "OK"),
    ],
)
async def test_who_gets_through_the_handshake(
    tmp_path: Path, made: dict[str, Pair], mutual: bool, client: str | None, code: str
) -> None:
    credentials = None if client == "plain text" else client_credentials(made, client)
    async with listening(Files(tmp_path, made, mutual=mutual)) as address:
        assert await asked(address, credentials) == code


async def test_a_server_of_another_authority_is_not_trusted(tmp_path: Path, made: dict[str, Pair]) -> None:
    async with listening(Files(tmp_path, made)) as address:
        assert await asked(address, client_credentials(made, None, trusts="second")) == "UNAVAILABLE"


async def test_a_certificate_replaced_under_load_is_shown_to_new_callers_and_loses_no_request(
    tmp_path: Path, made: dict[str, Pair]
) -> None:
    files, codes, enough = Files(tmp_path, made), list[str](), asyncio.Event()

    async def keep_asking(address: str, channel: Any) -> None:
        while not enough.is_set():
            try:
                await channel.unary_unary("/test.Service/Ask")(b"", timeout=10)
                codes.append("OK")
            except grpc.aio.AioRpcError as error:
                codes.append(error.code().name)
            codes.append(await asked(address, client_credentials(made, None)))

    async with (
        listening(files) as address,
        grpc.aio.secure_channel(address, client_credentials(made, None)) as channel,
    ):
        callers = [asyncio.create_task(keep_asking(address, channel)) for _ in range(8)]
        shown = [await certificate_of(address)]
        for name in ("renewed", "server", "renewed"):
            files.put(name)
            files.reloaded.look()
            shown.append(await certificate_of(address))
            before = len(codes)
            while len(codes) < before + 40:
                await asyncio.sleep(0.01)
        enough.set()
        await asyncio.gather(*callers)

    assert shown == ["server", "renewed", "server", "renewed"]
    assert set(codes) == {"OK"}
    assert files.told.of("reloaded") == [("certificates",)] * 3


async def test_a_broken_certificate_keeps_the_old_one_and_is_said_once(
    tmp_path: Path, made: dict[str, Pair], caplog: pytest.LogCaptureFixture
) -> None:
    files = Files(tmp_path, made)
    async with listening(files) as address:
        files.paths.certificate.write_text("no certificate")
        for _ in range(4):
            files.reloaded.look()
        assert await certificate_of(address) == "server"
        assert await asked(address, client_credentials(made, None)) == "OK"
        files.put("renewed")
        files.reloaded.look()
        assert await certificate_of(address) == "renewed"

    assert files.told.of("reload_failed") == [("certificates",)]
    assert files.told.calls[-1][0] == "reload_settled"
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "the new certificates can't be used, the old ones stay" in caplog.text


async def test_a_pair_caught_half_replaced_is_not_yet_an_error(
    tmp_path: Path, made: dict[str, Pair], caplog: pytest.LogCaptureFixture
) -> None:
    files = Files(tmp_path, made)
    shutil.copy(made["renewed"].certificate, files.paths.certificate)
    files.reloaded.look()
    shutil.copy(made["renewed"].key, files.paths.key)
    files.reloaded.look()

    assert files.reloaded.value.certificate == made["renewed"].certificate.read_bytes()
    assert files.told.of("reload_failed") == []
    assert caplog.records == []


def test_files_that_are_no_pair_are_refused_at_the_start(tmp_path: Path, made: dict[str, Pair]) -> None:
    with pytest.raises(UnusableFileError, match="not a PEM certificate and its key"):
        read_certificates(TlsPaths(made["server"].certificate, made["client"].key))
    with pytest.raises(UnusableFileError, match=r"can't read .*nowhere: No such file or directory"):
        read_certificates(TlsPaths(tmp_path / "nowhere", made["client"].key))
    with pytest.raises(UnusableFileError, match="holds no PEM certificates"):
        read_certificates(TlsPaths(made["server"].certificate, made["server"].key, made["server"].key))


def test_a_key_is_never_shown(tmp_path: Path, made: dict[str, Pair]) -> None:
    assert "PRIVATE" not in repr(Files(tmp_path, made).reloaded.value)
