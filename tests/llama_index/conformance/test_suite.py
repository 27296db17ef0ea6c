"""The suite itself: no fact is idle, and a defect is told by the fact that names it."""

import http.client
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from inspect import get_annotations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llama_index_qaip.testing import (
    Answer,
    Bench,
    Contract,
    EmbeddingContract,
    LLMContract,
    Loopback,
    OpenAIDialect,
    QueryEngineContract,
    Refusal,
    Request,
    RerankContract,
    RetrieverContract,
    good_practice,
    needs,
)

from . import test_conformance
from .defects import DEFECTS, HELD, Defect, Splitting, planted
from .test_conformance import TestPerplexity as Whole

OURS = [kind for name, kind in vars(test_conformance).items() if name.startswith("Test")]


def facts(contract: type) -> set[str]:
    """Return the names of all tests that a contract and its bases state."""
    return {name for base in contract.__mro__ for name in vars(base) if name.startswith("test_")}


CONTRACTS = [
    LLMContract,
    RetrieverContract,
    QueryEngineContract,
    EmbeddingContract,
    RerankContract,
]


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_fact_is_tested_for_one_of_our_services(contract: type) -> None:
    heirs = [kind for kind in OURS if issubclass(kind, contract)]
    tested = {name for name in facts(contract) for kind in heirs if callable(getattr(kind, name))}
    assert tested == facts(contract)


class Ample(Contract):
    @good_practice
    def test_more(self) -> None: ...

    def test_the_least(self) -> None: ...


class Least(Ample):
    good_practice = False


class More(Least):
    good_practice = True


@pytest.mark.parametrize(("kind", "more"), [(Least, False), (More, True)])
def test_the_contract_can_be_tested_without_good_practice(kind: type, more: bool) -> None:
    assert callable(getattr(kind, "test_more")) is more  # noqa: B009 -- it may be None
    assert callable(getattr(kind, "test_the_least"))  # noqa: B009


class Refusing(Ample):
    test_the_least = None  # type: ignore[assignment]


class Mixed(Least, Refusing):
    pass


class Readmitting(Refusing):
    def test_the_least(self) -> None: ...


def test_a_fact_that_an_author_took_away_stays_away_until_he_gives_it_back() -> None:
    assert type("Heir", (Refusing,), {}).test_the_least is None  # type: ignore[attr-defined]
    assert Mixed.test_the_least is None
    assert callable(type("Heir", (Readmitting,), {}).test_the_least)  # type: ignore[attr-defined]


class Served:
    @pytest.fixture
    def service(self) -> Iterator[Loopback]:
        raise NotImplementedError


def make(self: Any, url: str, **fields: Any) -> Any:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("name", "bases", "given", "told"),
    [
        ("TestA", (LLMContract,), {"call_tools": True}, r"call_tools .* calls_tools\?"),
        ("Mixin", (Served, LLMContract), {"reason": True}, r"reason .* reasons\?"),
        ("TestB", (LLMContract,), {"dialect": OpenAIDialect}, "no make: write `def make"),
        ("TestC", (LLMContract,), {"make": make}, "no service: write `dialect = "),
    ],
)
def test_a_slip_is_told_when_the_class_is_made(
    name: str, bases: tuple[type, ...], given: dict[str, Any], told: str
) -> None:
    with pytest.raises(TypeError, match=told):
        type(name, bases, given)


def test_a_class_with_a_service_of_its_own_needs_no_dialect() -> None:
    assert type("TestOwn", (Served, LLMContract), {"make": make, "kind": None})


class Optional(Contract):
    flag = False

    @needs(flag=True)
    def test_with(self) -> None: ...

    @needs(flag=False)
    def test_without(self) -> None: ...


class On(Optional):
    flag = True


class OffAgain(On):
    flag = False


@pytest.mark.parametrize(("kind", "on"), [(On, True), (OffAgain, False)])
def test_facts_that_do_not_apply_are_not_collected(kind: type, on: bool) -> None:
    assert callable(getattr(kind, "test_with")) is on  # noqa: B009 -- it may be None
    assert callable(getattr(kind, "test_without")) is not on  # noqa: B009


@pytest.fixture(scope="module")
def service() -> Iterator[Loopback]:
    with Loopback(Whole.dialect()) as started:
        yield started


@contextmanager
def benched(contract: Any, service: Loopback) -> Iterator[Bench]:
    """Give the bench of a contract, over the service that is there or one of its own."""
    with ExitStack() as stack:
        if contract.dialect is not Whole.dialect:
            service = stack.enter_context(Loopback(contract.dialect()))
        service.reset()
        yield stack.enter_context(contract.over(service))
        service.reset()


@pytest.mark.parametrize("defect", DEFECTS, ids=str)
def test_a_defect_fails_its_fact(defect: Defect, service: Loopback) -> None:
    contract = planted(defect.kind)
    # Any other error would be a slip of the suite's.
    failing = pytest.raises((AssertionError, pytest.fail.Exception))
    with benched(contract, service) as bench, failing:
        getattr(contract, defect.fact)(bench, *defect.how)
    HELD.clear()


@pytest.mark.parametrize("wire", ["CRLF", "a byte order mark", "cut anywhere"])
def test_a_defect_fails_the_one_case_that_names_it(wire: str, service: Loopback) -> None:
    service.reset()
    contract = planted(Splitting)
    with contract.over(service) as bench:
        contract.test_text_survives(bench, "stream_chat", wire)


class Broken(OpenAIDialect):
    def whole(self, answer: Answer, request: Request) -> Any:
        raise LookupError("a slip of the pen")


