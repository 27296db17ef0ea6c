"""How Qaip behaves: the generation of its interface, and what is not known about its streams."""

from typing import Annotated, Literal

from pydantic import Field

from qaip_sandbox.switches import Switches

__all__ = ["QaipSwitches"]


class QaipSwitches(Switches):
    """How Qaip behaves.

    The vendor does not document the lines of a plain stream, so most switches choose one of the
    forms that they may have. A request with `Accept: text/event-stream` gets AG-UI events in the
    profile `later`, whatever `stream` says, unless that is `ignored`.

    The metadata columns that it declares are facts of the documents: `title`, `path`, `file_type`
    and `heading` (strings), `modified` in Unix seconds and `page_number` (integers), and `tags`,
    the names of the folders above the file (string_list). The other metadata filters know the
    same facts.

    Args:
        profile: The generation of the parameters, of the citations and of the operations: `seed`
            is that of January 2026, `later` what the vendor has added since.
        stream: What a plain stream consists of: `lines` of JSON with pieces of the message,
            `cumulative` lines with all the text so far, `delta` lines, `recap`: pieces, then a
            line with the whole text, raw `text`, `events` of AG-UI even if they were not asked
            for, or a whole answer, the wish being `ignored`.
        citations: Which lines of a plain stream bring the citations: the `last` or the `first`
            with text, `every` one, one of their `own` after the others, or `none`.
        finish_reason: Where a plain stream has the key: on the `last` line only, `never`, null on
            each and `null_then_stop`, or `empty` until the last.
        choices: How many choices an answer has, 0 to 2.
        sparse: Whether citations and results lack the fields that the vendor's samples lack:
            `file_type`, `source_type`, `keywords`, `source_id`.
        line_ending: What ends a line of a stream: `lf` or `crlf`.
        final_newline: Whether a plain stream's last line ends at all.
        blank_lines: Whether blank lines stand between the lines of a plain stream.
        byte_order_mark: Whether a stream begins with one.
        charset: What a plain stream's content type says, however wrong; it always is UTF-8.
        keep_alive: Whether AG-UI events begin with a comment, as they do in the vendor's tests.
        message_events: Whether AG-UI marks where the message starts and ends.
        event_bytes: The largest list in one AG-UI event, in bytes, 1 or more; longer ones come in
            several events.
        grounding: Whether an answer whose request wants it has sources from the web (they are
            the documents again, for the sandbox goes nowhere).
        redaction: What is wrong with every redaction policy: it is `unknown` (422),
            `unavailable` (503), or has `failed` (503; an event in an AG-UI stream).
        history: The size of a conversation above which its oldest turns are dropped, or the
            request is refused, in tokens, 1 or more.
        errors: The shape of a refusal: `typed` is {"error": {"type", "message"}}, `plain` lacks
            the type, `message` is {"message"}, and `text` {"error": "..."}.
        redirect: Where every request is sent on to (307), or "".
    """

    profile: Literal["later", "seed"] = "later"
    stream: Literal["lines", "cumulative", "delta", "recap", "text", "events", "ignored"] = "lines"
    citations: Literal["last", "first", "every", "own", "none"] = "last"
    finish_reason: Literal["last", "never", "null_then_stop", "empty"] = "null_then_stop"
    choices: Annotated[int, Field(ge=0, le=2)] = 1
    sparse: bool = False
    line_ending: Literal["lf", "crlf"] = "lf"
    final_newline: bool = True
    blank_lines: bool = False
    byte_order_mark: bool = False
    charset: Annotated[str, Field(pattern=r"^[\w.:-]+$")] = "utf-8"
    keep_alive: bool = True
    message_events: bool = False
    event_bytes: Annotated[int, Field(ge=1)] = 65536
    grounding: bool = False
    redaction: Literal["unknown", "unavailable", "failed"] = "unknown"
    history: Annotated[int, Field(ge=1)] = 100_000
    errors: Literal["typed", "plain", "message", "text"] = "typed"
    redirect: Annotated[str, Field(pattern=r"^(https?://[!-~]+)?$")] = ""

    @property
    def newline(self) -> str:
        """What ends a line of a stream."""
        return "\r\n" if self.line_ending == "crlf" else "\n"
