"""What a transport library's errors mean: which of ours, what to do about it, what was sent.

The library itself is not needed for that: its errors are known by their names, since a caller's
client may be of httpx or of its fork httpx2.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from qaip_core.connection import is_loopback
from qaip_core.errors import (
    ConfigurationError,
    MalformedResponseError,
    ServiceConnectionError,
    ServiceError,
    ServiceTimeoutError,
)
from qaip_core.flow import Failure
from qaip_core.redaction import causes

__all__ = ["failure"]

E = TypeVar("E", bound=BaseException)

# Our class, and whether the request cannot have been served.
_FAILURES: Mapping[str, tuple[type[ServiceError], bool]] = {
    "ConnectTimeout": (ServiceTimeoutError, True),
    "PoolTimeout": (ServiceTimeoutError, True),
    "TimeoutException": (ServiceTimeoutError, False),
    "ConnectError": (ServiceConnectionError, True),
    "ProxyError": (ServiceConnectionError, True),
    "LocalProtocolError": (ConfigurationError, True),
    "UnsupportedProtocol": (ConfigurationError, True),
    "InvalidURL": (ConfigurationError, True),
    "IDNAError": (ConfigurationError, True),
    "DecodingError": (MalformedResponseError, False),
    "TransportError": (ServiceConnectionError, False),
    "StreamError": (ServiceConnectionError, False),
    "HTTPError": (ServiceConnectionError, False),
}
# A configuration error's own text could hold a header's value: it is not repeated.
_ADVICE: Mapping[type[ServiceError], str] = {
    ServiceTimeoutError: "{url} did not answer in time ({what}); raise timeout if it needs longer",
    ServiceConnectionError: "the connection to {url} failed ({what}); check base_url, the network "
    "and {proxies}",
    ConfigurationError: "the request to {url} could not be made; check base_url and headers",
    MalformedResponseError: "the body from {url} could not be decompressed ({what})",
}
_PHASES: Mapping[str, str] = {
    "ConnectTimeout": "no connection to {url} in time ({what}); check base_url and the network, "
    'or raise timeout={{"connect": ...}}',
    "PoolTimeout": "no connection of http_client's pool was free in time ({what}); close what is "
    "not read to its end, or raise max_connections of its limits, or timeout",
}
_NOBODY = "nothing answers at {url} ({what}): is the server running, and is base_url its address?"
_CERTIFICATE = (
    "the certificate that {url} shows is refused ({what}); check the host name in base_url; for a "
    "private CA, also that of a proxy which reads along, pass the path of its certificate as "
    "verify=..., or name it in SSL_CERT_FILE"
)
_NO_TLS = "no TLS with {url} ({what}); check that https:// is right in base_url, and {proxies}"
_LOGIN = (
    "the proxy between here and {url} wants a login ({what}): write it into HTTPS_PROXY "
    "(http://user:password@host:port), or name the host in NO_PROXY if it can be reached directly"
)


def failure(error: Exception, url: str, *, stale: bool) -> Failure:
    """Translate a transport library's error; raise what is none of theirs.

    Parameters:
        error: the error.
        url: where the request went.
        stale: whether the request went out on a kept connection that the service had left.
    """
    if isinstance(error, MalformedResponseError | ServiceConnectionError):  # our own reading's
        return Failure(error, error.__cause__)
    names = [c.__name__ for c in type(error).__mro__]
    known = next((_FAILURES[n] for n in names if n in _FAILURES), None)
    if known is None or not type(error).__module__.startswith(("httpx", "idna")):
        raise error
    kind, unsent = known
    stale = stale and kind is ServiceConnectionError
    tls = _tls_error(error) if kind is ServiceConnectionError else None
    what = getattr(tls, "verify_message", "") or str(error) or names[0]
    barred = what.startswith("407")
    advice = _LOGIN if barred else _tls_advice(tls) or _PHASES.get(names[0], _ADVICE[kind])
    if is_loopback(urlsplit(url).hostname or "") and _cause(error, ConnectionRefusedError):
        advice = _NOBODY
    proxy = _proxy(url)
    ours = kind(
        advice.format(url=url, what=what, proxies=proxy or "proxies (HTTPS_PROXY, NO_PROXY)"),
        unsent=unsent or stale,
    )
    if tls is not None or barred:  # neither passes with time
        ours.is_retryable = False
    if tls is not None or (proxy and kind is ServiceConnectionError):
        ours.anchor = "a-corporate-proxy"
    return Failure(ours, None if kind is ConfigurationError else error, stale)


def _proxy(url: str) -> str:
    """Name the proxy that the environment prescribes for an address, without its login."""
    from urllib.request import getproxies_environment

    parts = urlsplit(url)
    found = getproxies_environment()
    proxy = found.get(parts.scheme) or found.get("all")
    host = parts.hostname or ""
    direct = [name.strip().lstrip(".") for name in found.get("no", "").split(",")]
    avoided = "*" in direct or any(f".{host}".endswith(f".{name}") for name in direct if name)
    if not proxy or avoided or is_loopback(host):
        return ""
    place = re.split("[/?#]", re.sub(r"^.*(@|//)", "", proxy))[0]
    return f"the proxy {place} (HTTPS_PROXY; NO_PROXY={host} goes around it)"


def _cause(error: BaseException, kind: type[E]) -> E | None:
    """Return the first of a kind among an error and its causes."""
    return next((cause for cause in (error, *causes(error)) if isinstance(cause, kind)), None)


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    """Return what the two sides cannot agree on; None if the connection just broke."""
    found = _cause(error, ssl.SSLError)
    return None if isinstance(found, ssl.SSLEOFError) else found


def _tls_advice(error: ssl.SSLError | None) -> str | None:
    if error is None:
        return None
    return _CERTIFICATE if isinstance(error, ssl.SSLCertVerificationError) else _NO_TLS
