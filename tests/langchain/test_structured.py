"""Structured output: every kind of schema by every method, and answers that are none."""

import asyncio
import json
import re
from collections.abc import Callable
from datetime import date
from enum import Enum
from itertools import pairwise
from typing import Annotated, Any, Generic, TypedDict, TypeVar

import pytest
from langchain_core import exceptions as theirs
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel, ConfigDict, Field
from pydantic import v1 as old

from langchain_qaip import documents
from qaip_core.errors import InvalidParameterError
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, Reply, json_reply, sse_reply

from .models import CHATS, CITING, Kind, every, named, text_asked, turns_of

FIREWORKS, PERPLEXITY, AGENT = map(named, ("fireworks", "perplexity", "perplexity-agent"))
ENFORCING = [kind for kind in CHATS if "json_schema" in kind.cls.endpoint.formats]
IN_WORDS = [kind for kind in CHATS if kind not in ENFORCING]
METHODS = ["json_schema", "function_calling", "json_mode"]
LAMPS = "Which lamp draws how many watts?"
both_lanes = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
both_ways = pytest.mark.parametrize("streaming", [False, True], ids=["invoke", "stream"])
every_method = pytest.mark.parametrize("method", METHODS)


class Colour(Enum):
    RED = "red"
    GREEN = "green"


class Part(BaseModel):
    name: str
    watts: int


class Lamp(BaseModel):
    """A lamp."""

    name: str = Field(description="what it is called")
    colour: Colour
    parts: list[Part]
    note: str | None = None
    since: date


class StrictLamp(BaseModel):
    """A lamp whose fields must come in their own types."""

    model_config = ConfigDict(strict=True, extra="forbid")

    colour: Colour
    since: date
    watts: int


class OldLamp(old.BaseModel):
    """A lamp."""

    name: str
    watts: int


class LampDict(TypedDict):
    """A lamp."""

    name: Annotated[str, ..., "what it is called"]
    watts: int


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    """A box."""

    item: T


BARE: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "watts": {"type": "integer"}},
    "required": ["name", "watts"],
}
TITLED = {"title": "Lamp", "description": "A lamp.", **BARE}
FUNCTION = {"name": "lamp", "description": "A lamp.", "parameters": BARE}
FORMAT = {"type": "json_schema", "json_schema": {"name": "lamp", "schema": BARE}}
CLASSES: dict[str, Any] = {
    "pydantic": Lamp,
    "strict pydantic": StrictLamp,
    "pydantic.v1": OldLamp,
    "generic": Box[int],
}
DICTS: dict[str, Any] = {
    "TypedDict": LampDict,
    "JSON schema": TITLED,
    "JSON schema without title": BARE,
    "OpenAI function": FUNCTION,
    "OpenAI tool": {"type": "function", "function": FUNCTION},
    "response_format": FORMAT,
}
SCHEMAS = {**CLASSES, **DICTS}
every_schema = pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)


def is_sound(answer: Any, schema: Any) -> bool:
    """Tell whether an answer is an object of the schema."""
    if schema in CLASSES.values():
        return isinstance(answer, schema)
    named = isinstance(answer, dict) and isinstance(answer.get("name"), str)
    return named and isinstance(answer.get("watts"), int)


async def run(runnable: Any, *, streaming: bool, sync: bool, prompt: Any = LAMPS) -> Any:
    """Return the whole answer, or the last of a stream."""
    if streaming:
        chunks = (
            list(runnable.stream(prompt)) if sync else [c async for c in runnable.astream(prompt)]
        )
        return chunks[-1]
    return runnable.invoke(prompt) if sync else await runnable.ainvoke(prompt)


def said(text: str, *, streaming: bool = False, finish: str = "stop", size: int = 7) -> Reply:
    """Return an answer of Fireworks or Perplexity with this text."""
    if not streaming:
        choice = {"index": 0, "message": {"content": text}, "finish_reason": finish}
        return json_reply({"id": "a", "model": "m", "created": 1, "choices": [choice]})
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    return _streamed([{"content": piece} for piece in pieces], finish)


def called(
    arguments: str, name: str = "LampDict", *, streaming: bool = False, finish: str = "tool_calls"
) -> Reply:
    """Return an answer of Fireworks that calls a function."""

    def delta(part: str, first: bool) -> dict[str, Any]:
        function = {"arguments": part, **({"name": name} if first else {})}
        call = {"index": 0, "id": "c1" if first else None, "type": "function"}
        return {"tool_calls": [{**call, "function": function}]}

    if streaming:
        pieces = [arguments[i : i + 7] for i in range(0, len(arguments), 7)] or [""]
        return _streamed([delta(piece, n == 0) for n, piece in enumerate(pieces)], finish)
    choice = {"index": 0, "message": delta(arguments, first=True), "finish_reason": finish}
    return json_reply({"id": "a", "model": "m", "created": 1, "choices": [choice]})


