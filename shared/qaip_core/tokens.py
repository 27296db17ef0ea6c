"""`OpenIDToken`: access tokens of an OpenID Connect provider, as a source of keys.

Sites of VMware Private AI Services take such tokens, which live for minutes. The source asks for
one when it is needed, keeps it until shortly before it expires, and asks anew after a 401::

    token = OpenIDToken("https://id.site.example/realms/ai", "my-client", client_secret="...")
    chat = ChatPAIS(model="...", api_key=token)

The call is that of OAuth 2.0: https://www.rfc-editor.org/rfc/rfc6749#section-4
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import Any, TypeAlias, cast
from urllib.parse import urlencode

from pydantic import SecretStr, ValidationError

from qaip_core.backend import Backend, Wire, invalid
from qaip_core.client import AsyncClient, Client
from qaip_core.connection import Connection, refuse_clear_text, without_context
from qaip_core.errors import (
    AuthenticationError,
    ConfigurationError,
    MalformedResponseError,
    MissingKeyError,
    NotFoundError,
    ServiceError,
)
from qaip_core.operation import Operation
from qaip_core.reading import Number, Reader
from qaip_core.report import Rule
from qaip_core.travel import source_of_keys

__all__ = ["OpenIDToken"]

_EARLY = 30.0
"""Seconds before its end from which a token is no longer used; at most a tenth of its life."""

_LIFE = 60.0
"""Seconds that a token is kept for which no end is told."""

_OPENID = Backend(
    name="openid",
    title="The identity provider",
    base_url=None,
    key_env=("",),  # it is asked without a key
    url_env=(),
    docs="https://openid.net/specs/openid-connect-discovery-1_0.html",
    key_required=False,
    rules=(
        Rule(
            AuthenticationError,
            text="invalid_client|unauthorized_client",
            hint="Check client_id and client_secret, and which grants the client may use.",
        ),
        Rule(
            AuthenticationError,
            text="invalid_grant",
            hint="Check username and password; a refresh_token may have expired: sign in again.",
        ),
        Rule(
            AuthenticationError,
            text="unsupported_grant_type",
            hint="The provider does not offer this grant: pass what another one needs.",
        ),
        Rule(AuthenticationError, status=(401,), hint="Check client_id and client_secret."),
        Rule(NotFoundError, status=(404,), hint="Requested: {url}. Check the issuer or token_url."),
    ),
)


_Given: TypeAlias = str | SecretStr | Callable[[], str] | None
_Secret: TypeAlias = SecretStr | Callable[[], str] | None
_Form: TypeAlias = Mapping[str, str | SecretStr | None]


class _Discovered(Wire):
    token_endpoint: str


class _Granted(Wire):
    access_token: SecretStr
    expires_in: Number | None = None
    refresh_token: SecretStr | None = None


_DISCOVERED: Reader[_Discovered] = Reader(_Discovered, ("", "token_endpoint"))
_GRANTED: Reader[_Granted] = Reader(_Granted, ("", "access_token"))


class _Hidden(bytes):
    """A body that shows itself to nobody."""

    def __repr__(self) -> str:
        return "<hidden>"


def _as_body(form: _Form, _params: object) -> Any:
    """Return a form as it travels; until then its secrets show themselves to nobody."""
    known = {name: value for name, value in form.items() if value is not None}
    return _Hidden(urlencode({n: _shown(v) for n, v in known.items()}).encode())


def _shown(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _granted(body: Any) -> _Granted:
    try:
        return _GRANTED.body(body, {})
    except MalformedResponseError as error:
        error.body = None  # it may hold a token all the same
        raise error from None


_DISCOVERY: Operation[_Discovered] = Operation(
    _OPENID, "/.well-known/openid-configuration", lambda body: _DISCOVERED.body(body, {})
)


@dataclass(frozen=True, slots=True)
class _Token:
    value: SecretStr
    end: float

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() < self.end


class OpenIDToken:
    """Access tokens of an OpenID Connect provider, for ``api_key``.

    With ``username`` and ``password`` it uses the password grant, with ``refresh_token`` that
    one, else client credentials. A refresh token that comes with an answer is used for the next.

    Parameters:
        issuer: the provider's URL, below which ``.well-known/openid-configuration`` is.
        client_id: the name of the client there.
        client_secret: its secret, where it has one; like the other two secrets, a text, or a
            callable that is asked whenever a token is.
        username, password: of the user in whose name is asked.
        refresh_token: from an earlier sign-in.
        scope: what the token is to be good for, words with blanks between; "openid profile"
            for users, nothing for clients.
        token_url: the provider's token endpoint, if it is not to be looked up.
        verify: how the provider proves who it is; see `Connection`.
        timeout: seconds of silence allowed.
        max_retries: further requests after a failed one.

    Raises:
        ConfigurationError: neither issuer nor token_url is usable, or what a grant needs is
            missing. A URL must be https, or of this machine.
    """

    def __init__(
        self,
        issuer: str | None = None,
        client_id: str | None = None,
        *,
        client_secret: _Given = None,
        username: str | None = None,
        password: _Given = None,
        refresh_token: _Given = None,
        scope: str | None = None,
        token_url: str | None = None,
        verify: bool | str | PathLike[str] | ssl.SSLContext | None = None,
        timeout: float | None = 30.0,
        max_retries: int = 2,
    ) -> None:
        if not client_id:
            raise ConfigurationError("OpenIDToken needs client_id=...")
        if (username is None) is not (password is None):
            raise ConfigurationError("username and password come together: pass both or neither")
        self._client_id = client_id
        secrets: dict[str, _Secret] = {
            "client_secret": _hidden(client_secret),
            "password": _hidden(password),
            "refresh_token": _hidden(refresh_token),
        }
        if not any(secrets.values()):
            raise MissingKeyError(
                "OpenIDToken needs client_secret=..., username=... and password=..., or "
                "refresh_token=..."
            )
        self._given: Mapping[str, Any] = {
            "issuer": issuer,
            "client_id": client_id,
            **secrets,
            "username": username,
            "scope": scope,
            "token_url": token_url,
            "verify": verify,
            "timeout": timeout,
            "max_retries": max_retries,
        }
        self._secrets = secrets
        self._sent: dict[str, SecretStr] = {}
        self._username = username
        self._grant = _grant(secrets)
        self._scope = scope or (None if username is None else "openid profile")
        self._token_url = token_url
        try:
            connection = Connection(
                base_url=token_url or issuer,
                verify=cast("Any", verify),
                timeout=timeout,
                max_retries=max_retries,
                # what is sent is a form, in bytes
                default_headers={"content-type": "application/x-www-form-urlencoded"},
            )
        except ValidationError as error:
            raise invalid(error, "OpenIDToken") from None
        if not connection.base_url:
            raise ConfigurationError("OpenIDToken needs the provider's URL: pass issuer=...")
        settings = connection.settings(_OPENID)
        refuse_clear_text(settings.base_url)
        self._client = Client(settings)
        self._async_client = AsyncClient(settings)
        self._token: _Token | None = None
        self._lock = threading.Lock()
        self._locks: weakref.WeakKeyDictionary[Any, asyncio.Lock] = weakref.WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"OpenIDToken({self._client.settings.base_url!r}, {self._client_id!r})"

    @property
    def travels(self) -> bool:
        """Whether it can go to another process: see `qaip_core.travel`.

        It can where each of its secrets is a function that can. A token stays where it is.
        """
        secrets = (value for name, value in self._given.items() if name in self._secrets)
        return all(s is None or source_of_keys(s) is not None for s in secrets)

    def __reduce__(self) -> tuple[Any, tuple[Mapping[str, Any]]]:
        if not self.travels:
            raise ConfigurationError(
                "an OpenIDToken whose secrets are texts is in no pickle: pass each as a function "
                "of a module, such as client_secret=read_secret (docs/how-to/workers.md)"
            )
        sources = {name: source_of_keys(self._given[name]) for name in self._secrets}
        proof = {"verify": without_context(self._given["verify"])}
        return _again, ({**self._given, **sources, **proof},)

    def __call__(self) -> str:
        """Return a token that is good for a while yet.

        Raises:
            AuthenticationError: the provider refuses what it was given.
            ServiceError: it cannot be reached, or fails; see `qaip_core.errors`.
        """
        with self._lock, self._redacting():
            if (known := self._known()) is not None:
                return known
            fetch = self._client.fetch
            url = self._token_url or self._found(fetch(_DISCOVERY))
            for ask, is_last in self._asking(url):
                try:
                    return self._keep(fetch(ask))
                except AuthenticationError:
                    if is_last:
                        raise
                    self._secrets["refresh_token"] = None
            raise AssertionError  # pragma: no cover -- the last one returns or raises

    async def acall(self) -> str:
        """Do what calling it does, without blocking."""
        lock = self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        async with lock:
            with self._redacting():
                if (known := self._known()) is not None:
                    return known
                fetch = self._async_client.fetch
                url = self._token_url or self._found(await fetch(_DISCOVERY))
                for ask, is_last in self._asking(url):
                    try:
                        return self._keep(await fetch(ask))
                    except AuthenticationError:
                        if is_last:
                            raise
                        self._secrets["refresh_token"] = None
                raise AssertionError  # pragma: no cover -- the last one returns or raises

    def forget(self) -> None:
        """Ask for another token the next time, whatever this one's age."""
        self._token = None

    def close(self) -> None:
        """Close the connections of sync calls; it can be used again."""
        self._client.close()

    async def aclose(self) -> None:
        """Close the connections of async calls in this event loop, and those of sync calls."""
        self.close()
        await self._async_client.close()

    def _known(self) -> str | None:
        token = self._token
        return token.value.get_secret_value() if token is not None and token.is_fresh else None

    def _found(self, provider: _Discovered) -> str:
        refuse_clear_text(provider.token_endpoint)
        self._token_url = provider.token_endpoint
        return provider.token_endpoint

    def _asking(self, url: str) -> list[tuple[Operation[_Granted], bool]]:
        """Return what to ask, the next where one is refused, and whether it is the last."""
        forms = list(self._forms())
        return [
            (
                Operation(
                    _OPENID,
                    path="",
                    decode=_granted,
                    method="POST",
                    encode=partial(_as_body, form),
                    base=lambda _: url,
                    is_safe=False,
                ),
                form is forms[-1],
            )
            for form in forms
        ]

    def _forms(self) -> Iterator[_Form]:
        if self._secrets["refresh_token"] is not None:
            yield self._form("refresh_token", "refresh_token")
        if self._grant == "password":
            yield {**self._form("password", "password"), "username": self._username}
        elif self._grant == "client_credentials":
            yield self._form("client_credentials")

    def _form(self, grant: str, *secrets: str) -> _Form:
        known = {name: self._secret(name) for name in ("client_secret", *secrets)}
        return {
            "grant_type": grant,
            "client_id": self._client_id,
            "scope": self._scope,
            **known,
        }

    def _secret(self, name: str) -> SecretStr | None:
        """Return a secret; its source is asked each time."""
        source = self._secrets[name]
        value = _hidden(source()) if callable(source) else source
        if value is None:
            return None
        if not isinstance(value, SecretStr):
            raise ConfigurationError(f"{name} is a callable that returns no text")
        self._sent[name] = value
        return value

    def _keep(self, granted: _Granted) -> str:
        life = _LIFE if granted.expires_in is None else granted.expires_in
        end = time.monotonic() + life - min(_EARLY, life / 10)
        self._token = _Token(granted.access_token, end)
        if granted.refresh_token and self._grant != "client_credentials":
            self._secrets["refresh_token"] = granted.refresh_token
        return granted.access_token.get_secret_value()

    @contextmanager
    def _redacting(self) -> Iterator[None]:
        """Remove from errors what the provider has echoed."""
        try:
            yield
        except ServiceError as error:
            for secret in self._sent.values():
                error.redact(secret.get_secret_value())
            raise


def _again(given: Mapping[str, Any]) -> OpenIDToken:
    """Return one that was pickled."""
    return OpenIDToken(**given)


def _grant(secrets: Mapping[str, _Secret]) -> str:
    """Return how the first token is asked for."""
    for name in ("password", "refresh_token"):
        if secrets[name] is not None:
            return name
    return "client_credentials"


def _hidden(value: _Given) -> _Secret:
    return SecretStr(value) if isinstance(value, str) else value
