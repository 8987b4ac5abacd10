"""One port for several processes: taken by their parent, who never listens, and shared by SO_REUSEPORT."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from ensemble.errors import UnavailableError


@contextmanager
def reserved(host: str, port: int) -> Iterator[tuple[str, int]]:
    """Hold `port` of `host`, or a free one for 0, while the block runs; give its address in numbers.

    Raises UnavailableError if somebody has it already, also somebody who would share it.
    """
    holder = None
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # Without sharing first: another server that shares would let us in, and take half of the calls.
        with socket.socket(family, socket.SOCK_STREAM) as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind(address)
            address = alone.getsockname()
        holder = socket.socket(family, socket.SOCK_STREAM)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(address)
    except OSError as error:
        if holder is not None:
            holder.close()
        raise UnavailableError(
            f"can't listen on {host}:{port}: in use, not allowed, or no address of this "
            "machine; choose another, or end the process that has it"
        ) from error
    with holder:
        yield str(address[0]), int(address[1])