def _streamed(deltas: list[dict[str, Any]], finish: str) -> Reply:
    def event(delta: dict[str, Any], reason: str | None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return json.dumps({"id": "a", "model": "m", "created": 1, "choices": [choice]})

    events = [event(delta, None) for delta in deltas]
    return sse_reply(*events, event({}, finish), "[DONE]")


WHOLE = '{"name": "Meridian", "watts": 9}'
MERIDIAN = {"name": "Meridian", "watts": 9}


def body_of(kind: Kind, server: FaultServer, schema: Any, prompt: Any = "q", **given: Any) -> Any:
    """Return the body that a question with a schema becomes; the answer does not matter."""
    server.replies(kind.reply(stream=kind.streams_whole))
    with kind.at(server.url) as model:
        model.with_structured_output(schema, include_raw=True, **given).invoke(prompt)
    return server.requests[-1].json()


# ---- whole behaviours


@every_schema
@every(CHATS)
def test_every_kind_of_schema_is_answered(kind: Kind, schema: Any, sandbox: Sandbox) -> None:
    with kind.over(sandbox) as model:
        answer = model.with_structured_output(schema).invoke(LAMPS)
    assert is_sound(answer, schema)


@both_ways
@both_lanes
@every(CHATS)
async def test_a_schema_is_answered_whole_and_streamed(
    kind: Kind, sync: bool, streaming: bool, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox) as model:
        for schema in (Lamp, LampDict):
            runnable = model.with_structured_output(schema)
            assert is_sound(await run(runnable, streaming=streaming, sync=sync), schema)


@both_ways
@both_lanes
async def test_a_function_is_called_whole_and_streamed(
    sync: bool, streaming: bool, sandbox: Sandbox
) -> None:
    async with FIREWORKS.over(sandbox) as model:
        for schema in (Lamp, LampDict):
            runnable = model.with_structured_output(schema, method="function_calling")
            assert is_sound(await run(runnable, streaming=streaming, sync=sync), schema)


@every_schema
def test_every_kind_of_schema_is_a_function(schema: Any, sandbox: Sandbox) -> None:
    with FIREWORKS.over(sandbox) as model:
        runnable = model.with_structured_output(schema, method="function_calling")
        assert is_sound(runnable.invoke(LAMPS), schema)


@every([*IN_WORDS, PERPLEXITY, AGENT])
def test_json_mode_holds_to_a_schema_where_there_is_none(kind: Kind, sandbox: Sandbox) -> None:
    with kind.over(sandbox) as model:
        runnable = model.with_structured_output(Lamp, method="json_mode")
        assert isinstance(runnable.invoke(LAMPS), Lamp)


@both_ways
async def test_json_mode_is_told_the_keys_by_the_prompt(streaming: bool, sandbox: Sandbox) -> None:
    prompt = 'Answer in JSON with the keys "name" and "use": which lamp draws how many watts?'
    with FIREWORKS.over(sandbox) as model:
        runnable = model.with_structured_output(method="json_mode")
        answer = await run(runnable, streaming=streaming, sync=True, prompt=prompt)
    assert answer.keys() == {"name", "use"}


@every([kind for kind in CHATS if kind is not PERPLEXITY])
def test_json_mode_needs_no_schema(kind: Kind, server: FaultServer) -> None:
    with kind.at(server.url) as model:
        assert model.with_structured_output(method="json_mode")


@every(CHATS)
def test_json_mode_without_a_schema_can_be_asked_of_every_service(
    kind: Kind, server: FaultServer
) -> None:
    """What cannot be asked for must be refused when the runnable is made, not when it is run."""
    server.replies(kind.reply(stream=kind.streams_whole))
    with kind.at(server.url) as model:
        try:
            runnable = model.with_structured_output(method="json_mode", include_raw=True)
        except InvalidParameterError:
            return
        assert runnable.invoke("q")["raw"].text


@pytest.mark.parametrize("strict", [None, True, False])
@every_method
def test_every_method_goes_with_every_strictness(
    method: Any, strict: bool | None, sandbox: Sandbox
) -> None:
    with FIREWORKS.over(sandbox) as model:
        runnable = model.with_structured_output(
            LampDict, method=method, strict=strict, include_raw=True
        )
        assert runnable.invoke(LAMPS)["raw"]


@pytest.mark.parametrize("strict", [True, False])
@every([*IN_WORDS, PERPLEXITY, AGENT])
def test_every_service_may_be_asked_to_be_strict(
    kind: Kind, strict: bool, sandbox: Sandbox
) -> None:
    with kind.over(sandbox) as model:
        runnable = model.with_structured_output(LampDict, method="json_schema", strict=strict)
        assert is_sound(runnable.invoke(LAMPS), LampDict)


# ---- what is sent


@every(ENFORCING)
def test_a_schema_is_sent_as_the_service_takes_it(kind: Kind, server: FaultServer) -> None:
    form = body_of(kind, server, TITLED)["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["name"] == "Lamp"
    assert form["json_schema"]["schema"]["properties"] == BARE["properties"]
    assert "strict" not in form["json_schema"]


@pytest.mark.parametrize("method", ["function_calling", "json_mode"])
def test_perplexity_is_sent_a_schema_whatever_the_method(method: Any, server: FaultServer) -> None:
    body = body_of(PERPLEXITY, server, Lamp, method=method)
    assert body["response_format"]["json_schema"]["name"] == "Lamp"
    assert not body.keys() & {"tools", "tool_choice"}


@pytest.mark.parametrize("strict", [True, False])
@every(ENFORCING)
def test_strict_is_sent_with_the_schema(kind: Kind, strict: bool, server: FaultServer) -> None:
    form = body_of(kind, server, TITLED, strict=strict)["response_format"]
    assert form["json_schema"]["strict"] is strict


def test_a_strict_schema_is_closed(server: FaultServer) -> None:
    form = body_of(FIREWORKS, server, TITLED, strict=True)["response_format"]
    assert form["json_schema"]["schema"]["additionalProperties"] is False


def test_a_function_is_sent_and_must_be_called(server: FaultServer) -> None:
    body = body_of(FIREWORKS, server, TITLED, method="function_calling")
    (declared,) = body["tools"]
    assert declared["function"]["parameters"]["properties"] == BARE["properties"]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "Lamp"}}
    assert "response_format" not in body


