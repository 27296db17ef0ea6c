"""Every request passes the gate of its context, and the gate is told of every response."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

import httpx
import pytest
from langchain_core.runnables import RunnableLambda
from llama_index.core.async_utils import asyncio_run, run_jobs
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import ChatMemoryBuffer

from langchain_qaip import ChatFireworks
from llama_index_qaip import Fireworks
from qaip_core import AsyncClient, Client, errors
from qaip_core.backends import dify, fireworks, pais
from qaip_core.gate import Gate, through
from qaip_core.tokens import OpenIDToken
from support.backends import settings
from support.fault_server import FaultServer, Reply, json_reply
from support.faults.speech import FIREWORKS_CHAT
from support.faults.subjects import CORE, LANGCHAIN, LLAMA_INDEX, SUBJECTS, Subject
from support.faults.tables.wishes import WISHES, Wish
from support.searches import CALLS, Call, right_reply

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

SERVICE = "fireworks"
MODEL = {"model": "m"}
ANSWER = FIREWORKS_CHAT.answer("tea", stream=False)
STREAM = FIREWORKS_CHAT.answer("te", "a", stream=True)
BUSY = json_reply({"error": {"message": "busy"}}, 503, retry_after_ms="1")


class Book:
    """A gate that lets all requests out, and keeps a book."""

    def __init__(self) -> None:
        self.admitted: list[str] = []
        self.statuses: list[int] = []
        self.waits: list[float | None] = []

    def admit(self, service: str) -> None:
        self.admitted.append(service)

    async def aadmit(self, service: str) -> None:
        self.admit(service)
        await asyncio.sleep(0)

    def heard(self, service: str, status: int, retry_after: float | None) -> None:
        assert service in self.admitted
        self.statuses.append(status)
        self.waits.append(retry_after)


class Slow(Book):
    """One that makes each request wait."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def admit(self, service: str) -> None:
        time.sleep(self.seconds)
        super().admit(service)

    async def aadmit(self, service: str) -> None:
        await asyncio.sleep(self.seconds)
        super().admit(service)


class Shut(Book):
    """One that raises."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def admit(self, service: str) -> None:
        super().admit(service)
        raise self.error


class StoppedError(Exception):
    """What a program raises that wants no more requests."""


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def chat(server: FaultServer) -> Iterator[ChatFireworks]:
    with ChatFireworks(model="m", api_key="key", base_url=server.url) as made:
        yield made


@pytest.fixture
def llm(server: FaultServer) -> Iterator[Fireworks]:
    with Fireworks(model="m", api_key="key", base_url=server.url) as made:
        yield made


def client(server: FaultServer, **fields: Any) -> closing[Client]:
    return closing(Client(settings(fireworks.CHAT, server.url, **fields)))


def some(subjects: list[Subject]) -> list[Subject]:
    """The ways of asking Fireworks' chat."""
    return [s for s in subjects if (s.service, s.operation) == (SERVICE, "chat")]


core = pytest.mark.parametrize("subject", some(CORE), ids=repr)
every_layer = pytest.mark.parametrize(
    "subject", [*some(CORE), *some(LANGCHAIN), *some(LLAMA_INDEX)], ids=repr
)


# What passes


@pytest.mark.parametrize("subject", SUBJECTS, ids=repr)
def test_every_attempt_of_every_way_of_asking_passes(server: FaultServer, subject: Subject) -> None:
    book = Book()
    answer = subject.speeches[0].answer("tea", stream=subject.wants_stream)
    server.replies(BUSY, BUSY, answer)
    with through(book):
        assert subject.ask(server.url, max_retries=2).error is None
    assert book.admitted == [subject.service] * 3
    assert (book.statuses, book.waits) == ([503, 503, 200], [0.001, 0.001, None])
    assert len(server.requests) == 3


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("call", CALLS, ids=repr)
def test_so_does_every_other_call(server: FaultServer, call: Call, is_async: bool) -> None:
    book = Book()
    server.replies(BUSY, right_reply(call))
    with through(book):
        call.ask(server.url, is_async=is_async, max_retries=1)
    assert book.admitted == [call.service] * len(server.requests)
    assert book.statuses[:2] == [503, right_reply(call).status]
    assert len(book.statuses) == len(server.requests)


@pytest.mark.parametrize("wish", WISHES, ids=lambda wish: wish.name)
def test_what_a_response_asks_to_wait_is_told(server: FaultServer, wish: Wish) -> None:
    book = Book()
    server.replies(replace(json_reply({}, wish.status), headers=wish.headers(time.time())))
    with through(book), client(server) as made, pytest.raises(errors.StatusError):
        made.complete(fireworks.CHAT, "q", MODEL)
    assert book.statuses == [wish.status]
    assert book.waits == [None if wish.seconds is None else pytest.approx(wish.seconds, abs=2.5)]


@core
def test_a_wait_on_a_success_is_told(server: FaultServer, subject: Subject) -> None:
    book = Book()
    reply = STREAM if subject.streams else ANSWER
    server.replies(replace(reply, headers={"retry-after": "7"}))
    with through(book):
        assert subject.ask(server.url).text == "tea"
    assert (book.admitted, book.waits) == ([SERVICE], [7])


