"""Whether a caller saw what it had to: compared with what the server did, request by request."""

import re
from collections.abc import Iterator
from itertools import accumulate

from qaip_core import ServiceError
from qaip_core.errors import IncompleteStreamError, ServiceConnectionError, ServiceTimeoutError
from soak.callers import Seen
from soak.cases import MARK, Case
from soak.faults import RETRIES
from support.faults.subjects import Outcome

__all__ = ["EXCUSED", "JUDGED", "faults_of"]

JUDGED = ("wrong", "lost", "untyped", "sent again")
"""What may be said against an outcome."""

EXCUSED = ("starved", "unsure", "overtaken")
"""What explains an error that the server did not mean: the processors were too busy; the service
had left the connection, at the last attempt; it had left it, but so long before that showed that
the request might have been served; a reset overtook what had been sent before it."""

_UNSURE = 1.0

_NUMBERS = re.compile(re.escape(MARK) + r"(\d+)/")


def faults_of(case: Case, seen: Seen) -> Iterator[tuple[str, str]]:
    """Yield what is to be said of a call: one of `JUDGED` or `EXCUSED`, and the particulars."""
    outcome = seen.outcome
    for plan in case.plans[:-1]:
        if plan.again is False:
            yield "sent again", f"after {plan.fault}: it may have run"
    others = set(_NUMBERS.findall(repr(seen.last))) - {str(case.number)}
    if others:
        yield "wrong", f"sources of {others}"
    excuse = _excuse(case, seen)
    if excuse:
        yield excuse, repr(outcome.error)
    elif seen.left:
        if not case.text.startswith(outcome.text or ""):
            yield "wrong", f"{outcome.text!r} was shown"
    elif not case.plans:
        yield "lost", f"no request arrived: {outcome.error!r}"
    elif case.plans[-1].error is None:
        yield from _against_answer(case, outcome)
    else:
        yield from _against_error(case, outcome)


def _excuse(case: Case, seen: Seen) -> str:
    error = seen.outcome.error
    meant = case.plans and case.plans[-1].error
    passing = all(plan.again is not False for plan in case.plans)
    if isinstance(error, ServiceTimeoutError) and case.held_up:
        late = meant is ServiceTimeoutError and error.partial_text == case.plans[-1].text
        return "" if late or not _is_beginning(case, seen.outcome) else "starved"
    if isinstance(error, ServiceConnectionError) and passing:
        return "unsure" if not case.plans and seen.seconds > _UNSURE else ""
    if isinstance(error, IncompleteStreamError) and case.plans and case.plans[-1].resets:
        # A reset may take with it what was sent before: text, or the end mark alone.
        less = len(error.partial_text) < len(case.plans[-1].text) or meant is None
        return "overtaken" if less and _is_beginning(case, seen.outcome) else ""
    return ""


def _is_beginning(case: Case, outcome: Outcome) -> bool:
    """Tell whether the pieces of an answer that came are its first ones, and those shown."""
    sent = outcome.partial in accumulate(case.texts, initial="")
    return sent and (not outcome.shown or outcome.text == outcome.partial)


def _against_answer(case: Case, outcome: Outcome) -> Iterator[tuple[str, str]]:
    plan = case.plans[-1]
    if outcome.error is not None:
        verdict = "lost" if isinstance(outcome.error, ServiceError) else "untyped"
        yield verdict, repr(outcome.error)
    elif outcome.shown is not None and outcome.text != plan.text:
        yield "wrong", f"{outcome.text!r}, not {plan.text!r}"
    elif outcome.sources not in (None, case.speech.sources):
        yield "wrong", f"{outcome.sources} sources, not {case.speech.sources}"
    elif outcome.tokens not in (None, 8):
        yield "wrong", f"{outcome.tokens} tokens"


def _against_error(case: Case, outcome: Outcome) -> Iterator[tuple[str, str]]:
    plan, error = case.plans[-1], outcome.error
    if error is None:
        yield "wrong", f"a success: {outcome.text!r}"
    elif not isinstance(error, ServiceError):
        yield "untyped", repr(error)
    elif outcome.kind is not plan.error:
        yield "untyped", f"{error!r}, not {plan.error}"
    elif outcome.partial != plan.text:
        yield "wrong", f"{outcome.partial!r} handed over, not {plan.text!r}"
    elif case.subject.streams and outcome.text != plan.text:
        yield "wrong", f"{outcome.text!r} was shown, not {plan.text!r}"
    elif plan.again and error.attempts <= RETRIES:
        yield "lost", f"given up after {error.attempts} attempts"
    elif error.service != case.speech.service:
        yield "untyped", f"of {error.service}"
