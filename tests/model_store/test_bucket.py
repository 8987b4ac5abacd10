"""What buckets do that folders don't: answers that are lost, endpoints that aren't there, access refused."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic

import obstore
import pytest

from model_store import bucket as bucket_module
from model_store import bucket_client
from model_store.addresses import objects_at
from model_store.bucket import Bucket
from model_store.bucket_client import connect
from model_store.errors import StoreCorruptError, StoreUnavailableError
from model_store.hashing import Hashed
from model_store.store import Store
from tests.model_store.places import BucketPlace, store_at
from tests.support.s3 import S3Server

KEY = "ensembles/digits/journal/00000000000000000001.json"
# A cloud's own machine is asked for credentials where none are given: here, nobody must be.
NOBODY = {"AWS_METADATA_ENDPOINT": "http://127.0.0.1:9", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}


def environment(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    """Set what obstore reads, and nothing else of it."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "AZURE_"))]:
        monkeypatch.delenv(name)
    for name, value in {**NOBODY, **variables}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def memory() -> Bucket:
    return BucketPlace.in_memory().bucket


def test_a_create_whose_answer_was_lost_is_a_success(memory: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    really = obstore.put

    def put_twice(*arguments: object, **options: object) -> object:
        """What the library does by itself when the first answer doesn't come."""
        really(*arguments, **options)  # type: ignore[arg-type]
        return really(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(obstore, "put", put_twice)
    assert memory.create(KEY, b"ours", "journal entry")

    monkeypatch.undo()
    # The same bytes of somebody else are somebody else's.
    assert not memory.create(KEY, b"ours", "journal entry")


def test_a_file_that_changes_while_it_is_stored_harms_nothing(
    memory: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    model.write_bytes(b"abc")
    store = Store(memory)
    ref = store.put_blob("digits", model)
    hashed = Hashed
    seen: list[object] = []

    def hash_and_change(source: Path) -> object:
        seen.append(source)
        if len(seen) == 2:
            model.write_bytes(b"abd")
        return hashed(source)

    monkeypatch.setattr(bucket_module, "Hashed", hash_and_change)
    with pytest.raises(StoreCorruptError, match="changed while it was stored; publish it again"):
        store.put_blob("digits", model)

    assert store.read_blob("digits", ref) == b"abc"


def test_journal_entries_are_read_once(memory: Bucket) -> None:
    obstore.put(memory.client, KEY, b"first")
    obstore.put(memory.client, "large", b"x" * 70_000)
    assert memory.read(KEY, "journal entry", 100) == b"first"
    obstore.delete(memory.client, KEY)

    assert memory.read(KEY, "journal entry", 100) == b"first"
    assert len(memory.read("large", "manifest", 10**6)) == 70_000
    obstore.delete(memory.client, "large")
    with pytest.raises(FileNotFoundError):
        memory.read("large", "manifest", 10**6)


def test_what_is_remembered_has_a_bound(memory: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_module, "REMEMBERED", 2)
    for number in range(3):
        obstore.put(memory.client, str(number), b"x")
        memory.read(str(number), "key", 10)
    obstore.delete(memory.client, "0")

    with pytest.raises(FileNotFoundError):
        memory.read("0", "key", 10)


def test_removing_what_is_gone_is_no_error(
    in_s3: BucketPlace, memory: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_s3.objects().remove("nothing", "garbage")

    def not_found(*_: object) -> None:
        raise FileNotFoundError("as GCS and Azure say")

    monkeypatch.setattr(obstore, "delete", not_found)
    memory.remove("nothing", "garbage")


def test_a_bucket_that_isn_t_there_is_named(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, **s3.environment)
    store = Store.open("s3://nowhere/store")

    for look in (store.ensembles, lambda: store.put_blob("digits", b"x"), lambda: store.head("digits")):
        with pytest.raises(
            StoreUnavailableError,
            match=r"can't \w+ .*'s3://nowhere/store/.*: there is no such bucket; make it",
        ):
            look()
    with pytest.raises(StoreUnavailableError, match="there is no such bucket"):
        store.objects.create(KEY, b"x", "journal entry")
    with pytest.raises(StoreUnavailableError, match="there is no such bucket"):
        store.objects.read(KEY, "journal entry", 100)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_an_endpoint_where_nobody_answers_is_told_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    environment(monkeypatch, AWS_ENDPOINT_URL=f"http://127.0.0.1:{free_port()}", **keys)
    began = monotonic()

    with pytest.raises(StoreUnavailableError, match="nobody answers there; check the network and the endpoi"):
        Store.open("s3://models/store").ensembles()
    assert monotonic() - began < 20


def test_without_credentials_it_says_where_to_put_them(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, AWS_METADATA_ENDPOINT=f"http://127.0.0.1:{free_port()}")

    with pytest.raises(StoreUnavailableError, match="no credentials were found; set them in the environment"):
        Store.open("s3://models/store").ensembles()
    with pytest.raises(StoreUnavailableError, match="can't open 'az://models/store': no credentials"):
        Store.open("az://models/store")


@contextmanager
def answering(status: int, body: bytes = b"") -> Iterator[str]:
    """An endpoint that answers all requests alike; status 0 means that it never does."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not status:
                over.wait(30)
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def said_by(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    environment(monkeypatch, AWS_ENDPOINT_URL=url, **keys)
    with pytest.raises(StoreUnavailableError) as raised:
        Store.open("s3://models/store").ensembles()
    return str(raised.value)


def test_access_that_is_refused_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(403, b"<Error><Code>AccessDenied</Code></Error>") as url:
        said = said_by(url, monkeypatch)

    assert "access was refused; check the credentials and what they may do in this bucket" in said
    assert "Debug source" not in said


def test_http_that_was_not_allowed_says_how_to_allow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NOBODY, "AWS_ALLOW_HTTP", "false")
    with answering(200) as url:
        assert "it has no TLS; use https, or set AWS_ALLOW_HTTP=true if meant" in said_by(url, monkeypatch)


def test_anything_else_is_told_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(200, b"no listing") as url:
        assert "try again, or check the bucket" in said_by(url, monkeypatch)


def test_an_endpoint_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = {"read_timeout": "200ms", "timeout": "400ms", "connect_timeout": "200ms"}
    monkeypatch.setattr(bucket_client, "CLIENT", quick)
    with answering(0) as url:
        began = monotonic()
        said = said_by(url, monkeypatch)

    assert "it took too long to answer; check the network, then try again" in said
    assert monotonic() - began < 20


def test_the_waits_are_bounded() -> None:
    waits = [bucket_client.CLIENT["connect_timeout"], bucket_client.CLIENT["read_timeout"]]

    assert [str(wait) for wait in waits] == ["0:00:05", "0:00:20"]
    assert (bucket_client.RETRY["max_retries"], str(bucket_client.RETRY["retry_timeout"])) == (3, "0:00:20")


@pytest.mark.parametrize(
    ("address", "kind"),
    [("s3://b/p/q", "S3Store"), ("gs://b/p/q", "GCSStore"), ("az://b/p/q/", "AzureStore")],
)
def test_an_address_names_the_service_the_bucket_and_the_prefix(
    address: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch, AZURE_STORAGE_ACCOUNT_NAME="somebody", GOOGLE_SKIP_SIGNATURE="true")

    store = Store.open(address)

    assert store.address == address.rstrip("/")
    assert isinstance(store.objects, Bucket)
    assert type(store.objects.client).__name__ == kind
    assert store.objects.where(KEY) == f"{address.rstrip('/')}/{KEY}"
    assert store.cache is not None
    assert getattr(store.objects.client, "prefix", None) == "p/q"


def test_where_obstore_isn_t_installed_an_address_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "model_store.bucket_client", None)

    with pytest.raises(StoreUnavailableError, match=r"needs .*, which isn't installed here: pip install"):
        objects_at("s3://models/store")


def test_a_folder_s_store_loads_no_obstore(tmp_path: Path) -> None:
    program = (
        "import json, sys; from model_store.store import Store; Store.open(sys.argv[1]).head('x');"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )

    assert {"obstore", "model_store.bucket"}.isdisjoint(json.loads(done.stdout))


def test_two_stores_may_share_a_bucket(in_s3: BucketPlace) -> None:
    name = in_s3.bucket.address.rpartition("/")[2]
    other = BucketPlace(replace(in_s3.bucket, client=connect("s3", "models", f"tests/{name}-other").client))
    store_at(in_s3).put_blob("digits", b"x")

    assert store_at(in_s3).begun() == ["digits"]
    assert store_at(other).begun() == []