@pytest.mark.parametrize("strict", [None, True, False])
def test_strict_is_sent_with_the_function(strict: bool | None, server: FaultServer) -> None:
    body = body_of(FIREWORKS, server, TITLED, method="function_calling", strict=strict)
    assert body["tools"][0]["function"].get("strict") is strict


def test_json_mode_asks_for_any_object_and_shows_the_schema(server: FaultServer) -> None:
    wanted = body_of(FIREWORKS, server, Lamp, method="json_mode")["response_format"]
    assert wanted["type"] == "json_object"
    assert wanted["schema"]["title"] == "Lamp"


def test_a_format_in_the_services_form_goes_through(server: FaultServer) -> None:
    assert body_of(FIREWORKS, server, FORMAT)["response_format"] == FORMAT


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@pytest.mark.parametrize(
    "schema", [Box[int], Box[list[Part]], {**BARE, "title": "a lamp (small)"}], ids=["a", "b", "c"]
)
def test_names_are_sound(schema: Any, method: Any, server: FaultServer) -> None:
    body = body_of(FIREWORKS, server, schema, method=method)
    name = (
        body["tools"][0]["function"]["name"]
        if method == "function_calling"
        else body["response_format"]["json_schema"]["name"]
    )
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name)


@every_method
@every(IN_WORDS)
def test_a_service_without_formats_is_told_the_schema(
    kind: Kind, method: Any, server: FaultServer
) -> None:
    body = body_of(kind, server, TITLED, method=method)
    told = text_asked(body)
    assert (
        json.loads(told.split("```json\n")[1].split("\n```")[0])["properties"]
        == (BARE["properties"])
    )
    assert not body.keys() & {"response_format", "tools", "tool_choice"}


@every(IN_WORDS)
def test_the_instruction_comes_before_the_users_own(kind: Kind, server: FaultServer) -> None:
    body = body_of(kind, server, TITLED, [SystemMessage("Be brief."), HumanMessage("Why?")])
    if kind.turns:
        assert [role for role, _ in turns_of(body)] == ["system", "system", "user"]
        assert turns_of(body)[1] == ("system", "Be brief.")
    else:
        said = text_asked(body)
        assert said.index("JSON") < said.index("Be brief.") < said.index("Why?")


@every(IN_WORDS)
def test_json_mode_without_a_schema_is_asked_for_in_words(kind: Kind, server: FaultServer) -> None:
    said = json.dumps(body_of(kind, server, None, method="json_mode"))
    assert "one JSON object" in said
    assert "```" not in said


