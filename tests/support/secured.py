"""A server behind mTLS and tokens, and callers of every kind."""

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from ensemble.publishing.publish import PublishOptions, publish
from model_store.store import Store
from server.cli.demonstration.server_process import ServerProcess, serving
from tests.support.certificates import Pair, authority, signed
from tests.support.onnx_models import write_linear
from tests.support.tools import missing

PREDICT, CONTROL, BOTH = "predict-predict-predict", "control-control-control", "both-both-both-both"
TOKEN_FILE = f"{PREDICT} predict\n{CONTROL} control\n{BOTH} predict control\n"


@dataclass(frozen=True)
class Keys:
    """Our authority, a server and a client of it, and a client of another; a file of tokens."""

    folder: Path
    pairs: Mapping[str, Pair]

    @classmethod
    def made(cls, folder: Path) -> "Keys":
        ours, theirs = authority(folder, "ours"), authority(folder, "theirs")
        signatories = {"server": ours, "renewed": ours, "client": ours, "stranger": theirs}
        pairs = {name: signed(folder, name, by) for name, by in signatories.items()}
        (folder / "tokens").write_text(TOKEN_FILE)
        return cls(folder, {"ours": ours, **pairs})

    @property
    def flags(self) -> list[str]:
        """What `unisono serve` is told."""
        server, ours = self.pairs["server"], self.pairs["ours"]
        return [
            *("--tls-cert", str(server.certificate), "--tls-key", str(server.key)),
            *("--tls-client-ca", str(ours.certificate), "--auth-token-file", str(self.folder / "tokens")),
        ]

    def channel(self, address: str, client: str | None) -> Any:
        """A connection that shows the certificate of `client`, or none."""
        pair = self.pairs[client] if client else None
        credentials = grpc.ssl_channel_credentials(
            self.pairs["ours"].certificate.read_bytes(),
            pair.key.read_bytes() if pair else None,
            pair.certificate.read_bytes() if pair else None,
        )
        return grpc.secure_channel(address, credentials, [("grpc.use_local_subchannel_pool", 1)])


def installed(transport: str) -> str:
    """Return `transport`; skip where its extra isn't installed, fail where CI should have."""
    if transport == "envoy" and importlib.util.find_spec("pyvoy") is None:
        missing("no extra `envoy`, which is built for some platforms only")
    return transport


def linear_store(folder: Path, ensembles: Sequence[str] = ("m",)) -> Path:
    """A store whose ensembles take four numbers as x."""
    write_linear(folder / "a.onnx", seed=0)
    for name in ensembles:
        publish(Store.open(str(folder / "store")), name, {"a": folder / "a.onnx"}, PublishOptions())
    return folder / "store"


@contextmanager
def secured(
    folder: Path, keys: Keys, *options: str, ensembles: Sequence[str] = ("m",)
) -> Iterator[ServerProcess]:
    """Serve `linear_store` behind `keys` while the block runs."""
    with serving(
        str(linear_store(folder, ensembles)), folder / "serve.log", [*keys.flags, *options]
    ) as server:
        yield server
