"""Facts about an LLM as an object: its key, its copies, its serialized forms."""

# ruff: noqa: S101 -- a test is made of asserts

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest

from llama_index_qaip.testing._bench import KEY, Bench, text_of
from llama_index_qaip.testing._contract import Contract, good_practice, needs

__all__ = ["ObjectFacts"]

_FORMS: Mapping[str, Callable[[Any], str]] = {
    "repr": repr,
    "str": str,
    "to_dict": lambda llm: str(llm.to_dict()),
    "to_json": lambda llm: str(llm.to_json()),
    "model_dump": lambda llm: str(llm.model_dump()),
    "model_dump_json": lambda llm: str(llm.model_dump_json()),
    "pickle": lambda llm: pickle.dumps(llm).decode("latin-1"),
    "repr of a copy": lambda llm: repr(copy.deepcopy(llm)),
    "pickle of a copy": lambda llm: pickle.dumps(copy.copy(llm)).decode("latin-1"),
}
_TRIPS: Mapping[str, Callable[[Any], Any]] = {
    "dict": lambda llm: type(llm).from_dict(llm.to_dict()),
    "json": lambda llm: type(llm).from_json(llm.to_json()),
    "pickle": lambda llm: pickle.loads(pickle.dumps(llm)),  # noqa: S301 -- our own bytes
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}

_STORED = ("dict", "json", "pickle")
_OTHER_KEY = "key-of-the-environment"


class ObjectFacts(Contract):
    """What becomes of an LLM that is printed, stored or copied.

    Attributes:
        key_field: the constructor argument that takes the key.
        key_variables: the environment variables that it is read from.
        needs_key: whether the service refuses calls without one.
    """

    key_field: ClassVar[str] = "api_key"
    key_variables: ClassVar[tuple[str, ...]] = ()
    needs_key: ClassVar[bool] = True

    @pytest.mark.parametrize("form", _FORMS)
    @good_practice
    def test_the_key_is_in_no_form_of_the_object(self, bench: Bench, form: str) -> None:
        assert KEY not in _FORMS[form](bench.make())

    @pytest.mark.parametrize("trip", _TRIPS)
    @needs(key_variables=True)
    def test_a_round_trip_gives_an_llm_that_answers(
        self, bench: Bench, trip: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(self.key_variables[0], _OTHER_KEY)
        bench.service.answers(self.answer())
        llm = bench.make()
        again = bench.keep(_TRIPS[trip](llm))
        assert type(again) is type(llm)
        assert again.to_dict() == llm.to_dict()
        assert text_of(bench.last("chat", llm=again)) == self.answer().text
        given = str(bench.service.requests[0].headers)
        assert KEY in given or (trip in _STORED and _OTHER_KEY in given)

    @pytest.mark.parametrize("trip", _STORED)
    @needs(good_practice=True, key_variables=True)
    def test_what_was_stored_takes_the_key_of_the_environment(
        self, bench: Bench, trip: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(self.key_variables[0], _OTHER_KEY)
        bench.service.answers(self.answer())
        bench.ask("chat", llm=bench.keep(_TRIPS[trip](bench.make())))
        assert _OTHER_KEY in str(bench.service.requests[0].headers)

    def test_its_class_name_is_its_own(self, bench: Bench) -> None:
        llm = bench.make()
        assert llm.to_dict()["class_name"] == type(llm).class_name()
        assert type(llm).class_name() not in {
            base.class_name() for base in type(llm).__mro__[1:] if hasattr(base, "class_name")
        }

    @good_practice
    def test_an_unknown_constructor_argument_is_refused(self, bench: Bench) -> None:
        with pytest.raises((TypeError, ValueError)):
            bench.make(tempreature=0.5)

    @needs(good_practice=True, needs_key=True)
    def test_without_a_key_nothing_is_sent(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in self.key_variables:
            monkeypatch.delenv(name, raising=False)
        bench.service.answers(self.answer())
        with pytest.raises(Exception, match=r"(?i)key|credential"):
            bench.ask("chat", llm=bench.make(**{self.key_field: None}))
        assert bench.service.requests == []
