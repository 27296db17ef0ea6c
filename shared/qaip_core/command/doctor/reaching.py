"""Whether a service is set up soundly, and answers."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing

from qaip_core.backend import Backend
from qaip_core.backends import BACKENDS
from qaip_core.backends.dify import DIFY
from qaip_core.backends.dify.app import PARAMETERS
from qaip_core.backends.dify.datasets import DATASETS
from qaip_core.client import Client
from qaip_core.command.doctor.check import Check
from qaip_core.command.failing import message_of
from qaip_core.command.services import Service
from qaip_core.connection import Connection, Settings, environment
from qaip_core.errors import (
    EndpointRetiredError,
    MalformedResponseError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServiceConnectionError,
    ServiceError,
)

__all__ = ["check_service"]

_SECONDS = 10.0
_ALONE = "Set {name} to the key alone: no blanks, no quotes, no 'Bearer'"


def check_service(service: Service, *, wanted: bool, offline: bool) -> list[Check]:
    """Check a service's key and address, and ask it for something that costs nothing.

    Parameters:
        service: the service.
        wanted: whether it was asked for: else one that is not set up is none of our business.
        offline: whether nothing shall be sent.
    """
    if not (service.is_set_up or wanted):
        return [Check(service.backend.name, "-", f"not set up ({service.variables})")]
    return list(_checks(service, offline=offline))


def _checks(service: Service, *, offline: bool) -> Iterator[Check]:
    backend = service.backend
    key = _key(backend, f"{backend.name} key")
    yield key
    if backend is DIFY and environment(DATASETS.key_env):
        yield _key(DATASETS, "dify dataset key")
    settings = yield from _address(backend, has_key=key.state != "fail")
    if settings is None or key.state == "fail":
        return
    if settings.verify is False:
        yield Check(
            f"{backend.name} certificate",
            "warn",
            "is not checked: whoever stands in between can read the key",
            f"Set {' or '.join(backend.verify_env)} to the path of your CA's certificate",
        )
    if not offline:
        yield from _answers(service, settings)


def _key(backend: Backend, title: str) -> Check:
    """Look at a key without showing it."""
    name = _set(backend.key_env)
    advice = _ALONE.format(name=name) if name else ""
    try:
        Connection(base_url=_place(backend)).settings(backend)
    except ServiceError as error:
        told = error.anchor == "a-key-of-another-service"  # the message says what to do
        return Check(title, "fail", message_of(error), "" if told else advice)
    if name is None:
        return Check(title, "warn", "none: right only where the site asks for none")
    key = os.environ[name]
    if key[0] in "'\"":
        return Check(title, "fail", f"{name} begins with a quote", advice)
    for begins, whose in _BEGINNINGS.items():
        if key.startswith(begins) and begins != backend.key_begins:
            found = f"{name} begins with {begins!r}, as keys of {whose} do"
            return Check(title, "warn", found, f"Is it a key of {backend.title}?")
    return Check(title, "ok", f"{name} is set")


def _place(backend: Backend) -> str:
    """Return where the key would go; a fault of the address itself has a row of its own.

    A gateway may take the keys of whom it stands before.
    """
    try:
        return Connection(api_key="stand-in").settings(backend).base_url
    except ServiceError:
        return "http://localhost"


_BEGINNINGS = {b.key_begins: b.title for b in (*BACKENDS, DATASETS) if b.key_begins}


def _set(names: Iterable[str]) -> str | None:
    """Return the first of the environment variables that is set and not empty."""
    return next((name for name in names if os.environ.get(name)), None)


def _address(backend: Backend, *, has_key: bool) -> Generator[Check, None, Settings | None]:
    """Check where the service is; an unusable key has had its turn, and another stands for it."""
    title = f"{backend.name} address"
    name = _set(backend.url_env)
    key = None if has_key else "stand-in"
    try:
        connection = Connection(api_key=key, timeout=_SECONDS, max_retries=0)
        settings = connection.settings(backend)
    except ServiceError as error:
        mend = "Correct or unset" if backend.base_url else "Correct"
        yield Check(title, "fail", message_of(error), f"{mend} {name}" if name else "")
        return None
    yield Check(title, "ok", f"{settings.base_url} ({name or 'where the vendor has it'})")
    return settings


def _answers(service: Service, settings: Settings) -> Iterator[Check]:
    title = f"{service.backend.name} answers"
    with closing(Client(settings)) as client:
        try:
            found = client.fetch(service.probe)
        except ServiceError as error:
            yield _refused(title, error, _set(service.backend.url_env))
            return
        told = service.tell(found)
        yield Check(title, "ok", "it does, and takes the key" + (f": {told}" if told else ""))
        if further := _FURTHER.get(service.backend.name):
            yield from further(client)


def _refused(title: str, error: ServiceError, url_variable: str | None) -> Check:
    ended = isinstance(error, EndpointRetiredError)
    is_right = isinstance(error, PermissionDeniedError | RateLimitError) and not ended  # the key
    is_elsewhere = url_variable and isinstance(error, _ELSEWHERE)
    advice = f"Is the address in {url_variable} the right one?" if is_elsewhere else ""
    return Check(title, "warn" if is_right else "fail", message_of(error), advice)


_ELSEWHERE = (NotFoundError, MalformedResponseError, ServiceConnectionError)


def _cites(client: Client) -> Iterator[Check]:
    """An app that hides its sources is the most common reason for answers without any."""
    try:
        cites = client.fetch(PARAMETERS).cites
    except ServiceError:  # not every server tells
        return
    if cites is False:
        yield Check(
            "dify sources",
            "warn",
            "the app names none",
            "Turn on Citations and Attributions in the app, and publish it",
        )


_FURTHER: Mapping[str, Callable[[Client], Iterator[Check]]] = {"dify": _cites}
