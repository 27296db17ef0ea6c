"""Tables come out as they went in, with the answers, and a row has one key in every run."""

import csv
import datetime as dt
import decimal
import gzip
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qaip_core.bulk.record import Record
from qaip_core.bulk.tables import (
    ANSWER_SCHEMA,
    Batch,
    Dataset,
    check_columns,
    check_output,
    check_questions,
    write_table,
)
from qaip_core.errors import InvalidParameterError

OUTPUTS = ("out.parquet", "out.csv", "out.jsonl", "out.ndjson")
each_output = pytest.mark.parametrize("output", OUTPUTS)
ROWS = [{"question": f"How bright is lamp {n}?", "n": n} for n in range(4500)]
CITATION = {
    "source": "https://a.example/1",
    "url": "https://a.example/1",
    "title": "Tide table",
    "page_number": 3,
    "score": 0.5,
    "rank": 1,
    "id": "c1",
    "text": "At noon\nthe tide turns.",
    "spans": [[3, 6], [9, 12]],
    "dataset_id": "d7",
}


def unknown(batch: Batch) -> list[Record | None]:
    return [None] * len(batch.keys)


def answered(batch: Batch) -> list[Record | None]:
    return [
        Record(
            key=key,
            state="answered",
            answer=f'To {key}: "yes",\r\nor no [1]',
            citations=[CITATION],
            usage={"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
            cost=0.25,
            latency=1.5,
            model="m",
            finish_reason="stop",
            requests=2,
            ended_at=1_700_000_000.123,
        )
        for key in batch.keys
    ]


def read(path: Path) -> list[dict[str, Any]]:
    match path.suffix:
        case ".parquet":
            return list(pq.read_table(path).to_pylist())
        case ".csv":
            with path.open(newline="", encoding="utf-8") as file:
                return list(csv.DictReader(file, strict=True))
        case _:
            return [json.loads(line) for line in path.read_bytes().splitlines()]


def keys(dataset: Dataset, rows: int = 256) -> list[str]:
    return [key for batch in dataset.batches(rows) for key in batch.keys]


def rows_of(dataset: Dataset, rows: int = 256) -> list[dict[str, Any]]:
    return [row for batch in dataset.batches(rows) for row in batch.rows.to_pylist()]


def as_csv(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_lines(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def as_parquet(path: Path, rows: Sequence[dict[str, Any]], group: int = 1000) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path, row_group_size=group)
    return path


def as_gzip(write: Callable[..., Path]) -> Callable[..., Path]:
    def packed(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
        plain = write(path, rows)
        target = path.with_name(path.name + ".gz")
        target.write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
        return target

    return packed


WRITERS: dict[str, tuple[str, Callable[..., Path]]] = {
    "parquet": ("q.parquet", as_parquet),
    "one large row group": ("q.parquet", lambda path, rows: as_parquet(path, rows, 10**6)),
    "csv": ("q.csv", as_csv),
    "jsonl": ("q.jsonl", as_lines),
    "ndjson": ("q.ndjson", as_lines),
    "csv.gz": ("q.csv", as_gzip(as_csv)),
    "jsonl.gz": ("q.jsonl", as_gzip(as_lines)),
}


@pytest.fixture(params=WRITERS)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name, write = WRITERS[request.param]
    return write(tmp_path / name, ROWS)


def test_all_rows_of_a_file_come_in_their_order(stored: Path) -> None:
    dataset = Dataset.of(stored)
    assert dataset.total == len(ROWS)
    questions = [q for batch in dataset.batches() for q in batch.questions("question")]
    assert questions == [row["question"] for row in ROWS]


def test_a_row_is_known_by_its_file_and_its_number_in_it(stored: Path) -> None:
    assert keys(Dataset.of(stored)) == [f"{stored.name}:{n}" for n in range(len(ROWS))]


def test_a_row_is_known_by_the_id_column(stored: Path) -> None:
    assert keys(Dataset.of(stored, id_column="n")) == [str(n) for n in range(len(ROWS))]


@pytest.mark.parametrize("rows", [1, 7, 300, 10**6])
def test_keys_do_not_depend_on_how_many_rows_are_read_at_once(tmp_path: Path, rows: int) -> None:
    dataset = Dataset.of(as_parquet(tmp_path / "q.parquet", ROWS[:900], 250))
    assert keys(dataset, rows) == keys(dataset)
    assert max(len(batch.keys) for batch in dataset.batches(rows)) <= rows


def test_fragments_travel_and_are_the_whole_with_its_keys(stored: Path) -> None:
    dataset = Dataset.of(stored)
    fragments = pickle.loads(pickle.dumps(dataset.fragments()))
    batches = [batch for fragment in fragments for batch in fragment.batches()]
    assert [key for batch in batches for key in batch.keys] == keys(dataset)
    assert [row for b in batches for row in b.rows.to_pylist()] == rows_of(dataset)
    assert sum(fragment.rows for fragment in fragments) == dataset.total
    assert len(fragments) >= (1 if stored.suffix == ".gz" else 3)


def test_a_dataset_travels(stored: Path) -> None:
    dataset = pickle.loads(pickle.dumps(Dataset.of(stored)))
    assert rows_of(dataset) == rows_of(Dataset.of(stored))


def test_a_fragment_of_memory_does_not_carry_the_whole_table() -> None:
    dataset = Dataset.of(ROWS)
    whole = len(pickle.dumps(dataset))
    pickles = [pickle.dumps(fragment) for fragment in dataset.fragments()]
    assert [len(data) < whole * 0.6 for data in pickles] == [True] * 3
    assert [k for data in pickles for b in pickle.loads(data).batches() for k in b.keys] == keys(
        dataset
    )


def polars_like() -> Any:
    class Foreign:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return pa.Table.from_pylist(ROWS).__arrow_c_stream__(requested_schema)

    return Foreign()


def pandas_frame() -> Any:
    import pandas as pd

    return pd.DataFrame(ROWS)


@pytest.mark.parametrize(
    "make",
    [lambda: ROWS, lambda: pa.Table.from_pylist(ROWS), pandas_frame, polars_like],
    ids=["dicts", "arrow", "pandas", "Arrow's protocol"],
)
def test_tables_in_memory_are_known_by_the_row_s_number(make: Callable[[], Any]) -> None:
    dataset = Dataset.of(make())
    assert keys(dataset) == [str(n) for n in range(len(ROWS))]
    assert rows_of(dataset) == ROWS
    assert dataset.total == len(ROWS)


def test_a_list_of_questions_has_a_column_question() -> None:
    (batch,) = Dataset.of(["Why?", "Who wrote data.csv"]).batches()
    assert batch.questions("question") == ["Why?", "Who wrote data.csv"]


def test_an_empty_list_has_no_rows() -> None:
    dataset = Dataset.of([])
    assert (dataset.total, keys(dataset)) == (0, [])
    check_questions(dataset.schema, "question")


def test_several_columns_are_asked_as_dicts() -> None:
    (batch,) = Dataset.of([{"a": "1", "b": 2, "c": 3}]).batches()
    assert batch.questions(["a", "b"]) == [{"a": "1", "b": 2}]
    assert batch.questions(["a"]) == [{"a": "1"}]


def test_rows_of_dicts_may_lack_fields_and_disagree() -> None:
    rows: list[dict[str, Any]] = [
        {"question": "a", "x": 1},
        {"question": "b", "x": "one", "y": [1]},
        {"question": "c", "x": {"deep": [1, {"er": None}]}},
    ]
    (batch,) = Dataset.of(rows).batches()
    assert batch.questions("x") == [1, "one", {"deep": [1, {"er": None}]}]
    assert batch.questions("y") == [None, [1], None]


def test_values_in_memory_that_json_does_not_know_keep_their_types() -> None:
    day = dt.date(2024, 2, 29)
    dataset = Dataset.of([{"question": "a", "day": day, "price": decimal.Decimal("1.10")}])
    assert dataset.schema.field("day").type == pa.date32()
    assert rows_of(dataset)[0]["price"] == decimal.Decimal("1.10")


def test_columns_whose_values_cannot_be_one_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="columns"):
        Dataset.of([{"a": dt.date(2024, 1, 1)}, {"a": object()}])


@pytest.mark.parametrize("source", [7, None, {"a": 1}, [1, 2], [["a"]], object()])
def test_what_is_no_dataset_is_refused_with_what_is(source: object) -> None:
    with pytest.raises(InvalidParameterError, match=r"\.parquet, \.csv.*list of questions"):
        Dataset.of(source)


# Files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in/b").mkdir(parents=True)
    for name in ("z.csv", "a.csv", "b/a.csv", ".hidden.csv", "_left.csv"):
        as_csv(tmp_path / "in" / name, [{"question": name}])
    (tmp_path / "in/notes.txt").write_text("no table")
    return tmp_path / "in"


def test_a_folder_s_files_are_sorted_and_hidden_ones_left_out(folder: Path) -> None:
    assert keys(Dataset.of(folder)) == ["a.csv:0", "b/a.csv:0", "z.csv:0"]


def test_a_pattern_names_files_from_where_it_begins(folder: Path) -> None:
    assert keys(Dataset.of(f"{folder}/*.csv")) == ["_left.csv:0", "a.csv:0", "z.csv:0"]
    assert keys(Dataset.of(f"{folder}/**/a.csv")) == ["a.csv:0", "b/a.csv:0"]


def test_listed_files_have_their_own_names_where_these_are_unique(folder: Path) -> None:
    assert keys(Dataset.of([folder / "z.csv", folder / "b/a.csv"])) == ["a.csv:0", "z.csv:0"]
    assert keys(Dataset.of([str(folder / "a.csv"), str(folder / "b/a.csv")])) == [
        "a.csv:0",
        "b/a.csv:0",
    ]


def test_another_file_does_not_rename_the_rows_of_those_before(folder: Path) -> None:
    before = set(keys(Dataset.of(folder)))
    as_csv(folder / "0.csv", [{"question": "new"}])
    assert set(keys(Dataset.of(folder))) == before | {"0.csv:0"}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("none.csv", "there is no file"),
        ("in/notes.txt", "none of .parquet"),
        ("in/*.jsonl", "no file of .parquet"),
        ("empty", "no file of .parquet"),
        (["in/a.csv", "in/a.csv"], "listed twice"),
        (["in/a.csv", "none.csv"], "no file"),
        ("s3://bucket/a.csv", "ray.data"),
        ("mixed", "several formats"),
    ],
)
def test_files_that_cannot_be_read_are_told_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, source: str | list[str], told: str
) -> None:
    monkeypatch.chdir(folder.parent)
    Path("empty").mkdir()
    Path("mixed").mkdir()
    as_csv(Path("mixed/a.csv"), [{"a": "b"}])
    as_lines(Path("mixed/a.jsonl"), [{"a": "b"}])
    with pytest.raises(InvalidParameterError, match=told):
        Dataset.of(source)


