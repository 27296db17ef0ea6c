"""JSON values out of a schema, a prompt and an answer: those that are right, and those refused."""

import datetime as dt
import decimal
import time
import uuid
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AnyUrl, BaseModel, Field, TypeAdapter

from qaip_sandbox.clues import Clues
from qaip_sandbox.schemas import Impossible, conforms
from qaip_sandbox.values import instance

INTEGER, STRING = {"type": "integer"}, {"type": "string"}
NULLABLE = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
ANSWER = "A refund takes 5 working days. Gift vouchers are refunded as vouchers."


def made(schema: Any, prompt: str = "", answer: str = "") -> Any:
    return instance(schema, Clues(prompt, answer))


def filled(prompt: str = "", answer: str = "", /, **properties: Any) -> Any:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return made(schema, prompt, answer)


@pytest.mark.parametrize(
    ("prompt", "values"),
    [
        ("What is 3 + 4", [3, 4]),
        ("add(1,2)", [1, 2]),
        ("From 3-4", [3, 4]),
        ("Take -5 from (-6)", [-5, -6]),
        ("1,500 yen for 12", [1500, 12]),
        ("sonar2 draws 9W and 7", [9, 7]),
        ("version 1.2.3 has 4 and 5", [4, 5]),
        ("購入日から2年間と3日", [2, 3]),
        ("7", [7, 0]),
        ("none", [0, 0]),
    ],
)
def test_integers_are_the_numbers_of_the_prompt(prompt: str, values: list[int]) -> None:
    assert list(filled(prompt, a=INTEGER, b=INTEGER).values()) == values


def test_a_number_out_of_bounds_is_left_out() -> None:
    schema = {"type": "integer", "exclusiveMinimum": -1000, "exclusiveMaximum": 1000}
    assert filled("the magic of 2000 and 3", input=schema) == {"input": 3}


def test_a_number_goes_where_its_neighbour_is_named() -> None:
    prompt = "How many days is it since 2024?"
    assert filled(prompt, ANSWER, working_days=INTEGER, year=INTEGER) == {
        "working_days": 5,
        "year": 2024,
    }


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "integer", "minimum": 8, "multipleOf": 7}, 14),
        ({"type": "integer", "maximum": -8}, -8),
        ({"type": "integer", "default": 7}, 7),
        ({"type": ["integer", "null"]}, None),
        ({"type": "string", "default": "plain"}, "plain"),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"const": "x"}, "x"),
        ({"enum": ["red", "blue"]}, "red"),
        ({"enum": ["red", None]}, None),
        ({"type": "array", "items": STRING, "maxItems": 0}, []),
        ({"type": "object"}, {}),
        ({"type": "object", "additionalProperties": INTEGER, "minProperties": 1}, {"key1": 0}),
        (True, "text"),
    ],
)
def test_without_a_clue_there_is_still_a_value(schema: Any, value: Any) -> None:
    assert made(schema) == value


@pytest.mark.parametrize("quotes", ["''", '""', "``", "「」", "『』", "“”", "‘’", "«»"])
def test_a_quoted_string_is_a_value(quotes: str) -> None:
    name = f"{quotes[0]}你好啊集团{quotes[1]}"
    prompt = f"Create a customer named {name} (Hello Group) - a Chinese company"
    found = filled(prompt, description=STRING, customer_name=STRING)
    assert found["customer_name"] == "你好啊集团"
    assert found["description"] == prompt


def test_an_apostrophe_quotes_nothing() -> None:
    assert filled("What's the dog's name?", text=STRING) == {"text": "What's the dog's name?"}


@pytest.mark.parametrize(
    ("prompt", "place"),
    [
        ("What is the weather in San Francisco, CA?", "San Francisco, CA"),
        ("Meet me at Zürich.", "Zürich"),
        ("Hello!", "Hello!"),
    ],
)
def test_a_place_follows_a_preposition(prompt: str, place: str) -> None:
    assert filled(prompt, location=STRING) == {"location": place}


def test_a_style_is_a_word_with_a_capital_letter() -> None:
    prompt = "Using the tool, generate a Pirate greeting."
    assert filled(prompt, answer_style=STRING) == {"answer_style": "Pirate"}


def test_a_query_is_the_whole_prompt() -> None:
    assert filled("Which lamp? The small one.", query=STRING)["query"].endswith("one.")


def test_other_strings_are_sentences_of_the_answer() -> None:
    found = filled("What?", ANSWER, answer=STRING, source=STRING, more=STRING)
    assert found == {
        "answer": ANSWER,
        "source": "A refund takes 5 working days.",
        "more": "Gift vouchers are refunded as vouchers.",
    }


def test_what_may_be_null_is_null_when_nothing_is_left() -> None:
    found = filled("Tell me a joke about cats.", setup=STRING, punchline=NULLABLE)
    assert found == {"setup": "Tell me a joke about cats.", "punchline": None}


