"""fireworks-ai 1.x, with strict validation of what the service answers."""

import json
import os
from typing import Any

from ._asked import CHAT, EXTRACTIVE, FORECAST, FORM, TOOLS
from ._judge import ANSWER, QUESTION, Judge, Said

__all__ = ["judge"]

judge = Judge()
_ALL = ("classic", "2025", "2026")


def _arguments(**more: Any) -> dict[str, Any]:
    # Behind an address of one's own, this package wants the path without its version.
    address = os.environ["FIREWORKS_API_BASE"].removesuffix("/v1")
    return {"base_url": address, "max_retries": 0, "_strict_response_validation": True, **more}


def _client(**more: Any) -> Any:
    from fireworks import Fireworks

    return Fireworks(**_arguments(**more))


def _async_client() -> Any:
    from fireworks import AsyncFireworks

    return AsyncFireworks(**_arguments())


def _total(parts: list[Any]) -> int | None:
    usages = [part.usage for part in parts if part.usage]
    return usages[-1].total_tokens if usages else None


def _text(parts: list[Any]) -> Said:
    return Said([c.text for part in parts for c in part.choices], tokens=_total(parts))


def _chat(parts: list[Any]) -> Said:
    pieces = [choice.delta.content or "" for part in parts for choice in part.choices]
    return Said(pieces, tokens=_total(parts))


@judge.call("fireworks", *_ALL, counts=True)
def completion() -> Said:
    return _text([_client().completions.create(model=EXTRACTIVE, prompt=QUESTION, max_tokens=100)])


@judge.call("fireworks", *_ALL, counts=True)
async def completion_async() -> Said:
    async with _async_client() as client:
        answer = await client.completions.create(model=EXTRACTIVE, prompt=QUESTION, max_tokens=100)
    return _text([answer])


@judge.call("fireworks", *_ALL, counts=True)
def completion_streamed() -> Said:
    return _text(
        list(
            _client().completions.create(
                model=EXTRACTIVE, prompt=QUESTION, max_tokens=100, stream=True
            )
        )
    )


@judge.call("fireworks", *_ALL, says="probabilities")
def completion_logprobs() -> Said:
    answer = _client().completions.create(
        model=EXTRACTIVE, prompt=QUESTION, max_tokens=100, logprobs=2
    )
    probabilities = answer.choices[0].logprobs
    return Said([f"{len(probabilities.tokens)} probabilities"])


@judge.call("fireworks", *_ALL, says=QUESTION + ANSWER)
def completion_echo() -> Said:
    return _text(
        [_client().completions.create(model=EXTRACTIVE, prompt=QUESTION, max_tokens=100, echo=True)]
    )


@judge.call("fireworks", *_ALL, counts=True)
def chat() -> Said:
    answer = _client().chat.completions.create(model=EXTRACTIVE, messages=CHAT)
    return Said([answer.choices[0].message.content], tokens=_total([answer]))


@judge.call("fireworks", *_ALL, counts=True)
async def chat_async() -> Said:
    async with _async_client() as client:
        answer = await client.chat.completions.create(model=EXTRACTIVE, messages=CHAT)
    return Said([answer.choices[0].message.content], tokens=_total([answer]))


@judge.call("fireworks", *_ALL, counts=True)
def chat_streamed() -> Said:
    return _chat(
        list(_client().chat.completions.create(model=EXTRACTIVE, messages=CHAT, stream=True))
    )


@judge.call("fireworks", *_ALL, counts=True)
async def chat_streamed_async() -> Said:
    async with _async_client() as client:
        stream = await client.chat.completions.create(model=EXTRACTIVE, messages=CHAT, stream=True)
        return _chat([part async for part in stream])


@judge.call("fireworks", "2026", counts=True, usage="trailing")
def chat_with_trailing_usage_streamed() -> Said:
    options = {"stream_options": {"include_usage": True}}
    stream = _client().chat.completions.create(
        model=EXTRACTIVE, messages=CHAT, stream=True, extra_body=options
    )
    return _chat(list(stream))


@judge.call("fireworks", "2026", finish_text=True, done=False)
def chat_ended_by_its_text_streamed() -> Said:
    stream = _client().chat.completions.create(model=EXTRACTIVE, messages=CHAT, stream=True)
    return _chat(list(stream))


@judge.call("fireworks", "2026", fault="drip; every=0")
def chat_in_single_bytes_streamed() -> Said:
    return chat_streamed()


@judge.call("fireworks", "2026", raises="RemoteProtocolError", fault="disconnect")
def chat_stream_disconnected() -> Said:
    return chat_streamed()


@judge.call("fireworks", "2025", "2026", says="fragments")
def chat_raw_output() -> Said:
    answer = _client().chat.completions.create(
        model=EXTRACTIVE, messages=CHAT, raw_output=True, perf_metrics_in_response=True
    )
    assert answer.perf_metrics
    raw = answer.choices[0].raw_output
    assert raw.completion == answer.choices[0].message.content
    return Said([f"{len(raw.prompt_fragments)} fragments"])


