import json
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox

from .asking import settled

MODEL = "accounts/sandbox/models/extractive"
INTEGER, STRING = {"type": "integer"}, {"type": "string"}


def tool(name: str, description: str | None = None, /, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    function: dict[str, Any] = {"name": name, "parameters": parameters}
    if description:
        function["description"] = description
    return {"type": "function", "function": function}


ADD = tool("add", "Takes two integers and returns their sum.", a=INTEGER, b=INTEGER)
WEATHER = tool("get_weather", location=STRING)
SEARCH = tool("search_documents", "Search the documents about lamps.", query=STRING)
MAGIC = tool("magic_function", "Apply a magic function to an input.", input=INTEGER)
CALL = {"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def ask(client: httpx.Client, question: str = "Hello!", **fields: Any) -> httpx.Response:
    messages = [{"role": "user", "content": question}]
    return client.post("/chat/completions", json={"model": MODEL, "messages": messages, **fields})


def message(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]["message"]


def calls(response: httpx.Response) -> list[tuple[str, Any]]:
    functions = [call["function"] for call in message(response).get("tool_calls", [])]
    return [(found["name"], json.loads(found["arguments"])) for found in functions]


def after(result: Any, *more: dict[str, Any], question: str = "What is 1 + 2?") -> list[Any]:
    return [
        {"role": "user", "content": question},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "1", "content": result},
        *more,
    ]


def test_a_call_is_a_message_without_content(fireworks: httpx.Client) -> None:
    body = ask(fireworks, "magic_function(3)? Use the tool.", tools=[MAGIC], tool_choice="any")
    (choice,) = body.json()["choices"]
    ident = choice["message"]["tool_calls"][0]["id"]
    assert ident.startswith("call_")
    assert choice == {
        "index": 0,
        "message": {
            "role": "assistant",
            "tool_calls": [
                {
                    "index": 0,
                    "id": ident,
                    "type": "function",
                    "function": {"name": "magic_function", "arguments": '{"input":3}'},
                    "name": None,
                }
            ],
        },
        "finish_reason": "tool_calls",
    }


def test_a_call_is_streamed_in_pieces(fireworks: httpx.Client, events: Any) -> None:
    response = ask(fireworks, "add 3 + 4", tools=[ADD], stream=True)
    choices = [event["choices"][0] for event in events(response)]
    role, first, *rest, end = choices
    ident = first["delta"]["tool_calls"][0]["id"]
    assert role["delta"] == {"role": "assistant"}
    assert first["delta"]["tool_calls"] == [
        {"index": 0, "id": ident, "type": "function", "function": {"name": "add"}}
    ]
    parts = [choice["delta"]["tool_calls"][0] for choice in rest]
    assert {(part["index"], part["id"], part["type"]) for part in parts} == {(0, None, "function")}
    assert "".join(part["function"]["arguments"] for part in parts) == '{"a":3,"b":4}'
    assert len(parts) > 3
    assert (end["delta"], end["finish_reason"]) == ({}, "tool_calls")


def test_arguments_are_not_escaped(fireworks: httpx.Client) -> None:
    customer = tool("customer", customer_name=STRING, description=STRING)
    question = "Create a customer named 'こんにちは株式会社' (Hello Corporation)"
    found = ask(fireworks, question, tools=[customer], tool_choice="any")
    assert '\\"customer_name\\":\\"こんにちは株式会社\\"' in found.text


def test_a_tool_without_parameters_gets_none(fireworks: httpx.Client) -> None:
    bare = {"type": "function", "function": {"name": "roll"}}
    assert calls(ask(fireworks, "roll 3", tools=[bare])) == [("roll", {})]


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("What is the weather in Oslo?", "get_weather"),
        ("Which lamp draws how many watts?", "search_documents"),
        ("Use add for 3 and 4", "add"),
        ("What is magic?", "magic_function"),
        ("Hello!", None),
        ("Which document tells the value?", None),
    ],
)
def test_a_tool_that_fits_the_question_is_called(
    fireworks: httpx.Client, question: str, name: str | None
) -> None:
    found = calls(ask(fireworks, question, tools=[ADD, WEATHER, SEARCH, MAGIC]))
    assert [called for called, _ in found] == ([name] if name else [])


