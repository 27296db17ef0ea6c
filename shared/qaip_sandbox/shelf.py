"""A store that forgets the oldest."""

from collections import OrderedDict
from typing import TypeVar

__all__ = ["Shelf"]

_Key = TypeVar("_Key")
_Item = TypeVar("_Item")


class Shelf(OrderedDict[_Key, _Item]):
    """Things by their keys, in the order in which they were put; the oldest of too many are lost.

    Args:
        most: How many things it holds, 1 or more.
    """

    def __init__(self, most: int = 1_000) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: _Key, item: _Item) -> None:
        """Put a thing, as the newest, and lose the oldest of too many."""
        super().__setitem__(key, item)
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)
