"""How each breach of a rule is found."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import pairwise

from qaip_sandbox.journal import Record

from .case import Case, Chain, Deed, bare, broken, failed, pairs, served, whole

__all__ = [
    "Evidence",
    "at_once",
    "in_vain",
    "leaked",
    "lost",
    "misplaced",
    "overlapping",
    "swallowed",
    "told_twice",
    "too_early",
    "too_often",
    "took_a_part",
    "unpooled",
]

Evidence = tuple[str, tuple[Record, ...], float | None]
"""What happened, in which requests, and the seconds that it is about."""

_FINAL = frozenset({400, 401, 403, 404, 405, 410, 413, 414, 415, 422})
_CLOCK = 0.02
_FEW = 3
_RUN = 12
"""As many characters in a row, without white space, are no chance likeness of two texts."""
_PAGE = "Troubleatthegateway"


def too_often(case: Case) -> Iterator[Evidence]:
    """Find requests that were sent more often than is allowed."""
    for _, chain in case.chains:
        if len(chain) > case.limits.attempts:
            yield (
                f"{len(chain)} attempts of one request, {case.limits.attempts} are enough",
                chain,
                chain[-1].started - chain[0].started,
            )


def in_vain(case: Case) -> Iterator[Evidence]:
    """Find repetitions of requests that were refused for what they are."""
    for _, chain in case.chains:
        refused = [(a, b) for a, b in pairs(chain) if a.status in _FINAL]
        # A key that has expired may be fetched anew, once.
        allowed = 1 if refused and refused[0][0].status == 401 else 0
        for one, other in refused[allowed:]:
            yield f"sent again, unchanged, after status {one.status}", (one, other), None


def too_early(case: Case) -> Iterator[Evidence]:
    """Find repetitions before the time that Retry-After asks for."""
    for _, chain in case.chains:
        for one, other in pairs(chain):
            wanted = _retry_after(one)
            came = other.started - one.first_byte
            if wanted is not None and came < wanted - _CLOCK:
                yield (
                    f"came back after {came:.2f} s, Retry-After: {one.retry_after}",
                    (one, other),
                    came,
                )


def _retry_after(record: Record) -> float | None:
    """Return the seconds that a refusal asks for; None where it asks for none."""
    text = record.retry_after
    try:
        return float(text)
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    # A date has whole seconds: up to one of them is lost when it is written.
    return _utc(date).timestamp() - record.at - 1


def _utc(date: datetime) -> datetime:
    """Return `date` as it is meant: one that is written with -0000 has no zone, and is in UTC."""
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def at_once(case: Case) -> Iterator[Evidence]:
    """Find repetitions without a wait."""
    first = {record.connection: record.number for record in reversed(case.records)}
    for _, chain in case.chains:
        for one, other in pairs(chain):
            gap = other.started - one.ended
            if one.status in _FINAL or _retry_after(one) is not None:
                continue
            # A kept connection that turns out to be closed may be replaced at once.
            stale = not one.status and first[one.connection] != one.number
            if gap < case.limits.backoff and not stale:
                yield f"sent again after {max(gap, 0):.3f} s", (one, other), max(gap, 0.0)


def _open_ends(case: Case) -> Iterator[tuple[Deed, Chain]]:
    """Yield the calls that ended well with a request of theirs that did not, and no other since."""
    for deed, chains in case.judged():
        good = [r for chain in chains for r in chain if whole(r) and served(r)]
        for chain in chains:
            last = chain[-1]
            recovered = any(record.number > last.number for record in good)
            if deed.outcome == "ok" and failed(last) and not recovered:
                yield deed, chain


def took_a_part(case: Case) -> Iterator[Evidence]:
    """Find broken answers that passed as answers."""
    for deed, chain in _open_ends(case):
        last = chain[-1]
        silent = last.status < 400 and not broken(last) and last.hit
        text = None if deed.text is None else bare(deed.text)
        partial = silent and bool(text) and _is_part(text or "", last)
        taken = broken(last) and (text is None or _took(text, last))
        if (partial or taken) and not deed.part:
            how = {"page": "an HTML page", "corrupt": "a corrupt answer"}.get(last.fault)
            what = how or f"an answer that was cut ({last.fault})"
            yield f"took {what} for a whole one", (last,), None


def _is_part(text: str, record: Record) -> bool:
    return any(text in full and text != full for full in served(record))


def _took(text: str, record: Record) -> bool:
    """Say whether `text` is made of a broken answer, and not the application's own words."""
    if record.fault == "corrupt" and text in served(record):
        return False  # broken bytes have harmed nothing that it wanted
    given = [_PAGE] if record.fault == "page" else served(record)
    asked = "".join(bare(said.question) for said in record.said)
    runs = {text[start : start + _RUN] for start in range(len(text) - _RUN + 1)}
    own = {run for run in runs if run not in asked}
    return any(
        bool(text and full) and (text in full or full in text or any(run in full for run in own))
        for full in given
    )


