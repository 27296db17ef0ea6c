"""What all contracts have in common: the service, the bench, and facts that are optional."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from inspect import get_annotations, getattr_static
from typing import Any, ClassVar, TypeVar

import pytest

from llama_index_qaip.testing._bench import Bench
from llama_index_qaip.testing._dialect import Dialect
from llama_index_qaip.testing._loopback import Loopback
from llama_index_qaip.testing._script import SOURCES, Answer, Service

__all__ = ["Contract", "good_practice", "needs"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def needs(**flags: bool) -> Callable[[F], F]:
    """Mark a test that holds only for classes with these flags; others do not get it."""

    def mark(test: F) -> F:
        test.flags = {**flags_of(test), **flags}  # type: ignore[attr-defined]
        return test

    return mark


def flags_of(test: Any) -> Mapping[str, bool]:
    """Return the flags that a test needs."""
    flags: Mapping[str, bool] = getattr(test, "flags", {})
    return flags


def good_practice(test: F) -> F:
    """Mark a test of what LlamaIndex does not rely on, but users will be glad of."""
    return needs(good_practice=True)(test)


class Contract:
    """The common part of all contracts.

    Attributes:
        good_practice: whether the facts are stated on which LlamaIndex does not rely, too.
        dialect: how the service writes; or override the fixture ``service`` with a server of
            your own.
        cites: whether its answers have sources.
        reports_finish: whether it says why an answer ended.
        reports_usage: whether it counts tokens.
        reports_errors_in_streams: whether it can report an error after a stream has begun.
        error_class: what all errors are instances of.
        status_attribute, request_id_attribute, retry_after_attribute, retryable_attribute,
        partial_attribute: where an error says these things; "" if it does not.
        max_retries_field: the constructor argument that says how often a call is repeated; "" if
            there is none.
        idle_field: the constructor argument that limits the seconds of silence in a stream; "" if
            there is none.

    Raises:
        TypeError: a subclass is not what it seems: an attribute nearly has the name of a flag,
            or a ``Test...`` class cannot make anything or has no service.
    """

    good_practice: ClassVar[bool] = True
    dialect: ClassVar[type[Dialect]]
    cites: ClassVar[bool] = False
    reports_finish: ClassVar[bool] = True
    reports_usage: ClassVar[bool] = True
    reports_errors_in_streams: ClassVar[bool] = True
    error_class: ClassVar[type[Exception]] = Exception
    status_attribute: ClassVar[str] = "status_code"
    request_id_attribute: ClassVar[str] = "request_id"
    retry_after_attribute: ClassVar[str] = ""
    retryable_attribute: ClassVar[str] = ""
    partial_attribute: ClassVar[str] = ""
    max_retries_field: ClassVar[str] = "max_retries"
    idle_field: ClassVar[str] = ""

    _placed: ClassVar[frozenset[str]] = frozenset()
    """The facts that stand in a class because its flags say so, not because its author does."""

    def __init_subclass__(cls) -> None:
        """Take the facts away that do not apply: pytest collects no ``None``."""
        super().__init_subclass__()
        _check_names(cls)
        _check_parts(cls)
        facts = _inherited(cls)
        for name, test in facts.items():
            applies = all(bool(getattr(cls, f, False)) is on for f, on in flags_of(test).items())
            setattr(cls, name, test if applies else None)
        cls._placed = frozenset(facts)

    def make(self, url: str, **fields: Any) -> Any:
        """Return what is under test, over the service at ``url``, with the key `KEY`.

        Parameters:
            url: the service's base URL.
            fields: constructor arguments, which come before your own.
        """
        raise NotImplementedError

    def keep(self, made: T) -> T:
        """Return something that is closed at the end of the test, such as an engine's LLM."""
        self.__dict__.setdefault("_kept", []).append(made)
        return made

    def answer(self, **given: Any) -> Answer:
        """Return an answer of the service, with sources where it cites."""
        return Answer(**{"sources": SOURCES if self.cites else (), **given})

    @contextmanager
    def over(self, service: Service) -> Iterator[Bench]:
        """Give the bench for a service; what was made and kept is closed in the end."""
        once = {self.max_retries_field: 0} if self.max_retries_field else {}
        bench = Bench(lambda url, **fields: self.make(url, **{**once, **fields}), service)
        try:
            yield bench
        finally:
            for made in self.__dict__.pop("_kept", []):
                bench.keep(made)
            bench.close()

    @pytest.fixture(scope="class")
    @classmethod
    def shared_service(cls) -> Iterator[Service]:
        """One server for all tests of a class."""
        with Loopback(cls.dialect()) as server:
            yield server

    @pytest.fixture
    def service(self, shared_service: Service) -> Service:
        """The service, without memory of the last test."""
        shared_service.reset()
        return shared_service

    @pytest.fixture
    def bench(self, service: Service) -> Iterator[Bench]:
        """Makes and calls what is under test."""
        with self.over(service) as bench:
            yield bench


def _inherited(cls: type) -> dict[str, Any]:
    """Return the tests of all bases, as their authors left them: a None of theirs is final."""
    found: dict[str, Any] = {}
    for base in cls.__mro__[1:]:
        placed = vars(base).get("_placed", ())
        for name, member in vars(base).items():
            if name.startswith("test_") and name not in placed:
                found.setdefault(name, member)
    return {name: test for name, test in found.items() if name not in vars(cls)}


def _check_names(cls: type) -> None:
    """Refuse what is nearly a flag: it would say nothing."""
    kinds = [kind for kind in cls.__mro__ if kind is not object]
    flags = {flag for kind in kinds if issubclass(kind, Contract) for flag in get_annotations(kind)}
    for kind in kinds:
        if kind.__module__.startswith(__package__ or ""):
            continue
        for name in vars(kind).keys() - flags:
            if name.startswith(("_", "test")) or hasattr(Contract, name):
                continue
            if near := get_close_matches(name, flags, n=1, cutoff=0.85):
                raise TypeError(f"{kind.__name__}.{name} is no flag: did you mean {near[0]}?")


def _check_parts(cls: type[Contract]) -> None:
    """Refuse a class that pytest would collect, and that cannot be tested."""
    if not cls.__name__.startswith("Test"):
        return
    if cls.make is Contract.make:
        raise TypeError(
            f"{cls.__name__} has no make: write `def make(self, url, **fields): return "
            "YourClass(**{**your_fields, **fields})`; a base without one needs a name that does "
            "not begin with Test"
        )
    own = getattr_static(cls, "service") is not getattr_static(Contract, "service")
    if not own and not hasattr(cls, "dialect"):
        raise TypeError(
            f"{cls.__name__} has no service: write `dialect = OpenAIDialect`, or a Dialect of "
            "your own, or override the fixture `service`"
        )
