"""What all contracts have in common: the service, the bench, and facts that are optional."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar

import pytest

from llama_index_qaip.testing._bench import Bench
from llama_index_qaip.testing._dialect import Dialect
from llama_index_qaip.testing._loopback import Loopback
from llama_index_qaip.testing._script import SOURCES, Answer, Service

__all__ = ["Contract", "needs"]

F = TypeVar("F", bound=Callable[..., Any])


def needs(**flags: bool) -> Callable[[F], F]:
    """Mark a test that holds only for classes with these flags; others do not get it."""

    def mark(test: F) -> F:
        test.flags = flags  # type: ignore[attr-defined]
        return test

    return mark


class Contract:
    """The common part of all contracts.

    Attributes:
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
    """

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

    def __init_subclass__(cls) -> None:
        """Take the facts away that do not apply: pytest collects no ``None``."""
        super().__init_subclass__()
        for name, test in _inherited(cls).items():
            flags = getattr(test, "flags", {})
            applies = all(bool(getattr(cls, f, False)) is on for f, on in flags.items())
            setattr(cls, name, test if applies else None)

    def make(self, url: str, **fields: Any) -> Any:
        """Return what is under test, over the service at ``url``, with the key `KEY`.

        Parameters:
            url: the service's base URL.
            fields: constructor arguments, which come before your own.
        """
        raise NotImplementedError

    def answer(self, **given: Any) -> Answer:
        """Return an answer of the service, with sources where it cites."""
        return Answer(**{"sources": SOURCES if self.cites else (), **given})

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
        once = {self.max_retries_field: 0} if self.max_retries_field else {}
        bench = Bench(lambda url, **fields: self.make(url, **{**once, **fields}), service)
        yield bench
        bench.close()


def _inherited(cls: type) -> dict[str, Any]:
    """Return the tests of all bases, those that a base took away included."""
    found: dict[str, Any] = {}
    for base in cls.__mro__[1:]:
        for name, member in vars(base).items():
            if name.startswith("test_") and callable(member):
                found.setdefault(name, member)
    return {name: test for name, test in found.items() if name not in vars(cls)}