def test_a_search_tool_is_asked_the_question(fireworks: httpx.Client) -> None:
    question = "Which lamp draws how many watts?"
    assert calls(ask(fireworks, question, tools=[SEARCH]))[0][1] == {"query": question}


@pytest.mark.parametrize("choice", ["required", "any"])
def test_a_forced_call_is_of_the_best_tool_or_the_first(
    fireworks: httpx.Client, choice: str
) -> None:
    tools = [MAGIC, WEATHER]
    assert calls(ask(fireworks, tools=tools, tool_choice=choice)) == [
        ("magic_function", {"input": 0})
    ]
    found = ask(fireworks, "The weather at Oslo", tools=tools, tool_choice=choice)
    assert calls(found) == [("get_weather", {"location": "Oslo"})]


def test_a_named_tool_is_called(fireworks: httpx.Client) -> None:
    found = ask(fireworks, tools=[MAGIC, WEATHER], tool_choice=named("get_weather"))
    assert calls(found) == [("get_weather", {"location": "Hello!"})]


def test_no_tool_is_called_when_none_is_wanted(fireworks: httpx.Client) -> None:
    found = message(ask(fireworks, "add 3 + 4", tools=[ADD], tool_choice="none"))
    assert list(found) == ["role", "content"]


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_several_named_tools_are_called_at_once(fireworks: httpx.Client, choice: str) -> None:
    fields = {"tools": [ADD, MAGIC], "tool_choice": choice}
    question = "magic_function(7), then add(1,2)"
    found = calls(ask(fireworks, question, parallel_tool_calls=True, **fields))
    assert found == [("magic_function", {"input": 7}), ("add", {"a": 1, "b": 2})]
    assert len(calls(ask(fireworks, question, parallel_tool_calls=False, **fields))) == 1


def test_parallel_calls_are_streamed_by_index(fireworks: httpx.Client, events: Any) -> None:
    fields = {"tools": [ADD, MAGIC], "parallel_tool_calls": True, "stream": True}
    arguments = ["", ""]
    for event in events(ask(fireworks, "magic_function(7), add(1,2)", **fields)):
        for part in event["choices"][0]["delta"].get("tool_calls", []):
            arguments[part["index"]] += part["function"].get("arguments", "")
    assert arguments == ['{"input":7}', '{"a":1,"b":2}']


def test_every_choice_has_its_calls(fireworks: httpx.Client) -> None:
    choices = ask(fireworks, "add 3 + 4", tools=[ADD], n=2).json()["choices"]
    idents = {choice["message"]["tool_calls"][0]["id"] for choice in choices}
    assert len(idents) == 2
    assert {choice["finish_reason"] for choice in choices} == {"tool_calls"}


def test_a_limit_cuts_the_arguments(fireworks: httpx.Client) -> None:
    (choice,) = ask(fireworks, "add 3 + 4", tools=[ADD], max_tokens=3).json()["choices"]
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"a'
    assert choice["finish_reason"] == "length"


def test_the_tokens_of_a_call_are_counted(fireworks: httpx.Client) -> None:
    assert ask(fireworks, "add 3 + 4", tools=[ADD]).json()["usage"]["completion_tokens"] == 13


def test_a_result_is_told(fireworks: httpx.Client) -> None:
    found = message(ask(fireworks, messages=after('{"result": 3}'), tools=[ADD]))
    assert found["content"] == 'The tool says: {"result": 3}'


def test_what_answers_the_question_is_told_of_a_long_result(fireworks: httpx.Client) -> None:
    result = "It is Monday. The Aurora lamp draws 7 watts. Have a nice day."
    messages = after(result, question="How many watts does the lamp draw?")
    found = message(ask(fireworks, messages=messages, tools=[SEARCH]))
    assert found["content"] == "The tool says: The Aurora lamp draws 7 watts."


def test_several_results_are_told(fireworks: httpx.Client) -> None:
    again = {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "Two."}]}
    found = message(ask(fireworks, messages=after("One.", again)))
    assert found["content"] == "The tool says: One. Two."


def test_a_result_without_text_is_told(fireworks: httpx.Client) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    found = message(ask(fireworks, messages=after([image])))
    assert found["content"] == "The tool says: nothing."