def test_a_file_whose_name_no_column_can_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.csv")
    as_csv(path, ROWS[:1])
    with pytest.raises(InvalidParameterError, match=r"caf\\xe9.csv' is no UTF-8: rename it"):
        Dataset.of(path)


def test_a_dataset_tells_what_its_keys_depend_on_and_nothing_of_its_content(tmp_path: Path) -> None:
    path = as_csv(tmp_path / "a.csv", ROWS[:2])
    as_csv(tmp_path / "b.csv", ROWS[:2])
    assert Dataset.of(path).facts == {"id_column": "none", "file a.csv": "read"}
    both = {"id_column": "none", "file a.csv": "read", "file b.csv": "read"}
    assert Dataset.of(tmp_path).facts == both
    assert Dataset.of(path, id_column="n").facts == {"id_column": "n"}
    assert Dataset.of(ROWS).facts == {"id_column": "none"}


def test_a_file_that_changes_after_the_start_is_noticed(tmp_path: Path) -> None:
    path = as_csv(tmp_path / "a.csv", ROWS[:5])
    dataset = Dataset.of(path)
    as_csv(path, ROWS[1:7])
    with pytest.raises(InvalidParameterError, match="has changed"):
        keys(dataset)


@pytest.mark.parametrize("rows", [3, 9])
def test_a_parquet_file_of_another_length_than_at_the_start_is_noticed(
    tmp_path: Path, rows: int
) -> None:
    path = as_parquet(tmp_path / "a.parquet", [{"question": "one size for any number"}] * 5)
    dataset = Dataset.of(path)
    as_parquet(path, [{"question": "one size for any number"}] * rows)
    with pytest.raises(InvalidParameterError, match="has changed"):
        keys(dataset)