@core
def test_what_is_not_answered_is_admitted_and_not_heard_of(
    server: FaultServer, subject: Subject
) -> None:
    book = Book()
    server.replies(Reply(raw=b"", end="cut"))
    with through(book):
        assert subject.ask(server.url).kind is errors.ServiceConnectionError
    assert (book.admitted, book.statuses) == ([SERVICE], [])


def test_a_stream_that_begins_anew_is_admitted_anew(server: FaultServer) -> None:
    book = Book()
    server.replies(Reply(content_type="text/event-stream", body=b"", end="cut"), STREAM)
    given: dict[str, Any] = {"max_retries": 1, "retry_unanswered": True}
    with through(book), client(server, **given) as made:
        assert len(list(made.stream(fireworks.CHAT, "q", MODEL))) > 1
    assert book.statuses == [200, 200]


def test_what_precedes_a_call_passes_too(server: FaultServer) -> None:
    book = Book()
    form = {"user_input_form": [{"paragraph": {"variable": "query"}}]}
    answer = {"answer": "tea", "message_id": "m-1", "metadata": {}}
    server.replies(json_reply({"mode": "completion"}), json_reply(form), json_reply(answer))
    values = {"check_inputs": True, "response_mode": "blocking"}
    with through(book), closing(Client(settings(dify.COMPLETION, server.url))) as made:
        made.complete(dify.COMPLETION, "q", values)
    assert book.admitted == ["dify"] * len(server.requests) == ["dify"] * 3


def test_a_token_is_asked_for_after_the_call_is_admitted(server: FaultServer) -> None:
    book = Book()
    refused = json_reply({"detail": "expired"}, 401)
    granted = json_reply({"access_token": "t", "expires_in": 300})
    server.replies(granted, refused, granted, ANSWER)
    token = OpenIDToken(client_id="c", client_secret="s", token_url=server.url)
    given = replace(settings(pais.CHAT, server.url), key=token)
    with through(book), closing(token), closing(Client(given)) as made:
        assert made.complete(pais.CHAT, "q", MODEL).text == "tea"
    assert book.admitted == ["pais", "openid"] * 2
    assert book.statuses == [200, 401, 200, 200]


def test_the_response_before_is_closed_while_a_request_waits(server: FaultServer) -> None:
    class Looking(Book):
        def admit(self, service: str) -> None:
            super().admit(service)
            assert server.wait_closed()

    book = Looking()
    endless = Reply(status=401, body=[b" " * 70_000], end="hang")
    server.replies(endless, ANSWER)
    given = replace(settings(fireworks.CHAT, server.url), key=lambda: "key")
    with through(book), closing(Client(given)) as made:
        assert made.complete(fireworks.CHAT, "q", MODEL).text == "tea"
    assert book.statuses == [401, 200]


# Waiting, leaving, raising


@every_layer
def test_no_limit_of_a_call_counts_the_wait(server: FaultServer, subject: Subject) -> None:
    slow = Slow(0.3)
    server.replies(STREAM if subject.wants_stream else ANSWER)
    with through(slow):
        outcome = subject.ask(server.url, timeout=0.2, stream_idle_timeout=0.2)
    assert (outcome.error, slow.statuses) == (None, [200])


@pytest.mark.parametrize("subject", [s for s in some(SUBJECTS) if s.is_async], ids=repr)
async def test_who_waits_can_be_cancelled(server: FaultServer, subject: Subject) -> None:
    server.replies(STREAM if subject.wants_stream else ANSWER)
    async with subject.make(server.url) as made:
        with through(Slow(60)):
            waiting = asyncio.create_task(subject.aask_of(made))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (server.requests, server.open_connections) == ([], 0)
        assert (await subject.aask_of(made)).error is None


async def test_a_stream_that_is_left_while_it_waits_sends_nothing(server: FaultServer) -> None:
    made = AsyncClient(settings(fireworks.CHAT, server.url, max_retries=2))
    stream = made.stream(fireworks.CHAT, "q", MODEL)
    with through(Slow(0.1)):
        reading = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.05)
    await stream.aclose()
    with pytest.raises(errors.ServiceConnectionError, match="closed in another task"):
        await reading
    await made.close()
    assert server.requests == []


ERRORS = [
    StoppedError("enough"),
    TimeoutError("too late"),
    RuntimeError("the event loop is closed"),
    httpx.ReadTimeout("not ours"),
    errors.ServiceConnectionError("ours", unsent=True),
    errors.RateLimitError("ours", status=429),
]


@core
@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_what_a_gate_raises_is_raised_as_it_is(
    server: FaultServer, subject: Subject, error: Exception
) -> None:
    shut = Shut(error)
    with through(shut):
        assert subject.ask(server.url, max_retries=2).error is error
    assert (shut.admitted, server.requests) == ([SERVICE], [])