@every(IN_WORDS)
def test_a_description_reaches_the_service_as_it_is_written(
    kind: Kind, server: FaultServer
) -> None:
    schema = {**TITLED, "description": "ランプ"}
    body = json.dumps(body_of(kind, server, schema), ensure_ascii=False)
    assert "ランプ" in body


# ---- include_raw


@both_lanes
@every(CHATS)
async def test_raw_and_parsed_come_together(kind: Kind, sync: bool, sandbox: Sandbox) -> None:
    async with kind.over(sandbox) as model:
        runnable = model.with_structured_output(Lamp, include_raw=True)
        found = await run(runnable, streaming=False, sync=sync)
    assert found.keys() == {"raw", "parsed", "parsing_error"}
    assert isinstance(found["parsed"], Lamp)
    assert found["parsing_error"] is None
    assert json.loads(found["raw"].text)["name"] == found["parsed"].name


@both_lanes
async def test_a_failure_to_parse_comes_with_the_raw_answer(
    sync: bool, server: FaultServer
) -> None:
    server.replies(said("I cannot say."))
    async with FIREWORKS.at(server.url) as model:
        runnable = model.with_structured_output(Lamp, include_raw=True)
        found = await run(runnable, streaming=False, sync=sync)
    assert found["parsed"] is None
    assert isinstance(found["parsing_error"], OutputParserException)
    assert found["raw"].text == "I cannot say."


async def test_a_failure_of_the_service_is_no_parsing_error(server: FaultServer) -> None:
    server.replies(json_reply({"message": "no"}, 429))
    async with FIREWORKS.at(server.url) as model:
        runnable = model.with_structured_output(Lamp, include_raw=True)
        with pytest.raises(theirs.ModelRateLimitError):
            runnable.invoke("q")
        with pytest.raises(theirs.ModelRateLimitError):
            await runnable.ainvoke("q")


@both_lanes
async def test_a_stream_with_raw_adds_up(sync: bool, sandbox: Sandbox) -> None:
    async with FIREWORKS.over(sandbox) as model:
        runnable = model.with_structured_output(LampDict, include_raw=True)
        chunks = (
            list(runnable.stream(LAMPS))
            if sync
            else [chunk async for chunk in runnable.astream(LAMPS)]
        )
    parsed = [chunk["parsed"] for chunk in chunks if "parsed" in chunk]
    raw = [chunk["raw"] for chunk in chunks if "raw" in chunk]
    assert parsed[-1] == json.loads("".join(chunk.text for chunk in raw))
    assert [chunk["parsing_error"] for chunk in chunks if "parsing_error" in chunk] == [None]


@both_ways
@every(CITING)
async def test_the_citations_of_the_raw_answer_survive(
    kind: Kind, streaming: bool, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox) as model:
        runnable = model.with_structured_output(LampDict, include_raw=True)
        if streaming:
            raw = [chunk["raw"] for chunk in runnable.stream(LAMPS) if "raw" in chunk]
            found = documents(sum(raw[1:], raw[0]))
        else:
            found = documents(runnable.invoke(LAMPS)["raw"])
    assert found
    assert all(document.id for document in found)


@every(ENFORCING)
def test_the_usage_of_the_raw_answer_survives(kind: Kind, sandbox: Sandbox) -> None:
    with kind.over(sandbox) as model:
        raw = model.with_structured_output(LampDict, include_raw=True).invoke(LAMPS)["raw"]
    assert raw.usage_metadata["total_tokens"] > 0


# ---- answers with something around the object


AROUND = {
    "bare": WHOLE,
    "fenced": f"```json\n{WHOLE}\n```",
    "fenced without a name": f"```\n{WHOLE}\n```",
    "prose before": f"Here it is:\n{WHOLE}",
    "prose after": f"{WHOLE}\nIs that what you want?",
    "markers after": f"{WHOLE}[1][2]",
    "markers behind a space": f"{WHOLE} [1]",
    "thoughts before": f"<think>Hm, {{a}} lamp.</think>{WHOLE}",
    "white space": f"\n\n  {WHOLE}\n",
    "two objects": f'{WHOLE}\n{{"name": "Solstice", "watts": 4}}',
    "braces in prose before": f"The set {{1, 2}} of lamps: {WHOLE}",
    "an empty object before": f"For the empty {{}} case: {WHOLE}",
    "a sketch before": f'The format {{"name": string}} gives:\n```json\n{WHOLE}\n```',
    "odd braces before": f'Use {{"x}} braces: {WHOLE}',
    "markers before": f"As the handbook says [1]: {WHOLE}",
    "fence in a fence": f"Sure!\n\n```json\n{WHOLE}\n```\n\nSources: [1], [2]",
}


