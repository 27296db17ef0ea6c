"""VMware Private AI Services as a service: where it is, and what its errors mean."""

from __future__ import annotations

from urllib.parse import urlsplit

from qaip_core.backend import Backend
from qaip_core.errors import AuthenticationError, ContextOverflowError, ModelNotReadyError
from qaip_core.report import Rule

__all__ = ["PAIS", "control_base"]

_OPENAI = "/compatibility/openai/v1"
_PATH = f"/api/v1{_OPENAI}"


def _normalise(url: str) -> str:
    url = url.removesuffix("/models")
    if urlsplit(url).path == "":
        return url + _PATH
    return url + _OPENAI if url.endswith("/api/v1") else url


def control_base(url: str) -> str:
    """Return where knowledge bases are, beside the calls of the OpenAI API.

    Parameters:
        url: the base URL of those; one that does not end as theirs is taken for the other.
    """
    return f"{url.removesuffix(_OPENAI)}/control" if url.endswith(_OPENAI) else url


PAIS = Backend(
    name="pais",
    title="VMware Private AI Services",
    base_url=None,
    key_env=("PAIS_API_KEY", "PAIS_ACCESS_TOKEN"),
    model_hint=" (`qaip models --service pais` lists them)",
    url_env=("PAIS_BASE_URL",),
    verify_env=("PAIS_VERIFY_SSL",),
    docs="an OpenID Connect access token of your site",
    key_required=False,  # some sites run without authentication
    normalise_url=_normalise,
    rules=(
        Rule(
            ModelNotReadyError,
            status=(400,),
            text="not ready",
            hint="Is the id of the model endpoint right? Then it is starting: try again later.",
        ),
        Rule(ContextOverflowError, status=(400,), text="input tokens .* context length"),
        Rule(
            code=("AGENT_COMPLETION_FAILED",),
            hint="If it stays so, look at the settings of the agent: those that are null "
            "(completion_role, session_max_length, ...) are reported to fail.",
        ),
        Rule(
            AuthenticationError,
            status=(401,),
            hint="{asked} Check the access token, which expires after minutes: pass api_key=..., "
            "best a callable that returns a fresh one (such as qaip_core.tokens.OpenIDToken), or "
            "set {env}.",
            anchor="an-expired-pais-token",
        ),
    ),
)