@every_layer
def test_frameworks_pass_it_on(server: FaultServer, subject: Subject) -> None:
    with through(Shut(StoppedError("enough"))):
        assert isinstance(subject.ask(server.url).error, StoppedError)


@core
def test_what_it_raises_on_hearing_frees_the_connection(
    server: FaultServer, subject: Subject
) -> None:
    class Deaf(Book):
        def heard(self, service: str, status: int, retry_after: float | None) -> None:
            raise StoppedError

    server.replies(replace(STREAM, end="hang"))
    with through(Deaf()):
        assert isinstance(subject.ask(server.url, max_retries=2).error, StoppedError)
    assert len(server.requests) == 1
    assert server.wait_closed()


# Contexts


def test_the_innermost_gate_holds(server: FaultServer, chat: ChatFireworks) -> None:
    outer, inner = Book(), Book()
    server.replies(ANSWER)
    with through(outer):
        with through(inner):
            chat.invoke("q")
        with through(None):
            chat.invoke("q")
        chat.invoke("q")
    chat.invoke("q")
    assert (outer.statuses, inner.statuses) == ([200], [200])
    assert len(server.requests) == 4


def test_an_error_leaves_no_gate_behind(server: FaultServer, chat: ChatFireworks) -> None:
    server.replies(ANSWER)
    shut = Shut(StoppedError())
    with pytest.raises(StoppedError), through(shut):
        chat.invoke("q")
    chat.invoke("q")
    assert (shut.admitted, len(server.requests)) == ([SERVICE], 1)


def test_a_stream_takes_the_gate_of_who_reads_it(server: FaultServer, chat: ChatFireworks) -> None:
    asked, read = Book(), Book()
    server.replies(STREAM)
    with through(asked):
        stream = chat.stream("q")
    with through(read):
        assert len(list(stream)) > 1
    assert (asked.admitted, read.admitted) == ([], [SERVICE])


async def test_tasks_at_the_same_time_keep_their_gates(
    server: FaultServer, chat: ChatFireworks
) -> None:
    async def held(gate: Gate, times: int) -> None:
        with through(gate):
            for _ in range(times):
                await chat.ainvoke("q")

    server.replies(ANSWER)
    books = Slow(0.002), Slow(0.001)
    await asyncio.gather(held(books[0], 3), held(books[1], 5))
    await chat.aclose()
    assert [len(book.admitted) for book in books] == [len(b.statuses) for b in books] == [3, 5]


def test_a_bare_thread_has_no_gate(server: FaultServer, chat: ChatFireworks) -> None:
    book = Book()
    server.replies(ANSWER)
    with through(book):
        thread = threading.Thread(target=chat.invoke, args=("q",))
        thread.start()
        thread.join()
    assert (book.admitted, len(server.requests)) == ([], 1)


async def _in_a_thread(chat: ChatFireworks, _llm: Fireworks) -> None:
    await asyncio.to_thread(chat.invoke, "q")


async def _batch(chat: ChatFireworks, _llm: Fireworks) -> None:
    chat.batch(["q", "r"])


async def _abatch(chat: ChatFireworks, _llm: Fireworks) -> None:
    await chat.abatch(["q", "r"])


async def _sync_in_async(chat: ChatFireworks, _llm: Fireworks) -> None:
    def ask(question: str) -> str:
        return chat.invoke(question).text

    await RunnableLambda(ask).ainvoke("q")


async def _nested_loop(_chat: ChatFireworks, llm: Fireworks) -> None:
    asyncio_run(_closing(llm))


async def _closing(llm: Fireworks) -> None:
    await llm.acomplete("q")
    await llm.aclose()


async def _jobs(_chat: ChatFireworks, llm: Fireworks) -> None:
    await run_jobs([llm.acomplete("q"), llm.acomplete("r")])


async def _chat_engine(_chat: ChatFireworks, llm: Fireworks) -> None:
    memory = ChatMemoryBuffer.from_defaults(token_limit=1000)
    engine = SimpleChatEngine.from_defaults(llm=llm, memory=memory)
    list(engine.stream_chat("q").response_gen)


DETOURS = [_in_a_thread, _batch, _abatch, _sync_in_async, _nested_loop, _jobs, _chat_engine]


@pytest.mark.parametrize("detour", DETOURS, ids=lambda detour: detour.__name__.strip("_"))
async def test_the_detours_of_the_frameworks_keep_it(
    server: FaultServer, chat: ChatFireworks, llm: Fireworks, detour: Callable[..., Any]
) -> None:
    book = Book()
    server.replies(STREAM if detour is _chat_engine else ANSWER)
    with through(book):
        await detour(chat, llm)
    await chat.aclose()
    await llm.aclose()
    assert book.admitted == [SERVICE] * len(server.requests)
    assert book.statuses == [200] * len(server.requests) != []


def test_one_gate_may_be_asked_by_many_threads(server: FaultServer, chat: ChatFireworks) -> None:
    book = Slow(0.001)
    server.replies(ANSWER)

    def ask(_: int) -> None:
        with through(book):
            chat.invoke("q")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(40)))
    assert len(book.admitted) == len(book.statuses) == len(server.requests) == 40
