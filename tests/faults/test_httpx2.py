"""Clients of httpx2 that the user hands in behave as ours do.

The tests of the tables run again: every row and every way of writing, each over one of the core's
ways of asking in turn.
"""

import asyncio
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from qaip_core.errors import ServiceConnectionError, ServiceTimeoutError
from support.fault_server import FaultServer, Reply, cut, json_reply
from support.faults.matrix import KIN, Row, incomplete, matrix, raised, tried, whole
from support.faults.speech import Speech
from support.faults.subjects import CORE, CORE2, SUBJECTS, Outcome, Subject

pytestmark = pytest.mark.skipif(not find_spec("httpx2"), reason="httpx2 is not installed")

NAMES = ("subject", "speech", "row")
TWINS = {
    s.name: twin for s, twin in zip(CORE, CORE2, strict=True) if (s.service, s.operation) not in KIN
}
Check = Callable[..., Any]


def _modules() -> Iterator[ModuleType]:
    here = Path(__file__)
    for path in sorted(here.parent.glob("test_*.py")):
        if path != here and "@matrix(" in path.read_text():
            spec = spec_from_file_location(f"over_httpx2_{path.stem}", path)
            assert spec
            assert spec.loader
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            yield module


def _tables() -> Iterator[tuple[Check, list[Any]]]:
    """Yield the tests that lay a table over the subjects, with their cases."""
    for module in _modules():
        for name, check in inspect.getmembers(module, inspect.isfunction):
            wanted = {*NAMES, "server"}  # without one, it hands in clients of its own
            if name.startswith("test_") and inspect.signature(check).parameters.keys() == wanted:
                for mark in getattr(check, "pytestmark", ()):
                    if mark.name == "parametrize" and mark.args[0] == NAMES:
                        yield check, mark.args[1]


def _lenient(mark: pytest.Mark) -> pytest.MarkDecorator | pytest.Mark:
    """What httpx does not hold, httpx2 may."""
    return (
        pytest.mark.xfail(reason=mark.kwargs["reason"], strict=False)
        if mark.name == "xfail"
        else mark
    )


def _cases() -> Iterator[Any]:
    """Yield the cases, with each row's ways of asking in turn."""
    turn = 0
    for check, params in _tables():
        ways: dict[tuple[str, str], list[Any]] = {}
        for param in params:
            subject, speech, row = param.values
            if subject.name in TWINS:
                ways.setdefault((row.name, speech.name), []).append(param)
        marks = [mark for mark in check.pytestmark if mark.name != "parametrize"]
        for known in ways.values():
            turn += 1
            param = known[turn % len(known)]
            subject, speech, row = param.values
            twin = TWINS[subject.name]
            yield pytest.param(
                check, twin, speech, row, marks=[*map(_lenient, [*marks, *param.marks])],
                id=f"{check.__name__}-{row.name}-{speech.name}-{twin.name}",
            )  # fmt: skip


@pytest.mark.parametrize(("check", *NAMES), [*_cases()] if find_spec("httpx2") else [])
def test_the_tables_hold_over_httpx2(
    check: Check, subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    check(subject=subject, speech=speech, row=row, server=server)


# The classes of the frameworks: how an answer may come, and what the caller sees of it.

HANDED: Sequence[Row] = [
    Row("a complete answer", lambda s: s.stream(*s.said("te", "a")), whole("tea")),
    Row("an answer in tiny pieces", lambda s: s.stream(*cut(_joined(s), sizes=7)), whole("tea")),
    Row("a cut answer", lambda s: s.stream(s.piece("tea"), end="cut"), incomplete("tea")),
    Row("a reset", lambda s: Reply(raw=b"", end="reset"), raised(ServiceConnectionError)),
    Row(
        "silence",
        lambda s: [s.stream(s.piece("tea"), end="hang"), json_reply({})],  # Dify is told to stop
        raised(ServiceTimeoutError, text="tea"),
        fields={"stream_idle_timeout": 0.05},
    ),
]
ASKED = (
    "ChatQaip.stream", "ChatFireworks.astream", "ChatPAIS.astream_events", "DifyLLM.invoke",
    "ChatDify.retriever.ainvoke", "PerplexityLLM.stream",
    "Fireworks.stream_complete", "PAIS.astream_chat", "Dify.achat",
    "Perplexity.engine.aquery streaming", "Qaip.stream_chat",
)  # fmt: skip


def _joined(speech: Speech) -> bytes:
    return b"".join(speech.said("te", "a"))


@matrix(HANDED, subjects=[s for s in SUBJECTS if s.name in ASKED])
def test_the_classes_take_a_client_of_httpx2(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    httpx2 = import_module("httpx2")

    class Asked(Subject):
        """Its object gets a client, which stays open when the object is closed."""

        def ask(self, url: str, **given: Any) -> Outcome:
            if self.is_async:
                return asyncio.run(self._ask_within(url, given))
            with httpx2.Client(trust_env=False, verify=False) as http:
                outcome = super().ask(url, http_client=http, **given)
                assert not http.is_closed
                return outcome

        async def _ask_within(self, url: str, given: dict[str, Any]) -> Outcome:
            async with httpx2.AsyncClient(trust_env=False, verify=False) as http:
                outcome = await self.aask(url, http_async_client=http, **given)
                assert not http.is_closed
                return outcome

    tried(server, Asked(**vars(subject)), speech, row)


def test_the_product_does_not_import_httpx2() -> None:
    root = Path(__file__).parents[2]
    folders = ("langchain_qaip", "llama_index_qaip", "shared")
    files = [path for folder in folders for path in (root / folder).rglob("*.py")]
    importing = re.compile(r"^\s*(import|from)\s+httpx2", re.MULTILINE)
    assert files
    assert not [path for path in files if importing.search(path.read_text())]
