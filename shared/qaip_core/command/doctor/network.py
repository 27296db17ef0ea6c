"""What the environment says of proxies and certificates."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.request import getproxies

from qaip_core.command.doctor.check import Check
from qaip_core.redaction import bare_proxy

__all__ = ["check_network"]

_IGNORED = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def check_network() -> Iterator[Check]:
    """Check the variables (and on some systems the settings) that every request goes by."""
    yield _proxy()
    for name, is_there in (("SSL_CERT_FILE", Path.is_file), ("SSL_CERT_DIR", Path.is_dir)):
        if value := os.environ.get(name):
            if is_there(Path(value)):
                yield Check(name, "ok", value)
            else:
                kind = "file" if name == "SSL_CERT_FILE" else "folder"
                yield Check(name, "fail", f"there is no {kind} {value}", f"Correct or unset {name}")
    ours = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
    for name in _IGNORED:
        if os.environ.get(name) and not ours:
            advice = f"If your network has a CA of its own: SSL_CERT_FILE=${name}"
            yield Check(name, "warn", "is set, but httpx does not read it", advice)


def _proxy() -> Check:
    """Show the proxies, without their passwords; whether they work is seen when they are used."""
    known = {
        name: value if scheme == "no" else bare_proxy(value)
        for scheme, name in _PROXIES.items()
        if (value := getproxies().get(scheme))
    }
    told = ", ".join(f"{name} {value}" for name, value in known.items())
    return Check("proxy", "ok", told if known.keys() - {"NO_PROXY"} else "none")


_PROXIES = {"http": "HTTP_PROXY", "https": "HTTPS_PROXY", "all": "ALL_PROXY", "no": "NO_PROXY"}
