"""Structured prediction: the schema goes to the service, half an object is never a whole one."""

import json
from collections.abc import Callable
from datetime import date
from itertools import pairwise
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel, ConfigDict, Field, RootModel

from llama_index_qaip.errors import InvalidOutputError, InvalidParameterError
from llama_index_qaip.testing import Call
from support.fault_server import FaultServer, Reply

from .speech import sent_turns, spoken

Make = Callable[..., Any]
PROMPT = PromptTemplate("Which town is {x}?")
SERVICES = ("fireworks", "perplexity", "perplexity-agent")
CALLERS = ("fireworks", "perplexity-agent")
every_service = pytest.mark.parametrize("service", SERVICES)
every_caller = pytest.mark.parametrize("service", CALLERS)
every_form = pytest.mark.parametrize("form", ["whole", "streamed"])
both_lanes = pytest.mark.parametrize("lane", ["sync", "async"])
by_function = {"pydantic_program_mode": PydanticProgramMode.FUNCTION}


class Town(BaseModel):
    """A town."""

    model_config = ConfigDict(strict=True)

    name: str
    founded: date | None = None


TEXT = '<think>{"name": "Oslo"}?</think>It is {"name": "Bergen", "founded": "1070-01-01"}'
INNER = '{"name": "Oslo", "twin": {"name": "Bergen"}, population: 5}'
BERGEN = Town(name="Bergen", founded=date(1070, 1, 1))


def said(
    form: str, text: str, finish: str = "stop", *, service: str = "", calls: bool = False
) -> Reply:
    """An answer of the service; with ``calls`` the text is the arguments of a tool call."""
    if calls:
        return spoken(service, form, finish=finish, calls=[Call("Town", text, "1")])
    return spoken(service, form, text, finish)


async def predicted(llm: Any, form: str, lane: str, cls: Any = Town, **call: Any) -> list[Any]:
    """Return what a prediction gives, piece by piece where it is streamed."""
    async with llm:
        if form == "whole" and lane == "sync":
            return [llm.structured_predict(cls, PROMPT, call, x=1)]
        if form == "whole":
            return [await llm.astructured_predict(cls, PROMPT, call, x=1)]
        if lane == "sync":
            return list(llm.stream_structured_predict(cls, PROMPT, call, x=1))
        return [o async for o in await llm.astream_structured_predict(cls, PROMPT, call, x=1)]


@both_lanes
@every_form
@every_service
async def test_the_schema_is_asked_for_and_the_object_found(
    service: str, form: str, lane: str, make: Make, server: FaultServer
) -> None:
    server.replies(said(form, TEXT, service=service))
    llm = make(service, system_prompt="Be brief.")
    *growing, last = await predicted(llm, form, lane, max_tokens=50)
    assert last == BERGEN
    body = server.requests[0].json()
    wanted = body["response_format"]["json_schema"]
    assert (wanted["name"], wanted["schema"]) == ("Town", Town.model_json_schema())
    assert [content for _, content in sent_turns(body)] == ["Be brief.", "Which town is 1?"]
    assert body.get("max_tokens", body.get("max_output_tokens")) == 50
    if form == "streamed":
        assert all(piece != later for piece, later in pairwise(growing))
        names = list(dict.fromkeys(piece.name for piece in growing))
        assert names == ["Be", "Bergen"]


@both_lanes
@every_form
@every_caller
async def test_a_function_s_arguments_can_be_the_object(
    service: str, form: str, lane: str, make: Make, server: FaultServer
) -> None:
    server.replies(said(form, '{"name": "Bergen"}', "tool_calls", service=service, calls=True))
    *_, last = await predicted(make(service, **by_function), form, lane)
    assert last == Town(name="Bergen")
    body = server.requests[0].json()
    assert body["tool_choice"] == "required"
    tools = [tool for tool in body["tools"] if tool["type"] == "function"]
    assert [tool.get("function", tool)["name"] for tool in tools] == ["Town"]


@every_form
@pytest.mark.parametrize(
    ("text", "finish", "why"),
    [
        ('{"name": "Ber', "length", "is no Town, it was cut at max_tokens"),
        ('{"name": 7}', "stop", "should be a valid string"),
        (INNER, "stop", "no JSON object that can be read"),
        (INNER[:-1], "stop", "not complete"),
        ('{"name": "f() {} \\"', "length", "cut at max_tokens: its JSON object is not complete"),
        ('{"code": "return {1}} const x = {}; con', "length", "not complete"),
        ('<think>{"name": "Oslo"}', "stop", "no JSON object"),
        ("I would not know.", "stop", "no JSON object.*I would not know"),
        ("", "stop", "no JSON object"),
    ],
    ids=[
        "cut",
        "broken",
        "inner",
        "inner-cut",
        "quote-cut",
        "string-cut",
        "thought",
        "prose",
        "empty",
    ],
)
@pytest.mark.parametrize("service", ["perplexity", "perplexity-agent"])
async def test_what_is_no_such_object_raises(
    text: str, finish: str, why: str, form: str, *, service: str, make: Make, server: FaultServer
) -> None:
    server.replies(said(form, text, finish, service=service))
    with pytest.raises(InvalidOutputError, match=f"(?s){why}") as caught:
        await predicted(make(service), form, "async")
    thought = service == "perplexity" and text.startswith("<think>")
    assert caught.value.body == ("" if thought else text)


