"""How to reach a service: the fields that the classes of both frameworks share."""

import inspect
import ipaddress
import os
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, NoReturn, Self, TypeAlias, cast
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
)

from qaip_core.backend import Backend
from qaip_core.errors import ConfigurationError, MissingKeyError
from qaip_core.flow import OnIncomplete, Policy
from qaip_core.redaction import HiddenHeaders
from qaip_core.travel import source_of_keys, tell

__all__ = [
    "TRANSIENT",
    "ApiKey",
    "Connection",
    "Settings",
    "environment",
    "is_loopback",
    "refuse_clear_text",
    "without_context",
]

Key: TypeAlias = SecretStr | Callable[[], str] | Callable[[], Awaitable[str]]
ApiKey: TypeAlias = Key | str

_CONNECT_SECONDS = 10.0
_RETRIES = 2

_STAYING = ("default_headers", "http_client", "http_async_client")

TRANSIENT = ("api_key", *_STAYING, "verify")
"""The fields that only live objects hold: never serialized; of ``verify`` a context.

Nor pickled, but for a source of keys: see `qaip_core.travel`.
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a client needs to know, checked; see `Connection` for the meanings."""

    backend: Backend
    base_url: str
    key: Key | None = field(default=None, repr=False)
    timeout: float | dict[str, float | None] | None = None
    policy: Policy = field(default_factory=Policy)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    http_client: Any = None
    http_async_client: Any = None
    verify: bool | ssl.SSLContext = True

    def __reduce__(self) -> NoReturn:
        raise ConfigurationError(
            "settings hold a key, so no pickle holds them: pickle the object that they are of"
        )

    @property
    def timeouts(self) -> dict[str, float | None]:
        """Seconds for each phase, by httpx's names."""
        given = self.timeout
        if isinstance(given, dict):
            return {"connect": _CONNECT_SECONDS, "read": None, "write": None, "pool": None, **given}
        connect = _CONNECT_SECONDS if given is None else min(given, _CONNECT_SECONDS)
        return {"connect": connect, "read": given, "write": given, "pool": given}

    @property
    def is_local(self) -> bool:
        """Whether the service runs on this machine: no proxy stands between."""
        return is_loopback(urlsplit(self.base_url).hostname or "")

    def key_from(self) -> str:
        """Say where the key came from, for the error that the service does not take it."""
        return _origin(self.key, self.backend)

    def key_now(self) -> str | None:
        """Return the key for one request; its source is asked each time."""
        key = self.key
        if key is None:
            return None
        value = key.get_secret_value() if isinstance(key, SecretStr) else key()
        if inspect.isawaitable(value):
            cast("Any", value).close()
            raise ConfigurationError(
                "api_key is an async callable, which only the async methods can ask; "
                "pass a plain callable for the sync ones"
            )
        return _sound_key(value)

    async def key_soon(self) -> str | None:
        """Return the key for one request, from a sync or an async source."""
        key = self.key
        if key is None or isinstance(key, SecretStr):
            return self.key_now()
        value = getattr(key, "acall", key)()
        return _sound_key(await value if inspect.isawaitable(value) else value)


def _hidden_headers(headers: Mapping[str, str] | None) -> Mapping[str, str] | None:
    return None if headers is None else HiddenHeaders(headers)


def _hidden(value: Any) -> Any:
    if value is not None and not isinstance(value, str | SecretStr) and not callable(value):
        raise ValueError("it is a string, or a callable that returns one")
    return SecretStr(value) if isinstance(value, str) else value


def _phases(value: Any) -> Any:
    """Return an ``httpx.Timeout``, or a pair, as a mapping, which can be serialized."""
    names = ("connect", "read", "write", "pool")
    if isinstance(value, tuple) and len(value) == 2:  # as requests and LangChain's partners have it
        return dict(zip(names, (*value, value[1], value[1]), strict=True))
    if isinstance(value, Mapping) and not value.keys() <= set(names):
        raise ValueError(f"takes {', '.join(names)}")
    if isinstance(value, int | float) and value <= 0:
        raise ValueError("takes seconds above 0, or None for no limit")
    return {n: getattr(value, n) for n in names} if hasattr(value, "connect") else value


_Seconds: TypeAlias = Annotated[float, Field(gt=0)]
_Timeout: TypeAlias = _Seconds | dict[str, _Seconds | None] | None