@pytest.mark.parametrize(
    ("prompt", "option"),
    [
        ("a blue sky", "blue"),
        ("the bluest, RED sky", "red"),
        ("dark green or blue?", "dark_green"),
        ("what colour?", "blue"),
        ("red or blue?", "blue"),
    ],
)
def test_an_option_is_one_that_is_mentioned(prompt: str, option: str) -> None:
    schema = {"enum": ["red", "blue", "green", "dark_green"]}
    answer = "It is blue." if "?" in prompt and "dark" not in prompt else ""
    assert made(schema, prompt, answer) == option


@pytest.mark.parametrize(
    ("prompt", "value"), [("with urgency", True), ("not urgent", False), ("hello", True)]
)
def test_a_flag_is_false_when_the_prompt_says_no(prompt: str, value: bool) -> None:
    assert filled(prompt, is_urgent={"type": "boolean"}) == {"is_urgent": value}


def test_items_are_all_that_is_left() -> None:
    strings = {"type": "array", "items": STRING}
    numbers = {"type": "array", "items": {"type": "number"}}
    assert filled("'a', 'b' and 1, 2.5", words=strings, numbers=numbers) == {
        "words": ["a", "b"],
        "numbers": [1, 2.5],
    }


def test_a_string_is_cut_and_filled_up_to_its_length() -> None:
    short = {"type": "string", "maxLength": 4}
    long = {"type": "string", "minLength": 12}
    assert filled("A dog", a=short, b=long) == {"a": "A do", "b": "A dog......."}


def test_a_pattern_chooses_among_the_words() -> None:
    assert made({"type": "string", "pattern": "^[A-Z]{3}$"}, "Pay 5 in EUR now") == "EUR"


def test_a_part_of_all_is_of_all() -> None:
    one = {"properties": {"a": {"minimum": 5, "type": "integer"}}, "required": ["a"]}
    other = {"properties": {"a": {"maximum": 5}, "b": STRING}, "required": ["b"]}
    assert made({"allOf": [one, other]}, "3 or 9") == {"a": 5, "b": "3 or 9"}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"allOf": [{"type": "number"}, {"type": "integer", "minimum": 2}]}, 2),
        ({"allOf": [{"type": ["string", "number"]}, {"type": ["number", "null"]}]}, 0),
        (
            {"allOf": [{"anyOf": [STRING, INTEGER]}, {"anyOf": [INTEGER, {"type": "boolean"}]}]},
            0,
        ),
        ({"allOf": [{"enum": [1, 2]}, {"enum": [2, 3]}]}, 2),
        ({"type": "integer", "default": "x", "minimum": 4}, 4),
        ({"type": "object", "properties": {"a": {}, "b": {}}, "maxProperties": 1}, {"a": "a"}),
        (
            {"type": "array", "items": {"enum": [1, 2]}, "minItems": 2, "uniqueItems": True},
            [1, 2],
        ),
        ({"prefixItems": [{"const": 1}, {"const": 2}], "items": False}, [1, 2]),
        ({"required": ["a"], "patternProperties": {"a": INTEGER}}, {"a": 0}),
    ],
)
def test_keywords_add_up(schema: Any, value: Any) -> None:
    assert made(schema) == value


def test_one_of_is_no_more_than_one() -> None:
    schema = {"oneOf": [{"type": "number"}, {"type": "integer"}, {"type": "string"}]}
    assert made(schema, "take 3") == "take 3"
    assert made(schema, "take 3.5") == 3.5


def test_the_default_of_a_value_yields_to_what_the_prompt_names() -> None:
    schema = {"type": "integer", "default": 4}
    assert filled("show 9 results", results=schema, offset=schema) == {"results": 9, "offset": 4}


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Address(BaseModel):
    street: str
    zip: int | None = None


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=1, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str = Field(min_length=30, max_length=40)


class Node(BaseModel):
    value: int
    children: list["Node"]
    next: "Node | None" = None


class Sum(BaseModel):
    left: "Sum | int"
    right: "Sum | int"


@pytest.mark.parametrize(
    "kind",
    [
        Color,
        Address,
        Node,
        Sum,
        Annotated[Cat | Dog, Field(discriminator="kind")],
        Annotated[list[Address], Field(min_length=2)],
        Annotated[set[Color], Field(min_length=2)],
        Annotated[set[str], Field(min_length=3)],
        Annotated[set[int], Field(min_length=3)],
        Annotated[dict[str, Address], Field(min_length=2)],
        Annotated[float, Field(gt=0, lt=0.001)],
        tuple[int, str, Color],
        dt.date,
        dt.datetime,
        dt.time,
        dt.timedelta,
        decimal.Decimal,
        uuid.UUID,
        AnyUrl,
        bool,
        Literal[3, 4],
        int | str,
        Address | None,
    ],
    ids=str,
)
def test_pydantic_takes_the_values_of_its_schemas(kind: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    for prompt in ("a blue dog of 2 at 10:00", ""):
        adapter.validate_python(made(adapter.json_schema(), prompt, ANSWER))


def test_the_branch_is_the_one_that_the_prompt_names() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[Cat | Dog, Field(discriminator="kind")])
    assert made(adapter.json_schema(), "my dog")["kind"] == "dog"


