"""A bucket with a real S3 API, on loopback, for as long as a block runs."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import Request, urlopen

from tests.support.tools import missing

BUCKET = "models"
_PYTHON = Path(__file__).parents[2] / ".venv-s3" / "bin" / "python"
_SCRIPT = Path(__file__).with_name("s3_server.py")


@dataclass
class S3Server:
    """moto's server in a process of its own; what it held is gone when it stops."""

    port: int = 0
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What tells obstore to use this server, with credentials that mean nothing."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
        }

    def start(self) -> None:
        """Start it, again on the port that it had."""
        self.process = subprocess.Popen(
            # -P: modules beside the script must not take the place of Python's own.
            [str(_PYTHON), "-P", str(_SCRIPT), str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said, f"moto's server didn't start; {_PYTHON} -P {_SCRIPT} {self.port} says why"
        self.port = int(said)

    def stop(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def make_bucket(self, name: str = BUCKET) -> None:
        urlopen(Request(f"{self.url}/{name}", method="PUT"), timeout=20).close()  # noqa: S310 - our own address


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run a server with one empty bucket."""
    need_moto()
    server = S3Server()
    server.start()
    try:
        server.make_bucket()
        yield server
    finally:
        server.stop()


def need_moto() -> None:
    """Skip the test where moto isn't installed, and say how to; on CI, where it must be, fail."""
    if _PYTHON.exists():
        return
    missing("moto isn't installed: `make .venv-s3/.done` installs it")
