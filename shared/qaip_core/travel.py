"""What goes to another process in a pickle: no key, and no source of keys that may hold one.

A pickle is read by whoever stores it or passes it on. So a key as text never goes into one, and of
the sources of keys go only

- what another process finds by its name in a module: a function, mostly;
- a function of the program itself, ``__main__``, which knows nothing but modules, what they hold,
  and functions like it. Ray and Dask send its code, with all values that the code names;
- an object that says that its pickle holds no key: its attribute ``travels`` is true.

Everything else may hold a key: a lambda, a closure, a bound method, a ``functools.partial``.
"""

import logging
import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, reduce
from importlib import import_module
from io import BytesIO
from types import CodeType, FunctionType, ModuleType, NoneType
from typing import Any, get_args

__all__ = ["source_of_keys", "tell"]

logger = logging.getLogger("qaip_core")

_PROGRAM = ("__main__", "__mp_main__")
"""The program's own module, and its name in the processes that `multiprocessing` starts."""


def source_of_keys(given: Any) -> Any:
    """Return what a pickle holds of a key: a source that becomes what was given, or None.

    Parameters:
        given: what was passed as ``api_key``.
    """
    if not callable(given):
        return None
    if named := _at_home(given):
        return named
    if getattr(given, "travels", False) is True and not isinstance(given, type):
        return given
    return _OfProgram(given) if _is_of_program(given) else None


@cache
def tell(owner: str, left: tuple[str, ...]) -> None:
    """Say once what a pickle leaves out.

    Parameters:
        owner: the class of the object.
        left: the names of its fields.
    """
    logger.warning(
        "%s: a pickle of it leaves out %s; set them where it is used (docs/how-to/workers.md)",
        owner,
        ", ".join(left),
    )


@dataclass(frozen=True, slots=True)
class _Named:
    """Something that has a name in a module; a pickle of it is that thing, by its name.

    Not left to the picklers: some can be told to send a module's functions by their code.
    """

    module: str
    name: str

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return _found, (self.module, self.name)


@dataclass(frozen=True, slots=True)
class _OfProgram:
    """A function of the program; a pickle of it is that function.

    By its code where cloudpickle is at work, as workers of Ray and Dask run another program; so
    also in the plain pickles that frameworks make to try what can be pickled.
    """

    function: FunctionType

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        if cloudpickle := _cloudpickle():
            return pickle.loads, (_packed(self.function, cloudpickle.Pickler),)
        return _found, (self.function.__module__, self.function.__qualname__)


def _cloudpickle() -> Any:
    """Return cloudpickle, or Ray's copy of it, if the program uses either."""
    return sys.modules.get("cloudpickle") or sys.modules.get("ray.cloudpickle")


def _packed(function: Any, pickler: Any) -> bytes:
    """Return a function by its code, and all that it finds in modules by name.

    Left to itself, cloudpickle sends objects with what they hold, although they have a name, and
    so the modules that it is told to send.
    """

    def reduced(self: Any, value: Any) -> Any:
        named = None if value is _found else _at_home(value)
        return named.__reduce__() if named else pickler.reducer_override(self, value)

    file = BytesIO()
    type("ByName", (pickler,), {"reducer_override": reduced})(file).dump(function)
    return file.getvalue()


def _found(module: str, name: str) -> Any:
    return reduce(getattr, name.split(".") if name else (), import_module(module))


def _named(given: Any) -> _Named | None:
    """Return where something is found, if it is; a module has a place, and no name in it."""
    module, name = getattr(given, "__module__", None), getattr(given, "__qualname__", None)
    if isinstance(given, ModuleType):
        module, name = given.__name__, ""
    if not isinstance(module, str) or not isinstance(name, str):
        return None
    found: Any = sys.modules.get(module)
    for part in name.split(".") if name else ():
        found = getattr(found, part, None)
    return _Named(module, name) if found is given else None


def _at_home(value: Any) -> _Named | None:
    """Return where something is found in a module of which each process has its own."""
    found = _named(value)
    return None if found is None or found.module in _PROGRAM else found


def _is_of_program(given: Any) -> bool:
    """Tell whether it is a function of the program that can go, by its name or by its code."""
    if not isinstance(given, FunctionType) or given.__module__ not in _PROGRAM:
        return False
    if "<" in given.__qualname__ or (_named(given) is None and _cloudpickle() is None):
        return False
    return _knows_nothing(given, set())


def _knows_nothing(given: Any, seen: set[FunctionType]) -> bool:
    """Tell whether a function can go by its code: it has no values that a key may be among."""
    if not isinstance(given, FunctionType) or given.__closure__ or vars(given):
        return False
    if given.__defaults__ or given.__kwdefaults__:
        return False
    if not all(map(_is_known, given.__annotations__.values())):
        return False
    if given in seen:
        return True
    seen.add(given)
    values = (given.__globals__[n] for n in _names(given.__code__) if n in given.__globals__)
    return all(_at_home(value) or _knows_nothing(value, seen) for value in values)


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that a function may look up among the globals, and some that it does not."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def _is_known(annotation: Any) -> bool:
    """Tell whether an annotation is text, or made of what modules hold: it goes with the code."""
    if annotation in (None, NoneType) or isinstance(annotation, str) or _at_home(annotation):
        return True
    parts = get_args(annotation)
    return bool(parts) and all(map(_is_known, parts))
