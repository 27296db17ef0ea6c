"""The perplexityai package on chat completions, search and models."""

import json
from typing import Any

from ._asked import CHAT, FORM
from ._judge import QUESTION, Judge, Said
from ._perplexity import async_client, client

__all__ = ["judge"]

judge = Judge()
_DATED = ("seed", "2025-07", "2025-08", "2025-11", "2026-01", "2026-06", "2026-09")


def _said(answer: Any) -> Said:
    return Said([answer.choices[0].message.content], answer.citations, answer.usage.total_tokens)


def _joined(parts: list[Any]) -> Said:
    assert parts[-1].choices[0].finish_reason == "stop"
    pieces = [part.choices[0].delta.content or "" for part in parts]
    assert parts[-1].choices[0].message.content == "".join(pieces)
    return Said(pieces, parts[-1].citations, parts[-1].usage.total_tokens)


@judge.call("perplexity", *_DATED, cites=True, counts=True)
def chat() -> Said:
    return _said(client().chat.completions.create(model="sonar", messages=CHAT))


@judge.call("perplexity", *_DATED, cites=True, counts=True)
async def chat_async() -> Said:
    async with async_client() as perplexity:
        return _said(await perplexity.chat.completions.create(model="sonar", messages=CHAT))


@judge.call("perplexity", *_DATED, cites=True, counts=True)
@judge.call("perplexity", "2026-06", cites=True, line_ending="lf", done=True)
@judge.call("perplexity", "2026-06", cites=True, event_lines=True, citations="late")
def chat_streamed() -> Said:
    stream = client().chat.completions.create(model="sonar", messages=CHAT, stream=True)
    return _joined(list(stream))


@judge.call("perplexity", "2026-06", cites=True, fault="pings; every=0.01; seconds=0.05")
def chat_with_pings_streamed() -> Said:
    return chat_streamed()


@judge.call("perplexity", "2026-06", cites=True, fault="drip; every=0")
def chat_in_single_bytes_streamed() -> Said:
    return chat_streamed()


@judge.call("perplexity", "2026-06", raises="RemoteProtocolError", fault="disconnect")
def chat_stream_disconnected() -> Said:
    return chat_streamed()


@judge.call("perplexity", *_DATED, cites=True, counts=True)
async def chat_streamed_async() -> Said:
    async with async_client() as perplexity:
        stream = await perplexity.chat.completions.create(model="sonar", messages=CHAT, stream=True)
        return _joined([part async for part in stream])


@judge.call("perplexity", *_DATED, cites=True)
def chat_not_strict() -> Said:
    perplexity = client(_strict_response_validation=False)
    return _said(perplexity.chat.completions.create(model="sonar", messages=CHAT))


@judge.call("perplexity", *_DATED, cites=True)
def chat_not_strict_streamed() -> Said:
    perplexity = client(_strict_response_validation=False)
    stream = perplexity.chat.completions.create(model="sonar", messages=CHAT, stream=True)
    return _joined(list(stream))


@judge.call("perplexity", "2026-06", cites=True)
def chat_concise_streamed() -> Said:
    stream = client().chat.completions.create(
        model="sonar", messages=CHAT, stream=True, stream_mode="concise"
    )
    parts = list(stream)
    pieces = [p.choices[0].delta.content or "" for p in parts if p.object.endswith("chunk")]
    return Said(pieces, [result.url for result in parts[-1].search_results])


@judge.call("perplexity", "2026-06", cites=True)
def chat_concise_not_strict_streamed() -> Said:
    stream = client(_strict_response_validation=False).chat.completions.create(
        model="sonar", messages=CHAT, stream=True, stream_mode="concise"
    )
    parts = list(stream)
    chunks = [part for part in parts if part.object == "chat.completion.chunk"]
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
    return Said(pieces, [result.url for result in parts[-1].search_results])


@judge.call("perplexity", "2026-06", cites=True)
def chat_filtered() -> Said:
    answer = client().chat.completions.create(
        model="sonar-pro", messages=CHAT, max_tokens=500, temperature=0.1, top_p=0.9,
        search_mode="web", search_after_date_filter="01/01/2020", return_images=True,
        return_related_questions=True, web_search_options={"search_context_size": "high"},
    )  # fmt: skip
    assert answer.usage.search_context_size == "high"
    return Said([answer.choices[0].message.content], [r.url for r in answer.search_results])


