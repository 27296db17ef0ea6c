"""Whether Python and the packages are those that this distribution asks for."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from qaip_core.command.doctor.check import Check
from qaip_core.version import DISTRIBUTION

__all__ = ["check_installation", "fits"]

_FRAMEWORKS = ("langchain", "llama-index")
_EXTRAS: Mapping[str, str] = {
    "sandbox": "the sandbox, and qaip ask --docs",
    "sandbox-pdf": "PDF among the documents",
    "sandbox-office": "Word, PowerPoint and Excel among the documents",
    "cli": "answers in colour, with links",
}
_RIVAL = "langchain-qaip"
_REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)(?:\[.*?\])?\s*\(?(?P<range>[^;()]*)\)?"
    r"(?:;.*?extra\s*==\s*['\"](?P<extra>[\w.-]+)['\"].*)?"
)


@dataclass(frozen=True, slots=True)
class _Need:
    name: str
    range: str
    extra: str

    @property
    def installed(self) -> str | None:
        try:
            return metadata.version(self.name)
        except metadata.PackageNotFoundError:
            return None

    @property
    def is_met(self) -> bool:
        return self.installed is not None and fits(self.installed, self.range)

    @property
    def line(self) -> str:
        """What to install, as a shell takes it."""
        return f"pip install '{self.name}{self.range}'"


def check_installation() -> Iterator[Check]:
    """Check Python, this distribution, what it needs, and who else owns its import name."""
    yield _python()
    yield _own_name()
    needs = _needs()
    for need in needs:
        if not need.extra:
            yield _needed(need)
    for extra in _FRAMEWORKS:
        yield from _framework([need for need in needs if need.extra == extra])
    if needs and not any(n.installed for n in needs if n.extra in _FRAMEWORKS):
        yield Check(
            "frameworks",
            "warn",
            "neither LangChain nor LlamaIndex is installed",
            f"pip install '{DISTRIBUTION}[langchain]' or '{DISTRIBUTION}[llama-index]'",
        )
    for extra, use in _EXTRAS.items():
        yield from _extra(extra, use, [need for need in needs if need.extra == extra])


def _python() -> Check:
    found, wanted = platform.python_version(), ""
    with suppress(metadata.PackageNotFoundError):
        wanted = metadata.metadata(DISTRIBUTION)["Requires-Python"]
    told = f"{found} ({wanted})" if wanted else found
    return Check("Python", "ok", told) if fits(found, wanted) else Check("Python", "fail", told)


def _needs() -> list[_Need]:
    """Return what this distribution asks for, as its metadata declares it."""
    try:
        declared = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return []
    found = [m for line in declared if (m := _REQUIREMENT.fullmatch(line.strip()))]
    return [_Need(m["name"], _ascending(m["range"]), m["extra"] or "") for m in found]


def _ascending(clauses: str) -> str:
    """Return a range as people write it, its lower end first."""
    return ",".join(sorted(clauses.strip().split(","), key=lambda clause: clause[:1] == "<"))


def _needed(need: _Need) -> Check:
    if need.is_met:
        return Check(need.name, "ok", f"{need.installed} ({need.range})")
    return Check(need.name, "fail", f"{need.installed or 'missing'} ({need.range})", need.line)


def _framework(needs: list[_Need]) -> Iterator[Check]:
    for need in needs:
        yield _needed(need) if need.installed else Check(need.name, "-", "not installed")


def _extra(extra: str, use: str, needs: list[_Need]) -> Iterator[Check]:
    if not needs:
        return
    unmet = [need for need in needs if not need.is_met]
    title = f"extra {extra}"
    install = f"pip install '{DISTRIBUTION}[{extra}]'"
    if not unmet:
        yield Check(title, "ok", f"installed: {use}")
    elif any(need.installed for need in unmet):
        old = ", ".join(f"{n.name} {n.installed} ({n.range})" for n in unmet if n.installed)
        yield Check(title, "warn", f"not as it should be: {old}", install)
    else:
        yield Check(title, "-", f"not installed: {use}", install)


def _own_name() -> Check:
    """Look for the other distribution whose files lie where ours do."""
    with suppress(metadata.PackageNotFoundError):
        return Check(
            "langchain_qaip",
            "fail",
            f"{_RIVAL} {metadata.version(_RIVAL)} is installed too, and owns the same import name",
            f"pip uninstall {_RIVAL}, and then: {_reinstall()}",
        )
    if fault := _fault_of_import():
        return Check("langchain_qaip", "fail", fault, _reinstall())
    try:
        return Check(DISTRIBUTION, "ok", metadata.version(DISTRIBUTION))
    except metadata.PackageNotFoundError:
        found = "not installed: this is a copy of its source"
        return Check(DISTRIBUTION, "warn", found, "pip install .")


def _reinstall() -> str:
    """Return the command that puts our files back, from where they came."""
    origin = DISTRIBUTION
    with suppress(metadata.PackageNotFoundError, ValueError, KeyError, TypeError):
        record = json.loads(metadata.distribution(DISTRIBUTION).read_text("direct_url.json") or "")
        editable = record.get("dir_info", {}).get("editable")
        origin = f"{'-e ' if editable else ''}{record['url']}"
    return f"pip install --force-reinstall --no-deps {origin}"


def _fault_of_import() -> str:
    """Return what is wrong with the file that `import langchain_qaip` finds, if anything is."""
    spec = find_spec("langchain_qaip")
    if spec is None or spec.origin is None:
        return f"parts of the package are gone, as {_RIVAL} takes them along when it is removed"
    origin = Path(spec.origin)
    if "ChatQaip" not in origin.read_text("utf-8", errors="replace"):
        return f"the package is not ours: {origin}"
    return ""


_RELEASE = re.compile(r"^v?([\d.]*)")
_CLAUSE = re.compile(r"(>=|<=|==|!=|~=|>|<)\s*([\w.*+!-]+)")


def fits(found: str, wanted: str) -> bool:
    """Tell whether a version is in a range such as ``>=0.27,<1``; only released parts count.

    Parameters:
        found: the version.
        wanted: the range, of the comparisons >=, >, <=, <, ==, !=.
    """
    have = _parts(found)
    return all(_COMPARED[op](have, _parts(number)) for op, number in _CLAUSE.findall(wanted))


_COMPARED = {
    ">=": lambda a, b: a >= b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    "<": lambda a, b: a < b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "~=": lambda a, b: a >= b and a[: len(b) - 1] == b[:-1],
}


def _parts(number: str) -> tuple[int, ...]:
    """Return the numbers of a version, without zeros at the end, which mean nothing."""
    numbers = [int(part) for part in _RELEASE.split(number)[1].split(".") if part]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
