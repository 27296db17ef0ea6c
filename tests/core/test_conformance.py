"""Every service's wire, whole and streamed, cut at any byte, means the same, sync and async."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import httpx
import pytest

from qaip_core import AsyncClient, Citation, Client, Completion, ServiceError, errors
from qaip_core.backend import Endpoint
from qaip_core.backends.dify import datasets as dify_datasets
from qaip_core.backends.pais import search as pais_search
from qaip_core.backends.perplexity import search as perplexity_search
from qaip_core.backends.qaip import library as qaip_library
from qaip_core.backends.qaip import search as qaip_search
from qaip_core.operation import Operation
from support.backends import ENDPOINTS, NEEDED, settings
from support.fault_server import FaultServer, cut
from support.operations import ASKED
from support.wire import WireCase, cases

SENT = (7, 64, None)
HANDED = (1, 2)
KINDS: Mapping[str, type[ServiceError]] = {
    "bad_request": errors.BadRequestError,
    "authentication": errors.AuthenticationError,
    "permission": errors.PermissionDeniedError,
    "not_found": errors.NotFoundError,
    "unprocessable": errors.UnprocessableEntityError,
    "rate_limit": errors.RateLimitError,
    "context_length": errors.ContextOverflowError,
    "server": errors.ServerError,
    "server_reported_in_stream": errors.ServerReportedError,
    "incomplete": errors.IncompleteStreamError,
    "malformed": errors.MalformedResponseError,
    "retired": errors.EndpointRetiredError,
    "model_not_ready": errors.ModelNotReadyError,
    "payment_required": errors.PaymentRequiredError,
    "precondition": errors.PreconditionFailedError,
}
CASES = [c for c in cases() if (c.service, c.operation) in ENDPOINTS]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)


@pytest.fixture
def server() -> Any:
    with FaultServer() as started:
        yield started


def values(case: WireCase) -> dict[str, Any]:
    needed = dict(NEEDED.get((case.service, case.operation), {}))
    if "model" in needed and "model" in case.request:
        needed["model"] = case.request["model"]
    if case.service == "dify" and not case.stream:
        needed["response_mode"] = "blocking"
    if case.request.get("n", 1) > 1:
        needed["n"] = case.request["n"]
    return needed


def citation(known: Citation) -> dict[str, Any]:
    seen = {k: getattr(known, k) for k in ("url", "title", "text", "page_number", "score", "date")}
    seen["file_type"] = known.metadata.get("file_type")
    return {k: v for k, v in seen.items() if v is not None}


def add_up(increments: list[Completion]) -> Completion:
    total = increments[0]
    for increment in increments[1:]:
        total = total + increment
    return total


def check_answer(case: WireCase, answer: Completion) -> None:
    expected = case.expected
    assert answer.text == expected["text"]
    assert (answer.choice.reasoning or None) == expected["reasoning"]
    assert answer.finish_reason == expected["finish_reason"]
    if "texts" in expected:
        assert {str(c.index): c.text for c in answer.choices} == expected["texts"]
    usage = answer.usage
    seen = usage and {
        k: getattr(usage, k) for k in expected["usage"] or ("input_tokens", "total_tokens")
    }
    assert seen == expected["usage"]
    wanted = [{k: v for k, v in c.items() if k != "wire_id"} for c in expected["citations"]]
    assert [citation(c) for c in answer.citations] == wanted
    for known, want in zip(answer.citations, expected["citations"], strict=True):
        assert known.id == want.get("wire_id", known.id)
        assert len(known.id) >= 1
    assert answer.id == expected["id"]
    if expected["model"]:
        assert answer.model == expected["model"]
    assert answer.last
    assert answer.raw is not None


def check_error(case: WireCase, error: ServiceError) -> None:
    failure = case.expected["error"]
    assert failure is not None
    assert type(error) is KINDS[failure["kind"]], repr(error)
    assert failure["message"] in str(error)
    assert failure.get("absent") is None or failure["absent"] not in str(error)
    assert error.code == failure["code"]
    assert error.service == case.service
    if failure["status"]:
        assert error.status == failure["status"]
    if "body_status" in failure:
        assert error.status == failure["body_status"]
    assert error.partial_text == (case.expected["partial"] or "")


def run(case: WireCase, client: Client, endpoint: Endpoint) -> Completion:
    if not case.stream:
        return client.complete(endpoint, "q", values(case))
    with closing(client.stream(endpoint, "q", values(case))) as increments:
        return add_up(list(increments))


async def arun(case: WireCase, client: AsyncClient, endpoint: Endpoint) -> Completion:
    if not case.stream:
        return await client.complete(endpoint, "q", values(case))
    return add_up([i async for i in client.stream(endpoint, "q", values(case))])


class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body in pieces that nothing joins on the way."""

    def __init__(self, body: list[bytes]) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._body:
            yield piece


