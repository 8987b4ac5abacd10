"""What we say to Envoy: over a socket in a folder that only we can enter."""

import socket
import time
from http.client import HTTPConnection
from pathlib import Path

from ensemble.errors import UnavailableError

# The percent of calls that Envoy refuses by itself, and its count of them.
SHED_PERCENT = "unisono.shed_percent"
SHED_COUNT = "fault.aborts_injected"
OK = 200
LOOK_EVERY_SECS = 0.02
START_SECS = 30.0
TIMEOUT_SECS = 5.0


class _Connection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_SECS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_SECS)
        self.sock.connect(str(self._path))


def _asked(path: Path, method: str, what: str) -> tuple[int, str]:
    connection = _Connection(path)
    try:
        connection.request(method, what)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    finally:
        connection.close()


def wait_until_live(path: Path) -> None:
    """Wait until Envoy takes calls; UnavailableError if it doesn't come to that."""
    end = time.monotonic() + START_SECS
    while time.monotonic() < end:
        try:
            status, _ = _asked(path, "GET", "/ready")
            if status == OK:
                return
        except OSError:
            pass  # It isn't there yet.
        time.sleep(LOOK_EVERY_SECS)
    raise UnavailableError(f"Envoy takes no calls {START_SECS:.0f} s after its start; its log says why")


def drain_listeners(path: Path) -> None:
    """Have Envoy tell clients, with their next answers, that their connections end."""
    try:
        _asked(path, "POST", "/drain_listeners?graceful")
    except OSError:
        return  # Then they hear of it when they end.


def shed_calls(path: Path, percent: int) -> None:
    """Have Envoy refuse so many in a hundred calls for scores, by chance. OSError if it doesn't."""
    status, text = _asked(path, "POST", f"/runtime_modify?{SHED_PERCENT}={percent}")
    if status != OK:
        raise OSError(f"Envoy answered {status}: {text}")


def shed_so_far(path: Path) -> int:
    """Return how many calls Envoy has refused by itself. OSError if it doesn't tell."""
    _, text = _asked(path, "GET", f"/stats?filter={SHED_COUNT}")
    return sum(int(line.rpartition(":")[2]) for line in text.splitlines() if SHED_COUNT in line)
