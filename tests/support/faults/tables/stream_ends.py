"""How a stream may end: complete, or as an error that hands over all that had come."""

from collections.abc import Sequence

from support.faults.matrix import Row, incomplete, whole

__all__ = ["ENDS"]

ENDS: Sequence[Row] = [
    Row("a complete answer", lambda s: s.stream(*s.said("te", "a")), whole("tea")),
    Row("text on the frame that ends it", lambda s: s.stream(s.piece("te"), s.end("a")), whole("tea")),
    Row("the mark after the end is missing", lambda s: s.stream(s.piece("tea"), s.end()), whole("tea")),
    Row("no frames at all", lambda s: s.stream(), incomplete()),
    Row("only pings", lambda s: s.stream(s.ping, s.ping), incomplete()),
    Row("text without an end", lambda s: s.stream(s.piece("te"), s.piece("a")), incomplete("tea")),
]  # fmt: skip
