"""moto's S3 server on loopback, in its own environment: `s3_server PORT`, run by that environment's Python.

Prints its port once it listens; ends when its standard input does. With port 0 the system chooses one.

moto looks whether a key exists and puts it in two steps, and answers each request on a thread of its own: of
two conditional puts at once both can win, which S3 rules out. So here one write runs at a time. That is all
that is changed: the conditions themselves are moto's.
"""

import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Quiet(WSGIRequestHandler):  # type: ignore[misc]  # untyped here
    """Logs no requests."""

    def log_request(self, *_: object) -> None:
        """Say nothing."""


def one_write_at_a_time(application: Application) -> Application:
    """Let a request that writes run only while no other does."""
    lock = threading.Lock()

    def serve(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return application(environ, start)
        with lock:
            return application(environ, start)

    return serve


def main() -> None:
    """Serve until nobody holds the other end of standard input."""
    application = one_write_at_a_time(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", int(sys.argv[1]), application, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)  # noqa: T201 - what the parent waits for
    sys.stdin.read()


if __name__ == "__main__":
    main()
