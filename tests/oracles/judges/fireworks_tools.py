"""fireworks-ai 0.9 and 0.15: tools and forms of answers, for which 0.6 has no fields."""

import json
from collections.abc import Iterable
from typing import Any

from ._asked import CHAT, EXTRACTIVE, FORECAST, FORM, TOOLS
from ._judge import Judge, Said
from .fireworks_0 import ALL, package

__all__ = ["judge"]

judge = Judge()


def _streamed(parts: Iterable[Any]) -> list[str]:
    deltas = [choice.delta for part in parts for choice in part.choices]
    calls = [call for delta in deltas for call in delta.tool_calls or []]
    assert [call.function.name for call in calls if call.function.name] == ["weather"]
    return [call.function.arguments or "" for call in calls]


@judge.call("fireworks", *ALL, says='{"town":"Merrøw"}')
def tools() -> Said:
    answer = package().ChatCompletion.create(EXTRACTIVE, FORECAST, tools=TOOLS)
    assert answer.choices[0].finish_reason == "tool_calls"
    (called,) = answer.choices[0].message.tool_calls
    assert called.function.name == "weather"
    return Said([called.function.arguments])


@judge.call("fireworks", *ALL, says='{"town":"Merrøw"}')
def tools_in_a_stream() -> Said:
    parts = package().ChatCompletion.create(EXTRACTIVE, FORECAST, tools=TOOLS, stream=True)
    return Said(_streamed(parts))


@judge.call("fireworks", *ALL)
def json_schema() -> Said:
    answer = package().ChatCompletion.create(EXTRACTIVE, CHAT, response_format=FORM)
    return Said([json.loads(answer.choices[0].message.content)["answer"]])


@judge.call("fireworks", *ALL, says="2 choices")
def chat_n() -> Said:
    answer = package().ChatCompletion.create(EXTRACTIVE, CHAT, n=2)
    return Said([f"{len(answer.choices)} choices"])


@judge.call("fireworks", *ALL, says="choices 0, 1")
def chat_n_streamed() -> Said:
    parts = list(package().ChatCompletion.create(EXTRACTIVE, CHAT, n=2, stream=True))
    ends = [c.index for part in parts for c in part.choices if c.finish_reason]
    return Said(["choices ", ", ".join(map(str, sorted(ends)))])