def _as_path(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def without_context(value: Any) -> Any:
    """Return what ``verify`` is in another process: a context does not travel."""
    return None if isinstance(value, ssl.SSLContext) else value


_Verify: TypeAlias = Annotated[
    bool | str | ssl.SSLContext | None,
    BeforeValidator(_as_path),
    PlainSerializer(without_context),
]


def _or_default(value: Any) -> Any:
    """Return the default for None, which frameworks pass for what was not said."""
    return _RETRIES if value is None else value


class Connection(BaseModel):
    """How to reach a service.

    Parameters:
        api_key: the key, or a callable (sync or async) that is asked before every request, and
            once more after a 401; read from the environment where it is not given. A source that
            keeps keys may have a method ``forget()``, which is called in between, and
            ``acall()``, which async calls await instead; see `qaip_core.tokens`. Keys are in no
            pickle; which callables are, `qaip_core.travel` says.
        base_url: where the service is; read from the environment, else the vendor's address.
        timeout: seconds of silence allowed while an answer is awaited (connecting: at most 10),
            an ``httpx.Timeout`` (or a mapping) for each phase of its own, a pair of seconds to
            connect and to be silent, or None for no limit.
        max_retries: further requests after a failed one, 0 for none.
        stream_idle_timeout: seconds that a stream may take without content; keep-alives do
            not count. None for no limit.
        verify: how the service proves who it is: by the public CAs that come with httpx, or
            those of SSL_CERT_FILE or SSL_CERT_DIR (True), by those of a file or folder (its
            path, for a private CA), or as an ``ssl.SSLContext`` says; False asks for no proof.
            Your own httpx clients bring theirs.
        http_client, http_async_client: your own httpx clients (proxies, client certificates);
            they are never closed here.
        default_headers: sent with every request.
        extra_body: merged into every JSON body, for parameters that are not modelled yet.
        on_incomplete: what to do when a stream ends before its end mark: "raise", "warn"
            (`IncompleteAnswerWarning`) or "ignore".
        retry_not_ready: also try again, within ``max_retries``, where a model exists but is not
            serving yet (`ModelNotReadyError`).
        retry_unanswered: also repeat a request that was sent but never answered. The service
            may have run, and billed, it already.
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        defer_build=True,  # the classes of the frameworks stand on it, and are made instead of it
    )

    api_key: Annotated[ApiKey | None, BeforeValidator(_hidden)] = Field(
        default=None, exclude=True, repr=False
    )
    base_url: str | None = None
    timeout: Annotated[_Timeout, BeforeValidator(_phases)] = 600.0
    max_retries: Annotated[int, BeforeValidator(_or_default)] = Field(default=_RETRIES, ge=0, le=20)
    stream_idle_timeout: float | None = Field(default=60.0, gt=0)
    verify: _Verify = None
    http_client: Any = Field(default=None, exclude=True, repr=False)
    http_async_client: Any = Field(default=None, exclude=True, repr=False)
    default_headers: Annotated[Mapping[str, str] | None, AfterValidator(_hidden_headers)] = Field(
        default=None, exclude=True, repr=False
    )
    extra_body: Mapping[str, Any] | None = None
    on_incomplete: OnIncomplete = "raise"
    retry_unanswered: bool = False
    retry_not_ready: bool = False

    def __getstate__(self) -> dict[Any, Any]:
        """Leave out what may be secret or cannot travel."""
        return dict(super(Connection, self._sent()).__getstate__())

    def _sent(self) -> Self:
        """Return what goes to another process, as a copy: frameworks change what they pickle."""
        sent = self.__copy__()
        fields = vars(sent)
        fields.update(dict.fromkeys(_STAYING))
        fields["api_key"] = source_of_keys(self.api_key)
        fields["verify"] = without_context(self.verify)
        left = [n for n in TRANSIENT if fields[n] is None and getattr(self, n) is not None]
        if isinstance(self.api_key, SecretStr):  # which everybody expects
            left = [n for n in left if n != "api_key"]
        if left:
            tell(type(self).__name__, tuple(left))
        return sent

    def settings(self, backend: Backend) -> Settings:
        """Return the checked settings for a service.

        Raises:
            MissingKeyError: there is no key.
            ConfigurationError: the base URL cannot be used.
        """
        key = cast("Key | None", self.api_key)  # a plain string was hidden on its way in
        if key is None and (found := environment(backend.key_env)):
            key = SecretStr(found)
        if key is None and backend.key_required:
            names = " or ".join(backend.key_env)
            raise MissingKeyError(
                f"No key for {backend.title}: pass api_key=... or set {names} ({backend.docs})."
                f"{self._hint}",
                service=backend.name,
            )
        if isinstance(key, SecretStr):
            _sound_key(key.get_secret_value())
        self._check_clients()
        url = base_url(backend, self._given_url)
        if key is not None:
            refuse_clear_text(url)
        if isinstance(key, SecretStr):
            _refuse_foreign(key.get_secret_value(), backend, url)
        headers = HiddenHeaders(self.default_headers or {})
        for name, value in headers.items():
            _refuse_header(name, value)
        return Settings(
            backend=backend,
            base_url=url,
            key=key,
            timeout=self.timeout,
            policy=Policy(
                max_retries=self.max_retries,
                idle_timeout=self.stream_idle_timeout,
                retry_unanswered=self.retry_unanswered,
                retry_not_ready=self.retry_not_ready,
                on_incomplete=self.on_incomplete,
            ),
            headers=headers,
            extra_body=dict(self.extra_body or {}),
            http_client=self.http_client,
            http_async_client=self.http_async_client,
            verify=_proof(backend, self.verify),
        )

    def _check_clients(self) -> None:
        """Refuse clients of one's own that could not be used.

        Raises:
            ConfigurationError: one is of the other kind, or none, or given with ``verify``.
        """
        for name, own, other, kind in (
            ("http_client", "close", "aclose", "Client"),
            ("http_async_client", "aclose", "close", "AsyncClient"),
        ):
            client = getattr(self, name)
            if hasattr(client, other) and not hasattr(client, own):
                raise ConfigurationError(
                    f"{name} is of the other kind: {type(client).__name__}. The sync calls take an "
                    "httpx.Client as http_client, the async ones an httpx.AsyncClient as "
                    "http_async_client"
                )
            if client is not None and not (hasattr(client, own) and hasattr(client, "send")):
                raise ConfigurationError(
                    f"{name} is no HTTP client but of the class {type(client).__name__}: pass an "
                    f"httpx.{kind}, or leave it out"
                )
            if client is not None and self.verify is not None:
                raise ConfigurationError(
                    f"verify is for the clients that are made here: give it to your {name}"
                )

    @property
    def _hint(self) -> str:
        """What else is to be said where there is no key."""
        return ""

    @property
    def _given_url(self) -> str | None:
        """Where the service is, where that was said."""
        return self.base_url


def environment(names: tuple[str, ...]) -> str | None:
    """Return the first of the environment variables that is set and not empty."""
    return next((value for name in names if (value := os.environ.get(name))), None)


def _origin(key: Key | None, backend: Backend) -> str:
    """Say where a key came from, for the error that the service does not take it."""
    if key is None:
        return "without a key"
    if not isinstance(key, SecretStr):
        return "with the key that the callable api_key returned"
    value = key.get_secret_value()
    found = next((name for name in backend.key_env if os.environ.get(name) == value), None)
    whose = next((m for m in _OWNERS if value.startswith(m) and m != backend.key_begins), None)
    told = f"with the key of {found}" if found else "with the key that was passed"
    return f"{told} (one of {_OWNERS[whose].title}, as it begins with {whose!r})" if whose else told


class _Owner(NamedTuple):
    """Whose keys begin so: the service, its name for people, the variable they belong into.

    And whether no other word begins so: else only keys of the same service are told apart by it.
    """

    service: str
    title: str
    variable: str
    is_certain: bool = False


_OWNERS = {
    "pplx-": _Owner("perplexity", "Perplexity", "PERPLEXITY_API_KEY", is_certain=True),
    "app-": _Owner("dify", "a Dify app", "DIFY_API_KEY"),
    "dataset-": _Owner("dify", "Dify's knowledge bases", "DIFY_DATASET_API_KEY"),
}


def _refuse_foreign(key: str, backend: Backend, url: str) -> None:
    """Refuse a key that another service gave out, before that one can read it.

    A gateway may take the keys of whom it stands before.

    Raises:
        ConfigurationError: it is such a key.
    """
    host = urlsplit(url).hostname or ""
    at_home = host == urlsplit(backend.base_url or "").hostname or is_loopback(host)
    for mark, owner in _OWNERS.items():
        known = owner.service == backend.name or (owner.is_certain and at_home)
        if known and key.startswith(mark) and mark != backend.key_begins:
            begins = backend.key_begins
            wanted = f"one that begins with {begins!r}" if begins else "its own"
            raise ConfigurationError(
                f"api_key begins with {mark!r}, so it is a key of {owner.title} (set "
                f"{owner.variable} to it) and was not sent to {backend.title}, which takes "
                f"{wanted} ({backend.docs}): pass api_key=... or set "
                f"{' or '.join(backend.key_env)}.",
                service=backend.name,
                anchor="a-key-of-another-service",
            )


_SWITCHES = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}


def _proof(backend: Backend, given: bool | str | ssl.SSLContext | None) -> bool | ssl.SSLContext:
    """Return whether, or by what, a service has to prove who it is.

    Raises:
        ConfigurationError: there are no certificates where they should be.
    """
    if given is None:
        found = environment(backend.verify_env) or "true"
        given = _SWITCHES.get(found.lower(), found)
    if not isinstance(given, str):
        return given
    try:
        return _trusting(given, os.stat(given).st_mtime_ns)
    except (OSError, ValueError) as error:  # of ssl's, too
        why = error.strerror if isinstance(error, OSError) and error.strerror else "is no path"
        why = "it holds no certificates in PEM form" if isinstance(error, ssl.SSLError) else why
        raise ConfigurationError(
            f"verify={given!r} cannot be used ({why}): pass the path of the CA's certificate, "
            "in PEM form, or of a folder of such (see `openssl rehash`)",
            service=backend.name,
        ) from None


@lru_cache(maxsize=16)
def _trusting(path: str, _changed: int) -> ssl.SSLContext:
    """Return the context that trusts a file, or a folder, of certificates, and no others."""
    folder = os.path.isdir(path)
    return ssl.create_default_context(
        cafile=None if folder else path, capath=path if folder else None
    )


_UNREADABLE = "base_url has an unreadable host or port"
_NAME = re.compile(r"[\w-]+(\.[\w-]+)*\.?")


def base_url(backend: Backend, given: str | None) -> str:
    """Return the service's base URL, normalised.

    Raises:
        ConfigurationError: it is missing, no http(s) URL, or holds what a base URL may not.
    """
    url = given or environment(backend.url_env) or backend.base_url
    if not url:
        raise ConfigurationError(
            f"{backend.title} has no common address: pass base_url=... "
            f"or set {' or '.join(backend.url_env)}.",
            service=backend.name,
        )
    return _sound_url(url, backend.normalise_url)


@lru_cache(maxsize=64)  # asked for by every call: the address is part of what keys caches
def _sound_url(url: str, normalise: Callable[[str], str]) -> str:
    if " " in url or "\\" in url or not url.isprintable():
        raise ConfigurationError("base_url holds white space, control characters or a backslash")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # its text may hold the URL
        raise ConfigurationError(_UNREADABLE) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            "base_url must begin with https:// (or http:// for loopback), such as "
            "https://api.example.com/v1"
        )
    if "@" in parts.netloc or "?" in url or "#" in url:
        raise ConfigurationError(
            "base_url must not hold user info, a query or a fragment; "
            "keys go into api_key, further headers into default_headers"
        )
    if not _is_host(parts.hostname, bracketed="[" in parts.netloc):
        raise ConfigurationError(_UNREADABLE)
    url = _CALL.sub("", url.rstrip("/")).rstrip("/")
    return _DOUBLED.sub(r"\1", normalise(url))


# A base URL is often pasted with the call's path at its end, or with its version twice. What is
# less certain is left alone: a gateway may have its place at /completions.
_CALL = re.compile(r"(/chat/completions|(?<=/v[0-9])/completions)$")
_DOUBLED = re.compile(r"(/v[0-9]+)\1+$")


def _is_host(host: str, *, bracketed: bool) -> bool:
    """Tell whether every reader of a URL sees the same host, and can ask for its address."""
    try:
        if bracketed:
            return ipaddress.IPv6Address(host).scope_id is None
        host.encode("idna")  # as the resolver does: empty or long parts are refused
    except ValueError:
        return False
    return _NAME.fullmatch(host) is not None


def refuse_clear_text(url: str) -> None:
    """Refuse an address at which a secret would cross the network for all to read.

    Raises:
        ConfigurationError: it is http, and not on this machine.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"the key would cross the network in clear text to {host}: use https in base_url"
        )


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _refuse_header(name: str, value: str) -> None:
    """Refuse what could not stand in a header, without showing it."""
    if _TOKEN.fullmatch(name) is None:
        raise ConfigurationError("default_headers: a name is empty or holds what names may not")
    if not value.isascii() or not value.isprintable() or value != value.strip():
        raise ConfigurationError(
            f"default_headers: {name!r} holds control or non-ASCII characters, or outer blanks"
        )


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2


def _sound_key(value: Any) -> str:
    """Return the key; refuse what could not stand in a header, without showing it."""
    value = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(value, str) or not value.strip():
        raise MissingKeyError(
            "api_key is empty or no string: pass the key, or leave api_key out so that it is read "
            "from the environment"
        )
    if value.strip().lower().startswith("bearer "):
        raise ConfigurationError("api_key begins with 'Bearer ': leave 'Bearer ' out")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigurationError(
            "api_key holds white space, control or non-ASCII characters; was it pasted with more?"
        )
    return value