@pytest.mark.parametrize("text", AROUND.values(), ids=AROUND)
@both_ways
@pytest.mark.parametrize("schema", [OldLamp, LampDict], ids=["class", "dict"])
async def test_the_object_is_found(
    schema: Any, streaming: bool, text: str, server: FaultServer
) -> None:
    server.replies(said(text, streaming=streaming))
    with PERPLEXITY.at(server.url) as model:
        runnable = model.with_structured_output(schema)
        answer = await run(runnable, streaming=streaming, sync=True)
    assert (answer if schema is LampDict else answer.dict()) == MERIDIAN


@pytest.mark.parametrize("name", ["日本", 'a "quoted" {brace}', "line\nbreak", "\\ back", "\u2028"])
@both_ways
async def test_texts_in_the_object_arrive_as_they_are(
    name: str, streaming: bool, server: FaultServer
) -> None:
    text = json.dumps({"name": name, "watts": 9}, ensure_ascii=False)
    server.replies(said(text, streaming=streaming, size=1))
    with FIREWORKS.at(server.url) as model:
        runnable = model.with_structured_output(LampDict)
        answer = await run(runnable, streaming=streaming, sync=True)
    assert answer == {"name": name, "watts": 9}


# ---- answers without the object


NO_OBJECT = {
    "prose": "I cannot say.",
    "empty": "",
    "a list": "[1, 2]",
    "a text": '"Meridian"',
    "broken": '{"name": "Meridian", watts: 9}',
}


@pytest.mark.parametrize("text", NO_OBJECT.values(), ids=NO_OBJECT)
@both_ways
@pytest.mark.parametrize("schema", [Lamp, LampDict], ids=["class", "dict"])
async def test_an_answer_without_the_object_raises(
    schema: Any, streaming: bool, text: str, server: FaultServer
) -> None:
    server.replies(said(text, streaming=streaming))
    with FIREWORKS.at(server.url) as model, pytest.raises(OutputParserException) as caught:
        await run(model.with_structured_output(schema), streaming=streaming, sync=True)
    assert caught.value.llm_output == text


WRONG = ['{"name": "Meridian"}', '{"name": "Meridian", "watts": "many"}']


@pytest.mark.parametrize("text", WRONG)
@both_ways
@pytest.mark.parametrize("schema", [OldLamp, Part], ids=["v1", "v2"])
async def test_an_object_of_another_shape_raises(
    schema: Any, streaming: bool, text: str, server: FaultServer
) -> None:
    server.replies(said(text, streaming=streaming))
    with (
        FIREWORKS.at(server.url) as model,
        pytest.raises(OutputParserException, match=schema.__name__) as caught,
    ):
        await run(model.with_structured_output(schema), streaming=streaming, sync=True)
    assert caught.value.llm_output == text


def test_a_strict_class_reads_dates_and_enums_but_no_texts_for_numbers(
    server: FaultServer,
) -> None:
    texts = [f'{{"colour": "red", "since": "2025-01-01", "watts": {n}}}' for n in ("9", '"9"')]
    server.replies(*map(said, texts))
    with FIREWORKS.at(server.url) as model:
        runnable = model.with_structured_output(StrictLamp)
        assert runnable.invoke("q") == StrictLamp(
            colour=Colour.RED, since=date(2025, 1, 1), watts=9
        )
        with pytest.raises(OutputParserException, match="watts"):
            runnable.invoke("q")


@both_ways
async def test_an_answer_in_words_instead_of_the_call_raises(
    streaming: bool, server: FaultServer
) -> None:
    server.replies(said("The Meridian draws 9 watts.", streaming=streaming))
    with FIREWORKS.at(server.url) as model:
        runnable = model.with_structured_output(LampDict, method="function_calling")
        with pytest.raises(OutputParserException) as caught:
            await run(runnable, streaming=streaming, sync=True)
    assert "did not call LampDict" in str(caught.value)
    assert caught.value.llm_output == "The Meridian draws 9 watts."


@both_ways
async def test_a_call_of_another_function_raises(streaming: bool, server: FaultServer) -> None:
    server.replies(called(WHOLE, "other", streaming=streaming))
    with FIREWORKS.at(server.url) as model:
        runnable = model.with_structured_output(Part, method="function_calling")
        with pytest.raises(OutputParserException):
            await run(runnable, streaming=streaming, sync=True)


