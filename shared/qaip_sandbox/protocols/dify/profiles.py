"""What changed on Dify's wire from release to release, as one table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from qaip_sandbox._wire import Json, compact, spaced

from .switches import DifySwitches

__all__ = ["Profile", "profile_of"]


@dataclass(frozen=True, slots=True)
class Profile:
    """One release. The defaults are those of 1.9.

    Args:
        version: What every response tells.
        encode: How the events of a stream are written.
        nothing: What their fields hold that have no value.
        drops_nulls: Whether a stream's metadata leaves out what is null.
        reasons: Whether metadata has a place for reasoning, and usage for two more times.
        media_type: That of blocking answers.
        typed: Whether a model checks the bodies, in whose words errors are told.
        lists_files: Whether sources and records list files.
        labels_files: Whether text beside a file is labelled a file.
        rate_limits: Whether a model's rate limit keeps its status in a stream.
        restful: Whether the parser of arguments, and the errors, are those of 0.15.
        bare: Whether metadata has nothing that is null or empty.
        zeroes: Whether a run that was cut short reports no tokens.
        closes_twice: Whether moderation repeats itself.
        describes: Whether the app tells its kind and its author.
        filters: Whether metadata conditions count.
        links: Whether segments and files tell of links.
        signs_uploads: Whether an uploaded file has an address.
        welcomes: Whether the base URL greets.
        proxied: Whether Dify Cloud's proxy stands before it.
    """

    version: str
    encode: Callable[[Json], bytes] = compact
    nothing: Json = None
    drops_nulls: bool = False
    reasons: bool = False
    media_type: str = "application/json"
    typed: bool = False
    lists_files: bool = False
    labels_files: bool = False
    rate_limits: bool = False
    restful: bool = False
    bare: bool = False
    zeroes: bool = True
    closes_twice: bool = False
    describes: bool = True
    filters: bool = True
    links: bool = True
    signs_uploads: bool = True
    welcomes: bool = False
    proxied: bool = False


_NEW = Profile(
    version="1.16.0", nothing=[], drops_nulls=True, reasons=True, typed=True, lists_files=True,
    media_type="application/json; charset=utf-8", labels_files=True, rate_limits=True,
)  # fmt: skip

_PROFILES: Mapping[str, Profile] = {
    "0.15": Profile(
        version="0.15.3", encode=spaced, restful=True, bare=True, zeroes=False, closes_twice=True,
        describes=False, filters=False, links=False, signs_uploads=False, welcomes=True,
    ),
    "1.8": Profile(version="1.8.0", encode=spaced, signs_uploads=False),
    "1.9": Profile(version="1.9.0"),
    "1.16": _NEW,
    "cloud": replace(_NEW, proxied=True),
}  # fmt: skip


def profile_of(switches: DifySwitches) -> Profile:
    """Return the release that the switches name."""
    return _PROFILES[switches.profile]
