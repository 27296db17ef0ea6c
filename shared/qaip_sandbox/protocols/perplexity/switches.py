"""What can be chosen about Perplexity: the shape of its answers, and its odd days."""

from typing import Annotated, Literal

from pydantic import Field

from qaip_sandbox.switches import Switches

__all__ = ["PerplexitySwitches"]


class PerplexitySwitches(Switches):
    """How Perplexity behaves.

    Args:
        profile: The shape of chat completions, by the month since which they had it ("seed" is
            2024); "retired" is the refusal that valid keys get since September 2026. The agent and
            search calls are served beside every profile.
        think: Whether reasoning models begin with `<think>`; None for as the profile did.
        html_401: Whether a wrong key gets a page of HTML; None for as the profile did.
        line_ending: How the lines of a chat stream end.
        done: Whether a chat stream ends with `[DONE]`.
        event_lines: Whether an `event:` line stands before the data of each chat chunk.
        citations: Where a chat answer tells its sources. Of a stream: in "every" chunk, in the
            "first" or in the last one ("late"); of any answer: `citations` is "null" or "missing".
        undated: Whether every second search result lacks its date of publication.
        strict_ranges: Whether the ends of the ranges are refused, as the first documents print
            them: a temperature of 0, a top_p of 1.
        strict_fields: Whether chat refuses fields that it does not know; agent always does.
        rate_limit_headers: Whether a 429 has the `x-ratelimit-` headers.
        agent: Whether the agent searches once, or several times at once, with the ids of the
            results out of order and markers such as `[web:12]` ("multi").
        terminal: How a run of the agent ends; "none" leaves out the last event of a stream.
        pending_call: The status of a run that waits for the result of a function.
        deltas: Whether an agent stream has its text piece by piece, or only as a whole.
        polls: How often a background run is not yet done when it is asked for, 0 to 1000.
        cursor_expired: Whether a stream can not be resumed any more.
    """

    profile: Literal[
        "2026-06", "seed", "2025-07", "2025-08", "2025-11", "2026-01", "2026-09", "retired"
    ] = "2026-06"
    think: bool | None = None
    html_401: bool | None = None
    line_ending: Literal["crlf", "lf"] = "crlf"
    done: bool = False
    event_lines: bool = False
    citations: Literal["every", "first", "late", "null", "missing"] = "every"
    undated: bool = False
    strict_ranges: bool = False
    strict_fields: bool = False
    rate_limit_headers: bool = False
    agent: Literal["single", "multi"] = "single"
    terminal: Literal["completed", "incomplete", "failed", "cancelled", "none"] = "completed"
    pending_call: Literal["completed", "requires_action"] = "completed"
    deltas: bool = True
    polls: Annotated[int, Field(ge=0, le=1000)] = 1
    cursor_expired: bool = False

    @property
    def newline(self) -> str:
        """The characters at the end of each line of a chat stream."""
        return "\r\n" if self.line_ending == "crlf" else "\n"
