"""Vendors' own clients take the sandbox for the real thing."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from .defects import VENDOR_DEFECTS
from .judges._judge import SOURCE, Call
from .oracles import ORACLES, Outcomes

pytestmark = pytest.mark.skipif(
    "ORACLES" not in os.environ, reason="make test-oracles installs the vendors' clients"
)
CASES = [
    pytest.param(oracle.name, call, id=f"{oracle.name}-{call.id}")
    for oracle in ORACLES.values()
    for call in oracle.calls
]


def shortcomings(call: Call, outcome: dict[str, Any]) -> list[str]:
    """Return what is wrong with the outcome of a call."""
    errors, message = outcome["errors"], outcome.get("message", "")
    if call.raises in errors and call.says in message:
        return []
    if errors:
        return [f"{errors[0]}: {message}"]
    if call.raises:
        return [f"no error, but the text {outcome['text']!r}"]
    return [
        words
        for wrong, words in (
            (call.says not in outcome["text"], f"the text is {outcome['text']!r}"),
            (call.streamed and len(outcome["pieces"]) < 2, "the stream has one piece"),
            (call.cites and not _cited(outcome["sources"]), f"the sources: {outcome['sources']}"),
            (call.counts and not outcome["tokens"], "there is no usage"),
        )
        if wrong
    ]


def _cited(sources: list[str]) -> bool:
    return any(SOURCE in source for source in sources)


@pytest.mark.parametrize(("oracle", "call"), CASES)
def test_a_vendors_call_succeeds_or_shows_the_vendors_own_defect(
    oracle: str, call: Call, outcomes: Outcomes, record_property: Callable[[str, object], None]
) -> None:
    defect = next((d for d in VENDOR_DEFECTS if d.spoils(oracle, call.id)), None)
    record_property("oracle", oracle)
    record_property("verdict", "vendor's defect" if defect else "passed")
    found = shortcomings(call, outcomes(oracle)[call.id])
    if defect:
        assert any(defect.shows_as in words for words in found), f"{defect.words}: {found}"
    else:
        assert not found


@pytest.mark.parametrize("defect", VENDOR_DEFECTS, ids=lambda d: f"{d.oracle}-{d.calls}")
def test_a_defect_in_the_table_is_one_of_a_call_that_is_made(defect: Any) -> None:
    assert any(defect.spoils(o.name, call.id) for o in ORACLES.values() for call in o.calls)


@pytest.mark.parametrize("name", ORACLES)
def test_the_calls_of_a_client_have_names_of_their_own(name: str) -> None:
    ids = [call.id for call in ORACLES[name].calls]
    assert len(ids) == len(set(ids))
