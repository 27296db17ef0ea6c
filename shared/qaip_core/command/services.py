"""The services as the command knows them: how each is asked, and how it is found to be set up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qaip_core.backend import Backend, Endpoint
from qaip_core.backends.dify import COMPLETION, DIFY
from qaip_core.backends.dify.app import INFO, DifyInfo, check_kind
from qaip_core.backends.fireworks import CHAT as FIREWORKS_CHAT
from qaip_core.backends.fireworks import FIREWORKS
from qaip_core.backends.fireworks import MODELS as FIREWORKS_MODELS
from qaip_core.backends.pais import CHAT as PAIS_CHAT
from qaip_core.backends.pais import PAIS
from qaip_core.backends.pais.listing import MODELS as PAIS_MODELS
from qaip_core.backends.perplexity import PERPLEXITY
from qaip_core.backends.perplexity._classes import is_of_chats
from qaip_core.backends.perplexity.agent import AGENT
from qaip_core.backends.perplexity.models import MODELS as PERPLEXITY_MODELS
from qaip_core.backends.qaip import COMPLETIONS, QAIP
from qaip_core.backends.qaip.library import TAGS
from qaip_core.client import Client
from qaip_core.command.options import SERVICE_NAMES
from qaip_core.connection import environment
from qaip_core.errors import ConfigurationError, NotFoundError
from qaip_core.operation import Operation
from qaip_core.types import ModelInfo

__all__ = ["HOW_TO_BEGIN", "SERVICES", "Choice", "Service", "Way", "ready"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What the command line says of who answers.

    Parameters:
        model: the model; None where it is not given.
        agent: an agent of PAIS; None where it is not given.
    """

    model: str | None = None
    agent: str | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """How one question is asked: the endpoint, and its parameters."""

    endpoint: Endpoint
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Service:
    """One service.

    Parameters:
        backend: the service itself.
        way: finds how to ask it; it may ask the service for that.
        probe: a call that is free, changes nothing, and needs the key.
        tell: says in some words what came of the probe, if that is worth a word.
        models: the list of its models, where it has one.
        example: how a model of it is called.
    """

    backend: Backend
    way: Callable[[Service, Client, Choice], Way]
    probe: Operation[Any]
    tell: Callable[[Any], str]
    models: Operation[list[ModelInfo]] | None = None
    example: str = "NAME"

    @property
    def is_set_up(self) -> bool:
        """Whether the environment holds what it cannot do without: its key, or its address."""
        needed = self.backend.key_env if self.backend.key_required else self.backend.url_env
        return environment(needed) is not None

    @property
    def variables(self) -> str:
        """The environment variables that set it up, for people."""
        keys = " or ".join(self.backend.key_env)
        return keys if self.backend.base_url else f"{' or '.join(self.backend.url_env)} and {keys}"


def _chooses_itself(service: Service, _client: Client, choice: Choice) -> Way:
    _refuse_model(service, choice)
    return Way(COMPLETIONS)


def _dify_app(service: Service, client: Client, choice: Choice) -> Way:
    """A key belongs to one app: the service tells of which kind it is."""
    _refuse_model(service, choice)
    try:
        info = client.fetch(INFO)
    except NotFoundError:  # a server that is too old to tell
        info = DifyInfo()
    if info.mode in _CHATS:
        from qaip_core.backends.dify.chat import CHAT

        return Way(CHAT)
    check_kind(info, modes=("completion", *_CHATS))
    return Way(COMPLETION)


_CHATS = ("chat", "agent-chat", "advanced-chat")


def _web_search(service: Service, _client: Client, choice: Choice) -> Way:
    model = _model(service, choice)
    if is_of_chats(model):
        raise ConfigurationError(
            f"{model!r} is a model of chat completions, which Perplexity has ended: "
            f"--model {service.example} asks its successor"
        )
    return Way(AGENT, {"model": model, "web_search": True})


def _chat(service: Service, _client: Client, choice: Choice) -> Way:
    return Way(FIREWORKS_CHAT, {"model": _model(service, choice)})


def _agent_or_model(service: Service, _client: Client, choice: Choice) -> Way:
    if choice.agent is None:
        return Way(PAIS_CHAT, {"model": _model(service, choice, "--agent ID or --model NAME")})
    from qaip_core.backends.pais.agent import AGENT_CHAT

    _refuse_model(service, choice)
    return Way(AGENT_CHAT, {"agent_id": choice.agent})


def _model(service: Service, choice: Choice, wanted: str | None = None) -> str:
    if choice.model:
        return choice.model
    name = service.backend.name
    wanted = wanted or f"--model NAME, such as --model {service.example}"
    raise ConfigurationError(
        f"{service.backend.title} leaves the choice to you: add {wanted}. "
        f"`qaip models --service {name}` lists them."
    )


def _refuse_model(service: Service, choice: Choice) -> None:
    if choice.model:
        who = "the agent" if choice.agent else service.backend.title
        raise ConfigurationError(f"{who} chooses the model itself: leave --model out.")


def _counted(found: Sequence[ModelInfo]) -> str:
    return "1 model" if len(found) == 1 else f"{len(found)} models"


def _app(info: DifyInfo) -> str:
    return f"the app {info.name!r}" + (f", of mode {info.mode!r}" if info.mode else "")


_ALL = (
    Service(QAIP, _chooses_itself, probe=TAGS, tell=lambda _tags: ""),
    Service(
        PERPLEXITY,
        _web_search,
        probe=PERPLEXITY_MODELS,
        tell=_counted,
        models=PERPLEXITY_MODELS,
        example="perplexity/sonar",
    ),
    Service(DIFY, _dify_app, probe=INFO, tell=_app),
    Service(PAIS, _agent_or_model, probe=PAIS_MODELS, tell=_counted, models=PAIS_MODELS),
    Service(
        FIREWORKS,
        _chat,
        probe=FIREWORKS_MODELS,
        tell=_counted,
        models=FIREWORKS_MODELS,
        example="accounts/fireworks/models/gpt-oss-120b",
    ),
)

SERVICES: Mapping[str, Service] = {
    name: next(s for s in _ALL if s.backend.name == name) for name in SERVICE_NAMES
}
"""By their names, in the order in which the first that is set up is asked."""


def ready() -> list[Service]:
    """Return the services that are set up, those first whose answers have sources."""
    return [service for service in SERVICES.values() if service.is_set_up]


HOW_TO_BEGIN = "\n".join(
    [
        "no service is set up. Set the environment variable of one:",
        *(f"  {s.variables}: {s.backend.title} ({s.backend.docs})" for s in SERVICES.values()),
        "Or ask your own documents, offline and without a key:",
        '  qaip ask --docs FOLDER "your question"',
    ]
)
"""What to say where nothing is."""
