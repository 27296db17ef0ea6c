"""`qaip ask`: one question, the answer as it comes, and its sources."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from qaip_core.citations import distinct
from qaip_core.client import Client
from qaip_core.command.services import HOW_TO_BEGIN, SERVICES, Choice, Service, Way, ready
from qaip_core.command.terminal import print_json
from qaip_core.connection import Connection
from qaip_core.errors import ConfigurationError
from qaip_core.rendering import CitedAnswer
from qaip_core.rendering.harmless import one_line
from qaip_core.rendering.showing import Replaced, follow
from qaip_core.types import Citation, Completion, Increment, add_up

if TYPE_CHECKING:
    from qaip_sandbox import Sandbox

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Ask one question.

    Parameters:
        options: what the command line says.

    Returns:
        The exit code.

    Raises:
        ServiceError: the service cannot be asked, or fails; what had arrived is shown.
    """
    question = _question(options.question)
    choice = Choice(options.model, options.agent)
    if options.agent and options.service != "pais":
        raise ConfigurationError("--agent is for an agent of PAIS: add --service pais")
    service = _service(options)
    if service is None:
        print(f"qaip: {HOW_TO_BEGIN}", file=sys.stderr)
        return 2
    with (
        _connected(service, options.docs) as connection,
        closing(Client(connection.settings(service.backend))) as client,
    ):
        if options.docs:
            choice = _of_sandbox(service, client, choice)
        logging.getLogger("qaip_core").addHandler(_UNSEEN)
        way = _limited(service.way(service, client, choice), options.max_tokens)
        answer = _Answer(options.docs)
        with closing(client.pieces(way.endpoint, question, way.values)) as pieces:
            if options.json:
                answer.increments.extend(pieces)
                print_json(_as_json(question, service, way, answer.whole()))
            else:
                follow(pieces, answer)
    if remark := _remark(answer.whole()):
        print(f"qaip: {remark}", file=sys.stderr)
    return 0


_UNSEEN = logging.NullHandler()
"""Keeps Python from printing a warning of the core where nobody reads logs: see `_remark`."""


def _remark(answer: Completion) -> str:
    """Return what is to be known of an answer that nobody would see in it."""
    if answer.finish_reason == "length":
        return "the answer ends at the limit of tokens; see --max-tokens"
    return "" if answer.text.strip() else "the service sent an answer without text"


def _limited(way: Way, max_tokens: int | None) -> Way:
    if max_tokens is None:
        return way
    if not way.endpoint.takes("max_tokens"):
        raise ConfigurationError(f"{way.endpoint.backend.title} has no limit: drop --max-tokens")
    return Way(way.endpoint, {**way.values, "max_tokens": max_tokens})


def _question(words: list[str]) -> str:
    question = " ".join(words)
    try:
        question = sys.stdin.read() if question == "-" else question
        question.encode()  # bytes that a shell passed and that are no text
    except UnicodeError:
        raise ConfigurationError("the question is no text in UTF-8") from None
    if not question.strip():
        raise ConfigurationError('the question is empty: qaip ask "your question"')
    return question.strip()


def _service(options: argparse.Namespace) -> Service | None:
    """Return who is asked; None if nobody can be."""
    if options.service or options.docs:
        return SERVICES[options.service or "qaip"]
    found = ready()
    if len(found) > 1:
        names = ", ".join(other.backend.name for other in found[1:])
        told = f"qaip: asking {found[0].backend.title}; --service takes another: {names}"
        print(told, file=sys.stderr)
    return found[0] if found else None


@contextmanager
def _connected(service: Service, docs: Path | None) -> Iterator[Connection]:
    """Return how the service is reached; with documents that is a sandbox, which then ends."""
    if docs is None:
        yield Connection()
        return
    with _sandbox(docs) as sandbox:
        backend = service.backend
        key, url = (sandbox.env[names[0]] for names in (backend.key_env, backend.url_env))
        yield Connection(api_key=key, base_url=url, verify=True)


@contextmanager
def _sandbox(folder: Path) -> Iterator[Sandbox]:
    from qaip_sandbox import Sandbox  # first: it says what to install
    from qaip_sandbox.terminal import progress, unread

    with progress() as report:
        sandbox = Sandbox(folder, progress=report).start()
    try:
        unread(sandbox.refused, folder)
        if not sandbox.documents:
            raise ConfigurationError(f"there is nothing to read in {one_line(str(folder))}")
        yield sandbox
    finally:
        sandbox.stop()


def _of_sandbox(service: Service, client: Client, choice: Choice) -> Choice:
    """Take what a sandbox offers where nothing was chosen: its agent, else its first model."""
    if choice.model or choice.agent or service.models is None:
        return choice
    if service.backend.name == "pais":
        from qaip_core.backends.pais.listing import AGENTS

        return Choice(agent=client.fetch(AGENTS).entries[0].id)
    return Choice(model=client.fetch(service.models)[0].id)


@dataclass
class _Answer:
    """An answer as it grows.

    Parameters:
        docs: the folder whose documents are asked; None for a service.
    """

    docs: Path | None
    increments: list[Increment] = field(default_factory=list)

    def add(self, piece: Increment) -> str:
        """Take the next piece; return the text that it adds."""
        self.increments.append(piece)
        if isinstance(piece, str):
            return piece
        return Replaced(piece.text) if piece.replaces else piece.text

    def whole(self) -> Completion:
        """Return the answer as far as it has come; sources in the folder name their files."""
        whole = add_up(self.increments)
        if self.docs is None:
            return whole
        return replace(whole, citations=tuple(_on_disk(c, self.docs) for c in whole.citations))

    def cited(self) -> CitedAnswer:
        """Return the answer to be shown."""
        whole = self.whole()
        return CitedAnswer(whole.text, [citation.as_dict() for citation in whole.citations])


def _on_disk(citation: Citation, folder: Path) -> Citation:
    """Return a sandbox's source with its file, since the address that it invents leads nowhere."""
    from qaip_sandbox.documents import SITE

    url = citation.url or ""
    if not url.startswith(SITE):  # a document may say where it comes from
        return citation
    path = str(folder / unquote(url.removeprefix(SITE).partition("#")[0]))
    title = citation.title
    named = title and not path.endswith(title)
    return replace(citation, url=path, title=f"{title} ({path})" if named else path)


_FACTS = ("title", "url", "page_number", "date", "text", "id", "score")


def _as_json(question: str, service: Service, way: Way, answer: Completion) -> dict[str, Any]:
    """Return an answer as an object for other programs."""
    known = distinct([citation.as_dict() for citation in answer.citations])
    sources = [
        {"number": s.get("marker", s.get("rank", n)), **{name: s.get(name) for name in _FACTS}}
        for n, s in enumerate(known, start=1)
    ]
    found: dict[str, Any] = {
        "question": question,
        "service": service.backend.name,
        "model": answer.model or way.values.get("model") or service.backend.name,
        "answer": answer.text,
        "sources": sources,
        "finish_reason": answer.finish_reason,
        "usage": answer.usage and {**answer.usage.as_counts(), **answer.usage.details()},
    }
    cost = answer.metadata.get("cost", answer.metadata.get("price"))
    return found if cost is None else {**found, "cost": cost}
