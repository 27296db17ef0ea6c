"""Fireworks as a service: where it is, and what its errors mean."""

from __future__ import annotations

from urllib.parse import urlsplit

from qaip_core.backend import Backend
from qaip_core.report import Rule

__all__ = ["FIREWORKS"]


def _normalise(url: str) -> str:
    for ending in ("/models", "/embeddings", "/rerank"):
        url = url.removesuffix(ending)
    if urlsplit(url).path == "" and urlsplit(url).hostname == "api.fireworks.ai":
        return url + "/inference/v1"
    return url + "/v1" if url.endswith("/inference") else url


FIREWORKS = Backend(
    name="fireworks",
    title="Fireworks",
    base_url="https://api.fireworks.ai/inference/v1",
    key_env=("FIREWORKS_API_KEY",),
    model_hint=" (`qaip models --service fireworks` lists them)",
    url_env=("FIREWORKS_API_BASE", "FIREWORKS_BASE_URL"),
    docs="https://app.fireworks.ai/settings/users/api-keys",
    normalise_url=_normalise,
    rules=(Rule(status=(520,), retry=True),),
    keep_headers=("fireworks-", "x-ratelimit-"),
)
