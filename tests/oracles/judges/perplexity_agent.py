"""The perplexityai package on the agent API."""

import json
import operator
from functools import reduce
from typing import Any, get_args

from ._asked import FORM
from ._judge import QUESTION, Judge, Said
from ._perplexity import async_client, client

__all__ = ["judge"]

judge = Judge()
_AGENT: Any = {"model": "perplexity/sonar", "tools": [{"type": "web_search"}], "input": QUESTION}


def _sources(answer: Any) -> list[str]:
    found = [item for item in answer.output if item.type == "search_results"]
    return [result.url for item in found for result in item.results]


@judge.call("perplexity", "2026-06", "retired", cites=True, counts=True)
def response() -> Said:
    answer = client().responses.create(**_AGENT)
    assert answer.status == "completed"
    return Said([answer.output_text], _sources(answer), answer.usage.total_tokens)


@judge.call("perplexity", "2026-06", cites=True, counts=True)
async def response_async() -> Said:
    async with async_client() as perplexity:
        answer = await perplexity.responses.create(**_AGENT)
    return Said([answer.output_text], _sources(answer), answer.usage.total_tokens)


@judge.call("perplexity", "2026-06", "retired", cites=True, counts=True)
def response_streamed() -> Said:
    events = list(client().responses.create(**_AGENT, stream=True))
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1].type == "response.completed"
    whole = events[-1].response
    pieces = [e.delta for e in events if e.type == "response.output_text.delta"]
    assert "".join(pieces) == whole.output_text
    return Said(pieces, _sources(whole), whole.usage.total_tokens)


@judge.call("perplexity", "2026-06", cites=True)
async def response_streamed_async() -> Said:
    async with async_client() as perplexity:
        stream = await perplexity.responses.create(**_AGENT, stream=True)
        events = [event async for event in stream]
    pieces = [e.delta for e in events if e.type == "response.output_text.delta"]
    return Said(pieces, _sources(events[-1].response))


@judge.call("perplexity", "2026-06", "retired", cites=True, counts=True)
def response_not_strict_streamed() -> Said:
    perplexity = client(_strict_response_validation=False)
    events = list(perplexity.responses.create(**_AGENT, stream=True))
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1].type == "response.completed"
    whole = events[-1].response
    pieces = [e.delta for e in events if e.type == "response.output_text.delta"]
    assert "".join(pieces) == whole.output_text
    return Said(pieces, _sources(whole), whole.usage.total_tokens)


@judge.call("perplexity", "2026-06", cites=True)
@judge.call("perplexity", "2026-06", cites=True, agent="multi")
def response_events_one_by_one_streamed() -> Said:
    """All events are as the package knows them, but for the content that is null."""
    from perplexity.generated import api
    from pydantic import TypeAdapter

    models = [getattr(api, name.__forward_arg__) for name in get_args(api.ResponseStreamChunk)]
    known: TypeAdapter[Any] = TypeAdapter(reduce(operator.or_, models))
    with client().responses.with_streaming_response.create(**_AGENT, stream=True) as response:
        lines = [line for line in response.iter_lines() if line.startswith("data:")]
    events = [json.loads(line.removeprefix("data:")) for line in lines]
    announced = [e["item"] for e in events if e["type"] == "response.output_item.added"]
    announced[-1]["content"] = []
    checked = [known.validate_python(event) for event in events]
    pieces = [e.delta for e in checked if e.type == "response.output_text.delta"]
    return Said(pieces, _sources(checked[-1].response))


@judge.call("perplexity", "2026-06", says="failed", terminal="failed")
def response_failed() -> Said:
    answer = client().responses.create(**_AGENT)
    return Said([answer.status, answer.error.message])


@judge.call("perplexity", "2026-06", says="incomplete", terminal="incomplete")
def response_incomplete() -> Said:
    return Said([client().responses.create(**_AGENT).status])


@judge.call("perplexity", "2026-06", says="response.failed", terminal="failed")
def response_failed_in_a_stream() -> Said:
    perplexity = client(_strict_response_validation=False)
    return Said([event.type for event in perplexity.responses.create(**_AGENT, stream=True)])


