"""Copies of pydantic objects with other values are objects like any other."""

import copy
import pickle
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from qaip_core.twins import twins


class Plain(BaseModel):
    text: str
    kind: str = "plain"
    more: dict[str, Any] = Field(default_factory=dict)


class Open(Plain):
    model_config = ConfigDict(extra="allow")


class Secretive(Plain):
    _kept: list[int] = PrivateAttr(default_factory=list)


each_kind = pytest.mark.parametrize("kind", [Plain, Open, Secretive])


@each_kind
def test_a_twin_is_what_the_constructor_makes(kind: type[Plain]) -> None:
    made = twins(kind(text="a"))({"text": "b", "more": {}})
    wanted = kind(text="b")
    assert type(made) is kind
    assert made == wanted
    assert (repr(made), made.model_dump()) == (repr(wanted), wanted.model_dump())
    assert made.model_fields_set == wanted.model_fields_set
    assert made.model_extra == wanted.model_extra
    assert pickle.loads(pickle.dumps(made)) == wanted
    assert copy.copy(made) == copy.deepcopy(made) == made.model_copy() == wanted


@each_kind
def test_twins_share_nothing_that_can_be_changed(kind: type[Plain]) -> None:
    original = kind(text="a")
    twin = twins(original)
    first, second = (twin({"text": text, "more": {}}) for text in "bc")
    first.text = first.kind = "changed"
    first.more["x"] = 1
    if kind is Open:
        first.added = 1  # type: ignore[attr-defined]
    assert second == kind(text="c")
    assert original == kind(text="a")
    assert second.model_fields_set == original.model_fields_set == {"text"}


def test_extra_fields_and_private_attributes_are_copied() -> None:
    opened = Open(text="a", added=1)  # type: ignore[call-arg]
    assert twins(opened)({"text": "b"}) == Open(text="b", added=1)  # type: ignore[call-arg]
    secretive = Secretive(text="a")
    secretive._kept.append(7)
    assert twins(secretive)({"text": "b"})._kept == [7]
