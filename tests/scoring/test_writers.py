"""Scores as files: what is written is read back as it was, whatever rows come at once."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.scoring.writers import check_target, encode_rows, make_file

quick = settings(max_examples=100, deadline=None)
finite = st.floats(allow_nan=False, allow_infinity=False)
# What UTF-8 can hold.
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
plain = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | finite | text
cells = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=2)
)


def csv_rows(columns: dict[str, Any], header: bool = False) -> bytes:
    data: bytes = encode_rows(columns, ".csv", first=header)
    return data


def json_rows(columns: dict[str, Any]) -> bytes:
    data: bytes = encode_rows(columns, ".jsonl")
    return data


def written(suffix: str, *batches: dict[str, Any]) -> Path:
    """The file that these rows make, batch by batch."""
    rows = Path("rows")
    with rows.open("wb") as file:
        for number, columns in enumerate(batches):
            file.write(encode_rows(columns, suffix, first=not number))
    return make_file(rows, suffix)


def test_numbers_are_written_to_their_last_digit() -> None:
    columns = {
        "single": np.array([0.1, 1, 1e-7, 1e20, -0.0], np.float32),
        "half": np.array([0.1, 1, 2, 3, 4], np.float16),
        "double": np.array([0.1, 1, 1e-7, 1e300, 123456789.25]),
        "whole": np.array([0, 1, -1, 2**62, 5]),
        "truth": np.array([True, False, True, False, True]),
        "list": np.array([[0.1, 1]] * 5, np.float32),
    }
    lines = csv_rows(columns, header=True).decode().splitlines()
    assert lines[:3] == [
        "single,half,double,whole,truth,list",
        '0.1,0.1,0.1,0,True,"[0.10000000149011612, 1.0]"',
        '1.0,1.0,1.0,1,False,"[0.10000000149011612, 1.0]"',
    ]
    read = pd.read_csv(io.BytesIO(csv_rows(columns, header=True)))
    for name in ("single", "double", "whole", "truth"):
        np.testing.assert_array_equal(read[name].to_numpy(columns[name].dtype), columns[name])
    rows = [json.loads(line) for line in json_rows(columns).splitlines()]
    for name, column in columns.items():
        assert repr([row[name] for row in rows]) == repr(column.tolist())


@quick
@given(st.lists(cells, min_size=1, max_size=5))
def test_any_cell_is_read_back_from_json(column: list[Any]) -> None:
    for form in (column, np.array([*column, None], object)[:-1]):
        rows = json_rows({"x": form}).decode().split("\n")[:-1]
        assert [json.loads(row)["x"] for row in rows] == column
    listed = written(".json", {"x": column}, {"x": column}).read_text("utf-8")
    assert [row["x"] for row in json.loads(listed)] == column * 2


@quick
@given(st.lists(text | st.none() | st.lists(finite, max_size=2), min_size=1, max_size=5))
def test_any_cell_is_read_back_from_csv(column: list[Any]) -> None:
    # Also alone in a row, where an empty line would be no row at all.
    for columns in ({"x": column}, {"x": column, "y": np.zeros(len(column))}):
        table = csv_rows(columns, header=True).decode()
        read = [row["x"] for row in csv.DictReader(io.StringIO(table, newline=""))]
        expected = ["" if cell is None else cell for cell in column]
        assert [
            json.loads(cell) if isinstance(want, list) else cell
            for cell, want in zip(read, expected, strict=True)
        ] == expected


def test_what_is_missing_or_not_finite() -> None:
    columns = {
        "f": pa.array([None, math.nan, math.inf, 1.5]),
        "i": pa.array([None, 1, 2, 3]),
        "b": pa.array([None, True, False, True]),
        "s": pa.array([None, "", "x", "y"]),
        "o": [None, math.nan, [math.nan], {"k": math.inf}],
        "e": np.zeros((4, 0)),
    }
    assert csv_rows(columns).decode().splitlines() == [
        ",,,,,[]",
        ",1,True,,,[]",
        "inf,2,False,x,[null],[]",
        '1.5,3,True,y,"{""k"": null}",[]',
    ]
    assert [json.loads(line) for line in json_rows(columns).splitlines()] == [
        {"f": None, "i": None, "b": None, "s": None, "o": None, "e": []},
        {"f": None, "i": 1, "b": True, "s": "", "o": None, "e": []},
        {"f": None, "i": 2, "b": False, "s": "x", "o": [None], "e": []},
        {"f": 1.5, "i": 3, "b": True, "s": "y", "o": {"k": None}, "e": []},
    ]


def test_columns_of_parquet_of_every_kind_have_a_text() -> None:
    columns = {
        "at": pa.array([1_500_000_000], pa.timestamp("ms")),
        "date": pa.array([0], pa.date32()),
        "kind": pa.chunked_array([pa.array(["a"]).dictionary_encode()]),
        "price": pa.array([Decimal("1.50")]),
        "list": pa.array([[1, 2]]),
    }
    assert csv_rows(columns) == b'1970-01-18 08:40:00,1970-01-01,a,1.50,"[1, 2]"\n'
    assert json.loads(json_rows(columns)) == {
        "at": "1970-01-18 08:40:00",
        "date": "1970-01-01",
        "kind": "a",
        "price": "1.50",
        "list": [1, 2],
    }


def test_half_a_character_is_written_as_json_names_it() -> None:
    for column in (["\ud800", "ä"], ["\ud800", 1]):
        lines = json_rows({"x": column}).splitlines()
        assert [json.loads(line)["x"] for line in lines] == column


# Files ------------------------------------------------------------------------------------


def test_parquet_keeps_types() -> None:
    columns = {
        "at": pa.chunked_array([pa.array([0], pa.timestamp("ns", "UTC"))]),
        "kind": pa.array(["a"]).dictionary_encode(),
        "small": pa.array([1], pa.int8()),
        "single": np.array([0.5], np.float32),
        "half": np.array([0.5], np.float16),
        "truth": np.array([True]),
        "deep": np.zeros((1, 2, 3), np.float32),
        "name": np.array(["x"], object),
        "odd": [{"a": 1, "b": ["x"]}],
    }
    schema = pq.read_schema(written(".parquet", columns))
    assert {field.name: str(field.type) for field in schema} == {
        "at": "timestamp[ns, tz=UTC]",
        "kind": "string",
        "small": "int8",
        "single": "float",
        "half": "float",
        "truth": "bool",
        "deep": "list<element: list<element: float>>",
        "name": "string",
        "odd": "struct<a: int64, b: list<element: string>>",
    }


@pytest.mark.parametrize(
    ("first", "later", "kind"),
    [
        ([1, 2], [0.5, None], "double"),
        ([0.5], [1, 2**53], "double"),
        ([None, None], ["x"], "string"),
        (["x"], [None], "string"),
        ([None], [None], "null"),
        ([[]], [[1]], "list<element: int64>"),
        ([[1]], [[0.5], None], "list<element: double>"),
        ([None], [[["x"]]], "list<element: list<element: string>>"),
        ([{"a": 1}], [{"a": 0.5, "b": "x"}], "struct<a: double, b: string>"),
        ([True], [None], "bool"),
        (np.array([0.5], np.float32), np.array([0.1]), "double"),
        (np.array([0.5], np.float32), np.array([None], object), "float"),
    ],
)
def test_a_column_of_parquet_fits_all_its_values(first: Any, later: Any, kind: str) -> None:
    for batches in ((first, later), (later, first), (first, later, first)):
        table = pq.read_table(written(".parquet", *({"x": batch} for batch in batches)))
        assert str(table.schema.field("x").type) == kind
        expected = [cell for batch in batches for cell in list(batch)]
        for got, want in zip(table["x"].to_pylist(), expected, strict=True):
            if isinstance(want, dict):  # a struct has all fields everywhere
                got = {key: value for key, value in got.items() if value is not None}
            assert got == want


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        (([1], ["x"]), "x has incompatible types: int64 vs string"),
        (([True], [1]), "x has incompatible types: bool vs int64"),
        (([0.5], [[0.5]]), "x has incompatible types: double vs list<item: double>"),
        (([1, "x"],), "Could not convert 'x' with type str: tried to convert to int64"),
        (([2**70],), "Python int too large"),
        ((["\ud800"],), "surrogates not allowed"),
        (([2**60 + 1], [0.5]), "Integer value 1152921504606846977 not in range"),
    ],
)
def test_what_parquet_does_not_take(batches: tuple[list[Any], ...], message: str) -> None:
    remedy = "; Parquet takes values of one type in a column; write .jsonl or .csv, which take any"
    with pytest.raises(ArtifactError, match=f"{re.escape(message)}.*{re.escape(remedy)} value$"):
        written(".parquet", *({"x": batch} for batch in batches))


def test_rows_of_parquet_come_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barrage_mlflow.scoring.writers._GROUP", 100)
    monkeypatch.setattr("barrage_mlflow.scoring.writers._WRITTEN_AT_ONCE", 120 * 8)
    batches = [{"p": np.arange(30.0)} for _ in range(10)]
    footer = pq.read_metadata(written(".parquet", *batches))
    groups = [footer.row_group(index).num_rows for index in range(footer.num_row_groups)]
    assert groups == [100, 20, 100, 20, 60]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("scores.txt", r"scores.txt: expected a file ending in \.json, .*, got \.txt$"),
        ("scores", r"scores: expected a file ending in \.json, .*, got no ending$"),
        ("no/scores.csv", r"no/scores.csv: no folder no; make it, or name another one$"),
    ],
)
def test_a_file_that_cannot_be_written(path: str, message: str) -> None:
    with pytest.raises(ArtifactError, match=f"^{message}"):
        check_target(Path(path))
