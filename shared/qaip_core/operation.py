"""What a service does that answers with data: `Operation`, and what goes with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal

from qaip_core.backend import Action, Backend, Params, T
from qaip_core.errors import InvalidParameterError

__all__ = ["Errand", "Operation", "Upload"]


@dataclass(frozen=True, slots=True)
class Upload:
    """A file and its form fields, as the body of a request.

    Parameters:
        name: the file's name.
        content: its bytes.
        media_type: what they are, such as "image/png".
        fields: the other fields of the form.
    """

    name: str
    content: bytes = field(repr=False)
    media_type: str = "application/octet-stream"
    fields: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what could not stand in the head of a part.

        Raises:
            InvalidParameterError: it could not.
        """
        if not self.media_type.isascii() or not self.media_type.isprintable():
            raise InvalidParameterError(f"{self.media_type!r} is no media type")
        try:
            self.name.encode()
        except UnicodeEncodeError:  # as names are that a file system has in another encoding
            raise InvalidParameterError(
                f"the file name {self.name!r} holds half of a character: give another name"
            ) from None


def _as_it_is(values: Any) -> Any:
    return values


@dataclass(frozen=True, slots=True)
class Operation(Action, Generic[T]):
    """One operation of a service that answers with data, not with words.

    Parameters:
        backend: the service.
        path: below the base URL; parameters of the names in braces are filled in.
        decode: a JSON body to what it means; a body that is empty is None.
        params: the model of its parameters: those that are not in the path are the query of a
            GET or DELETE, else the fields of the body.
        required: the parameters without which nothing is sent.
        method: the HTTP method.
        encode: checked parameters to the JSON body, or to an `Upload`.
        base: its own base URL, from the service's.
        is_safe: whether it may be repeated freely: doing it twice changes, and bills, no more.
        may_be_empty: whether it may answer without a body.
    """

    backend: Backend
    path: str
    decode: Callable[[Any], T]
    params: type[Params] = Params
    required: tuple[str, ...] = ()
    method: Literal["GET", "POST", "PATCH", "PUT", "DELETE"] = "GET"
    encode: Callable[[dict[str, Any]], dict[str, Any] | Upload] = _as_it_is
    base: Callable[[str], str] = _as_it_is
    is_safe: bool = True
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True)
class Errand:
    """What has to be done before a call of an endpoint: an operation of the same service.

    Parameters:
        operation: what is asked for.
        values: its parameters, by their Python names.
        take: gets the result; it may complete the body, or raise a `ServiceError`.
        what: what is done, for people.
        lasting: whether the result holds for all calls of a client, which then asks once, and
            again where `take` raises.
    """

    operation: Operation[Any]
    values: Mapping[str, Any]
    take: Callable[[Any], None]
    what: str
    lasting: bool = False
