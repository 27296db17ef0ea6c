"""What to say of proxies and certificates that the environment names, and httpx cannot use.

Their values are shown without a login. httpx's own texts are not repeated: they may hold one.
"""

from __future__ import annotations

import os
import ssl
from urllib.parse import urlsplit

from qaip_core.redaction import bare_proxy

__all__ = ["unusable"]

_KINDS = ("http", "https", "socks5", "socks5h")


def unusable(error: Exception) -> str:
    """Say which variable names what cannot be used, and what to do.

    Parameters:
        error: what httpx raised when a client was made: only files cause an `OSError`.
    """
    return _certificates(error) if isinstance(error, OSError) else _proxies(error)


def _certificates(error: OSError) -> str:
    name = next((n for n in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(n)), None)
    is_other = isinstance(error, ssl.SSLError)  # its text is one for those who know OpenSSL
    why = "no certificates in PEM form" if is_other else error.strerror
    if name is None:
        return f"the CA certificates that come with httpx cannot be read ({why}): install certifi"
    shown = f"{name}={os.environ[name]!r}"
    return f"the certificates of {shown} cannot be used ({why}): correct it, or unset it"


def _proxies(error: Exception) -> str:
    from urllib.request import getproxies

    known = getproxies()
    proxies = {scheme: known[scheme] for scheme in ("http", "https", "all") if known.get(scheme)}
    if isinstance(error, ImportError):
        wrong = next((s for s, value in proxies.items() if value.startswith("socks")), "all")
        advice = 'one of SOCKS needs a further package: pip install "httpx[socks]"'
    else:
        wrong = next((s for s, value in proxies.items() if not _is_sound(value)), "no")
        advice = (
            "names of hosts and addresses are separated by commas; ranges of IPv6 cannot be read"
            if wrong == "no"
            else "write http://host:port, or unset it"
        )
    value = known.get(wrong, "")
    parts = value.split(",") if wrong == "no" else [value]  # a password may hold a comma
    shown = ",".join(map(bare_proxy, parts))
    return f"the proxy setting {_name(wrong)}={shown} cannot be used: {advice}"


def _name(scheme: str) -> str:
    """Return the variable that is read; on some systems proxies are known without one."""
    name = f"{scheme}_proxy"
    return name if os.environ.get(name) else name.upper()


def _is_sound(proxy: str) -> bool:
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in _KINDS