# CSV


def test_csv_is_text_with_its_leading_zeros(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("question,zip,flag\n007,01234,true\n1.0,,NA\n")
    assert rows_of(Dataset.of(path)) == [
        {"question": "007", "zip": "01234", "flag": "true"},
        {"question": "1.0", "zip": "", "flag": "NA"},
    ]


def test_csv_may_have_a_mark_crlf_and_quoted_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffquestion,b\r\n"one\r\ntwo, ""three""",é\r\n\r\nx,y'.encode())
    dataset = Dataset.of(path)
    assert rows_of(dataset) == [
        {"question": 'one\r\ntwo, "three"', "b": "é"},
        {"question": "x", "b": "y"},
    ]
    assert keys(dataset) == ["a.csv:0", "a.csv:1"]


def test_csv_files_may_have_other_columns(tmp_path: Path) -> None:
    as_csv(tmp_path / "a.csv", [{"question": "1", "x": "2"}])
    as_csv(tmp_path / "b.csv", [{"y": "3", "question": "4"}])
    assert rows_of(Dataset.of(tmp_path)) == [
        {"question": "1", "x": "2", "y": None},
        {"question": "4", "x": None, "y": "3"},
    ]


def test_a_value_may_be_longer_than_the_csv_module_takes_by_itself(tmp_path: Path) -> None:
    path = as_csv(tmp_path / "a.csv", [{"question": "a" * 300_000}])
    assert rows_of(Dataset.of(path)) == [{"question": "a" * 300_000}]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"question,b\nx,y\nx\n", "line 3: 1 values where the head names 2"),
        (b'question,b\n"x\ny",z\nx,y,z\n', "line 4: 3 values"),
        (b'question,b\nx,y\n"x,y\nz,z\n', "line 3: no CSV"),
        (b'question\n"x"y\n', "line 2: no CSV"),
        (b"question\nok\n\xff\xfe\n", r"line 3: not UTF-8 \(byte 1"),
        (b"question,question\na,b\n", "two columns are named 'question'"),
    ],
)
def test_what_is_wrong_in_csv_is_told_by_its_line(
    tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidParameterError, match=rf"a\.csv, {told}|a\.csv, line 1: {told}"):
        Dataset.of(path)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz"])
