"""Records: a row of a table or a line of JSON is a passage of its own."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from qaip_sandbox.chunking import Passage, cut

from ._content import Content, Unreadable, decoded, web_address

__all__ = ["read_csv", "read_json", "read_json_lines", "read_tsv"]

_TITLES = ("title", "name", "heading", "subject", "question")
_TEXTS = ("text", "content", "body", "page_content", "passage", "abstract", "answer")
_URLS = ("url", "link", "href", "source", "uri")


def read_csv(data: bytes) -> Content:
    """Read a table that begins with its headers: each row becomes `header: value; ...`.

    Raises:
        Unreadable: the data is no such table.
    """
    text = decoded(data)
    head = text[: text.find("\n") + 1] or text
    separator = max(",;\t|", key=head.count)
    return _table(text, separator)


def read_tsv(data: bytes) -> Content:
    """Read a table with tabs between its cells, like `read_csv`."""
    return _table(decoded(data), "\t")


def read_json_lines(data: bytes) -> Content:
    """Read one JSON value per line.

    An object's title, text and url are used as such where they have one of the usual names;
    its other fields follow as `name: value`.

    Raises:
        Unreadable: a line is not JSON.
    """
    lines = enumerate(decoded(data).split("\n"), 1)
    return _joined(_record(_parsed(line, f"line {n}: ")) for n, line in lines if line.strip())


def read_json(data: bytes) -> Content:
    """Read a JSON document: a list of records, or one record.

    Raises:
        Unreadable: the data is not JSON.
    """
    value = _parsed(decoded(data), "")
    return _joined(_record(item) for item in (value if isinstance(value, list) else [value]))


def _table(text: str, separator: str) -> Content:
    rows = csv.reader(io.StringIO(text), delimiter=separator)
    try:
        headers = [name.strip() for name in next(rows, [])]
        lines = [_row(headers, row) for row in rows]
    except csv.Error as error:
        raise Unreadable(f"not a table: {error}") from error
    return _joined(("", line, "") for line in lines if line)


def _row(headers: list[str], row: list[str]) -> str:
    names = [*headers, *[""] * (len(row) - len(headers))]
    cells = [(name, cell.strip()) for name, cell in zip(names, row, strict=False) if cell.strip()]
    return "; ".join(f"{name}: {cell}" if name else cell for name, cell in cells)


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{where}not JSON: {error}") from error


def _record(value: Any) -> tuple[str, str, str]:
    """Return the title, the text and the address of a record."""
    if not isinstance(value, dict):
        return "", _plain(value), ""
    fields = {str(name): _plain(field) for name, field in value.items()}
    lower = {name.lower(): name for name in fields if fields[name]}
    titled = _first(lower, _TITLES)
    told = _first(lower, _TEXTS)
    linked = _first({low: n for low, n in lower.items() if web_address(fields[n])}, _URLS)
    title, text, url = (fields[name] if name else "" for name in (titled, told, linked))
    used = {titled, told, linked}
    others = [f"{name}: {fields[name]}" for name in fields if fields[name] and name not in used]
    return title, "\n\n".join(part for part in (text, "\n".join(others)) if part), web_address(url)


def _first(names: Mapping[str, str], usual: Iterable[str]) -> str:
    return next((names[name] for name in usual if name in names), "")


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    return json.dumps(value, ensure_ascii=False)


def _joined(records: Iterable[tuple[str, str, str]]) -> Content:
    """Put the records below one another; each is cut where it is long, under its title."""
    parts: list[str] = []
    passages: list[Passage] = []
    length = 0
    for title, body, url in records:
        text = body or title
        if not text:
            continue
        passages.extend(_shifted(cut(text, title), length, title, url))
        parts.append(text)
        length += len(text) + 2
    return Content("\n\n".join(parts), passages=tuple(passages))


def _shifted(found: Iterable[Passage], by: int, title: str, url: str) -> Iterator[Passage]:
    for one in found:
        yield Passage(one.start + by, one.end + by, one.heading or title, one.page, url)