def test_a_fault_of_a_dialect_is_told_to_who_asks() -> None:
    with Loopback(Broken()) as service:
        reply = service.reply(Request("/", {}, {}, 0))
        service.answers(Answer())
        fault = service.reply(Request("/", {}, {}, 0))
    assert reply.status == 501
    assert fault.status == 500
    assert b"a slip of the pen" in fault.body[0]


def test_a_script_is_followed_and_its_last_answer_repeated() -> None:
    with Loopback(OpenAIDialect()) as service:
        service.answers(Refusal(503), Refusal(429))
        request = Request("/", {}, {"prompt": "q"}, 0)
        assert [service.reply(request).status for _ in range(3)] == [503, 429, 429]
        service.reset()
        assert service.requests == []
        assert service.reply(request).status == 501


def asked(service: Loopback, method: str, path: str, **request: Any) -> tuple[int, bytes]:
    """Return how a service answers a request of any kind."""
    wire = http.client.HTTPConnection(service.url.removeprefix("http://"))
    wire.request(method, path, **request)
    reply = wire.getresponse()
    status, body = reply.status, reply.read()
    wire.close()
    return status, body


class Listing(OpenAIDialect):
    def aside(self, request: Request) -> Any:
        return {"data": []} if request.path == "/models" else None


def test_a_service_answers_or_tells_why_not() -> None:
    with Loopback(Listing()) as service:
        assert asked(service, "GET", "/models") == (200, b'{"data": []}')
        status, told = asked(service, "GET", "/files")
        assert (status, told) == (501, b"GET /files has no answer here: see Dialect.aside")
        status, told = asked(service, "POST", "/chat", body=b"{")
        assert status == 400
        assert b"the body of the request is no JSON" in told
        assert service.requests == []


def test_a_request_may_come_in_chunks() -> None:
    with Loopback(OpenAIDialect()) as service:
        service.answers(Answer())
        pieces = iter([b'{"prom', b'pt": "q"}'])
        status, _ = asked(service, "POST", "/completions", body=pieces, encode_chunked=True)
        assert status == 200
        assert service.requests[0].body == {"prompt": "q"}


PAGE = (Path(__file__).parents[3] / "docs/conformance.md").read_text("utf-8")


def example(*names: str) -> dict[str, Any]:
    """Return what the code of examples on the page defines, one after the other."""
    defined: dict[str, Any] = {}
    for name in names:
        (code,) = re.findall(rf"<!-- example: {name} -->\n```python\n(.*?)```", PAGE, re.DOTALL)
        exec(code, defined)
    return defined


def kept(contract: Any, *facts: tuple[str, str]) -> None:
    """Check that an example keeps some facts."""
    with Loopback(contract.dialect()) as service, contract.over(service) as bench:
        for fact, call in facts:
            service.reset()
            getattr(contract, fact)(bench, call)


def test_the_llm_of_the_page_keeps_its_contract() -> None:
    kept(
        example("own")["TestMyLLM"](),
        ("test_deltas_join_to_the_text", "stream_chat"),
        ("test_an_answer_is_its_text", "acomplete"),
        ("test_sources_are_plain_data_in_additional_kwargs", "achat"),
    )


def test_the_retriever_and_the_engine_of_the_page_keep_theirs() -> None:
    made = example("own", "sources")
    kept(made["TestMyRetriever"](), ("test_ids_are_unique_and_stay_the_same", "a"))
    kept(made["TestMyEngine"](), ("test_an_answer_that_was_read_is_there_whole", "a"))


def test_the_embedding_model_and_the_reranker_of_the_page_keep_theirs() -> None:
    made = example("vectors")
    kept(made["TestMyEmbedding"](), ("test_no_text_asks_nothing", "a"))
    kept(made["TestMyReranker"](), ("test_the_best_are_kept", "a"))


def test_the_page_s_class_for_openai_s_protocol_has_flags_that_exist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = SimpleNamespace(OpenAILike=object)  # of a package that is not installed here
    monkeypatch.setitem(sys.modules, "llama_index.llms.openai_like", elsewhere)
    assert issubclass(example("openai")["TestMyLLM"], LLMContract)


def line(contract: type, name: str) -> str:
    """Return the line of the page that lists a fact."""
    (test, *_) = (vars(base)[name] for base in contract.__mro__ if vars(base).get(name))
    flags = dict(getattr(test, "flags", {}))
    level = ["good practice"] if flags.pop("good_practice", False) else []
    said = name.removeprefix("test_").replace("_s_", "'s_").replace("_", " ")
    said = re.sub(r" s$", "'s", said)
    wanted = ", ".join(f"`{flag}`" if on else f"not `{flag}`" for flag, on in flags.items())
    notes = "; ".join([*level, *([f"if {wanted}"] if wanted else [])])
    return f"\n- {said}{notes and f' ({notes})'}\n"


@pytest.mark.parametrize("contract", CONTRACTS)
def test_the_page_lists_every_fact_with_its_level_and_every_flag(contract: type) -> None:
    lines = {line(contract, name) for name in facts(contract)}
    flags = {flag for base in contract.__mro__ for flag in get_annotations(base)}
    assert {each for each in lines if each not in f"{PAGE}\n"} == set()
    assert {flag for flag in flags - {"dialect", "_placed"} if f"`{flag}`" not in PAGE} == set()


def test_the_page_lists_no_fact_that_is_none() -> None:
    lines = {line(contract, name).strip() for contract in CONTRACTS for name in facts(contract)}
    listed = PAGE.partition("## Facts")[2].splitlines()
    assert [each for each in listed if each.startswith("- ") and each not in lines] == []