class Handed(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers with a case in pieces of one size, at once.

    Over a socket, httpx would spend most of the time of all tests on chunks of one byte.
    """

    def __init__(self, case: WireCase, size: int) -> None:
        self._case, self._size = case, size

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        pieces = Pieces(cut(self._case.body, sizes=self._size))
        return httpx.Response(self._case.status, headers=dict(self._case.headers), stream=pieces)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)


@contextmanager
def cut_to(size: int | None) -> Iterator[None]:
    """Tell of a failure how the body was cut."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"The body came in pieces of {size or 'any number of'} bytes.")
        raise


def check(case: WireCase, client: Client) -> None:
    endpoint = ENDPOINTS[case.service, case.operation]
    if case.expected["error"]:
        with pytest.raises(ServiceError) as caught:
            run(case, client, endpoint)
        check_error(case, caught.value)
    else:
        check_answer(case, run(case, client, endpoint))


async def acheck(case: WireCase, client: AsyncClient) -> None:
    endpoint = ENDPOINTS[case.service, case.operation]
    if case.expected["error"]:
        with pytest.raises(ServiceError) as caught:
            await arun(case, client, endpoint)
        check_error(case, caught.value)
    else:
        check_answer(case, await arun(case, client, endpoint))


@every_case
def test_sync(case: WireCase, server: FaultServer) -> None:
    endpoint = ENDPOINTS[case.service, case.operation]
    for size in SENT:
        server.replies(case.reply(sizes=size))
        with cut_to(size), closing(Client(settings(endpoint, server.url))) as client:
            check(case, client)
    for size in HANDED:
        with cut_to(size), httpx.Client(transport=Handed(case, size)) as http:
            check(case, Client(settings(endpoint, server.url, http_client=http)))


@every_case
async def test_async(case: WireCase, server: FaultServer) -> None:
    endpoint = ENDPOINTS[case.service, case.operation]
    for size in SENT:
        server.replies(case.reply(sizes=size))
        with cut_to(size):
            client = AsyncClient(settings(endpoint, server.url))
            await acheck(case, client)
            await client.close()
    for size in HANDED:
        async with httpx.AsyncClient(transport=Handed(case, size)) as http:
            with cut_to(size):
                client = AsyncClient(settings(endpoint, server.url, http_async_client=http))
                await acheck(case, client)


# Searches, which answer with passages


SEARCHES: Mapping[tuple[str, str], Operation[Any]] = {
    ("qaip", "search"): qaip_search.SEARCH,
    ("qaip", "contents"): qaip_library.CONTENT,
    ("pais", "search"): pais_search.SEARCH,
    ("perplexity", "search"): perplexity_search.SEARCH,
    ("dify", "retrieve"): dify_datasets.RETRIEVE,
}
FOUND = [c for c in cases() if (c.service, c.operation) in SEARCHES]
every_search = pytest.mark.parametrize("case", FOUND, ids=lambda c: c.id)


def asked(operation: Operation[Any]) -> Mapping[str, Any]:
    return next(row.values for row in ASKED if row.operation is operation)


def check_found(case: WireCase, found: Any) -> None:
    passages = [found] if isinstance(found, Citation) else found
    wanted = case.expected["citations"]
    assert [citation(p) for p in passages] == [
        {k: v for k, v in c.items() if k != "wire_id"} for c in wanted
    ]
    for known, want in zip(passages, wanted, strict=True):
        assert known.id == want.get("wire_id", known.id)
        assert known.spans == ()


@every_search
def test_a_search(case: WireCase, server: FaultServer) -> None:
    operation = SEARCHES[case.service, case.operation]
    for size in SENT:
        server.replies(case.reply(sizes=size))
        with closing(Client(settings(operation, server.url))) as client:
            if case.expected["error"]:
                with pytest.raises(ServiceError) as caught:
                    client.fetch(operation, asked(operation))
                check_error(case, caught.value)
            else:
                check_found(case, client.fetch(operation, asked(operation)))


@every_search
async def test_a_search_async(case: WireCase, server: FaultServer) -> None:
    operation = SEARCHES[case.service, case.operation]
    server.replies(case.reply(sizes=None))
    client = AsyncClient(settings(operation, server.url))
    if case.expected["error"]:
        with pytest.raises(ServiceError) as caught:
            await client.fetch(operation, asked(operation))
        check_error(case, caught.value)
    else:
        check_found(case, await client.fetch(operation, asked(operation)))
    await client.close()


def test_every_fixture_is_read() -> None:
    known = {*ENDPOINTS, *SEARCHES}
    assert [c.id for c in cases() if (c.service, c.operation) not in known] == []
