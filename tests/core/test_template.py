"""What is known from the event before is not decoded again, and nobody can tell.

Every stream is told twice: once as it is, and once with other blanks after every event, so that
no two of its events are alike and each is decoded in full.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from qaip_core import Choice, Completion, ServiceError
from qaip_core.answer import Answer
from qaip_core.backend import Endpoint
from qaip_core.backends import dify, fireworks, pais, perplexity, qaip
from qaip_core.backends.dify import chat as dify_chat
from qaip_core.backends.dify import workflow as dify_workflow
from qaip_core.backends.pais import agent as pais_agent
from qaip_core.backends.perplexity import agent as perplexity_agent
from qaip_core.errors import ServerReportedError
from qaip_core.framing import SSE, Event

# T is a text, U another one, N a number; all are put in as they stand on the wire.
CHUNKS = [
    b'{"id":"1","choices":[{"index":0,"delta":{"content":T},"finish_reason":null}],"usage":null}',
    b'{"id": "1", "choices": [{"delta": {"role": "assistant", "content": T}}]}',
    b'{"choices":[{"delta":{"content":T}}],"usage":{"prompt_tokens":8,"total_tokens":N}}',
    b'{"choices":[{"delta":{"content":"x"}}],"choices":[{"delta":{"content":T}}]}',
    b'{"choices":[{"delta":{"content":T,"content":U}}]}',
    b'{"choices":[{"delta":{"content":[{"type":"text","text":T}]}}]}',
    b'{"choices":[{"message":{"content":U},"delta":{"content":T}}]}',
    b'{"choices":[{"message":{"content":T}}]}',
    b'{"choices":[{"text":T}]}',
    b'{"choices":[{"delta":{"content":T,"reasoning_content":U}}]}',
    b'{"choices":[{"delta":{"tool_calls":[{"function":{"name":T,"arguments":U}}]}}]}',
    b'{"choices":[{"delta":{"content":T},"logprobs":{"content":[{"token":U}]}}]}',
    b'{"choices":[{"delta":{"content":T},"finish_reason":"stop"}],"usage":{"total_tokens":N}}',
    b'{"choices":[{"delta":{"content":T},"finish_reason":U}]}',
    b'{"choices":[{"delta":{"content":T}},{"index":1,"delta":{"content":U}}]}',
    b'{"choices":[{"index":N,"delta":{"content":T}}]}',
    b'{"model":U,"created":N,"choices":[{"delta":{"content":T}}]}',
    b'{"system_fingerprint":U,"choices":[{"delta":{"content":T}}]}',
    b'{"choices":[],"usage":{"prompt_tokens":N,"completion_tokens":N}}',
    b'{"deep":{"choices":[{"delta":{"content":T}}]},"choices":[{"delta":{"content":U}}]}',
    b'{"choices":[{"delta":{"content":T}}],"error":U}',
    b'{"detail":T}',
    b"[DONE]",
    b"null",
    b"T",
]
SOURCES = b'"citations":["https://a.example",U],"search_results":[{"url":"https://a.example"}]'
SOURCED = [
    b'{"choices":[{"delta":{"content":T}}],%b}' % SOURCES,
    b'{"usage":{"total_tokens":N,"cost":{"total_cost":N}},%b,"object":"chunk","choices":'
    b'[{"message":{"content":U},"delta":{"content":T}}]}' % SOURCES.replace(b"U", b'"b"'),
    b'{"choices":[{"delta":{"content":T}}],"images":[{"image_url":U}],"related_questions":[U]}',
    b'{"choices":[{"delta":{"content":T}}],"search_results":[{"url":T,"title":U,"rank":N}]}',
    b'{"choices":[{"delta":{"content":T}}],"search_results":[7,{"url":7}],"usage":{"cost":N}}',
    b'{"choices":[{"delta":{"content":T},"citations":[U]}],"usage":{"%b":N}}' % b"total_tokens",
]
RUN = [
    b'{"event":"message","task_id":"t","message_id":"m","answer":T,"created_at":1}',
    b'{"event": "agent_message", "id": "m", "answer": T, "from_variable_selector": [U]}',
    b'{"event":U,"answer":T}',
    b'{"answer":U,"event":"message","answer":T}',
    b'{"event":"message","answer":T,"metadata":{"answer":U},"task_id":U}',
    b'{"event":"message","answer":T,"url":7}',
    b'{"event":"message_replace","answer":T}',
    b'{"event":"message_file","url":"https://a.example","answer":T}',
    b'{"event":"message_end","metadata":{"usage":{"total_tokens":N}},"files":[{"id":U}]}',
    b'{"event":"ping"}',
    b'{"event":"message","error":U,"answer":T}',
    b'{"answer":T}',
]
TALKED = [
    b'{"event":"message","conversation_id":"c","task_id":"t","message_id":"m","answer":T}',
    b'{"event":"agent_message","conversation_id":U,"id":"m","answer":T,"created_at":N}',
    b'{"event":"agent_thought","id":"i","thought":T,"tool":U,"position":N}',
    b'{"event":"workflow_finished","workflow_run_id":"w","data":{"status":U,"total_tokens":N}}',
    b'{"event":"node_finished","workflow_run_id":U,"answer":T}',
    b'{"event":"message","workflow_run_id":U,"answer":T}',
]
FLOW = [
    b'{"event":"text_chunk","task_id":"t","workflow_run_id":"w","data":{"text":T}}',
    b'{"event": "text_chunk", "data": {"text": T, "from_variable_selector": [U]}}',
    b'{"event":"text_chunk","task_id":U,"data":{"text":T}}',
    b'{"event":U,"data":{"text":T}}',
    b'{"event":"text_chunk","data":{"text":T,"text":U}}',
    b'{"event":"text_chunk","data":{"text":T},"data":{"text":U}}',
    b'{"event":"text_chunk","data":T}',
    b'{"event":"node_finished","data":{"status":U,"outputs":{"text":T}}}',
    b'{"event":"workflow_finished","data":{"status":"succeeded","outputs":{"a":T},"error":U}}',
    b'{"event":"workflow_finished","data":{"status":U,"total_tokens":N}}',
    b'{"event":"error","message":T}',
]
CONTEXTS = b'"index_context_info":[{"text":"a","metadata":{"score":0.5}}],"session_id":"s"'
FOUND = [
    b'{"choices":[{"delta":{"content":T}}],%b}' % CONTEXTS,
    b'{"session_id":U,"choices":[{"delta":{"content":T}}],"index_context_info":[{"text":U}]}',
    b'{"choices":[{"text":T}],"index_context_info":[7,{"metadata":{"score":N}}]}',
    b'{"choices":[{"delta":{"content":T}}],"index_context_info":T,"session_id":N}',
]
AGENT = [
    b'{"type":"response.created","response":{"id":U,"status":"in_progress","output":[]}}',
    b'{"type":"response.output_text.delta","sequence_number":N,"output_index":1,"delta":T}',
    b'{"delta": T, "type": "response.output_text.delta", "item_id": "m"}',
    b'{"type":"response.output_text.delta","item_id":U,"output_index":N,"delta":T}',
    b'{"type":U,"delta":T}',
    b'{"type":"response.output_text.delta","delta":T,"delta":U}',
    b'{"type":"response.output_text.delta","delta":T,"error":U}',
    b'{"type":"response.output_text.done","output_index":1,"text":T}',
    b'{"type":"response.output_item.done","output_index":N,"item":{"type":"search_results",'
    b'"results":[{"id":N,"url":U,"snippet":T}]}}',
    b'{"type":"response.output_item.done","output_index":N,"item":{"type":"function_call",'
    b'"name":U,"arguments":T,"call_id":"c"}}',
    b'{"type":"response.completed","response":{"status":"completed","output":[{"type":"message",'
    b'"content":[{"type":"output_text","text":T}]}],"usage":{"total_tokens":N}}}',
    b'{"type":"response.incomplete","response":{"incomplete_details":{"reason":U}}}',
    b'{"type":"response.failed","error":{"message":T}}',
    b'{"delta":T}',
]
LINES = [
    b'{"created":N,"choices":[{"index":0,"message":{"content":T},"finish_reason":null}]}',
    b'{"choices": [{"delta": {"content": T}}], "conversation_id": "c"}',
    b'{"choices":[{"text":T}],"citations":[{"id":"1","text":U},null,7]}',
    b'{"choices":[{"text":T}],"conversation_id":U}',
    b'{"choices":[{"index":1,"text":U},{"index":0,"text":T}]}',
    b'{"choices":[{"message":{"content":T},"finish_reason":"stop"}]}',
    b'{"choices":[{"text":T,"delta":null,"finish_reason":U}]}',
    b'{"choices":[],"retrieved":[U]}',
]
AG_UI = [
    b'{"type":"TEXT_MESSAGE_CONTENT","messageId":"1","delta":T}',
    b'{"type": "TEXT_MESSAGE_CHUNK", "delta": T}',
    b'{"type":U,"delta":T}',
    b'{"delta":U,"type":"TEXT_MESSAGE_CONTENT","delta":T}',
    b'{"type":"CUSTOM","name":"citations","value":[{"id":U,"text":T}]}',
    b'{"type":"CUSTOM","name":U,"value":T}',
    b'{"type":"RUN_STARTED","conversationId":U}',
    b'{"type":"RUN_FINISHED","result":{"conversation_id":U}}',
    b'{"type":"RUN_ERROR","message":T}',
]


@dataclass(frozen=True)
class Service:
    endpoint: Endpoint
    frames: Sequence[bytes]
    params: Mapping[str, Any]


def service(endpoint: Endpoint, frames: Sequence[bytes], **params: Any) -> Service:
    return Service(endpoint, frames, params)


SERVICES = {
    "fireworks": service(fireworks.CHAT, CHUNKS),
    "fireworks, two": service(fireworks.CHAT, CHUNKS, n=2),
    "pais": service(pais.TEXT, CHUNKS),
    "perplexity": service(perplexity.CHAT, [*CHUNKS, *SOURCED]),
    "perplexity, sources": service(perplexity.CHAT, SOURCED),
    "perplexity agent": service(perplexity_agent.AGENT, AGENT),
    "pais agent": service(pais_agent.AGENT_CHAT, [*CHUNKS, *FOUND]),
    "pais agent, sources": service(pais_agent.AGENT_TEXT, FOUND),
    "dify": service(dify.COMPLETION, RUN),
    "dify workflow": service(dify_workflow.RUN, FLOW),
    "dify chat": service(dify_chat.CHAT, [*RUN, *TALKED]),
    "qaip": service(qaip.COMPLETIONS, [*LINES, *AG_UI]),
    "qaip, lines": service(qaip.COMPLETIONS, LINES),
    "qaip, pieces": service(qaip.COMPLETIONS, LINES, stream_content="delta"),
    "qaip, cumulative": service(qaip.COMPLETIONS, LINES, stream_content="cumulative"),
}
each_service = pytest.mark.parametrize("name", SERVICES)

GOOD = st.sampled_from(
    [b'"tea"', b'" [1]"', b'" "', b'"tea pot"', b'"\xc3\xa9"', b'"\\ud83c\\udf75"', b'"\\u00e9"']
)
# Texts that are also keys, other values, or what stands between strings.
TWINS = st.sampled_from(
    [
        b'","', b'":"', b'":[{"', b'"content"', b'"choices"', b'"delta"', b'"message"', b'"text"',
        b'"event"', b'"answer"', b'"type"', b'"TEXT_MESSAGE_CONTENT"', b'"agent_message"', b'"1"',
        b'"\\""', b'"\\\\"', b'"}}]}"', b'"x"', b'"stop"', b'"error"', b'",\\"answer\\":\\"b"',
    ]
)  # fmt: skip
BAD = st.sampled_from(
    [
        b'""', b"null", b"7", b"true", b"NaN", b"{}", b"[]", b'["tea"]', b'"\\ud800"', b'"\xff"',
        b'"\xe2\x82', b'"a\nb"', b'"a', b"tea", b'"a" ', b'"a" "b"', b'"a","content":"b"', b"",
        b'"a","answer":"b"', b'[{"type":"text","text":"tea"}]', b'"a"}', b'"a",\n"b"', b"1,2",
    ]
)  # fmt: skip
ANY = st.text(max_size=5).map(lambda text: json.dumps(text).encode())
TEXTS = st.one_of(GOOD, GOOD, GOOD, GOOD, TWINS, ANY, BAD)
NUMBERS = st.sampled_from([b"0", b"1", b"2", b"30", b"5e-05", b"0.5", b"-1", b"1e999"] * 2) | BAD
NAMES = st.sampled_from(["message"] * 20 + ["line", "error", "rest"])


def filled(frame: bytes, text: bytes, other: bytes, number: bytes) -> bytes:
    values = {b"T": text, b"U": other, b"N": number}
    return re.sub(rb"(?<![A-Z_])[TUN](?![A-Za-z_])", lambda place: values[place[0]], frame)


@st.composite
def streams(draw: st.DrawFn, frames: Sequence[bytes]) -> list[Event]:
    """Draw a stream of few kinds of events, so that many are alike."""
    kinds = draw(st.lists(st.sampled_from(frames), min_size=1, max_size=3))
    event = st.builds(filled, st.sampled_from(kinds), TEXTS, st.one_of(GOOD, TWINS, BAD), NUMBERS)
    return draw(st.lists(st.builds(Event, event, NAMES), min_size=3, max_size=14))


def heard(service: Service, events: Sequence[Event]) -> list[Any]:
    """Return all that a stream says, and how it ends."""
    decoder = service.endpoint.decoder(service.params)
    said: list[Any] = []
    try:
        for event in events:
            increment = decoder.feed(event)
            assert increment != ""
            is_bare = isinstance(increment, str)
            said.append(Completion([Choice(increment)]) if is_bare else increment)
    except ServiceError as error:
        said.append(type(error))
    return [*said, decoder.rest(), decoder.ended, decoder.finish(cut=True), decoder.rest()]


def unlike(events: Sequence[Event]) -> list[Event]:
    return [event._replace(data=event.data + b" " * n) for n, event in enumerate(events)]


def check(name: str, events: Sequence[Event]) -> None:
    service = SERVICES[name]
    assert repr(heard(service, events)) == repr(heard(service, unlike(events)))


@each_service
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_stream_says_the_same_whether_or_not_its_events_are_alike(
    name: str, data: st.DataObject
) -> None:
    check(name, data.draw(streams(SERVICES[name].frames)))


def run(frame: bytes, texts: Sequence[bytes], other: bytes = b'"b"') -> list[Event]:
    return [Event(filled(frame, text, other, b"%d" % n)) for n, text in enumerate(texts, start=1)]


PLAIN = [b'"a"', b'"b"', b'"c"', b'"d"', b'"e"']


@each_service
def test_a_frame_between_others_changes_nothing(name: str) -> None:
    frames = SERVICES[name].frames
    for first in frames:
        for second in frames:
            events = run(first, PLAIN)
            between = run(second, PLAIN[:2], b'"other"')
            check(name, [*events[:4], *between, *events[2:], *between])


@each_service
@settings(max_examples=40, deadline=None)
@given(text=TWINS | BAD | ANY, after=st.sampled_from(PLAIN))
@example(text=b'","', after=b'"c"')
@example(text=b'":"', after=b'"c"')
def test_any_text_may_be_the_one_that_is_learned_from(name: str, text: bytes, after: bytes) -> None:
    for frame in SERVICES[name].frames:
        check(name, run(frame, [b'"a"', text, after, b'"d"', text, b'"e"']))
        check(name, run(frame, [b'"a"', b'"b"', b'"c"', text, after]))


ALIKE = [
    ("fireworks", CHUNKS[0]),
    ("pais", CHUNKS[8]),
    ("perplexity", CHUNKS[0]),
    ("perplexity", SOURCED[1]),
    ("dify", RUN[0]),
    ("dify", RUN[1]),
    ("dify chat", TALKED[0]),
    ("dify workflow", FLOW[0]),
    ("dify workflow", FLOW[1]),
    ("pais agent", FOUND[0]),
    ("perplexity agent", AGENT[1]),
    ("perplexity agent", AGENT[2]),
    ("qaip", LINES[1]),
    ("qaip, pieces", LINES[0].replace(b"N", b"1")),
    ("qaip", AG_UI[0]),
]
each_alike = pytest.mark.parametrize(("name", "frame"), ALIKE)


def framed(frame: bytes, *places: bytes) -> list[Event]:
    """Return events of one frame, whose T, U and N stand in each of the places."""
    return [Event(filled(frame, *place.split())) for place in places]


def test_what_stands_between_texts_is_not_read_as_one_of_them() -> None:
    frame = b'{"a":U,"b":N,"choices":[{"delta":{"content":T}}]}'
    whole = [b'"a" "b" "c"', b'"d" "e" "f"', b'"g" "h" "i"', b'"j" "k" "l"']
    check("perplexity", framed(frame, *whole, b'"c","d" "a b"', b'"m" "n" "o"'))
    check("perplexity", framed(frame, *whole, b'"c" "a" "b","d"'))


def test_an_error_that_was_none_is_seen() -> None:
    frame = b'{"choices":[{"delta":{"content":T}}],"error":N}'
    events = framed(frame, b'"a" "" 0', b'"b" "" 0', b'"c" "" 0.0', b'"d" "" 0.0', b'"e" "" 5.0')
    check("perplexity", events)


def test_an_error_that_begins_with_an_empty_line_is_no_text() -> None:
    before, text, after = b'{"choices":[{"delta":{"content":', b'"boom"', b"}}]}"
    error = b'{"error":[{"message":{"a":'.ljust(len(before) - 1) + text + after
    chunks = [before + piece + after for piece in PLAIN[:3]]
    body = b"".join(b"data: %b\n\n" % data for data in [*chunks, b"{}", b"\ndata: " + error])
    events = list(SSE().feed(body))
    assert events[4] == Event(b"\n" + error)
    check("fireworks", events)
    assert heard(SERVICES["fireworks"], events)[4] is ServerReportedError


@pytest.mark.parametrize(
    ("frame", "name", "said"),
    [
        (b'{"choices":[{"delta":{"content":T}}],U:"v"}', b'"error"', ServerReportedError),
        (b'{"choices":[{"delta":{"content":T}}],U : "v"}', b'"error"', ServerReportedError),
        (
            b'{"choices":[{"delta":{"content":T,U:"why"}}]}',
            b'"reasoning_content"',
            Completion([Choice("d", reasoning="why")]),
        ),
        (b'{"choices":[{"delta":{"content":T,U:"v"}}]}', b'"content"', Completion([Choice("v")])),
    ],
)
def test_what_another_name_says_is_heard(frame: bytes, name: bytes, said: Any) -> None:
    names = [b'"k1"', b'"k2"', b'"k3"', name, b'"k4"']
    events = framed(frame, *map(b"%b %b 0".__mod__, zip(PLAIN, names, strict=True)))
    check("perplexity", events)
    assert heard(SERVICES["perplexity"], events)[3] == said


def test_what_is_text_in_two_ways_of_writing_is_read_in_full() -> None:
    frame = b'{"choices":[{"delta":{"content":[{"type":U,"text":T}]}}]}'
    places = [b'"a" "text" 0', b'"b" "text" 0', b'"c" "te\\u0078t" 0', b'"d" "text" 0']
    check("perplexity", framed(frame, *places, b'"e" "image" 0'))


def test_pieces_may_become_cumulative_lines() -> None:
    piece = b'{"choices":[{"delta":{"content":T}}]}'
    line = b'{"choices":[{"message":{"content":T}}]}'
    cumulative = run(line, [b'"d"', b'"de"', b'"def"', b'"defg"'])
    check("qaip", [*run(piece, PLAIN), *cumulative])
    assert [said.text for said in heard(SERVICES["qaip"], cumulative)[1:4]] == ["e", "f", "g"]


def test_a_recap_of_pieces_is_dropped() -> None:
    line, last = LINES[0].replace(b"N", b"1"), LINES[5]
    events = [*run(line, PLAIN), *run(last, [b'"abcde"'])]
    check("qaip", events)
    assert heard(SERVICES["qaip"], events)[5] is None


def test_pieces_among_lines_are_no_part_of_their_recap() -> None:
    line, piece, last = LINES[0].replace(b"N", b"1"), LINES[1], LINES[5]
    events = [*run(line, PLAIN), *run(piece, PLAIN), *run(last, [b'"abcde"'])]
    check("qaip", events)
    assert heard(SERVICES["qaip"], events)[10] is None


@each_alike
@pytest.mark.parametrize("byte", [b"!", b'"', b"0"])
def test_every_byte_of_an_event_counts(name: str, frame: bytes, byte: bytes) -> None:
    *known, event = run(frame, PLAIN)
    for n in range(len(event.data)):
        changed = event.data[:n] + byte + event.data[n + 1 :]
        check(name, [*known, Event(changed), event])


@each_alike
def test_an_event_that_is_named_an_error_is_one(name: str, frame: bytes) -> None:
    *known, event = run(frame, PLAIN)
    check(name, [*known, event._replace(name="error")])


@each_alike
def test_an_empty_text_is_no_increment_of_text(name: str, frame: bytes) -> None:
    check(name, run(frame, [*PLAIN, b'""', b'"f"']))


def test_sources_that_change_and_change_back_are_seen() -> None:
    one, other = SOURCED[1], SOURCED[1].replace(b"a.example", b"c.example")
    events = [*run(one, PLAIN), *run(other, PLAIN[:1]), *run(one, PLAIN)]
    decoder = perplexity.CHAT.decoder({})
    urls = []
    for event in events:
        decoder.feed(event)
        urls.append(decoder.rest().citations[0].url)
    assert urls == [f"https://{x}.example" for x in "aaaaacaaaaa"]
    check("perplexity", events)


def test_the_counts_of_the_last_event_stand() -> None:
    decoder = perplexity.CHAT.decoder({})
    for n, event in enumerate(run(SOURCED[1], PLAIN), start=1):
        decoder.feed(event)
        assert decoder.rest().metadata["cost"] == {"total_cost": n}


HUNDRED = [b'"tea %d"' % n for n in range(100)]


def repeated(service: Service, events: Sequence[Event]) -> Counter[str]:
    """Return how often what is called to decode 100 events of one kind."""
    decoder = service.endpoint.decoder(service.params)
    called: Counter[str] = Counter()

    def count(_frame: Any, kind: str, what: Any) -> None:
        if kind == "c_call":
            called[what.__name__] += 1

    sys.setprofile(count)
    try:
        increments = [decoder.feed(event) for event in events]
    finally:
        sys.setprofile(None)
    assert "".join(i if isinstance(i, str) else i.text for i in increments if i) == "".join(
        f"tea {n}" for n in range(100)
    )
    return called


@each_alike
def test_events_that_are_alike_are_not_decoded_in_full(name: str, frame: bytes) -> None:
    assert repeated(SERVICES[name], run(frame, HUNDRED))["validate_json"] < 10


def test_a_message_that_grows_beside_its_pieces_is_not_decoded_in_full() -> None:
    frame = (
        b'{"created":N,"usage":{"total_tokens":N,"cost":{"total_cost":0}},%b,"choices":[{"index":0,'
        b'"message":{"role":"assistant","content":U},"delta":{"role":"assistant","content":T}}]}'
    ) % SOURCES.replace(b"U", b'"b"')
    grown = [b'"%b"' % b"".join(HUNDRED[:n]).replace(b'"', b"") for n in range(1, 101)]
    wire = enumerate(zip(HUNDRED, grown, strict=True))
    events = [Event(filled(frame, text, whole, b"%d" % n)) for n, (text, whole) in wire]
    check("perplexity", events)
    assert repeated(SERVICES["perplexity"], events)["validate_json"] < 10


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("fireworks", CHUNKS[2].replace(b'"usage"', b'"usage N":N,"usage"')),
        ("perplexity", SOURCED[1].replace(b'"object"', b'"object N"')),
        ("dify", RUN[0].replace(b'"created_at":1', b'"created_at":N')),
    ],
)
def test_where_no_two_events_are_alike_that_is_soon_given_up(name: str, frame: bytes) -> None:
    assert repeated(SERVICES[name], run(frame, HUNDRED))["validate_json"] < 120


def test_whole_messages_add_what_is_new_in_them() -> None:
    decoder = perplexity.CHAT.decoder({})
    text = ""
    for n in range(300):
        text += f" {n}"
        body = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
        increment = decoder.feed(Event(body))
        assert (
            increment if isinstance(increment, str) else increment and increment.text
        ) == f" {n}"


def test_messages_of_one_event_add_what_is_new_in_them() -> None:
    both = b'{"choices":[{"message":{"content":"a"}},{"message":{"content":"ab"}}]}'
    events = [Event(both), *run(CHUNKS[7], [b'"abc"'])]
    first, second = heard(SERVICES["perplexity"], events)[:2]
    assert [choice.text for choice in first.choices] == ["a", "b"]
    assert second.text == "c"


@each_alike
def test_texts_are_bare_after_the_first_increment(name: str, frame: bytes) -> None:
    service = SERVICES[name]
    decoder = service.endpoint.decoder(service.params)
    first, *later = [decoder.feed(event) for event in run(frame, PLAIN)]
    assert isinstance(first, Completion) or name == "dify workflow"  # it has nothing else to tell
    assert later == ["b", "c", "d", "e"]


@pytest.mark.parametrize("thinks", [False, True])
@pytest.mark.parametrize("instead", ["", "x"])
def test_an_error_hands_over_what_came_after_text_was_replaced(instead: str, thinks: bool) -> None:
    replace = run(RUN[6], [b'"%b"' % instead.encode()])
    events = [*run(RUN[0], PLAIN), *replace, *run(RUN[0], PLAIN[2:])]
    decoder, answer = dify.COMPLETION.decoder({}), Answer(thinks=thinks, bare=True)
    for event in events:
        if increment := decoder.feed(event):
            answer.add(increment)
    assert answer.partial(decoder.rest()).text == f"{instead}cde"
