"""The rules: what a client is found at fault for, why, and what to do about it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from . import breaches
from .breaches import Evidence
from .case import Case
from .verdict import Finding

__all__ = ["RULES", "Rule", "findings"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its name, what it says, the remedy, and how a breach is found."""

    name: str
    says: str
    remedy: str
    breaches: Callable[[Case], Iterator[Evidence]]
    fault: bool = True


def findings(case: Case) -> tuple[Finding, ...]:
    """Return all breaches of all rules, faults first."""
    return tuple(
        Finding(
            rule.name,
            rule.says,
            what,
            rule.remedy,
            tuple(record.number for record in records),
            None if seconds is None else round(seconds, 3),
            rule.fault,
        )
        for rule in RULES
        for what, records, seconds in rule.breaches(case)
    )


RULES = (
    Rule(
        "retried-too-often",
        "A service that fails again and again is not helped by more requests.",
        "Limit the retries, and count those of every layer: a client that repeats three times "
        "within a loop that repeats three times sends nine requests.",
        breaches.too_often,
    ),
    Rule(
        "retried-in-vain",
        "A request that is refused for what it is (400, 401, 403, 404, 422, ...) stays refused.",
        "Retry only 408, 409, 425, 429 and 5xx; raise everything else at once.",
        breaches.in_vain,
    ),
    Rule(
        "ignored-retry-after",
        "Retry-After says how long the service wants to be left alone.",
        "Wait as long as it says, or give up where that is too long.",
        breaches.too_early,
    ),
    Rule(
        "hammered",
        "Retries without a wait hit a service when it is weakest.",
        "Wait before each retry, twice as long each time, with some jitter.",
        breaches.at_once,
    ),
    Rule(
        "accepted-a-broken-answer",
        "An answer that was cut, or that is not the service's, must not pass as an answer.",
        "Check the end mark of each stream (finish_reason, message_end, RUN_FINISHED), its error "
        "events and that a body parses, and raise an error where they do not.",
        breaches.took_a_part,
    ),
    Rule(
        "swallowed-an-error",
        "A call that failed must not look like one that had nothing to say.",
        "Raise the error, or return words that tell the user of it.",
        breaches.swallowed,
    ),
    Rule(
        "repeated-after-text",
        "A stream that begins anew shows its text twice, and is billed twice.",
        "Do not retry once text has arrived; raise an error that holds the part.",
        breaches.told_twice,
    ),
    Rule(
        "lost-the-answer",
        "What a service has answered in full should reach the user as it is.",
        "Look at how the answer is decoded and joined; compare with `said` in the journal. If the "
        "application keeps a part on purpose, say so: `call.returned(text, part=True)`.",
        breaches.lost,
    ),
    Rule(
        "leaked-a-connection",
        "A stream that nobody reads keeps a connection, and at the service a run that is billed.",
        "Close streams when leaving them: `with`, `aclosing`, or a read timeout.",
        breaches.leaked,
    ),
    Rule(
        "misplaced-the-key",
        "Keys in URLs and bodies end up in logs.",
        "Send the key in its header only: Authorization: Bearer, or x-api-key for Qaip.",
        breaches.misplaced,
    ),
    Rule(
        "connection-per-call",
        "A new connection for each request costs a handshake each time.",
        "Keep one client, and reuse it.",
        breaches.unpooled,
        fault=False,
    ),
    Rule(
        "calls-overlapped",
        "Requests that may belong to several calls are not held against any one's outcome.",
        "To judge outcomes, make the calls one after the other.",
        breaches.overlapping,
        fault=False,
    ),
)
"""The rules, those about faults first."""
