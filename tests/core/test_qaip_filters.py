"""Conditions on metadata: how they are written, joined, checked and sent."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from qaip_core.backends.qaip import COMPLETIONS
from qaip_core.backends.qaip.filters import Filter, as_group, where
from qaip_core.backends.qaip.search import SEARCH
from qaip_core.errors import InvalidParameterError

YEAR = where("year", int)
LANGUAGE = where("language", str)
ANY_YEAR: Any = YEAR
ANY_WHERE: Any = where
NAN = float("nan")


def one(key: str, operator: str, kind: str, **values: Any) -> dict[str, Any]:
    return {"filters": [{"key": key, "operator": operator, "type": kind, **values}]}


@pytest.mark.parametrize(
    ("condition", "sent"),
    [
        (YEAR == 2024, one("year", "eq", "integer", val=2024)),
        (YEAR != 2024, one("year", "ne", "integer", val=2024)),
        (YEAR > 2024, one("year", "gt", "integer", val=2024)),
        (YEAR >= 2024, one("year", "gte", "integer", val=2024)),
        (YEAR < 2024, one("year", "lt", "integer", val=2024)),
        (YEAR <= 2024, one("year", "lte", "integer", val=2024)),
        (YEAR.between(2020, 2024), one("year", "between", "integer", min=2020, max=2024)),
        (YEAR == 0, one("year", "eq", "integer", val=0)),
        (LANGUAGE == "", one("language", "eq", "string", val="")),
        (where("grade", float) > 1, one("grade", "gt", "float", val=1)),
        (where("day", date) > date(2026, 3, 1), one("day", "gt", "date", val="2026-03-01")),
        (
            where("at", datetime) < datetime(2026, 3, 1, 12),
            one("at", "lt", "datetime", val="2026-03-01T12:00:00+00:00"),
        ),
        (
            where("at", datetime) < datetime(2026, 3, 1, tzinfo=timezone(timedelta(hours=9))),
            one("at", "lt", "datetime", val="2026-03-01T00:00:00+09:00"),
        ),
        (
            where("topics", list[str]).contains("tea"),
            one("topics", "contains", "string_list", val="tea"),
        ),
        (where("years", list[int]).contains(7), one("years", "contains", "integer_list", val=7)),
    ],
    ids=lambda value: "" if isinstance(value, Filter) else str(value["filters"][0]),
)
def test_a_comparison_is_a_condition(condition: Filter, sent: dict[str, Any]) -> None:
    assert condition.as_dict() == sent
    assert as_group(condition, lists=True) == sent


def test_neighbours_of_one_kind_are_one_group() -> None:
    joined = (YEAR > 1) & (YEAR < 9) & (LANGUAGE == "en")
    assert joined.as_dict()["logic"] == "AND"
    assert [f["operator"] for f in joined.as_dict()["filters"]] == ["gt", "lt", "eq"]
    assert "groups" not in joined.as_dict()


def test_and_within_or_is_a_group_of_its_own() -> None:
    joined = ((YEAR > 1) & (LANGUAGE == "en")) | (YEAR == 0)
    assert joined.as_dict() == {
        "logic": "OR",
        "filters": [{"key": "year", "operator": "eq", "type": "integer", "val": 0}],
        "groups": [((YEAR > 1) & (LANGUAGE == "en")).as_dict()],
    }


def test_conditions_are_joined_with_conditions_only() -> None:
    with pytest.raises(TypeError):
        (YEAR > 1) & True  # type: ignore[operator]  # what is tested


@pytest.mark.parametrize(
    "write",
    [
        lambda: (YEAR > 1) and (YEAR < 9),
        lambda: not (YEAR > 1),
        lambda: 1 < YEAR < 9,
    ],
    ids=["and", "not", "chained"],
)
def test_words_that_python_would_swallow_are_refused(write: Any) -> None:
    with pytest.raises(InvalidParameterError, match="joined with & and"):
        write()


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda: where("year", int) == "2024", "'year': val of a column of type integer: .* int"),
        (lambda: where("year", int) == True, "wanted is an int"),  # noqa: E712 -- a value
        (lambda: ANY_YEAR.between(1, None), "max of a column"),
        (lambda: where("name", str) == 7, "wanted is a str"),
        (lambda: where("grade", float) == NAN, "wanted is a finite number"),
        (lambda: where("day", date) == datetime.now(UTC), "wanted is a date"),
        (lambda: where("day", date) == "yesterday", "wanted is a date, such as 2026-01-31 "),
        (lambda: where("at", datetime) == date(2026, 1, 1), "wanted is a datetime"),
        (lambda: ANY_WHERE("at", datetime) > "noon", "wanted is a datetime, such as 2026-01-31T12"),
        (lambda: where("topics", list[str]) == "tea", "contains"),
        (lambda: where("topics", str).contains("tea"), "contains"),
        (lambda: where("", str), "name of a key"),
        (lambda: ANY_WHERE("x", bytes), "where.'x', ....: the type is str, int"),
    ],
)
def test_what_does_not_fit_is_refused_where_it_is_written(write: Any, says: str) -> None:
    with pytest.raises(InvalidParameterError, match=says):
        write()


def test_dates_may_be_text() -> None:
    day: Any = where("day", date)
    at: Any = where("at", datetime)
    assert (day == "2026-03-01").filters[0]["val"] == "2026-03-01"
    assert (at == "2026-03-01T12:00").filters[0]["val"] == "2026-03-01T12:00:00+00:00"


def test_a_column_tells_what_it_is() -> None:
    assert repr(YEAR) == "where('year', 'integer')"


# As parameters


def test_conditions_are_sent_as_the_service_takes_them() -> None:
    values = {"query": "q", "source_metadata": YEAR > 1, "reserved_metadata": LANGUAGE == "en"}
    assert SEARCH.check(values) == {
        "query": "q",
        "source_metadata": (YEAR > 1).as_dict(),
        "metadata": (LANGUAGE == "en").as_dict(),
    }


def test_the_service_s_own_json_is_taken_and_checked() -> None:
    group = {
        "logic": "OR",
        "groups": [(YEAR > 1).as_dict()],
        "filters": (YEAR < 0).as_dict()["filters"],
    }
    assert COMPLETIONS.check({"chunk_metadata": group}) == {"chunk_metadata": group}


def test_lists_are_for_declared_columns_only() -> None:
    tagged = where("topics", list[str]).contains("tea")
    assert COMPLETIONS.check({"metadata_filter": tagged}) == {"metadata_filter": tagged.as_dict()}
    with pytest.raises(InvalidParameterError, match=r"chunk_metadata: .*metadata_filter only"):
        COMPLETIONS.check({"chunk_metadata": tagged})
    with pytest.raises(InvalidParameterError, match=r"source_metadata: .*metadata_filter only"):
        COMPLETIONS.check({"source_metadata": (YEAR > 1) & ((YEAR < 9) | tagged)})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"filters": [{"key": "year", "operator": "eq", "type": "integer"}]}, "val of a column"),
        (one("year", "eq", "integer", val=1, min=1), "eq takes val, not min"),
        (one("year", "between", "integer", min=1, max=2, val=3), "takes min and max, not val"),
        (one("year", "like", "string", val="x"), r"filters\.0\.operator"),
        ({"filter": []}, "filter: Extra inputs"),
        ("year > 1", "conditions are written with where.*, not str"),
        (YEAR, r"where\('year', 'integer'\) is no condition yet"),
    ],
)
def test_json_that_the_service_would_refuse_is_refused_here(given: Any, says: str) -> None:
    with pytest.raises(InvalidParameterError, match=says) as caught:
        COMPLETIONS.check({"source_metadata": given})
    assert str(caught.value).count("docs/errors.md") == 1