@judge.call("perplexity", "2026-06")
def chat_json_schema() -> Said:
    answer = client().chat.completions.create(model="sonar", messages=CHAT, response_format=FORM)
    return Said([json.loads(answer.choices[0].message.content)["answer"]])


@judge.call("perplexity", "2026-06", raises="BadRequestError", says="Invalid model")
def chat_unknown_model() -> Said:
    return _said(client().chat.completions.create(model="unknown", messages=CHAT))


@judge.call("perplexity", "2026-06", raises="BadRequestError", says="temperature")
def chat_out_of_range() -> Said:
    return _said(client().chat.completions.create(model="sonar", messages=CHAT, temperature=3))


@judge.call("perplexity", "2026-06", raises="BadRequestError", says="alternate")
def chat_out_of_order() -> Said:
    return _said(client().chat.completions.create(model="sonar", messages=CHAT * 2))


@judge.call("perplexity", "retired", raises="PermissionDeniedError", says="Agent API")
def chat_retired() -> Said:
    return _said(client().chat.completions.create(model="sonar", messages=CHAT))


@judge.call("perplexity", "2026-06", raises="AuthenticationError", html_401=True)
@judge.call("perplexity", "2026-06", raises="AuthenticationError", says="Invalid API key")
def wrong_key() -> Said:
    return _said(client(api_key="wrong").chat.completions.create(model="sonar", messages=CHAT))


@judge.call("perplexity", "2026-06", raises="RateLimitError", fault="status; code=429; times=99")
def too_many_requests() -> Said:
    return _said(client().chat.completions.create(model="sonar", messages=CHAT))


@judge.call("perplexity", "2026-06", cites=True, fault="status; code=503; retry_after=0; times=1")
def unavailable_once() -> Said:
    """The client's own retry succeeds."""
    perplexity = client(max_retries=1)
    return _said(perplexity.chat.completions.create(model="sonar", messages=CHAT))


@judge.call("perplexity", "2026-06", cites=True)
def search() -> Said:
    found = client().search.create(query=QUESTION, max_results=5)
    return Said([result.snippet for result in found.results], [r.url for r in found.results])


@judge.call("perplexity", "2026-06", cites=True)
async def search_several_async() -> Said:
    async with async_client() as perplexity:
        found = await perplexity.search.create(query=["ferry fares", QUESTION])
    return Said([result.snippet for result in found.results], [r.url for r in found.results])


@judge.call("perplexity", "2026-06", "retired", cites=True)
async def search_async() -> Said:
    async with async_client() as perplexity:
        found = await perplexity.search.create(query=QUESTION)
    return Said([result.snippet for result in found.results], [r.url for r in found.results])


@judge.call("perplexity", "2026-06", cites=True)
def search_with_every_filter() -> Said:
    found = client().search.create(
        query=QUESTION, max_results=5, max_tokens=5000, max_tokens_per_page=500, country="US",
        search_domain_filter=["-other.example"], search_language_filter=["en"],
        search_after_date_filter="01/01/2020", last_updated_after_filter="01/01/2020",
        search_mode="web", display_server_time=True,
    )  # fmt: skip
    assert found.server_time
    return Said([result.snippet for result in found.results], [r.url for r in found.results])


@judge.call("perplexity", "2026-06", raises="APIStatusError", says="max_results")
def search_for_too_many() -> Said:
    found = client().search.create(query=QUESTION, max_results=21)
    return Said([result.snippet for result in found.results])


@judge.call("perplexity", "2026-06", raises="AuthenticationError", says="401")
def search_with_a_wrong_key() -> Said:
    found = client(api_key="wrong").search.create(query=QUESTION)
    return Said([result.snippet for result in found.results])


@judge.call("perplexity", "2026-06", says="perplexity/sonar")
def models() -> Said:
    return Said([model.id for model in client().models.list().data])
