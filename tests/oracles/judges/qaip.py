"""The qaip package, with strict validation of what the service answers."""

from typing import Any

from ._asked import CHAT, SCHEMA
from ._judge import ANSWER, QUESTION, Judge, Said

__all__ = ["judge"]

judge = Judge()


def _client(**more: Any) -> Any:
    from qaip import Qaip

    return Qaip(**{"max_retries": 0, "_strict_response_validation": True, **more})


def _async_client() -> Any:
    from qaip import AsyncQaip

    return AsyncQaip(max_retries=0, _strict_response_validation=True)


def _said(answer: Any) -> Said:
    choice = answer.choices[0]
    sources = [content.url for content in choice.citations or []]
    return Said([choice.message.content], sources)


def _found(answer: Any) -> Said:
    return Said([content.text for content in answer.results], [c.url for c in answer.results])


@judge.call("qaip", "later", cites=True)
@judge.call("qaip", "later", cites=True, choices=2)
def completion() -> Said:
    return _said(_client().completion(messages=CHAT))


@judge.call("qaip", "later", cites=True)
async def completion_async() -> Said:
    async with _async_client() as client:
        return _said(await client.completion(messages=CHAT))


@judge.call("qaip", "later", cites=True)
def completion_with_every_filter() -> Said:
    answer = _client().completion(
        messages=CHAT, citation=True, tags=["harbour"], tag_filter_logic="AND", limit=3,
        source_types=["local_file"], file_types=["md"], date_from=1735639200,
        domains=["lighthouse"], use_postfilter=True, truncation="auto", principal_id="someone",
    )  # fmt: skip
    return _said(answer)


@judge.call("qaip", "later", cites=True)
def completion_with_what_was_retrieved() -> Said:
    answer = _client().completion(messages=CHAT, citation=False, include_retrieved=True)
    assert not answer.choices[0].citations
    text = answer.choices[0].message.content
    return Said([text], [content.url for content in answer.retrieved])


@judge.call("qaip", "later")
def completion_stream() -> Said:
    answer = _client().completion(messages=CHAT, stream=True)
    return Said([piece.choices[0].message.content for piece in answer])


@judge.call("qaip", "later", says="flashes twice")
def completion_read_to_its_end() -> Said:
    """Without strictness, the package hands over the lines of a stream as one string."""
    client = _client(_strict_response_validation=False)
    return Said([client.completion(messages=CHAT, stream=True)])


@judge.call("qaip", "later", cites=True)
@judge.call("qaip", "later", cites=True, citations="first", line_ending="crlf")
def completion_lines_streamed() -> Said:
    """Its users read the lines of the plain stream through the package's raw response."""
    import json

    client = _client()
    with client.with_streaming_response.completion(messages=CHAT, stream=True) as response:
        lines = [json.loads(line) for line in response.iter_lines() if line.strip()]
    choices = [line["choices"][0] for line in lines]
    sources = [c["url"] for choice in choices for c in choice.get("citations") or []]
    return Said([choice["message"]["content"] for choice in choices], sources)


@judge.call("qaip", "later", cites=True, grounding=True)
def completion_grounded() -> Said:
    answer = _client().completion(messages=CHAT, grounding=True)
    assert answer.choices[0].web_citations
    assert answer.choices[0].web_search_queries
    return _said(answer)


@judge.call("qaip", "later", cites=True)
@judge.call("qaip", "later", cites=True, message_events=True, event_bytes=500)
def completion_events_streamed() -> Said:
    """Server-Sent Events of the AG-UI protocol, read with the package's own decoder."""
    from qaip._streaming import SSEDecoder

    client = _client()
    with client.with_streaming_response.completion(
        messages=CHAT, stream=True, extra_headers={"Accept": "text/event-stream"}
    ) as response:
        events = [event.json() for event in SSEDecoder().iter_bytes(response.iter_bytes())]
    assert (events[0]["type"], events[-1]["type"]) == ("RUN_STARTED", "RUN_FINISHED")
    cited = [e["value"] for e in events if e["type"] == "CUSTOM" and e["name"] == "citations"]
    pieces = [e["delta"] for e in events if e["type"] == "TEXT_MESSAGE_CONTENT"]
    return Said(pieces, [content["url"] for contents in cited for content in contents])


@judge.call("qaip", "later", cites=True, fault="pings; every=0.01; seconds=0.05")
def completion_events_with_pings_streamed() -> Said:
    return completion_events_streamed()


@judge.call("qaip", "later", cites=True, fault="drip; every=0")
def completion_events_in_single_bytes_streamed() -> Said:
    return completion_events_streamed()


@judge.call("qaip", "later", cites=True)
@judge.call("qaip", "later", cites=True, sparse=True)
def search() -> Said:
    return _found(_client().search(query=QUESTION, limit=3))


@judge.call("qaip", "later", cites=True)
async def search_async() -> Said:
    async with _async_client() as client:
        return _found(await client.search(query=QUESTION))


