"""Which addresses are this machine's own."""

import ipaddress

__all__ = ["is_address", "is_loopback"]


def is_loopback(host: str) -> bool:
    """Say whether a host name or address is this machine's own."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_address(name: str) -> bool:
    """Say whether a host is given by its address, and not by a name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
