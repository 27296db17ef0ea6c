"""What an answer costs is read where its service says it."""

from typing import Any

import pytest

from qaip_core.bulk.money import money


@pytest.mark.parametrize(
    ("said", "cost"),
    [
        ({"cost": {"input_tokens_cost": 1e-05, "total_cost": 0.00502}}, 0.00502),
        ({"cost": {"total_cost": 0}}, 0.0),
        ({"cost": 0.5}, 0.5),
        ({"price": {"total_price": "0.0012890", "currency": "USD"}}, 0.001289),
        ({"price": {"total_price": "0E-7"}}, 0.0),
        ({"token_usage": {"total_tokens": 3, "cost": 0.25}}, 0.25),
        ({"usage": {"cost": {"total_cost": 2}}}, 2.0),
        ({"cost": "free", "price": {"total_price": "1"}}, 1.0),
    ],
)
def test_a_sum_is_read_in_the_words_of_its_service(said: dict[str, Any], cost: float) -> None:
    assert money(said) == cost


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"cost": None},
        {"cost": {}},
        {"cost": True},
        {"cost": -1},
        {"cost": float("nan")},
        {"cost": 10**400},
        {"cost": ["1"]},
        {"usage": "1"},
        {"price": {"total_price": "unknown"}},
    ],
)
def test_what_is_no_sum_is_none(said: dict[str, Any]) -> None:
    assert money(said) is None
