"""Compares the structure of two answers: keys, types, their order, and how they are written.

A recording and the sandbox's own answer to the same kind of request never say the same. What must
agree is everything else, and each difference is one line, so that a table can give the reasons for
those that are meant:

    differences(recorded(folder), served(response))
    ["body: choices[].logprobs: missing", "framing: newline: recorded CRLF, served LF", ...]

`unexplained` takes such a table: patterns (as in `fnmatch`, where `[` counts as itself) and
reasons. A pattern that explains nothing is told too, so that the table stays
true. A list that is empty on one side says nothing about what may be in it.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import httpx

__all__ = ["Answer", "differences", "recorded", "served", "unexplained"]

_NAMES = {
    dict: "object",
    list: "list",
    str: "string",
    bool: "bool",
    int: "integer",
    float: "number",
    type(None): "null",
}
# What stands under these keys is part of the structure too.
_CONSTANT = ("object", "event", "type", "role", "mode")

Kind = Callable[[Any], str]
"""Names what kind of event a JSON value is; events of a kind are compared together."""


@dataclass(frozen=True)
class Answer:
    """One answer as it came: its status, its headers and its raw body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def recorded(folder: Path) -> Answer:
    """Read the recording in `folder`."""
    about = json.loads((folder / "response.json").read_text("utf-8"))
    headers = about["headers"]
    pairs = headers.items() if isinstance(headers, dict) else headers
    (body,) = folder.glob("body.*")
    return Answer(about["status"], {k.lower(): v for k, v in pairs}, body.read_bytes())


def served(response: httpx.Response) -> Answer:
    """Take the answer that `response` is; it must have been read."""
    return Answer(response.status_code, dict(response.headers), response.content)


def differences(
    recording: Answer,
    ours: Answer,
    *,
    kind: Kind = lambda _: "event",
    headers: Iterable[str] = ("content-type",),
) -> list[str]:
    """List how the structures of two answers differ, sorted; an empty list means not at all.

    Args:
        recording: The answer of the real service.
        ours: The answer of the sandbox.
        kind: Which events of a stream are compared with one another.
        headers: The headers that must be there in both, or in neither; of the content type the
            value counts too.
    """
    found = set(_of_heads(recording, ours, headers))
    left, right = _values(recording.body, kind), _values(ours.body, kind)
    orders = _order(recording.body, kind), _order(ours.body, kind)
    if orders[0] != orders[1]:
        found.add(f"order: recorded {' '.join(orders[0])}, served {' '.join(orders[1])}")
    found |= {f"events: {name}: missing" for name in left.keys() - right.keys()}
    found |= {f"events: {name}: extra" for name in right.keys() - left.keys()}
    for name in left.keys() & right.keys():
        found |= {f"{name}: {line}" for line in _of_shapes(left[name], right[name])}
    return sorted(found)


def unexplained(found: Sequence[str], reasons: Mapping[str, str]) -> list[str]:
    """Return the differences that no pattern explains, and the patterns that explain none."""
    patterns = {pattern: pattern.replace("[", "[[]") for pattern in reasons}
    left = [d for d in found if not any(fnmatchcase(d, p) for p in patterns.values())]
    idle = [p for p, as_glob in patterns.items() if not any(fnmatchcase(d, as_glob) for d in found)]
    return left + [f"explains nothing: {pattern}" for pattern in idle]


def _of_heads(recording: Answer, ours: Answer, headers: Iterable[str]) -> Iterator[str]:
    if recording.status != ours.status:
        yield f"status: recorded {recording.status}, served {ours.status}"
    for name in headers:
        pair = recording.headers.get(name), ours.headers.get(name)
        if name == "content-type" and pair[0] != pair[1]:
            yield f"headers: content-type: recorded {pair[0]}, served {pair[1]}"
        elif (pair[0] is None) != (pair[1] is None):
            yield f"headers: {name}: {'extra' if pair[0] is None else 'missing'}"
    left, right = _framing(recording.body), _framing(ours.body)
    for fact in left.keys() & right.keys():
        if left[fact] != right[fact]:
            yield f"framing: {fact}: recorded {left[fact]}, served {right[fact]}"