@judge.call("fireworks", "2025", "2026", says="probabilities")
def chat_logprobs() -> Said:
    answer = _client().chat.completions.create(
        model=EXTRACTIVE, messages=CHAT, logprobs=True, top_logprobs=2
    )
    tokens = answer.choices[0].logprobs.content
    assert len(tokens[0].top_logprobs) == 2
    return Said([f"{len(tokens)} probabilities"])


@judge.call("fireworks", "2026", says="tokens")
def chat_token_ids() -> Said:
    answer = _client().chat.completions.create(
        model=EXTRACTIVE, messages=CHAT, return_token_ids=True, prompt_cache_key="lighthouse"
    )
    assert answer.prompt_token_ids
    return Said([f"{len(answer.choices[0].token_ids)} tokens"])


@judge.call("fireworks", "2026", says="tokens")
def chat_token_ids_in_a_stream() -> Said:
    parts = _client().chat.completions.create(
        model=EXTRACTIVE, messages=CHAT, return_token_ids=True, stream=True
    )
    ids = [n for part in parts for c in part.choices for n in c.token_ids or []]
    return Said([f"{len(ids)} tokens"])


@judge.call("fireworks", *_ALL, says='{"town":"Merrøw"}')
def tools() -> Said:
    answer = _client().chat.completions.create(model=EXTRACTIVE, messages=FORECAST, tools=TOOLS)
    assert answer.choices[0].finish_reason == "tool_calls"
    (called,) = answer.choices[0].message.tool_calls
    return Said([called.function.arguments])


@judge.call("fireworks", *_ALL, says='{"town":"Merrøw"}')
def tools_in_a_stream() -> Said:
    parts = _client().chat.completions.create(
        model=EXTRACTIVE, messages=FORECAST, tools=TOOLS, stream=True
    )
    deltas = [choice.delta for part in parts for choice in part.choices]
    calls = [call for delta in deltas for call in delta.tool_calls or []]
    return Said([call.function.arguments or "" for call in calls])


@judge.call("fireworks", *_ALL)
def json_schema() -> Said:
    answer = _client().chat.completions.create(
        model=EXTRACTIVE, messages=CHAT, response_format=FORM
    )
    return Said([json.loads(answer.choices[0].message.content)["answer"]])


@judge.call("fireworks", *_ALL, says="2 choices")
def chat_n() -> Said:
    answer = _client().chat.completions.create(model=EXTRACTIVE, messages=CHAT, n=2)
    return Said([f"{len(answer.choices)} choices"])


@judge.call("fireworks", "2025", "2026", says="lamp, merrøw")
def reasoning() -> Said:
    answer = _client().chat.completions.create(
        model=EXTRACTIVE, messages=CHAT, reasoning_effort="low"
    )
    return Said([answer.choices[0].message.reasoning_content])


@judge.call("fireworks", "2026", raises="AuthenticationError", envelope="html")
@judge.call("fireworks", *_ALL, raises="AuthenticationError", says="401")
def wrong_key() -> Said:
    return _text([_client(api_key="wrong").completions.create(model=EXTRACTIVE, prompt=QUESTION)])


@judge.call("fireworks", *_ALL, raises="BadRequestError", says="temperature")
def out_of_range() -> Said:
    return _text([_client().completions.create(model=EXTRACTIVE, prompt=QUESTION, temperature=3)])


@judge.call("fireworks", "2026", raises="BadRequestError", says="Extra inputs are not permitted")
def unknown_field() -> Said:
    return _text(
        [_client().completions.create(model=EXTRACTIVE, prompt=QUESTION, extra_body={"best_of": 2})]
    )


@judge.call("fireworks", *_ALL, raises="NotFoundError", fault="status; code=404")
def unknown_model() -> Said:
    return _text(
        [_client().completions.create(model="accounts/sandbox/models/unknown", prompt=QUESTION)]
    )


@judge.call("fireworks", *_ALL, raises="RateLimitError", fault="status; code=429; times=99")
def too_many_requests() -> Said:
    return _text([_client().completions.create(model=EXTRACTIVE, prompt=QUESTION)])


@judge.call("fireworks", "2026", raises="InternalServerError", fault="status; code=503; times=99")
def unavailable() -> Said:
    return _text([_client().completions.create(model=EXTRACTIVE, prompt=QUESTION)])


@judge.call("fireworks", "2026", fault="status; code=503; retry_after=0; times=1")
def unavailable_once() -> Said:
    """The client's own retry succeeds, and waits as the service tells it."""
    client = _client(max_retries=1)
    return _text([client.completions.create(model=EXTRACTIVE, prompt=QUESTION, max_tokens=100)])
