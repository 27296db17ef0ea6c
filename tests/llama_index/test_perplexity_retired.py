"""Perplexity's chat completions have ended: what LlamaIndex' users are told, and given."""

from typing import Any

import pytest

from llama_index_qaip import Perplexity, PerplexityAgent
from llama_index_qaip.errors import EndpointRetiredError
from qaip_core.backends.perplexity._classes import in_place_of
from support.fault_server import FaultServer, json_reply

KEY = "test-key-5f1d0c"
RETIRED = {"error": {"message": "Gone.", "type": "chat_completions_not_available", "code": 403}}
LISTED = {"data": [{"id": "perplexity/sonar", "pricing": {"input": 0.25}}]}
SUCCESSORS = [
    ("sonar", '(model="perplexity/sonar", web_search=True)'),
    ("sonar-pro", '(effort="low")'),
    ("sonar-reasoning-pro", '(effort="low")'),
    ("sonar-deep-research", '(effort="medium")'),
    ("a-{later}-model", '(model="perplexity/sonar", web_search=True)'),
]
each_model = pytest.mark.parametrize(("model", "line"), SUCCESSORS)


def fields(server: FaultServer, **more: Any) -> dict[str, Any]:
    return {"api_key": KEY, "base_url": server.url, "max_retries": 0, **more}


@each_model
def test_the_end_names_the_line_to_write(server: FaultServer, model: str, line: str) -> None:
    server.replies(json_reply(RETIRED, 403))
    llm = Perplexity(**fields(server, model=model))
    with llm, pytest.raises(EndpointRetiredError) as caught:
        llm.complete("q")
    assert f'Replace Perplexity(model="{model}") by PerplexityAgent{line}' in str(caught.value)


async def test_the_end_is_named_to_async_streams_too(server: FaultServer) -> None:
    server.replies(json_reply(RETIRED, 403))
    llm = Perplexity(**fields(server, model="sonar"))
    with pytest.raises(EndpointRetiredError, match="Replace Perplexity"):
        async for _ in await llm.astream_complete("q"):
            pass
    await llm.aclose()


@each_model
def test_the_line_to_write_makes_an_agent(model: str, line: str) -> None:
    assert PerplexityAgent(api_key=KEY, **in_place_of(model)).endpoint.kind == "agent"
    assert eval(f"dict{line}") == in_place_of(model)


def test_an_llm_becomes_the_agent_that_does_the_same(server: FaultServer) -> None:
    with Perplexity(**fields(server, model="sonar-pro", system_prompt="Be brief.")) as llm:
        agent = llm.as_agent()
    assert (agent.effort, agent.system_prompt, agent.base_url) == ("low", "Be brief.", server.url)
    assert agent.web_search is None


def test_what_has_no_equivalent_is_told(server: FaultServer) -> None:
    llm = Perplexity(**fields(server, model="sonar", top_k=3, extra_body={"later": 1}))
    with pytest.warns(UserWarning, match="left out: top_k, extra_body"):
        assert llm.as_agent().extra_body is None


async def test_every_class_lists_the_models(server: FaultServer) -> None:
    server.replies(json_reply(LISTED))
    for kind in (Perplexity, PerplexityAgent):
        made: Any = kind(**fields(server, model="perplexity/sonar"))
        (model,) = await made.alist_models()
        assert (model.id, model.metadata["pricing"]) == ("perplexity/sonar", {"input": 0.25})
        assert made.list_models() == [model]
        await made.aclose()
