"""Failures are the package's typed errors: whatever the call, sync and async."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage

from llama_index_qaip import ServiceLLM, errors
from support.fault_server import FaultServer, Reply
from support.wire import WireCase

Make = Callable[..., ServiceLLM]
Serve = Callable[..., WireCase]
CALLS = ("chat", "complete", "stream_chat", "stream_complete")
HTML = Reply(content_type="text/html", body=b"<title>Sign in</title>", framing="length")
every_service = pytest.mark.parametrize("service", ["perplexity", "perplexity-agent", "pais-agent"])
every_call = pytest.mark.parametrize(
    "name", [*CALLS, *("a" + name for name in CALLS)], ids=lambda name: name
)


async def drain(llm: ServiceLLM, name: str, argument: Any = None, **kwargs: Any) -> None:
    argument = argument or ([ChatMessage("q")] if "chat" in name else "q")
    answer = getattr(llm, name)(argument, **kwargs)
    if name.startswith("a"):
        answer = await answer
    if name.startswith("astream"):
        async for _ in answer:
            pass
    elif name.startswith("stream"):
        list(answer)


@every_call
@every_service
@pytest.mark.parametrize(
    "kwargs", [{"temperature": 9}, {"tempreature": 0.5}, {"model": ["m"]}], ids=str
)
async def test_a_bad_parameter_is_refused_before_anything_is_sent(
    kwargs: dict[str, Any], service: str, name: str, server: FaultServer, make: Make
) -> None:
    with pytest.raises(errors.InvalidParameterError):
        await drain(make(service), name, **kwargs)
    assert server.requests == []


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 9},
        {"tempreature": 0.5},
        {"context_window": 0},
        {"api_base": "https://a.example", "base_url": "https://b.example"},
    ],
    ids=str,
)
@every_service
def test_a_bad_constructor_argument_is_refused(
    fields: dict[str, Any], service: str, make: Make
) -> None:
    with pytest.raises(errors.InvalidParameterError):
        make(service, **fields)


@pytest.mark.parametrize(
    ("service", "named"),
    [
        ("perplexity", "PPLX_API_KEY"),
        ("perplexity-agent", "PPLX_API_KEY"),
        ("dify-conversation", "DIFY_API_KEY"),
    ],
)
def test_without_a_key_the_message_names_the_variable(
    service: str, named: str, monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    for name in ("PERPLEXITY_API_KEY", "PPLX_API_KEY", "DIFY_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(errors.MissingKeyError, match=named):
        make(service, api_key=None)


def test_without_llama_index_the_import_names_the_extra() -> None:
    code = "import sys; sys.modules['llama_index'] = None; import llama_index_qaip"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'pip install "qaip-integrations[llama-index]"' in done.stderr