def test_a_result_of_an_earlier_turn_is_not_told(fireworks: httpx.Client) -> None:
    more = [{"role": "assistant", "content": "3"}, {"role": "user", "content": "Thank you!"}]
    found = message(ask(fireworks, messages=after("3", *more), tools=[ADD]))
    assert found["content"].startswith("I could not find")


def test_a_result_fills_a_schema(fireworks: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"watts": INTEGER}, "required": ["watts"]}
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    messages = after("The Aurora draws 7 watts.", question="How many watts?")
    found = message(ask(fireworks, messages=messages, response_format=form))
    assert found["content"] == '{"watts":7}'


@pytest.mark.parametrize("limit", [3, 5, 100])
def test_calls_end_where_the_tokens_are_used_up(fireworks: httpx.Client, limit: int) -> None:
    asked = {"tools": [ADD, MAGIC], "tool_choice": "any", "parallel_tool_calls": True}
    question = "Call add with 1 and 2, then magic_function with 3."
    body = ask(fireworks, question, reasoning_effort=None, max_tokens=limit, **asked).json()
    cut = limit < 100
    assert body["choices"][0]["finish_reason"] == ("length" if cut else "tool_calls")
    assert body["usage"]["completion_tokens"] <= limit
    assert (body["usage"]["completion_tokens"] == limit) == cut


@pytest.mark.parametrize("where", ["field", "content"])
@pytest.mark.parametrize("text", ["", "I have added them."])
def test_a_call_is_in_the_journal_without_words_and_judges_nobody(
    sandbox: Sandbox, fireworks: httpx.Client, where: str, text: str
) -> None:
    fireworks.headers["x-sandbox-switches"] = json.dumps({"calls": where})
    with sandbox.judge() as judge, judge.call() as call:
        ask(fireworks, "add 3 + 4", tools=[ADD], n=2)
        call.returned(text)
    judge.verdict.check()
    assert [(one.question, one.text) for one in settled(sandbox).said] == [("add 3 + 4", "")]


def test_after_a_result_a_required_tool_is_called_again(fireworks: httpx.Client) -> None:
    found = ask(fireworks, messages=after("3"), tools=[ADD], tool_choice="required")
    assert calls(found) == [("add", {"a": 1, "b": 2})]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"tools": [tool("a b")]}, "String should match pattern"),
        ({"tools": [tool("x" * 65)]}, "field: 'tools.0.function.name'"),
        ({"tools": [{**ADD, "type": "retrieval"}]}, "field: 'tools.0.type'"),
        ({"tools": [{**ADD, "x": 1}]}, "Extra inputs are not permitted, field: 'tools.0.x'"),
        ({"tools": [{"type": "function"}]}, "Field required, field: 'tools.0.function'"),
        ({"tools": [ADD], "tool_choice": "some"}, "'required' or 'any', field: 'tool_choice'"),
        ({"tools": [ADD], "tool_choice": named("sub")}, "'sub', which is not one of the tools"),
        (
            {"tools": [ADD], "tool_choice": {"type": "function", "name": "add"}},
            "Extra inputs are not permitted, field: 'tool_choice.name'",
        ),
        ({"tool_choice": "required"}, "there are no tools"),
        ({"tools": [ADD], "parallel_tool_calls": "yes"}, "valid boolean"),
        ({"tools": [tool("f", x={"type": "text"})], "tool_choice": "any"}, "JSON Schema not"),
        ({"messages": after("3")[:1] + after("3")[2:]}, "field: 'messages.1.tool_call_id'"),
        (
            {"messages": [{"role": "tool", "content": "3"}]},
            "tool_call_id does not match a tool call of an earlier message",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{**CALL, "index": 0}]}]},
            "Extra inputs are not permitted, field: 'messages.0.tool_calls.0.index'",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{**CALL, "name": None}]}]},
            "Extra inputs are not permitted, field: 'messages.0.tool_calls.0.name'",
        ),
    ],
)
def test_bad_tools_are_refused(fireworks: httpx.Client, fields: Any, told: str) -> None:
    response = ask(fireworks, **fields)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert told in response.json()["error"]["message"]


def test_the_model_has_tools_and_sees_images(fireworks: httpx.Client) -> None:
    (model,) = fireworks.get("/models").json()["data"]
    assert (model["supports_tools"], model["supports_image_input"]) == (True, True)