@judge.call("qaip", "later", cites=True)
def search_with_every_filter() -> Said:
    column: Any = {"key": "file_type", "operator": "eq", "type": "string", "val": "md"}
    found = _client().search(
        query=QUESTION, limit=3, offset=0, tags=["harbour"], tag_filter_logic="AND",
        source_types=["local_file"], file_types=["md"], date_from=1735639200,
        domains=["lighthouse"], use_postfilter=True, principal_id="someone",
        metadata_filter={"filters": [column]},
    )  # fmt: skip
    return _found(found)


@judge.call("qaip", "later", says="no passage twice")
def search_page_by_page() -> Said:
    client = _client()
    pages = [client.search(query="Merrøw", limit=1, offset=offset) for offset in range(3)]
    ids = [content.id for page in pages for content in page.results]
    assert len(ids) == len(set(ids)) > 1
    return Said(["no passage twice"])


@judge.call("qaip", "later", says="harbour")
def tags() -> Said:
    return Said([tag.name for tag in _client().tags().tags])


@judge.call("qaip", "later", cites=True)
def content() -> Said:
    client = _client()
    first = client.search(query=QUESTION, limit=1).results[0]
    again = client.content(first.id)
    assert again == first
    return Said([again.text], [again.url])


@judge.call("qaip", "later", says="flashes twice every eleven seconds")
def extract() -> Said:
    answer = _client().extract(schema=SCHEMA, prompt=QUESTION)
    return Said([answer.result["answer"]])


@judge.call("qaip", "later", says="flashes twice every eleven seconds")
async def extract_with_filters_async() -> Said:
    async with _async_client() as client:
        answer = await client.extract(
            schema=SCHEMA, prompt=QUESTION, limit=3, file_types=["md"], tags=["harbour"]
        )
    return Said([answer.result["answer"]])


@judge.call("qaip", "later", raises="NotFoundError")
def content_unknown() -> Said:
    return Said([_client().content("00000000-0000-4000-8000-000000000000").text])


@judge.call("qaip", "later", cites=True)
def conversation() -> Said:
    client = _client()
    answer = client.completion(messages=CHAT)
    conversations = client.conversations.list(limit=5).conversations
    assert answer.conversation_id in [found.id for found in conversations]
    path = client.conversations.retrieve(answer.conversation_id).active_path
    assert [message.role for message in path] == ["user", "assistant"]
    assert [message.id for message in path] == [answer.user_message_id, answer.assistant_message_id]
    client.conversations.delete(answer.conversation_id)
    return Said([path[1].content], [content.url for content in path[1].citations])


@judge.call("qaip", "later", says="Lamps")
def conversation_renamed() -> Said:
    client = _client()
    found = client.completion(messages=CHAT).conversation_id
    client.conversations.update(found, title="Lamps")
    return Said([client.conversations.retrieve(found).title])


@judge.call("qaip", "later")
def conversation_continued() -> Said:
    client = _client()
    hello = [{"role": "user", "content": "What does the ferry cost?"}]
    found = client.completion(messages=hello).conversation_id
    answer = client.completion(messages=CHAT, conversation_id=found)
    assert answer.conversation_id == found
    assert len(client.conversations.retrieve(found).active_path) == 4
    return _said(answer)


@judge.call("qaip", "later", raises="NotFoundError")
def conversation_unknown() -> Said:
    return Said([str(_client().conversations.retrieve("00000000-0000-4000-8000-000000000000"))])


@judge.call("qaip", "later", raises="AuthenticationError", says="401")
def wrong_key() -> Said:
    return _said(_client(api_key="wrong").completion(messages=CHAT))


@judge.call("qaip", "later", raises="BadRequestError", says="date_from")
def out_of_range() -> Said:
    return _said(_client().completion(messages=CHAT, date_from=1))


@judge.call("qaip", "later", raises="BadRequestError")
def undeclared_column() -> Said:
    condition: Any = {"key": "colour", "operator": "eq", "type": "string", "val": "red"}
    return _found(_client().search(query=QUESTION, metadata_filter={"filters": [condition]}))


@judge.call("qaip", "later", raises="UnprocessableEntityError", says="UNKNOWN_REDACTION_POLICY")
def unknown_redaction_policy() -> Said:
    return _said(_client().completion(messages=CHAT, redaction_policy_id="none"))


@judge.call("qaip", "later", raises="RateLimitError", fault="status; code=429; times=99")
def too_many_requests() -> Said:
    return _found(_client().search(query=QUESTION))


@judge.call("qaip", "later", cites=True, fault="status; code=503; retry_after=0; times=1")
def unavailable_once() -> Said:
    """The client's own retry succeeds."""
    return _said(_client(max_retries=1).completion(messages=CHAT))


@judge.call("qaip", "seed", says=ANSWER)
def completion_of_the_first_generation() -> Said:
    """Its citations have four fields, so the package can read it only without strictness."""
    answer = _client(_strict_response_validation=False).completion(messages=CHAT)
    return _said(answer)