@both_ways
async def test_arguments_that_are_no_object_raise(streaming: bool, server: FaultServer) -> None:
    server.replies(called("[9]", streaming=streaming))
    with FIREWORKS.at(server.url) as model:
        runnable = model.with_structured_output(LampDict, method="function_calling")
        with pytest.raises(OutputParserException) as caught:
            await run(runnable, streaming=streaming, sync=True)
    assert caught.value.llm_output == "[9]"


# ---- answers that were cut: a part must never pass for the whole


CUTS = [WHOLE[:n] for n in (1, 15, 31)]


@pytest.mark.parametrize("text", CUTS)
@both_ways
@pytest.mark.parametrize("schema", [OldLamp, LampDict], ids=["class", "dict"])
async def test_a_cut_answer_raises_and_names_max_tokens(
    schema: Any, streaming: bool, text: str, server: FaultServer
) -> None:
    server.replies(said(text, streaming=streaming, finish="length"))
    with (
        FIREWORKS.at(server.url) as model,
        pytest.raises(OutputParserException, match="max_tokens") as caught,
    ):
        await run(model.with_structured_output(schema), streaming=streaming, sync=True)
    assert caught.value.llm_output == text


@pytest.mark.parametrize("text", CUTS)
@pytest.mark.parametrize(("streaming", "sync"), [(False, True), (True, True), (True, False)])
@pytest.mark.parametrize("schema", [OldLamp, LampDict], ids=["class", "dict"])
async def test_a_cut_call_raises_and_names_max_tokens(
    schema: Any, streaming: bool, sync: bool, text: str, server: FaultServer
) -> None:
    server.replies(called(text, schema.__name__, streaming=streaming, finish="length"))
    async with FIREWORKS.at(server.url) as model:
        runnable = model.with_structured_output(schema, method="function_calling")
        with pytest.raises(OutputParserException, match="max_tokens"):
            await run(runnable, streaming=streaming, sync=sync)


def test_a_cut_call_is_no_success_where_invoke_streams(server: FaultServer) -> None:
    """With `streaming=True` a whole answer is put together from chunks by LangChain."""
    server.replies(called('{"item": 1', "Box_int_", streaming=True, finish="length"))
    with FIREWORKS.at(server.url, streaming=True) as model:
        runnable = model.with_structured_output(Box[int], method="function_calling")
        with pytest.raises(OutputParserException):
            runnable.invoke("q")


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@both_ways
async def test_the_sandbox_cuts_at_max_tokens(
    method: Any, streaming: bool, sandbox: Sandbox
) -> None:
    with FIREWORKS.over(sandbox, max_tokens=5) as model:
        runnable = model.with_structured_output(LampDict, method=method)
        with pytest.raises(OutputParserException, match="max_tokens"):
            await run(runnable, streaming=streaming, sync=True)


@both_ways
async def test_an_answer_that_ends_at_max_tokens_after_the_object_is_whole(
    streaming: bool, server: FaultServer
) -> None:
    server.replies(said(f"{WHOLE} As you", streaming=streaming, finish="length"))
    with FIREWORKS.at(server.url) as model:
        runnable = model.with_structured_output(LampDict)
        assert await run(runnable, streaming=streaming, sync=True) == MERIDIAN


@both_lanes
async def test_a_broken_connection_is_no_answer(sync: bool, server: FaultServer) -> None:
    reply = said(WHOLE, streaming=True)
    assert not isinstance(reply.body, bytes)
    server.replies(sse_reply(*(b for b in reply.body[:-2] if isinstance(b, bytes)), end="cut"))
    async with FIREWORKS.at(server.url) as model:
        with pytest.raises(theirs.ModelAPIError):
            await run(model.with_structured_output(LampDict), streaming=True, sync=sync)


# ---- streams


def grown(server: FaultServer, reply: Reply, **given: Any) -> list[Any]:
    server.replies(reply)
    with FIREWORKS.at(server.url) as model:
        return list(model.with_structured_output(LampDict, **given).stream("q"))


def grows(found: list[Any]) -> bool:
    """Tell whether each dict holds what the one before it held, or more of it."""

    def within(one: Any, other: Any) -> bool:
        if isinstance(one, dict):
            return all(k in other and within(v, other[k]) for k, v in one.items())
        return not isinstance(one, str) or other.startswith(one)

    return all(within(a, b) for a, b in pairwise(found))


@pytest.mark.parametrize(
    ("reply", "method"),
    [(said, "json_schema"), (called, "function_calling"), (said, "json_mode")],
    ids=METHODS,
)
def test_a_stream_yields_growing_dicts(
    reply: Callable[..., Reply], method: Any, server: FaultServer
) -> None:
    found = grown(server, reply(WHOLE, streaming=True), method=method)
    assert len(found) > 2
    assert found[-1] == MERIDIAN
    assert grows(found)