@judge.call("perplexity", "2026-06")
def response_retrieved() -> Said:
    perplexity = client()
    return Said(
        [perplexity.responses.retrieve(perplexity.responses.create(**_AGENT).id).output_text]
    )


@judge.call("perplexity", "2026-06")
def response_in_the_background() -> Said:
    perplexity = client()
    answer = perplexity.responses.create(**_AGENT, background=True)
    assert answer.status == "queued"
    for _ in range(50):
        answer = perplexity.responses.retrieve(answer.id)
        if answer.status == "completed":
            break
    return Said([answer.output_text])


@judge.call("perplexity", "2026-06", cites=True)
def response_of_a_preset() -> Said:
    answer = client().responses.create(preset="low", input=QUESTION)
    assert answer.model
    return Said([answer.output_text], _sources(answer))


@judge.call("perplexity", "2026-06", cites=True)
def response_of_a_filtered_search() -> Said:
    tool: Any = {
        "type": "web_search", "max_results": 5, "search_context_size": "low",
        "filters": {"search_domain_filter": ["-other.example"]},
    }  # fmt: skip
    answer = client().responses.create(
        model="perplexity/sonar", tools=[tool], input=QUESTION, instructions="Be brief.",
        max_output_tokens=200, max_steps=3, language_preference="en", temperature=0.2,
    )  # fmt: skip
    return Said([answer.output_text], _sources(answer))


@judge.call("perplexity", "2026-06")
def response_to_a_conversation() -> Said:
    turns: Any = [
        {"type": "message", "role": "user", "content": "What does the ferry cost?"},
        {"type": "message", "role": "assistant", "content": "I do not know."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": QUESTION}]},
    ]
    return Said([client().responses.create(**{**_AGENT, "input": turns}).output_text])


@judge.call("perplexity", "2026-06")
def response_that_goes_on() -> Said:
    perplexity = client()
    first = perplexity.responses.create(**{**_AGENT, "input": "What does the ferry cost?"})
    answer = perplexity.responses.create(**_AGENT, previous_response_id=first.id)
    assert answer.previous_response_id == first.id
    return Said([answer.output_text])


@judge.call("perplexity", "2026-06", says="cancel")
def response_cancelled() -> Said:
    perplexity = client(_strict_response_validation=False)
    run = perplexity.responses.create(**_AGENT, background=True)
    return Said([perplexity.responses.cancel(run.id).status])


@judge.call("perplexity", "2026-06", raises="NotFoundError", says="resource not found")
def response_unknown() -> Said:
    unknown = "resp_00000000-0000-4000-8000-000000000000"
    return Said([client().responses.retrieve(unknown).output_text])


@judge.call("perplexity", "2026-06", raises="BadRequestError", says="sonar")
def response_unknown_model() -> Said:
    return Said([client().responses.create(model="sonar", input=QUESTION).output_text])


@judge.call("perplexity", "2026-06", says='{"town":"Merrøw"}')
def response_tool() -> Said:
    tool = {
        "type": "function",
        "name": "weather",
        "description": "Tell the weather of a town.",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
    }
    answer = client().responses.create(
        model="perplexity/sonar", input="What is the weather in Merrøw?", tools=[tool]
    )
    return Said([item.arguments for item in answer.output if item.type == "function_call"])


@judge.call("perplexity", "2026-06")
def response_json_schema() -> Said:
    answer = client().responses.create(**_AGENT, response_format=FORM)
    return Said([json.loads(answer.output_text)["answer"]])


@judge.call("perplexity", "2026-06", cites=True, agent="multi")
def response_of_many_searches() -> Said:
    answer = client().responses.create(**_AGENT)
    assert len([item for item in answer.output if item.type == "search_results"]) == 3
    return Said([answer.output_text], _sources(answer))


@judge.call("perplexity", "2026-06", cites=True, agent="multi")
def response_of_many_searches_streamed() -> Said:
    perplexity = client(_strict_response_validation=False)
    events = list(perplexity.responses.create(**_AGENT, stream=True))
    pieces = [e.delta for e in events if e.type == "response.output_text.delta"]
    return Said(pieces, _sources(events[-1].response))
