"""Scripts that fork, and that end while answers are open.

They run as processes of their own, in Python's development mode: what is not closed is told.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from support.backends import KEY
from support.fault_server import FaultServer, Recorded, Reply
from support.faults.leaving import left_replies
from support.faults.speech import DIFY, PAIS_CHAT


class Service(FaultServer):
    """Speaks as PAIS and as Dify; a question that asks to stay is never answered to its end."""

    def answer(self, request: Recorded) -> Reply:
        super().answer(request)
        speech = PAIS_CHAT if request.path.endswith("/chat/completions") else DIFY
        beginning, *rest = left_replies(speech)
        if request.path.endswith("/stop"):
            return rest[0]
        return beginning if b"stay" in request.body else speech.answer("tea", stream=True)

    def connections(self, question: bytes) -> list[int]:
        """The numbers of those by which a question came."""
        return [request.connection for request in self.requests if question in request.body]

    def stopped(self) -> int:
        return sum(request.path.endswith("/stop") for request in self.requests)


CORE = """
from functools import partial
from qaip_core import AsyncClient, Client, Connection
from qaip_core.backends import dify, pais
given = Connection(api_key=key, base_url=url, max_retries=0)
ENDPOINTS = [(pais.CHAT, {"model": "m"}), (dify.COMPLETION, {})]
SYNC = [
    lambda q, c=Client(given.settings(e.backend)), e=e, v=v: c.stream(e, q, v) for e, v in ENDPOINTS
]
ASYNC = [
    lambda q, c=AsyncClient(given.settings(e.backend)), e=e, v=v: c.stream(e, q, v)
    for e, v in ENDPOINTS
]
"""
LANGCHAIN = """
from langchain_qaip import ChatDify, ChatPAIS, DifyLLM, PAISLLM
given = dict(api_key=key, base_url=url, max_retries=0)
MADE = [ChatPAIS(model="m", **given), ChatDify(**given), DifyLLM(**given)]
SYNC = [made.stream for made in MADE]
ASYNC = [made.astream for made in MADE]
"""
LLAMA_INDEX = """
from llama_index.core.llms import ChatMessage
from llama_index_qaip import PAIS, Dify
given = dict(api_key=key, base_url=url, max_retries=0)
MADE = [PAIS(model="m", **given), Dify(**given)]
asked = lambda call: lambda q: call([ChatMessage(content=q)])
SYNC = [asked(made.stream_chat) for made in MADE]
def answers(call):
    async def read(q):
        async for response in await call([ChatMessage(content=q)]):
            yield response
    return read
ASYNC = [answers(made.astream_chat) for made in MADE]
"""

STAY = """
import asyncio
async def main():
    for stream in ASYNC:
        held.append(stream("stay"))
        await anext(held[-1])
asyncio.run(main(), debug=False)  # which would tell how long things take
for stream in SYNC:
    held.append(stream("stay"))
    next(held[-1])
"""

FORK = """
import gc, os
if not hasattr(os, "fork"):
    os.fork, os.waitpid = lambda: 1, lambda _: (1, 0)
held = [stream("stay") for stream in SYNC]
for stream in held:
    next(stream)
for stream in SYNC:
    list(stream("of the parent"))
if not (child := os.fork()):
    for stream in SYNC:
        list(stream("of the child"))
    del stream, held
    gc.collect()
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
for stream in SYNC:
    list(stream("of the parent"))
print("read", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Ended:
    """What came of a script.

    stopped, busy: requests that ended a run, and answers under way, when all but the end was done.
    """

    service: Service
    said: str
    complained: str
    code: int
    stopped: int
    busy: int


@pytest.fixture(
    scope="module", params=[CORE, LANGCHAIN, LLAMA_INDEX], ids=["core", "langchain", "llama_index"]
)
def ended(request: pytest.FixtureRequest) -> Iterator[Ended]:
    """Run a script for one of the packages."""
    script = f"import sys\nkey, url = sys.argv[1:]\n{request.param}{FORK}{STAY}"
    with Service() as service:
        command = [sys.executable, "-X", "dev", "-W", "ignore::DeprecationWarning", "-c", script]
        with subprocess.Popen(
            [*command, KEY, service.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ) as process:
            assert process.stdout is not None
            said = process.stdout.readline()
            stopped, busy = service.stopped(), service.busy_connections
            complained = process.communicate(timeout=60)[1]
        yield Ended(service, said, complained, process.returncode, stopped, busy)


def test_a_script_that_leaves_streams_open_ends_in_silence(ended: Ended) -> None:
    assert (ended.said, ended.complained, ended.code) == ("read\n", "", 0)
    assert ended.service.wait_closed()


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@forks
def test_a_forked_child_makes_connections_of_its_own(ended: Ended) -> None:
    parents = ended.service.connections(b"of the parent")
    childs = ended.service.connections(b"of the child")
    half = len(parents) // 2
    assert len(childs) == half
    assert parents[:half] == parents[half:]
    assert not {*parents} & {*childs}


@forks
def test_a_forked_child_leaves_the_streams_of_its_parent_alone(ended: Ended) -> None:
    """It drops its copies of them."""
    assert ended.stopped == 0
    assert ended.busy == len(ended.service.connections(b"of the child"))