def test_no_dict_is_yielded_twice(server: FaultServer) -> None:
    found = grown(server, said(WHOLE, streaming=True, size=1))
    assert all(one != other for one, other in pairwise(found))


@pytest.mark.parametrize("text", AROUND.values(), ids=AROUND)
def test_a_stream_grows_whatever_stands_around_the_object(text: str, server: FaultServer) -> None:
    found = grown(server, said(text, streaming=True, size=3))
    assert found[-1] == MERIDIAN
    assert grows(found)


def test_a_stream_of_a_class_yields_it_once(server: FaultServer) -> None:
    server.replies(said(WHOLE, streaming=True))
    with FIREWORKS.at(server.url) as model:
        found = list(model.with_structured_output(Part).stream("q"))
    assert found == [Part(name="Meridian", watts=9)]


@every([FIREWORKS, PERPLEXITY])
async def test_streams_at_the_same_time_do_not_mix(kind: Kind, server: FaultServer) -> None:
    texts = [json.dumps({"name": name * 20, "watts": n}) for n, name in enumerate("abcd")]
    server.replies(*(said(text, streaming=True, size=2) for text in texts))
    async with kind.at(server.url) as model:
        runnable = model.with_structured_output(LampDict)

        async def last() -> Any:
            return [chunk async for chunk in runnable.astream("q")][-1]

        found = await asyncio.gather(*(last() for _ in texts))
    assert sorted(map(json.dumps, found)) == sorted(texts)


def test_streams_that_take_turns_do_not_mix(server: FaultServer) -> None:
    texts = [json.dumps({"name": name * 20, "watts": n}) for n, name in enumerate("ab")]
    server.replies(*(said(text, streaming=True, size=2) for text in texts))
    with FIREWORKS.at(server.url) as model:
        runnable = model.with_structured_output(LampDict)
        first, second = runnable.stream("q"), runnable.stream("q")
        pairs = list(zip(first, second, strict=False))
        one = [pair[0] for pair in pairs] + list(first)
        other = [pair[1] for pair in pairs] + list(second)
    assert [json.dumps(one[-1]), json.dumps(other[-1])] == texts


# ---- what is refused at once


@every(CHATS)
def test_an_unknown_method_is_refused(kind: Kind, server: FaultServer) -> None:
    with kind.at(server.url) as model:
        with pytest.raises(InvalidParameterError, match="json_schema") as caught:
            model.with_structured_output(Lamp, method="xml")
        assert isinstance(caught.value, theirs.ModelInvalidRequestError)


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@every(CHATS)
def test_a_missing_schema_is_refused(kind: Kind, method: Any, server: FaultServer) -> None:
    with kind.at(server.url) as model:
        with pytest.raises(InvalidParameterError, match="schema") as caught:
            model.with_structured_output(method=method)
        assert isinstance(caught.value, theirs.ModelInvalidRequestError)


@pytest.mark.parametrize("wrong", [7, "Lamp", [Lamp], int], ids=repr)
@every([*ENFORCING, CHATS[0]])
def test_what_is_no_schema_is_refused(kind: Kind, wrong: Any, server: FaultServer) -> None:
    with kind.at(server.url) as model:
        with pytest.raises(InvalidParameterError, match="schema") as caught:
            model.with_structured_output(wrong)
        assert isinstance(caught.value, theirs.ModelInvalidRequestError)


@pytest.mark.parametrize(
    "wrong", [{"type": "array", "items": BARE}, {"type": "string"}, {"type": "nonsense"}], ids=repr
)
def test_a_schema_of_no_object_is_refused(wrong: Any, server: FaultServer) -> None:
    """Only objects are read from answers: with any other schema each answer would fail."""
    with FIREWORKS.at(server.url) as model, pytest.raises(InvalidParameterError):
        model.with_structured_output(wrong)


@every(CHATS)
def test_a_misspelt_parameter_is_named_before_anything_is_sent(
    kind: Kind, server: FaultServer
) -> None:
    with kind.at(server.url) as model, pytest.raises(InvalidParameterError, match="temprature"):
        model.with_structured_output(Lamp, temprature=0).invoke("q")
    assert not server.requests


# ---- beside other parts of LangChain


class Heard(BaseCallbackHandler):
    """Keeps the options of the last model run."""

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.options = kwargs["options"]