def test_a_date_of_the_prompt_is_a_date() -> None:
    assert made({"type": "string", "format": "date"}, "due 2024-02-03") == "2024-02-03"


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"$ref": "#/$defs/none"}, "#/$defs/none is not in it"),
        ({"$ref": "https://example.org/schema"}, "is not in it"),
        ({"$ref": "#"}, "too deep"),
        ({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "too deep"),
        ({"type": "text"}, "'text' is no type"),
        ({"type": "string", "pattern": "^\\d{40}$"}, "finds no value"),
        ({"type": "string", "pattern": "("}, "not a valid JSON Schema"),
        ({"minimum": "x"}, "not a valid JSON Schema"),
        ({"allOf": 3}, "not a valid JSON Schema"),
        ({"properties": {"a": 5}}, "nothing conforms"),
        ({"enum": []}, "no option"),
        ({"anyOf": []}, "finds no value"),
        ({"not": {}}, "finds no value"),
        ({"type": "array", "minItems": 10**9, "items": STRING}, "too large"),
        ({"enum": [1, 2], "type": "array", "items": {"enum": [1]}, "minItems": 2}, "no option"),
        (
            {"type": "array", "uniqueItems": True, "minItems": 2, "items": {"enum": [1]}},
            "unlike items",
        ),
        (False, "nothing conforms"),
    ],
)
def test_a_schema_without_a_value_is_refused(schema: Any, message: str) -> None:
    with pytest.raises(Impossible, match=message.replace("$", "\\$")):
        made(schema, "hi")


def test_a_schema_that_explodes_is_refused() -> None:
    definitions = {
        f"d{n}": {
            "type": "object",
            "properties": {key: {"$ref": f"#/$defs/d{n + 1}"} for key in "ab"},
            "required": ["a", "b"],
        }
        for n in range(40)
    }
    definitions["d40"] = {"type": "object"}
    with pytest.raises(Impossible, match="too large"):
        made({"$ref": "#/$defs/d0", "$defs": definitions})


_LEAVES = st.one_of(
    st.builds(
        lambda kind, low, size: {"type": kind, "minimum": low, "maximum": low + size},
        st.sampled_from(["integer", "number"]),
        st.integers(-50, 50),
        st.integers(0, 9),
    ),
    st.builds(
        lambda low, size: {"type": "string", "minLength": low, "maxLength": low + size},
        st.integers(0, 20),
        st.integers(0, 9),
    ),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"enum": ["a", 1, None]}, {}]),
)
_SCHEMAS = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.builds(
            lambda items, low, size: {
                "type": "array",
                "items": items,
                "minItems": low,
                "maxItems": low + size,
            },
            inner,
            st.integers(0, 3),
            st.integers(0, 3),
        ),
        st.builds(
            lambda parts, needed: {
                "type": "object",
                "properties": parts,
                "required": sorted(set(parts) & needed),
                "additionalProperties": False,
            },
            st.dictionaries(st.sampled_from("abcd"), inner),
            st.sets(st.sampled_from("abcd")),
        ),
        st.builds(lambda one, other: {"anyOf": [one, other]}, inner, inner),
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(_SCHEMAS, st.text(max_size=30))
def test_every_value_conforms(schema: Any, prompt: str) -> None:
    assert conforms(made(schema, prompt, ANSWER), schema, schema)


@pytest.mark.parametrize(
    ("value", "schema", "right"),
    [
        (True, {"type": "integer"}, False),
        (True, {"const": 1}, False),
        (1.0, {"type": "integer"}, True),
        ("a", {"minimum": 3}, True),
        ([1, 1], {"uniqueItems": True}, False),
        ([1, "a"], {"prefixItems": [INTEGER], "items": INTEGER}, False),
        ({"a": 1}, {"additionalProperties": False}, False),
        ({"a": 1}, {"additionalProperties": False, "patternProperties": {"^a": {}}}, True),
        ({"a": 1}, {"patternProperties": {"^a": STRING}}, False),
        ({"a": "x"}, {"properties": {"a": INTEGER}}, False),
        ({}, {"required": ["a"]}, False),
        (3, {"not": INTEGER}, False),
        (3, {"$ref": "#/$defs/n", "$defs": {"n": STRING}}, False),
        (3, True, True),
        (3, False, False),
    ],
)
def test_values_are_checked(value: Any, schema: Any, right: bool) -> None:
    assert conforms(value, schema, schema) is right


def test_a_pattern_that_takes_for_ever_is_given_up() -> None:
    schema = {"type": "string", "pattern": "^(a|aa)+$"}
    begin = time.process_time()
    with pytest.raises(Impossible):
        instance(schema, Clues(f'Use "{"a" * 40}!" and nothing else.'))
    assert time.process_time() - begin < 2
