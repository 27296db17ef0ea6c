"""What an answer cost, and the metadata that it closes with."""

from dataclasses import dataclass
from decimal import Decimal

from qaip_sandbox._wire import Json

from .profiles import profile_of
from .switches import DifySwitches

__all__ = ["Spent", "metadata_of"]

_UNIT = Decimal("0.001")
_PROMPT = Decimal("0.0005")
_COMPLETION = Decimal("0.0015")


@dataclass(frozen=True, slots=True)
class Spent:
    """The tokens of a run and its seconds; `priced` is off where no model was asked."""

    prompt: int
    completion: int
    seconds: float
    priced: bool = True


def metadata_of(
    switches: DifySwitches, resources: list[Json], spent: Spent, *, streamed: bool
) -> Json:
    """Return the metadata of an answer as the release writes it."""
    profile = profile_of(switches)
    usage = _usage(switches, spent, streamed=streamed)
    if profile.bare:
        cited: Json = {"retriever_resources": resources} if resources else {}
        return cited | usage
    more: Json = {"reasoning": {}} if profile.reasons else {}
    whole = {"annotation_reply": None, "retriever_resources": resources, **usage, **more}
    return _without_nulls(whole) if streamed and profile.drops_nulls else whole


def _usage(switches: DifySwitches, spent: Spent, *, streamed: bool) -> dict[str, Json]:
    if switches.usage == "absent":
        return {}
    if switches.usage == "null":
        return {"usage": None}
    if switches.usage == "zero":
        spent = Spent(0, 0, spent.seconds, spent.priced)
    times: Json = {"time_to_first_token": None, "time_to_generate": None}
    more = times if profile_of(switches).reasons else {}
    return {"usage": (_priced if spent.priced else _free)(spent, streamed) | more}


def _priced(spent: Spent, streamed: bool) -> dict[str, Json]:
    # A stream tells a price of nothing as "0E-7", as the service's decimals print themselves.
    form = str if streamed else "{:f}".format
    prompt, completion = spent.prompt * _PROMPT * _UNIT, spent.completion * _COMPLETION * _UNIT
    return {
        "prompt_tokens": spent.prompt,
        "prompt_unit_price": str(_PROMPT),
        "prompt_price_unit": str(_UNIT),
        "prompt_price": form(prompt),
        "completion_tokens": spent.completion,
        "completion_unit_price": str(_COMPLETION),
        "completion_price_unit": str(_UNIT),
        "completion_price": form(completion),
        "total_tokens": spent.prompt + spent.completion,
        "total_price": form(prompt + completion),
        "currency": "USD",
        "latency": spent.seconds,
    }


def _free(spent: Spent, streamed: bool) -> dict[str, Json]:
    counted = _priced(spent, streamed)
    prices = {name: "0.0" for name in counted if "price" in name}
    return counted | prices


def _without_nulls(value: Json) -> Json:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value
