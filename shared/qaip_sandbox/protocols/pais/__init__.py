"""VMware Private AI Services: completions, embeddings, agents that cite, and knowledge bases."""

from typing import Literal

from qaip_sandbox.service import Handler, Route, Service

from . import agents, answering, knowledge, models
from .errors import authorize, error_event, failed, ping
from .switches import PAISSwitches

__all__ = ["PAIS", "PAISSwitches"]

_KEY = "PAIS_API_KEY"
_ROOT = "/pais/api/v1"
_CONTROL_BASE = f"{_ROOT}/control"
_INDEX = "/knowledge-bases/{kb}/indexes/{ix}"

_Row = tuple[Literal["GET", "POST"], str, Handler]

_OPENAI: tuple[_Row, ...] = (
    ("POST", "/completions", answering.complete),
    ("POST", "/chat/completions", answering.chat),
    ("GET", "/models", models.models),
    ("POST", "/embeddings", models.embeddings),
)
_AGENTS: tuple[_Row, ...] = (
    ("GET", "", agents.agents),
    ("GET", "/{id}", agents.agent),
    ("POST", "/{id}/completions", agents.complete),
    ("POST", "/{id}/chat/completions", agents.chat),
)
_CONTROL: tuple[_Row, ...] = (
    ("GET", "/knowledge-bases", knowledge.knowledge_bases),
    ("GET", "/knowledge-bases/{kb}", knowledge.knowledge_base),
    ("GET", "/knowledge-bases/{kb}/indexes", knowledge.indexes),
    ("GET", _INDEX, knowledge.index),
    ("GET", f"{_INDEX}/documents", knowledge.documents),
    ("GET", f"{_INDEX}/indexings", knowledge.indexings),
    ("GET", f"{_INDEX}/active-indexing", knowledge.no_indexing),
    ("POST", f"{_INDEX}/search", knowledge.search),
    ("GET", "/data-sources", knowledge.data_sources),
)

PAIS = Service(
    name="pais",
    base_path=f"{_ROOT}/compatibility/openai/v1",
    base_url_name="PAIS_BASE_URL",
    keys={_KEY: "sandbox-pais-token"},
    routes=(
        *(Route(method, path, run, _KEY) for method, path, run in _OPENAI),
        *(
            Route(method, f"/{name}{path}", run, _KEY)
            for name in ("agents", "assistants")
            for method, path, run in _AGENTS
        ),
        *(Route(method, path, run, _KEY, base=_CONTROL_BASE) for method, path, run in _CONTROL),
    ),
    authorize=authorize,
    failed=failed,
    error_event=error_event,
    ping=ping,
    switches=PAISSwitches,
)
