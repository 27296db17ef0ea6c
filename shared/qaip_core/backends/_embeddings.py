"""Embeddings in the tradition of OpenAI's API: ``POST /embeddings``, and what it answers."""

from __future__ import annotations

import struct
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, FiniteFloat

from qaip_core.backend import Backend, Params, Wire
from qaip_core.errors import MalformedResponseError, ServerReportedError
from qaip_core.operation import Operation
from qaip_core.reading import Notes, Reader, other_shape
from qaip_core.report import stream_error
from qaip_core.usage import Spent
from qaip_core.vectors import Embedded

__all__ = ["Pool", "Texts", "embeddings", "mean", "reported"]

Vector: TypeAlias = list[float]
Pool: TypeAlias = Callable[[list[Vector]], Vector]


def _none_empty(texts: list[str]) -> list[str]:
    for place, text in enumerate(texts):
        if not text:
            raise ValueError(f"text {place} is empty, and has no vector: leave it out")
    return texts


Texts: TypeAlias = Annotated[list[str], AfterValidator(_none_empty)]
"""The texts of one request; an empty one is refused before anything is sent."""


class _Entry(Wire):
    index: int | None = None
    embedding: Any = None


class _Body(Wire):
    data: list[_Entry]
    model: str | None = None
    usage: dict[str, Any] | None = None


_VECTOR: Reader[Vector] = Reader(list[FiniteFloat], ("", "*"))


def mean(vectors: list[Vector]) -> Vector:
    """Return the mean of the vectors of a text's tokens, as engines that pool most often do."""
    return [sum(numbers) / len(vectors) for numbers in zip(*vectors, strict=True)]


def _no_pool(vectors: list[Vector]) -> Vector:
    raise MalformedResponseError(
        f"{len(vectors)} vectors came for one text, one for each token: the model does not pool. "
        "Choose an embedding model, or switch pooling on in the engine",
        body=None,
    )


def embeddings(
    backend: Backend,
    params: type[Params],
    *,
    path: str = "/embeddings",
    required: Sequence[str] = ("model", "input"),
    pool: Pool = _no_pool,
) -> Operation[Embedded]:
    """Return the operation that embeds texts.

    Its parameters have an ``input``, `Texts` or a list. It changes nothing, but it is billed:
    after a read timeout it is repeated only if the user says so.

    Parameters:
        backend: the service.
        params: the model of its parameters.
        path: below the base URL.
        required: the parameters without which nothing is sent.
        pool: what becomes of a text for which an engine answers with several vectors, one for
            each token: an error, unless this is `mean`.
    """
    return Operation(
        backend,
        path,
        partial(_decode, backend=backend, pool=pool),
        params,
        tuple(required),
        method="POST",
        is_safe=False,
    )


def reported(backend: Backend, body: Any) -> ServerReportedError | None:
    """Return the error that stands in the place of an answer; None if there is none."""
    is_error = isinstance(body, Mapping) and bool(body.get("error") or body.get("detail"))
    return stream_error(body, backend.rules) if is_error else None


_BODY: Reader[_Body] = Reader(
    _Body, ("", "data", "data.*", "data.*.index")
)  # vectors whose order is not known are of no use


def _decode(body: Any, *, backend: Backend, pool: Pool) -> Embedded:
    notes: Notes = {}
    try:
        read = _BODY.body(body, notes)
        vectors = [_vector(entry.embedding, pool) for entry in _ordered(read.data)]
        if len({len(vector) for vector in vectors}) > 1:
            raise _wrong("data.*.embedding", "of several lengths")
    except MalformedResponseError as error:
        if (told := reported(backend, body)) is not None:
            raise told from error.__cause__  # the other holds the body as it came
        error.body = body
        raise
    return Embedded(vectors, read.model, Spent.read(read.usage, notes).usage)


def _wrong(place: str, fault: str) -> MalformedResponseError:
    return other_shape("a body", f"{place}: {fault}", None)


def _ordered(entries: Sequence[_Entry]) -> list[_Entry]:
    """Return entries by their index; without any, as they come."""
    known = {entry.index: entry for entry in entries}
    if known.keys() == {None}:
        return list(entries)
    if known.keys() != set(range(len(entries))):
        raise _wrong("data.*.index", "not each number from 0 once")
    return [known[place] for place in range(len(entries))]


def _vector(sent: Any, pool: Pool) -> Vector:
    """Return a vector, however it is written: numbers, numbers for each token, or base64."""
    if isinstance(sent, str):
        sent = _unpacked(sent)
    if isinstance(sent, list) and sent and isinstance(sent[0], list):
        rows = [_VECTOR.body(row, {}) for row in sent]
        if len({len(row) for row in rows}) > 1:
            raise _wrong("data.*.embedding", "its rows are of several lengths")
        sent = rows[0] if len(rows) == 1 else pool(rows)
    vector = _VECTOR.body(sent, {})
    if not vector:
        raise _wrong("data.*.embedding", "empty")
    return vector


def _unpacked(text: str) -> Vector:
    """Return numbers that are written as base64 of little-endian floats of 4 bytes."""
    try:
        packed = b64decode(text, validate=True)
        return [number for (number,) in struct.iter_unpack("<f", packed)]
    except (ValueError, struct.error):
        raise _wrong("data.*.embedding", "no base64 of floats") from None
