"""Sources of keys that another process finds by their names."""

from collections.abc import Callable
from functools import update_wrapper

__all__ = ["SOURCE_KEY", "Vault", "asked_key", "read_key", "read_secret", "remembered_key"]

SOURCE_KEY = "key-of-a-function-71e0"


def read_key() -> str:
    return SOURCE_KEY


async def asked_key() -> str:
    return SOURCE_KEY


def read_secret() -> str:
    return "secret-of-a-function-4c2a"


class _Remembered:
    """A function that holds what it has returned, as some decorators make it."""

    def __init__(self, function: Callable[[], str]) -> None:
        update_wrapper(self, function)
        self._function = function
        self._kept: str | None = None

    def __call__(self) -> str:
        self._kept = self._kept or self._function()
        return self._kept


@_Remembered
def remembered_key() -> str:
    return SOURCE_KEY


class Vault:
    """Keeps a key for itself, and says so."""

    travels = True

    def __init__(self) -> None:
        self.kept: str | None = None

    def __call__(self) -> str:
        self.kept = self.kept or SOURCE_KEY
        return self.kept

    def __reduce__(self) -> tuple[type["Vault"], tuple[()]]:
        return Vault, ()
