"""The generations of Perplexity's chat completions, each told by what it changed."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from qaip_sandbox._wire import Json, compact, spaced

__all__ = ["PROFILES", "Profile", "in_order"]

_ESCAPED = re.compile("[<>&\u2028\u2029]")


def in_order(value: Json) -> bytes:
    """Encode `value` with sorted keys, without spaces, and with `<`, `>` and `&` escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return _ESCAPED.sub(lambda m: f"\\u{ord(m[0]):04x}", text).encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Profile:
    """How one generation writes its answers.

    `kinds` are the `object` of the chunks of a stream and of its last one; `choice` and `result`
    the keys of a choice and of a search result, in order. `waiting` says that `finish_reason`
    stands as null before the end. `decimals` are those of the costs, None for no costs, which are
    zero in all but the last chunk (`zero_cost`) or not there. `nulls` says that what is unknown is
    null, and not left out. `ending` follows a whole answer.
    """

    encode: Callable[[Json], bytes]
    kinds: tuple[str, str]
    choice: tuple[str, ...]
    result: tuple[str, ...]
    waiting: bool
    context_size: bool = False
    decimals: int | None = None
    zero_cost: bool = False
    nulls: bool = False
    request_id: bool = False
    concise: bool = False
    thinks: bool = True
    html_401: bool = True
    ending: bytes = b""


_SEED = Profile(
    encode=spaced,
    kinds=("chat.completion", "chat.completion"),
    choice=("index", "finish_reason", "message", "delta"),
    result=(),
    waiting=True,
)
_2025_07 = replace(_SEED, result=("title", "url", "date", "last_updated"), context_size=True)
_2025_08 = replace(_2025_07, result=(*_2025_07.result, "snippet"), decimals=3)
_2025_11 = replace(
    _2025_08,
    kinds=("chat.completion.chunk", "chat.completion.done"),
    result=(*_2025_08.result, "source"),
    concise=True,
)
_2026_01 = replace(
    _2025_11,
    encode=compact,
    choice=("index", "message", "delta", "finish_reason"),
    waiting=False,
)
_2026_06 = replace(_2026_01, decimals=5, zero_cost=True, thinks=False, html_401=False)
_2026_09 = replace(
    _2026_06,
    encode=in_order,
    result=(*_2026_06.result, "place_metadata"),
    waiting=True,
    nulls=True,
    request_id=True,
    ending=b"\n",
)

PROFILES: Mapping[str, Profile] = {
    "seed": _SEED,
    "2025-07": _2025_07,
    "2025-08": _2025_08,
    "2025-11": _2025_11,
    "2026-01": _2026_01,
    "2026-06": _2026_06,
    "2026-09": _2026_09,
    "retired": _2026_09,
}
"""By the name of the switch; the retired service refuses in the way that it last had."""
