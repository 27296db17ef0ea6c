"""VMware Private AI Services as a service: where it is, and what its errors mean."""

from __future__ import annotations

from urllib.parse import urlsplit

from qaip_core.backend import Backend
from qaip_core.errors import ContextOverflowError, ModelNotReadyError
from qaip_core.report import Rule

__all__ = ["PAIS"]

_PATH = "/api/v1/compatibility/openai/v1"


def _normalise(url: str) -> str:
    for ending in ("/chat/completions", "/completions", "/models"):
        url = url.removesuffix(ending)
    if urlsplit(url).path == "":
        return url + _PATH
    return url + "/compatibility/openai/v1" if url.endswith("/api/v1") else url


PAIS = Backend(
    name="pais",
    title="VMware Private AI Services",
    base_url=None,
    key_env=("PAIS_API_KEY", "PAIS_ACCESS_TOKEN"),
    url_env=("PAIS_BASE_URL",),
    docs="an OpenID Connect access token of your site",
    key_required=False,  # some sites run without authentication
    normalise_url=_normalise,
    rules=(
        Rule(
            ModelNotReadyError,
            status=(400,),
            text="not ready",
            hint="The model endpoint is starting: try again later.",
        ),
        Rule(ContextOverflowError, status=(400,), text="input tokens .* context length"),
    ),
)