@pytest.mark.parametrize(
    ("kind", "method"),
    [*((kind, "json_schema") for kind in CHATS), *((FIREWORKS, method) for method in METHODS[1:])],
)
def test_callbacks_hear_of_the_schema(kind: Kind, method: Any, sandbox: Sandbox) -> None:
    heard = Heard()
    with kind.over(sandbox) as model:
        model.with_structured_output(LampDict, method=method, include_raw=True).invoke(
            LAMPS, {"callbacks": [heard]}
        )
    marked = heard.options["ls_structured_output_format"]
    assert marked["kwargs"] == {"method": method}
    assert marked["schema"]["title"] == "LampDict"


def test_a_runnable_with_a_config_keeps_the_schema(server: FaultServer) -> None:
    server.replies(said(WHOLE))
    with FIREWORKS.at(server.url) as model:
        runnable = model.with_structured_output(Part).with_config(tags=["x"])
        assert runnable.invoke("q") == Part(name="Meridian", watts=9)


def test_a_bound_model_takes_a_schema(server: FaultServer) -> None:
    """LangChain hands it to the model inside, without what was bound."""
    server.replies(said(WHOLE))
    with FIREWORKS.at(server.url) as model:
        bound: Any = model.bind(temperature=0.5)
        assert bound.with_structured_output(Part).invoke("q").watts == 9


def test_parameters_bound_later_reach_the_model(server: FaultServer) -> None:
    server.replies(said(WHOLE))
    with FIREWORKS.at(server.url) as model:
        assert model.with_structured_output(Part, temperature=0.5, seed=3).invoke("q")
    body = server.requests[-1].json()
    assert (body["temperature"], body["seed"], "response_format" in body) == (0.5, 3, True)


def test_a_schema_lasts_through_retries(server: FaultServer) -> None:
    server.replies(json_reply({"message": "busy"}, 429), said(WHOLE))
    with FIREWORKS.at(server.url) as model:
        runnable = model.with_structured_output(Part).with_retry(
            retry_if_exception_type=(theirs.ModelRateLimitError,),
            wait_exponential_jitter=False,
        )
        assert runnable.invoke("q").watts == 9
    assert all("response_format" in request.json() for request in server.requests)


def test_a_failure_to_parse_can_be_retried(server: FaultServer) -> None:
    server.replies(said("Hm."), said(WHOLE))
    with FIREWORKS.at(server.url) as model:
        runnable = model.with_structured_output(Part).with_retry(
            retry_if_exception_type=(OutputParserException,), wait_exponential_jitter=False
        )
        assert runnable.invoke("q").watts == 9


@both_lanes
async def test_a_fallback_answers_with_the_same_schema(sync: bool, sandbox: Sandbox) -> None:
    with FaultServer() as server:
        server.replies(json_reply({"message": "down"}, 503))
        async with PERPLEXITY.at(server.url) as first, FIREWORKS.over(sandbox) as second:
            runnable = first.with_structured_output(Lamp).with_fallbacks(
                [second.with_structured_output(Lamp)]
            )
            answer = await run(runnable, streaming=False, sync=sync)
    assert isinstance(answer, Lamp)


@both_ways
@both_lanes
async def test_a_schema_stands_inside_a_chain(
    sync: bool, streaming: bool, sandbox: Sandbox
) -> None:
    async with FIREWORKS.over(sandbox) as model:
        prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{q}")])
        chain = prompt | model.with_structured_output(Lamp) | RunnableLambda(lambda lamp: lamp.name)
        answer = await run(chain, streaming=streaming, sync=sync, prompt={"q": LAMPS})
    assert "Meridian" in answer


def test_a_batch_is_answered_in_order(sandbox: Sandbox) -> None:
    prompts = ["The lamp with 3 watts", "The lamp with 8 watts"]
    with FIREWORKS.over(sandbox) as model:
        found = model.with_structured_output(Part, method="function_calling").batch(prompts)
    assert [part.watts for part in found] == [3, 8]


@pytest.mark.parametrize("version", ["v0", "v1"])
@both_ways
@every([FIREWORKS, CHATS[0]])
async def test_the_output_version_does_not_matter(
    kind: Kind, streaming: bool, version: str, sandbox: Sandbox
) -> None:
    with kind.over(sandbox, output_version=version) as model:
        runnable = model.with_structured_output(LampDict)
        assert is_sound(await run(runnable, streaming=streaming, sync=True), LampDict)


@pytest.mark.parametrize("version", ["v0", "v1"])
@both_ways
async def test_reasoning_before_the_object_does_not_matter(
    version: str, streaming: bool, sandbox: Sandbox
) -> None:
    with FIREWORKS.over(sandbox, output_version=version, reasoning_effort="low") as model:
        runnable = model.with_structured_output(LampDict)
        assert is_sound(await run(runnable, streaming=streaming, sync=True), LampDict)