@pytest.mark.parametrize(
    "content", [b"no gzip", gzip.compress(b"question\n" * 99)[:-12]], ids=["foreign", "cut"]
)
def test_what_gzip_cannot_unpack_is_told(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidParameterError, match=r"gzip|no JSON"):
        Dataset.of(tmp_path / name)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.csv.gz", "a.parquet"])
@each_output
def test_an_empty_file_has_no_rows(tmp_path: Path, name: str, output: str) -> None:
    path = tmp_path / name
    if name == "a.parquet":
        pq.write_table(pa.table({"question": pa.array([], pa.string())}), path)
    else:
        path.write_bytes(gzip.compress(b"") if name.endswith(".gz") else b"")
    dataset = Dataset.of(path, id_column="question")
    check_questions(dataset.schema, "question")
    assert dataset.total == 0
    assert dataset.fragments() == []
    assert write_table(dataset, answered, tmp_path / output) == 0
    assert read(tmp_path / output) == []


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_file_that_holds_no_more_than_a_byte_order_mark_has_no_rows(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf")
    assert Dataset.of(tmp_path / name).total == 0


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(InvalidParameterError, match="line 1: longer than 64 MiB"):
        Dataset.of(path)


# JSON lines


def test_types_of_json_lines_are_those_that_all_lines_agree_on(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"question": "a", "n": 1, "f": 1, "m": 1} for _ in range(3000)]
    rows += [{"question": "b", "f": 2.5, "m": "x", "late": {"a": [1, None], "b": {"c": "d"}}}]
    dataset = Dataset.of(as_lines(tmp_path / "a.jsonl", rows))
    types = {field.name: field.type for field in dataset.schema}
    assert types["n"] == pa.int64()
    assert types["f"] == pa.float64()
    assert types["m"] == pa.string()
    assert pa.types.is_struct(types["late"])
    asked = [value for batch in dataset.batches() for value in batch.questions("m")]
    assert asked == [1] * 3000 + ["x"]
    assert rows_of(dataset)[-1]["late"] == {"a": [1, None], "b": {"c": "d"}}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"a": 1}\n\n{"a": \n', "line 3: no JSON"),
        (b'{"a": 1}\n[1]\n', "line 2: a JSON value, but no object"),
        (b'"text"\n', "line 1: a JSON value, but no object"),
        (b'{"a": "\xff"}\n', "line 1: not UTF-8"),
        (b'{"a": ' + b"[" * 100_000 + b"\n", "line 1: no JSON"),
    ],
)
def test_what_is_wrong_in_json_lines_is_told_by_its_line(
    tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(InvalidParameterError, match=rf"a\.jsonl, {told}"):
        Dataset.of(path)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same JSON: 1 and 1.0 are, 1 and true are not."""
    return json.dumps(_floats(one), sort_keys=True) == json.dumps(_floats(other), sort_keys=True)


def _floats(value: Any) -> Any:
    match value:
        case dict():
            return {key: _floats(item) for key, item in value.items()}
        case list():
            return [_floats(item) for item in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


TABLES = st.lists(
    st.fixed_dictionaries({"question": st.text()}, optional={"a": JSON, "b": JSON}), max_size=6
)
with_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@with_files
@given(rows=TABLES, output=st.sampled_from(["out.jsonl", "out.parquet"]), in_memory=st.booleans())
def test_any_json_comes_out_as_it_went_in(
    tmp_path: Path, rows: list[dict[str, Any]], output: str, in_memory: bool
) -> None:
    source = rows if in_memory else as_lines(tmp_path / "in.jsonl", rows)
    dataset = Dataset.of(source)
    assert write_table(dataset, unknown, tmp_path / output) == len(rows)
    again = Dataset.of(tmp_path / output)
    for name in ("question", "a", "b"):
        if name in dataset.schema.names:
            out = [value for batch in again.batches() for value in batch.questions(name)]
            assert same(out, [row.get(name) for row in rows])


CELLS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ['"', "\r", "\n", "\r\n", ",", '","', "", " ", "\ufeff", "\0", "\u2028", "\x85", "\x1c"]
)


@with_files
@given(table=st.integers(1, 4).flatmap(lambda n: st.lists(st.tuples(*[CELLS] * n), max_size=8)))
@each_output
def test_any_csv_comes_out_as_it_went_in(
    tmp_path: Path, output: str, table: list[tuple[str, ...]]
) -> None:
    rows = [{f"c{n}": cell for n, cell in enumerate(row)} for row in table]
    if not rows:
        return
    write_table(Dataset.of(as_csv(tmp_path / "in.csv", rows)), answered, tmp_path / output)
    out = [{name: row[name] for name in rows[0]} for row in rows_of(Dataset.of(tmp_path / output))]
    assert out == rows


@pytest.mark.parametrize("rows", [1000, 20_000])
def test_row_groups_are_put_together_up_to_a_size(tmp_path: Path, rows: int) -> None:
    path = as_parquet(tmp_path / "a.parquet", [{"n": n} for n in range(50_000)], rows)
    dataset = Dataset.of(path)
    assert len(dataset.parts) == 50_000 // min(32_000, rows * 32) + 1
    read = [n for f in dataset.fragments() for b in f.batches(1024) for n in b.questions("n")]
    assert read == list(range(50_000))


def test_half_of_a_surrogate_pair_is_replaced_in_memory_and_in_files(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"question": "a\ud800", "deep": {"b": ["\udc00"]}}]
    for source in (rows, as_lines(tmp_path / "a.jsonl", rows)):
        assert rows_of(Dataset.of(source)) == [{"question": "a\ufffd", "deep": {"b": ["\ufffd"]}}]


def test_deep_wide_and_large_json_is_kept_as_text(tmp_path: Path) -> None:
    deep: list[Any] = []
    for _ in range(30):
        deep = [deep]
    wide = {f"document {n}": 0.5 for n in range(100)}
    row = {"deep": deep, "wide": wide, "large": 2**70, "long": 2**60, "lists": [[1], [0.5, None]]}
    rows = [row, {"large": 1, "long": 3, "lists": [[]]}]
    dataset = Dataset.of(as_lines(tmp_path / "a.jsonl", rows))
    (batch,) = dataset.batches()
    assert all(batch.questions(name)[0] == value for name, value in row.items())
    strings = [f.name for f in dataset.schema if f.type == pa.string()]
    assert strings == ["deep", "wide", "large"]


def test_objects_with_the_same_fields_share_a_column(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"s": {"a": None, "b": "x"}}, {"s": {"b": None, "a": 1}}]
    dataset = Dataset.of(as_lines(tmp_path / "a.jsonl", rows))
    assert dataset.schema.field("s").type == pa.struct({"a": pa.int64(), "b": pa.string()})
    assert rows_of(dataset) == rows


def test_text_that_is_no_utf_8_is_asked_and_written_with_marks_in_its_place(tmp_path: Path) -> None:
    broken = pa.array([b"lamp \xff", None, b""]).view(pa.string())
    dataset = Dataset.of(pa.table({"question": broken}))
    (batch,) = dataset.batches()
    assert batch.questions("question") == ["lamp \ufffd", None, ""]
    for output in ("out.csv", "out.jsonl"):
        write_table(dataset, unknown, tmp_path / output)
        assert read(tmp_path / output)[0]["question"] == "lamp \ufffd"


# Out


TYPED = pa.table(
    {
        "question": ["a", "b"],
        "at": pa.array([1_700_000_000_000_000_123, None], pa.timestamp("ns", "UTC")),
        "price": pa.array([decimal.Decimal("1.10"), None], pa.decimal128(9, 2)),
        "tags": [["x", "y"], None],
        "deep": [{"n": 1, "l": [{"k": 0.5}]}, {"n": None, "l": []}],
        "kind": pa.array(["p", "q"]).dictionary_encode(),
        "raw": [b"\xff", None],
        "nan": [float("nan"), 1.5],
        "small": pa.array([1, 2], pa.int8()),
        "none": pa.nulls(2),
        "year": pa.array([9 * 10**12, None], pa.timestamp("s")),
    }
)


def test_parquet_keeps_all_types(tmp_path: Path) -> None:
    pq.write_table(TYPED, tmp_path / "in.parquet")
    write_table(Dataset.of(tmp_path / "in.parquet"), answered, tmp_path / "out.parquet")
    out = pq.read_table(tmp_path / "out.parquet")
    read_back = pq.read_table(tmp_path / "in.parquet")
    assert out.select(TYPED.column_names).schema.equals(read_back.schema)
    without = [name for name in TYPED.column_names if name != "nan"]
    assert out.select(without).equals(read_back.select(without))
    assert out.schema.field("citations").type == ANSWER_SCHEMA.field("citations").type


def test_json_lines_have_times_as_iso_8601_and_no_nan(tmp_path: Path) -> None:
    write_table(Dataset.of(TYPED), answered, tmp_path / "out.jsonl")
    first = read(tmp_path / "out.jsonl")[0]
    assert first["at"].startswith("2023-11-14T22:13:20.000000123")
    assert first["answered_at"] == "2023-11-14T22:13:20.123000+00:00"
    assert (first["price"], first["tags"], first["nan"]) == ("1.10", ["x", "y"], None)
    assert first["deep"] == {"n": 1, "l": [{"k": 0.5}]}


def test_csv_has_what_is_nested_as_json(tmp_path: Path) -> None:
    write_table(Dataset.of(TYPED), answered, tmp_path / "out.csv")
    first, second = read(tmp_path / "out.csv")
    assert json.loads(first["citations"])[0]["title"] == "Tide table"
    assert json.loads(first["usage"])["total_tokens"] == 7
    assert json.loads(first["deep"]) == {"n": 1, "l": [{"k": 0.5}]}
    assert (first["price"], first["small"], second["tags"]) == ("1.10", "1", "")
    assert first["answer"] == 'To 0: "yes",\r\nor no [1]'


@each_output
def test_an_output_can_be_the_next_input(tmp_path: Path, output: str) -> None:
    write_table(Dataset.of(ROWS[:9]), answered, tmp_path / output)
    dataset = Dataset.of(tmp_path / output)
    with pytest.raises(InvalidParameterError, match="prefix"):
        check_columns(dataset.schema)
    write_table(dataset, answered, tmp_path / "again" / output, prefix="second_")
    first, *_ = read(tmp_path / "again" / output)
    assert first["answer"] == first["second_answer"].replace(f"{output}:", "")


@each_output
def test_our_columns_stand_behind_the_input_s_under_their_prefix(
    tmp_path: Path, output: str
) -> None:
    write_table(Dataset.of(ROWS[:1]), answered, tmp_path / output, prefix="qaip_")
    names = [f"qaip_{name}" for name in ANSWER_SCHEMA.names]
    assert list(read(tmp_path / output)[0]) == ["question", "n", *names]


def test_a_row_group_is_written_before_it_is_too_large(tmp_path: Path) -> None:
    rows = [{"question": "a" * 1000, "n": n} for n in range(40_000)]
    write_table(Dataset.of(rows), unknown, tmp_path / "out.parquet")
    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 3


def rows_out(tmp_path: Path, record: Record | None) -> dict[str, Any]:
    for name in OUTPUTS:  # none of them may fail
        write_table(Dataset.of(["a"]), lambda _: [record], tmp_path / name)
    return read(tmp_path / "out.parquet")[0]


def test_a_row_that_was_not_asked_or_not_answered_is_open(tmp_path: Path) -> None:
    assert rows_out(tmp_path, None)["status"] == "open"
    out = rows_out(tmp_path, Record(key="0", state="asked"))
    assert out["status"] == "open"
    assert out["citations"] is None


def test_a_failed_row_holds_its_error(tmp_path: Path) -> None:
    record = Record(
        key="0",
        state="failed",
        requests=3,
        ended_at=5.0,
        error_type="RateLimitError",
        error_message="wait",
        error_status=429,
        error_code="slow",
        error_request_id="r1",
        error_retryable=True,
        partial_answer="To be",
    )
    out = rows_out(tmp_path, record)
    told = {k: v for k, v in out.items() if k.startswith("error_") or k == "partial_answer"}
    assert told == {name: getattr(record, name) for name in told}
    assert (out["status"], out["requests"], out["answer"]) == ("failed", 3, None)
    assert out["answered_at"] == dt.datetime(1970, 1, 1, 0, 0, 5, tzinfo=dt.UTC)


def test_a_citation_s_known_facts_are_columns_and_the_others_json(tmp_path: Path) -> None:
    (record,) = answered(next(Dataset.of(ROWS[:1]).batches()))
    (citation,) = rows_out(tmp_path, record)["citations"]
    assert {k: v for k, v in citation.items() if k in CITATION and v is not None} == {
        k: v for k, v in CITATION.items() if k not in ("source", "dataset_id")
    }
    assert json.loads(citation["metadata"]) == {"dataset_id": "d7"}


def test_what_does_not_fit_its_field_is_in_the_metadata(tmp_path: Path) -> None:
    odd = {
        "id": 7,
        "page_number": "xii",
        "rank": "2",
        "marker": 3.0,
        "score": "high",
        "spans": [[1, "x"]],
        "title": {"en": "T"},
        "source": "elsewhere",
        "weight": float("nan"),
        "text": "half \ud800",
    }
    record = Record(key="0", state="answered", citations=[odd], cost=float("nan"), requests=2**40)
    out = rows_out(tmp_path, record)
    (citation,) = out["citations"]
    assert (citation["id"], citation["rank"], citation["marker"]) == ("7", 2, 3)
    assert (citation["title"], citation["text"]) == ('{"en":"T"}', "half \ufffd")
    assert (out["cost"], out["requests"]) == (None, None)
    assert json.loads(citation["metadata"]) == {
        "page_number": "xii",
        "score": "high",
        "spans": [[1, "x"]],
        "source": "elsewhere",
        "weight": None,
    }


ODD = JSON | st.floats() | st.text(st.characters(codec=None), max_size=5)
RECORDS = st.builds(
    Record,
    key=st.just("0"),
    state=st.sampled_from(["asked", "answered", "failed"]),
    answer=st.text(st.characters(codec=None)),
    citations=st.lists(
        st.dictionaries(st.sampled_from([*CITATION, "marker", "date", "x"]), ODD), max_size=2
    ),
    usage=st.dictionaries(st.sampled_from(["input_tokens", "total_tokens", "x"]), ODD),
    cost=st.floats() | st.none(),
    error_status=st.integers() | st.none(),
    error_message=st.text(st.characters(codec=None)),
)


@with_files
@given(record=RECORDS)
def test_no_record_makes_the_export_fail(tmp_path: Path, record: Record) -> None:
    assert rows_out(tmp_path, record)["question"] == "a"


@pytest.mark.parametrize("output", OUTPUTS)
def test_an_output_is_there_as_a_whole_or_as_it_was(tmp_path: Path, output: str) -> None:
    def failing(batch: Batch) -> Iterator[Record | None]:
        if batch.keys[0] != "0":
            raise RuntimeError("no ledger")
        return iter(unknown(batch))

    (tmp_path / output).write_text("before")
    with pytest.raises(RuntimeError):
        write_table(Dataset.of(ROWS), lambda batch: list(failing(batch)), tmp_path / output)
    assert [path.name for path in tmp_path.iterdir()] == [output]
    assert (tmp_path / output).read_text() == "before"


# Checks before the run


def test_a_missing_column_is_told_with_the_nearest_and_all() -> None:
    schema = Dataset.of([{"questoin": "a", "n": 1}]).schema
    with pytest.raises(InvalidParameterError, match=r"'n'.*Did you mean 'questoin'"):
        check_questions(schema, "question")
    with pytest.raises(InvalidParameterError, match="no column 'x'"):
        check_questions(schema, ["n", "x"])
    with pytest.raises(InvalidParameterError, match="name the column"):
        check_questions(schema, [])
    check_questions(schema, ["n", "questoin"])


def test_a_missing_id_column_and_an_empty_id_are_told() -> None:
    with pytest.raises(InvalidParameterError, match="no id column 'id'; there are: a"):
        Dataset.of([{"a": 1}], id_column="id")
    for empty in (None, "", float("nan")):
        dataset = Dataset.of([{"a": "x"}, {"a": empty}], id_column="a")
        with pytest.raises(InvalidParameterError, match="row 1 has no 'a'"):
            keys(dataset)


def test_columns_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="two columns named 'a'"):
        Dataset.of(pa.table([["x"], ["y"]], names=["a", "a"]))


def test_parquet_files_must_agree_on_their_columns_types(tmp_path: Path) -> None:
    as_parquet(tmp_path / "a.parquet", [{"question": "a", "n": 1}])
    as_parquet(tmp_path / "b.parquet", [{"n": 1.5, "more": "x", "question": "b"}])
    assert [row["n"] for row in rows_of(Dataset.of(tmp_path))] == [1.0, 1.5]
    as_parquet(tmp_path / "c.parquet", [{"question": "a", "n": "x"}])
    with pytest.raises(InvalidParameterError, match="of different types"):
        Dataset.of(tmp_path)


def test_what_is_no_parquet_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InvalidParameterError, match=r"a\.parquet cannot be read as Parquet"):
        Dataset.of(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("out.txt", "must end in one of .parquet"),
        ("out.csv.gz", "must end in one of"),
        ("folder.csv", "is a folder"),
        ("in.csv/out.csv", "no folder can be made"),
        ("in.csv", "part of the dataset"),
    ],
)
def test_an_output_that_cannot_be_is_told_before_the_run(
    tmp_path: Path, output: str, told: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    dataset = Dataset.of(as_csv(tmp_path / "in.csv", ROWS[:1]))
    with pytest.raises(InvalidParameterError, match=told):
        check_output(tmp_path / output, dataset)
    assert check_output(tmp_path / "new/folder/out.csv", dataset).suffix == ".csv"


def test_an_output_may_not_lie_where_the_next_run_would_read_it(folder: Path) -> None:
    for source, output in [(folder, "out.parquet"), (f"{folder}/*.csv", "out.csv")]:
        with pytest.raises(InvalidParameterError, match="choose a place outside"):
            check_output(folder / output, Dataset.of(source))
    check_output(folder / "out.parquet", Dataset.of(f"{folder}/*.csv"))
    check_output(folder / "out.parquet")


def test_a_row_is_the_same_whatever_rows_are_read_along_with_it() -> None:
    beyond = 10**15  # seconds: a year that Python cannot hold
    times = pa.table({"at": pa.array([0, beyond, 10**6], pa.timestamp("s"))})
    dataset = Dataset.of(times, id_column="at")
    one, all_of_them = ([*dataset.batches(rows)] for rows in (1, 3))
    assert [q for b in one for q in b.questions("at")] == all_of_them[0].questions("at")
    assert [key for batch in one for key in batch.keys] == all_of_them[0].keys


def test_a_list_becomes_a_table_while_another_thread_imports_pandas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", ModuleType("pandas"))
    assert Dataset.of(["How high is the tower?"]).total == 1


def test_columns_that_the_output_cannot_hold_are_told_before_the_run(tmp_path: Path) -> None:
    dataset = Dataset.of(pa.table({"question": ["a"], "odd": pa.array([{}], pa.struct([]))}))
    with pytest.raises(InvalidParameterError, match="parquet cannot hold"):
        check_output(tmp_path / "a.parquet", dataset)
    check_output(tmp_path / "a.jsonl", dataset)


# Size


PEAK = """
import sys
from qaip_core.bulk.record import Record
from qaip_core.bulk.tables import Dataset, write_table

record = Record(key="", state="answered", answer="y" * 900, citations=[{"text": "x"}])
count = write_table(Dataset.of(sys.argv[1]), lambda batch: [record] * len(batch.keys), sys.argv[2])
# Not getrusage: what it tells of a new process begins with what its parent had.
status = open("/proc/self/status").read()
print(count, status.partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the peak")
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        row = {"question": "How bright is the lamp? " * 40, "n": "7"}
        path = as_lines(tmp_path / "in.jsonl", [row] * count)
        done = subprocess.run(
            [sys.executable, "-c", PEAK, path, tmp_path / "out.parquet"],
            capture_output=True,
            check=True,
            text=True,
        )
        written, kilobytes = map(int, done.stdout.split())
        assert written == count
        return kilobytes

    assert peak(120_000) < 1.3 * peak(20_000)
