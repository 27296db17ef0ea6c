"""The tables of parameters in the pages are those of the models, and leave none out."""

import inspect
from collections import Counter

import pytest
from pydantic import BaseModel

from qaip_core.backend import Params

from .parameters import PACKAGES, PAGES, described, listed, parameters, with_tables

WITH_TABLES = {
    path.stem: path.read_text("utf-8")
    for path in sorted(PAGES.glob("*.md"))
    if "<!-- parameters: " in path.read_text("utf-8")
}
SERVICES = ("qaip", "perplexity", "perplexity-agent", "dify", "pais", "fireworks")
CLASSES = {
    cls
    for package in PACKAGES
    for name in package.__all__
    if inspect.isclass(cls := getattr(package, name)) and issubclass(cls, Params)
}


@pytest.mark.parametrize("page", WITH_TABLES)
def test_the_tables_of_a_page_are_current(page: str) -> None:
    text = WITH_TABLES[page]
    assert with_tables(text) == text, "PYTHONPATH=tests python -m docs.parameters renews them"


@pytest.mark.parametrize("page", SERVICES)
def test_the_page_of_a_service_says_what_surprises_and_what_nobody_has_verified(page: str) -> None:
    text = WITH_TABLES[page]
    assert "\n## Quirks\n" in text
    assert "\n## Unverified\n" in text
    assert "<!-- prints -->" in text


def test_every_class_of_a_service_has_one_table() -> None:
    tables = Counter(cls for text in WITH_TABLES.values() for _, cls in listed(text))
    assert {cls: tables[cls] for cls in CLASSES} == dict.fromkeys(CLASSES, 1)


@pytest.mark.parametrize("cls", sorted(CLASSES, key=str), ids=lambda cls: cls.__name__)
def test_every_parameter_is_described(cls: type[BaseModel]) -> None:
    models = [
        base
        for base in cls.__mro__
        if base.__module__.startswith("qaip_core.backends") and issubclass(base, Params)
    ]
    names = {name for model in models for name in model.model_fields}
    assert names - described(cls).keys() == set()


def test_a_row_says_type_range_and_default() -> None:
    rows = {row.name: row for row in parameters("qaip_core.connection.Connection")}
    assert rows["max_retries"].takes == "integer, 0 to 20; default 2"
    rows = {row.name: row for row in parameters("ChatFireworks, FireworksLLM, Fireworks")}
    assert rows["logit_bias"].takes == "dict of number, -100 to 100"
    assert rows["images"].of == ["`FireworksLLM`"]
    assert rows["request_metadata"].does == "string pairs, ``metadata`` on the wire."
