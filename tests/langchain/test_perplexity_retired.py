"""Perplexity's chat completions have ended: what LangChain's users are told, and given."""

from typing import Any

import pytest

from langchain_qaip import ChatPerplexity, ChatPerplexityAgent, PerplexityLLM
from langchain_qaip.errors import EndpointRetiredError
from qaip_core.backends.perplexity._classes import in_place_of
from qaip_sandbox import Sandbox
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
@pytest.mark.parametrize("kind", [ChatPerplexity, PerplexityLLM])
def test_the_end_names_the_line_to_write(
    server: FaultServer, kind: Any, model: str, line: str
) -> None:
    server.replies(json_reply(RETIRED, 403))
    with (
        kind(**fields(server, model=model)) as asked,
        pytest.raises(EndpointRetiredError) as caught,
    ):
        asked.invoke("q")
    piped = " | StrOutputParser(), " if kind is PerplexityLLM else ", "
    said = f'Replace {kind.__name__}(model="{model}") by ChatPerplexityAgent{line}{piped}'
    assert said in str(caught.value)
    assert "Your key is fine" in str(caught.value)


async def test_the_end_is_named_to_async_streams_too(server: FaultServer) -> None:
    server.replies(json_reply(RETIRED, 403))
    chat = ChatPerplexity(**fields(server, model="sonar"))
    with pytest.raises(EndpointRetiredError, match="Replace ChatPerplexity"):
        async for _ in chat.astream("q"):
            pass
    await chat.aclose()


@each_model
def test_the_line_to_write_makes_an_agent(model: str, line: str) -> None:
    assert ChatPerplexityAgent(api_key=KEY, **in_place_of(model)).endpoint.kind == "agent"
    assert eval(f"dict{line}") == in_place_of(model)


def test_a_chat_becomes_the_agent_that_does_the_same(sandbox: Sandbox) -> None:
    chat = ChatPerplexity(
        model="sonar",
        api_key=sandbox.env["PERPLEXITY_API_KEY"],
        base_url=sandbox.env["PERPLEXITY_BASE_URL"],
        max_retries=1,
        stop=["watts"],
        tags=["lamps"],
        search_domain_filter=["sandbox.invalid"],
    )
    with chat.as_agent() as agent:
        assert (agent.max_retries, agent.stop, agent.tags) == (1, ["watts"], ["lamps"])
        assert agent.web_search == {"filters": {"search_domain_filter": ["sandbox.invalid"]}}
        answer = agent.invoke("Which lamp draws how many watts?")
    assert answer.text
    assert "watts" not in answer.text


def test_what_has_no_equivalent_is_told(server: FaultServer) -> None:
    chat = ChatPerplexity(**fields(server, model="sonar", top_k=3, extra_body={"later": 1}))
    with pytest.warns(UserWarning, match="left out: top_k, extra_body"):
        assert chat.as_agent().extra_body is None


async def test_every_class_lists_the_models(server: FaultServer) -> None:
    server.replies(json_reply(LISTED))
    for kind in (ChatPerplexity, PerplexityLLM, ChatPerplexityAgent):
        made: Any = kind(**fields(server, model="perplexity/sonar"))
        (model,) = await made.alist_models()
        assert (model.id, model.metadata["pricing"]) == ("perplexity/sonar", {"input": 0.25})
        assert made.list_models() == [model]
        await made.aclose()