def _framing(body: bytes) -> dict[str, str]:
    """Return how a body is written; a fact that it does not show is left out."""
    text = body.decode("utf-8", "replace")
    data = _data(text)
    stream = bool(data)
    facts = {"stream": str(stream)}
    written = "\n".join(data) if stream else text
    if stream:
        facts["newline"] = "CRLF" if "\r\n\r\n" in text else "LF"
        facts["[DONE]"] = str("[DONE]" in data)
        facts["event lines"] = str(bool(re.search(r"^event:(?! ping)", text, re.MULTILINE)))
    else:
        facts["final newline"] = str(text.endswith("\n"))
    if re.search(r'"[,:]', written):
        facts["spaces"] = "spaced" if re.search(r'": ["{[\dtfn-]', written) else "compact"
    if not written.isascii() or re.search(r"\\u(?!202[89])[0-9a-f]{4}", written):
        facts["beyond ASCII"] = "escaped" if written.isascii() else "raw"
    return facts


def _data(text: str) -> list[str]:
    lines = re.split(r"\r\n|\n|\r", text)
    return [line[5:].removeprefix(" ") for line in lines if line.startswith("data:")]


def _values(body: bytes, kind: Kind) -> dict[str, list[Any]]:
    """Return the JSON values of a body by their kinds; a body without events is one `body`."""
    text = body.decode("utf-8", "replace")
    data = [json.loads(line) for line in _data(text) if line not in ("", "[DONE]")]
    if not data:
        try:
            return {"body": [json.loads(text)]}
        except ValueError:
            return {}
    found: dict[str, list[Any]] = {}
    for value in data:
        found.setdefault(kind(value), []).append(value)
    return found


def _order(body: bytes, kind: Kind) -> list[str]:
    """Return the kinds of a stream's events in their order, each once where it is repeated."""
    names = [
        line if line == "[DONE]" else kind(json.loads(line))
        for line in _data(body.decode("utf-8", "replace"))
        if line
    ]
    return [
        name
        for place, name in enumerate(names)
        if name == "[DONE]" or names[place - 1 : place] != [name]
    ]


def _of_shapes(recording: list[Any], ours: list[Any]) -> Iterator[str]:
    left, right = _Shape(recording), _Shape(ours)
    for path in left.types.keys() | right.types.keys():
        one, other = left.types.get(path), right.types.get(path)
        if one is None or other is None:
            parent = _parent(path)
            # Where the parent is not there either, that is told already.
            if not path.endswith("[]") and parent in left.types and parent in right.types:
                yield f"{path}: {'extra' if one is None else 'missing'}"
        elif one != other:
            yield f"{path}: recorded {_listed(one)}, served {_listed(other)}"
        elif (path in left.optional) != (path in right.optional):
            rare, always = (
                ("recorded", "served") if path in left.optional else ("served", "recorded")
            )
            yield f"{path}: not always {rare}, always {always}"
    for path in left.constants.keys() & right.constants.keys():
        if left.constants[path] != right.constants[path]:
            told = f"{_listed(left.constants[path])}, served {_listed(right.constants[path])}"
            yield f"{path}: constant {told}"
    for path in left.orders.keys() & right.orders.keys():
        one_order, other_order = left.orders[path], right.orders[path]
        common = set(one_order) & set(other_order)
        if [k for k in one_order if k in common] != [k for k in other_order if k in common]:
            told = f"{','.join(one_order)}, served {','.join(other_order)}"
            yield f"{path or '.'}: order of keys: {told}"


def _parent(path: str) -> str:
    return path[:-2] if path.endswith("[]") else path.rpartition(".")[0]


def _listed(types: set[str]) -> str:
    return "|".join(sorted(types))


class _Shape:
    """The paths of some values, with the types that occur there, and the order of keys."""

    def __init__(self, values: Iterable[Any]) -> None:
        self.types: dict[str, set[str]] = {}
        self.orders: dict[str, list[str]] = {}
        self.constants: dict[str, set[str]] = {}
        self.optional: set[str] = set()
        self._seen: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        for value in values:
            self._walk("", value)
        for path, count in self._counts.items():
            parent = path.rpartition(".")[0]
            if count < self._seen.get(parent, 0):
                self.optional.add(path)

    def _walk(self, path: str, value: Any) -> None:
        self.types.setdefault(path, set()).add(_NAMES[type(value)])
        if isinstance(value, str) and path.rpartition(".")[2] in _CONSTANT:
            self.constants.setdefault(path, set()).add(value)
        if isinstance(value, dict):
            self._seen[path] = self._seen.get(path, 0) + 1
            order = self.orders.setdefault(path, [])
            order.extend(key for key in value if key not in order)
            for key, item in value.items():
                below = f"{path}.{key}"
                self._counts[below] = self._counts.get(below, 0) + 1
                self._walk(below, item)
        elif isinstance(value, list):
            for item in value:
                self._walk(f"{path}[]", item)