def swallowed(case: Case) -> Iterator[Evidence]:
    """Find failures that look like empty answers."""
    for deed, chain in _open_ends(case):
        if deed.text is not None and not bare(deed.text) and not deed.part:
            last = chain[-1]
            fate = f"status {last.status}" if last.status >= 400 else f"a {last.fault or 'cut'}"
            yield f"returned nothing, and raised nothing, after {fate}", (last,), None


def told_twice(case: Case) -> Iterator[Evidence]:
    """Find streams that were begun anew after some text."""
    for owners, chain in case.chains:
        deed = case.deeds[owners[0]] if len(owners) == 1 else None
        once = deed and deed.text is not None and bare(deed.text) in served(chain[-1])
        for one, other in pairs(chain):
            if one.told and not once:
                yield "sent again after a part of the text had arrived", (one, other), None


def lost(case: Case) -> Iterator[Evidence]:
    """Find answers that came in full and did not reach the user."""
    for deed, chains in case.judged():
        last = [chain[-1] for chain in chains]
        answered = [record for record in last if served(record)]
        # A client that has waited too long is gone before a whole answer begins.
        in_time = all(0 < record.first_byte <= deed.ended for record in last)
        if not answered or not in_time or not all(map(whole, last)):
            continue
        if deed.outcome == "error":
            yield "raised an error, although every request was answered", tuple(answered), None
        elif deed.text is not None and not any(_kept(deed, record) for record in answered):
            shown = deed.text if len(deed.text) < 60 else f"{deed.text[:57]}..."
            yield f"returned {shown!r}, which is not what was served", tuple(answered), None


def _kept(deed: Deed, record: Record) -> bool:
    text = bare(deed.text or "")
    return any(
        full in text or (deed.part and bool(text) and text in full) for full in served(record)
    )


def leaked(case: Case) -> Iterator[Evidence]:
    """Find streams that outlived their call."""
    for record in case.records:
        ends = [case.deeds[place].ended or case.now for place in case.owners(record)]
        end = max(ends, default=case.ended)
        over = (record.ended or case.now) - end
        if record.streamed and 0 < record.first_byte <= end and over > case.limits.linger:
            yield f"a stream was open {over:.2f} s after its call had ended", (record,), over


def misplaced(case: Case) -> Iterator[Evidence]:
    """Find keys where they do not belong."""
    for record in case.records:
        if record.key_places:
            yield f"the key was in {' and '.join(record.key_places)}", (record,), None


def unpooled(case: Case) -> Iterator[Evidence]:
    """Find services that were asked on a new connection each time."""
    for service in sorted({record.service for record in case.records} - {""}):
        own = [r for r in case.records if r.service == service and whole(r)]
        in_turn = all(a.ended <= b.started for a, b in pairwise(own))
        if len(own) >= _FEW and in_turn and len({r.connection for r in own}) == len(own):
            yield f"{len(own)} requests to {service}, each on a new connection", tuple(own), None


def overlapping(case: Case) -> Iterator[Evidence]:
    """Find calls whose requests cannot be told apart."""
    places = [p for p in range(len(case.deeds)) if case.overlapping(p)]
    if places:
        mixed = tuple(chain[-1] for owners, chain in case.chains if len(owners) > 1)
        yield f"{len(places)} calls ran at the same time", mixed, None
