"""`unisono health`."""

from typing import Annotated

from cyclopts import Parameter

from .options import DEFAULT_ADDRESS, PLAIN_TEXT, AddressOption, SecurityOptions


def health(
    model: Annotated[str, Parameter(help="Ask for one model; the whole server if none is named.")] = "",
    *,
    address: AddressOption = DEFAULT_ADDRESS,
    security: SecurityOptions = PLAIN_TEXT,
) -> int:
    """Ask a running server whether it serves; exit code 0 if so, 1 if not. For container health checks."""
    from server.wire.client import Client  # noqa: PLC0415 - heavy: only when the command runs

    with Client(address, timeout=3.0, security=security) as client:
        healthy = client.healthy(model)
    print(f"{model or address}: {'serving' if healthy else 'not serving'}")
    return 0 if healthy else 1
