"""What is found about a client, and how it reads."""

import textwrap
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Finding", "Verdict"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a client did.

    Attributes:
        rule: The name of the rule, such as "ignored-retry-after".
        says: The rule in words.
        what: What happened, with its numbers.
        remedy: What to do about it.
        records: The numbers of the requests that show it, as in the journal.
        seconds: The time that it is about, in seconds; None where it is not about time.
        fault: False for a note, which does not count against the client.
    """

    rule: str
    says: str
    what: str
    remedy: str
    records: tuple[int, ...]
    seconds: float | None = None
    fault: bool = True

    @property
    def head(self) -> str:
        """What happened, on one line."""
        head = f"{'FAULT' if self.fault else 'note'}  {self.rule}: {self.what}"
        return f"{head} (request {', '.join(map(str, self.records))})" if self.records else head

    def __str__(self) -> str:
        return "\n".join([self.head, *_indented(self.says), *_indented(self.remedy, "-> ")])


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a client did with what the sandbox gave it.

    Attributes:
        findings: Everything that was found, faults first.
        requests: How many requests were judged.
        calls: How many calls of the application.
    """

    findings: tuple[Finding, ...]
    requests: int
    calls: int

    @property
    def ok(self) -> bool:
        """Whether nothing counts against the client."""
        return not self.faults

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that count against it."""
        return tuple(finding for finding in self.findings if finding.fault)

    @property
    def notes(self) -> tuple[Finding, ...]:
        """The findings that do not."""
        return tuple(finding for finding in self.findings if not finding.fault)

    def check(self) -> None:
        """Do nothing if nothing counts against the client.

        Raises:
            AssertionError: something does; the message is the verdict in words.
        """
        if not self.ok:
            raise AssertionError(str(self))

    def as_dict(self) -> dict[str, Any]:
        """Return it as an object for JSON."""
        findings = [asdict(finding) for finding in self.findings]
        return {"ok": self.ok, "requests": self.requests, "calls": self.calls, "findings": findings}

    def __str__(self) -> str:
        seen = f"{_count(self.requests, 'request')} in {_count(self.calls, 'call')}"
        count = _count(len(self.faults), "fault")
        head = f"{'nothing against the client' if self.ok else count}: {seen}"
        # The rule and its remedy are told once, after the last breach of it.
        last = {finding.rule: finding for finding in self.findings}
        shown = (str(f) if f is last[f.rule] else f.head for f in self.findings)
        return "\n".join([head, *shown])


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _indented(text: str, mark: str = "") -> list[str]:
    return textwrap.wrap(
        text, 96, initial_indent=f"       {mark}", subsequent_indent=" " * (7 + len(mark))
    )