@every_form
@every_caller
async def test_a_model_that_does_not_call_the_function_raises(
    service: str, form: str, make: Make, server: FaultServer
) -> None:
    server.replies(said(form, "I would not know.", service=service))
    with pytest.raises(InvalidOutputError, match="I would not know"):
        await predicted(make(service, **by_function), form, "sync")


def test_empty_braces_in_prose_are_not_the_object(make: Make, server: FaultServer) -> None:
    class Options(BaseModel):
        n: int = 0

    server.replies(said("whole", 'Like {} this: {"n": 3}'), said("whole", "None: {}"))
    llm = make("perplexity")
    assert llm.structured_predict(Options, PROMPT, x=1) == Options(n=3)
    assert llm.structured_predict(Options, PROMPT, x=1) == Options(n=0)


@pytest.mark.parametrize(
    "given", [{"messages": []}, {"tools": []}, {"response_format": {}}], ids=str
)
@every_caller
def test_what_a_prediction_sets_itself_is_refused(
    service: str, given: dict[str, Any], make: Make, server: FaultServer
) -> None:
    for mode in ({}, by_function):
        with pytest.raises(InvalidParameterError, match="sets this itself"):
            make(service, **mode).structured_predict(Town, PROMPT, given, x=1)
    with pytest.raises(InvalidParameterError, match="no pydantic class"):
        make(service).structured_predict(list[Town], PROMPT, x=1)
    assert server.requests == []


@every_service
def test_a_class_without_a_schema_is_refused(service: str, make: Make, server: FaultServer) -> None:
    class Odd(BaseModel):
        call: Callable[[int], int]

    with pytest.raises(InvalidParameterError, match="Odd has no schema"):
        make(service).structured_predict(Odd, PROMPT, x=1)
    assert server.requests == []


@every_service
def test_a_number_that_may_go_on_is_not_shown(
    service: str, make: Make, server: FaultServer
) -> None:
    class Count(BaseModel):
        n: int | None = None

    server.replies(said("streamed", '{"n": 12345}', service=service))
    pieces = make(service).stream_structured_predict(Count, PROMPT, x=1)
    assert {piece.n for piece in pieces} <= {None, 12345}


def test_what_has_come_is_found_by_the_names_of_the_fields(make: Make, server: FaultServer) -> None:
    class Place(BaseModel):
        name: str = Field(alias="theName")
        country: str

    server.replies(said("streamed", '{"theName": "Bergen", "country": "Norway"}'))
    pieces = list(make("fireworks").stream_structured_predict(Place, PROMPT, x=1))
    assert [piece.name for piece in pieces[-3:]] == ["Bergen"] * 3


async def test_a_list_has_to_be_the_field_of_a_class(make: Make, server: FaultServer) -> None:
    with pytest.raises(InvalidParameterError, match="make it the field of a class"):
        await predicted(make("perplexity"), "whole", "sync", RootModel[list[int]])
    assert server.requests == []


@every_form
@pytest.mark.parametrize(
    ("service", "fields"),
    [
        ("pais", {}),
        ("perplexity", {"pydantic_program_mode": PydanticProgramMode.LLM}),
        ("perplexity-agent", {"pydantic_program_mode": PydanticProgramMode.LLM}),
        ("pais-agent", {}),
    ],
)
async def test_the_schema_can_be_asked_for_in_words(
    service: str, fields: dict[str, Any], form: str, make: Make, server: FaultServer
) -> None:
    server.replies(
        said(form, TEXT, service=service), said(form, '{"name": "Ber', "length", service=service)
    )
    llm = make(service, system_prompt="Be brief.", **fields)
    *_, last = await predicted(llm, form, "async")
    assert last == BERGEN
    body = server.requests[0].json()
    assert "response_format" not in body
    sent = "\n".join(content for _, content in sent_turns(body))
    assert json.dumps(Town.model_json_schema()) in sent
    assert sent.index("JSON Schema") < sent.index("Be brief.") < sent.index("Which town is 1?")
    with pytest.raises(InvalidOutputError, match="cut at max_tokens"):
        await predicted(llm, form, "sync")


def test_a_prompt_is_left_as_it_was(make: Make, server: FaultServer) -> None:
    server.replies(said("whole", TEXT))
    make("pais").structured_predict(Town, PROMPT, x=1)
    assert PROMPT.format(x=1) == "Which town is 1?"


async def test_functions_need_a_model_that_calls_them(make: Make) -> None:
    with pytest.raises(ValueError, match="does not support function calling"):
        await predicted(make("perplexity", **by_function), "whole", "sync")


@pytest.mark.filterwarnings("ignore:The `json` method is deprecated")  # LlamaIndex calls it
@every_service
async def test_structured_llms_chat(service: str, make: Make, server: FaultServer) -> None:
    structured = make(service).as_structured_llm(Town)
    server.replies(said("whole", TEXT, service=service))
    assert structured.chat([ChatMessage("Which {x}?")]).raw == BERGEN
    assert structured.complete("Which?").raw == BERGEN
    server.replies(said("streamed", TEXT, service=service))
    *_, last = structured.stream_chat([ChatMessage("Which?")])
    assert last.raw == BERGEN


@every_service
def test_chat_templates_are_prompts_too(service: str, make: Make, server: FaultServer) -> None:
    server.replies(said("whole", '{"name": "Bergen", "founded": "1070-01-01"}', service=service))
    turns = ChatPromptTemplate.from_messages([("system", "Be {how}."), ("user", "Which?")])
    assert make(service).structured_predict(Town, turns, how="brief") == BERGEN
    roles = [role for role, _ in sent_turns(server.requests[0].json())]
    assert roles == ["system", "user"]
