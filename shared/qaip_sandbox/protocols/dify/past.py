"""What the service remembers: messages, conversations and uploaded files, the oldest dropped."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from qaip_sandbox._wire import Json

__all__ = ["Conversation", "Message", "Past"]

_Item = TypeVar("_Item")
_MOST = 1_000


@dataclass(slots=True)
class Conversation:
    """Messages of one user that belong together."""

    id: str
    user: str
    name: str
    inputs: dict[str, Json]
    created: int
    updated: int


@dataclass(slots=True)
class Message:
    """A question and its answer; `conversation` is "" for that of a completion app."""

    id: str
    user: str
    conversation: str
    inputs: dict[str, Json]
    query: str
    answer: str
    created: int
    resources: list[Json] = field(default_factory=list[Json])
    rating: str | None = None


class _Shelf(Generic[_Item]):
    """Things by their ids, the thousand that came last."""

    def __init__(self) -> None:
        self._things: OrderedDict[str, _Item] = OrderedDict()

    def put(self, key: str, thing: _Item) -> None:
        self._things[key] = thing
        if len(self._things) > _MOST:
            self._things.popitem(last=False)

    def get(self, key: str) -> _Item | None:
        return self._things.get(key)

    def __contains__(self, key: str) -> bool:
        return key in self._things

    def __iter__(self) -> Iterator[_Item]:
        return iter(self._things.values())


class Past:
    """The shelves of one sandbox; `files` holds the names of uploaded files by their ids."""

    def __init__(self) -> None:
        self.messages: _Shelf[Message] = _Shelf()
        self.conversations: _Shelf[Conversation] = _Shelf()
        self.files: _Shelf[str] = _Shelf()
