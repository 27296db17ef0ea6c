"""Facts about the comparison of structures."""

import json
from typing import Any

import pytest

from support.structure import Answer, differences, unexplained


def answer(*events: Any, status: int = 200, newline: str = "\n", spaces: bool = False) -> Answer:
    separators = (", ", ": ") if spaces else (",", ":")
    lines = [f"data: {json.dumps(e, separators=separators)}{newline * 2}" for e in events]
    return Answer(status, {"content-type": "text/event-stream"}, "".join(lines).encode())


BASE = {"id": "a", "list": [{"n": 1}], "none": None}

CASES: dict[str, tuple[Any, list[str]]] = {
    "nothing": (answer(BASE), []),
    "other values": (answer({"id": "b", "list": [{"n": 2}, {"n": 3}], "none": None}), []),
    "a key that is missing": (
        answer({"id": "a", "none": None}),
        ["event: .list: missing"],
    ),
    "a key that is extra": (answer(BASE | {"more": {"x": 1}}), ["event: .more: extra"]),
    "another type": (
        answer(BASE | {"id": 5}),
        ["event: .id: recorded string, served integer"],
    ),
    "another type in a list": (
        answer(BASE | {"list": [{"n": "1"}]}),
        ["event: .list[].n: recorded integer, served string"],
    ),
    "another kind of number": (
        answer(BASE | {"list": [{"n": 1.5}]}),
        ["event: .list[].n: recorded integer, served number"],
    ),
    "another order": (
        answer({"none": None, "id": "a", "list": [{"n": 1}]}),
        ["event: .: order of keys: id,list,none, served none,id,list"],
    ),
    "a key that is only sometimes there": (
        answer(BASE, {"id": "a", "list": [{"n": 1}]}),
        ["event: .none: not always served, always recorded"],
    ),
    "another status": (answer(BASE, status=500), ["status: recorded 200, served 500"]),
    "other line ends": (
        answer(BASE, newline="\r\n"),
        ["framing: newline: recorded LF, served CRLF"],
    ),
    "spaces": (answer(BASE, spaces=True), ["framing: spaces: recorded compact, served spaced"]),
}


@pytest.mark.parametrize(("ours", "expected"), CASES.values(), ids=CASES)
def test_a_difference_is_one_line(ours: Answer, expected: list[str]) -> None:
    assert differences(answer(BASE), ours) == expected


def test_events_are_compared_with_their_own_kind() -> None:
    one, other = {"type": "a", "x": 1}, {"type": "b", "y": 1}
    found = differences(answer(one), answer(one, other), kind=kind)
    assert found == ["events: b: extra", "order: recorded a, served a b"]


def kind(event: Any) -> str:
    return str(event["type"])


def test_the_order_of_the_kinds_counts_and_not_how_often_they_are_repeated() -> None:
    one, other = {"type": "a", "x": 1}, {"type": "b", "y": 1}
    assert differences(answer(one, one, other), answer(one, other), kind=kind) == []
    assert differences(answer(one, other), answer(other, one), kind=kind) == [
        "order: recorded a b, served b a"
    ]


def test_a_constant_counts_with_its_value() -> None:
    one, other = {"object": "chunk", "id": "1"}, {"object": "banana", "id": "2"}
    assert differences(answer(one), answer(other)) == [
        "event: .object: constant chunk, served banana"
    ]


def test_a_reason_explains_a_pattern_and_an_idle_one_is_told() -> None:
    found = ["event: .list[].n: missing", "event: .id: extra"]
    reasons = {"event: .list[].*: missing": "because", "event: .other: extra": "no longer"}
    assert unexplained(found, reasons) == [
        "event: .id: extra",
        "explains nothing: event: .other: extra",
    ]
