"""Who can reach a server, and what its operator should know then."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def exposures(host: str, *, encrypted: bool, guarded: bool) -> list[str]:
    """Say what an operator should know who lets other machines reach the server."""
    if is_loopback(host):
        return []
    found = []
    if not encrypted:
        found.append("without TLS, requests and tokens can be read on their way: see --tls-cert")
    if not guarded:
        found.append("whoever reaches it may call it: see --auth-token-file and --tls-client-ca")
    return found
