"""Kinds of columns: learnt once, declared, and what each takes."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.records.cells import CellError, handed_out, to_kind
from barrage_mlflow.dataset.records.column_kinds import KINDS, Column, Schema
from barrage_mlflow.dataset.records.values import objects
from barrage_mlflow.errors import RecordError

NAN = math.nan
NOON = dt.datetime(2020, 1, 2, 12)


def csv(text: str, **options: Any) -> Records:
    """The records of a CSV file."""
    Path("t.csv").write_text(text)
    return Records.read("t.csv", **options)


def kinds(records: Records) -> dict[str, tuple[str, str]]:
    """What was learnt of each column, and why."""
    return {n: (column.kind, column.reason) for n, column in records.schema.columns.items()}


# Learning ---------------------------------------------------------------------------------


def test_kinds_are_learnt_of_what_a_csv_file_spells() -> None:
    columns = {
        "id": ["1", "2", "3"],
        "gap": ["1", "", "3"],
        "real": ["1", "2.5", "1e3"],
        "odd": ["+1", " 2", ".5"],
        "word": ["1", "n/a", "3"],
        "zip": ["007", "12", "5"],
        "hex": ["0x1F", "1", "2"],
        "under": ["1_000", "1", "2"],
        "flag": ["true", "False", "TRUE"],
        "maybe": ["true", "", "false"],
        "mixed": ["true", "1", "0"],
        "day": ["2020-01-02", "2020-01-03", "2020-01-04"],
        "country": ["NA", "DE", "FR"],
        "blank": ["", "NA", ""],
        "large": ["18446744073709551615", "1", "2"],
        "small": ["-0.0", "0", "0.10"],
    }
    rows = zip(*columns.values(), strict=True)
    records = csv("\n".join([",".join(columns), *map(",".join, rows), ""]))
    assert kinds(records) == {
        "id": ("whole", "whole numbers"),
        "gap": ("number", "numbers, some missing"),
        "real": ("number", "numbers"),
        "odd": ("number", "numbers"),
        "word": ("number", "numbers, some missing"),
        "zip": ("text", "leading zeros, as in '007'"),
        "hex": ("text", "strings"),
        "under": ("text", "strings"),
        "flag": ("truth", "truth values"),
        "maybe": ("truth", "truth values, some missing"),
        "mixed": ("text", "whole numbers and truth values"),
        "day": ("text", "strings"),
        "country": ("text", "strings"),
        "blank": ("number", "no value at all"),
        "large": ("whole", "whole numbers"),
        "small": ("number", "numbers"),
    }
    assert records.schema.columns["country"].word == "NA"
    assert records.values("country") == ["NA", "DE", "FR"]
    assert records.values("zip") == ["007", "12", "5"]
    assert records.values("mixed") == ["true", "1", "0"]
    with pytest.raises(RecordError, match="within int64"):
        records["large"]


@pytest.mark.parametrize(
    "word", ["None", "null", "NULL", "nan", "NaN", "n/a", "N/A", "#N/A", "<NA>", "NA"]
)
def test_a_word_that_means_missing_elsewhere_is_text_in_a_column_of_text(word: str) -> None:
    records = csv(f'country\n{word}\nDE\n""\n')
    assert kinds(records) == {"country": ("text", "strings, some missing")}
    for source in (records, [{"country": cell} for cell in (word, "DE", "")]):
        assert Records.read(source, schema=records.schema).values("country") == [word, "DE", None]


@pytest.mark.parametrize("first", [30, 10_000])
def test_what_a_late_block_of_a_csv_file_holds_counts_for_all(
    first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barrage_mlflow.dataset.records.csv_files._FIRST", first)
    monkeypatch.setattr("barrage_mlflow.dataset.records.csv_files._BLOCK", first)
    rows = [["1", "1.50", "5", "x\ny"]] * 20 + [["2", "many", "", 'a "b", c']] * 20
    text = pd.DataFrame(rows, columns=list("abcd")).to_csv(index=False)
    records = csv(text)
    assert [column.kind for column in records.schema.columns.values()] == [
        *("whole", "text", "number", "text"),
    ]
    assert records.values("b") == ["1.50"] * 20 + ["many"] * 20
    assert records.values("d") == ["x\ny"] * 20 + ['a "b", c'] * 20
    assert records.place(39) == "t.csv, record 39 (line 61)"


def test_kinds_are_kept_as_json() -> None:
    rows = [{"a": 1, "t": [1.5, 2], "s": "NA", "d": NOON, "o": {"k": 1}, "i": np.zeros(3)}]
    schema = Records.read(rows).schema
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


# The kinds of the train set hold for all others ----------------------------------------------


def test_a_set_is_read_as_the_train_set_is() -> None:
    train = csv("id,shop,flag,n\nA1,101,true,1\nB2,102,,2.5\n007,103,false,3\n")
    validation = csv("n,id,flag\n7,007,0\n8,12,1\n", schema=train.schema)
    assert list(validation) == [
        {"id": "007", "flag": False, "n": 7.0},
        {"id": "12", "flag": True, "n": 8.0},
    ]
    assert validation.dtypes() == {"id": "object", "flag": "object", "n": "float64"}
    again = Records.read(Records.read([{"n": 1}]), schema=train.schema)
    assert (again.columns, again["n"].dtype) == (["flag", "n"], np.float64)
    # Also where the file was read before, by itself.
    alone = csv("id\n007\n12\n", schema=None)
    assert Records.read(csv("id\n0070\n12\n"), schema=train.schema).values("id") == ["0070", "12"]
    assert alone.values("id") == ["007", "12"]


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        *(
            (cell, "text")
            for cell in ("007", "-007", "+007", " 007", '"007"', "00", "0x1F", "01.5")
        ),
        *((cell, "number") for cell in ("0", "0.5", "-0.5", "0.07", "1e-05", "100", " 0", "0e5")),
    ],
)
def test_a_leading_zero_makes_text_of_a_csv_column(cell, kind, monkeypatch):
    module = "barrage_mlflow.dataset.records.csv_files"
    for count in (1, 1 << 17):  # bytes that are looked at together
        monkeypatch.setattr(f"{module}._CACHED", count)
        read = csv(f"x,n\n2026-01-02 03:04,1.5\na01,{cell}\n")
        assert read.schema.columns["n"].kind == kind
    for size in range(4, 16):  # so that a block begins with the cell, or ends in it
        monkeypatch.setattr(f"{module}._FIRST", size)
        monkeypatch.setattr(f"{module}._BLOCK", size)
        assert csv(f"n,x\n1.5,a\n{cell},b\n2,c\n").schema.columns["n"].kind == kind


def test_a_record_is_refused_alone_as_in_company() -> None:
    train = Records.read([{"shop": 101}, {"shop": 102}])
    for others in ([], [{"shop": 103}]):
        for cell, fault in (
            (None, "a missing value, and no train record lacks one; fill it in, or declare"),
            (1.5, "1.5"),
            ("many", "'many' (str)"),
            (True, "True (bool)"),
            (2.0**53, "9007199254740992.0; a double does not hold all its digits; declare"),
        ):
            records = Records.read([*others, {"shop": cell}], schema=train.schema)
            place = re.escape(f"record {len(others)}, column 'shop': expected a whole number, got ")
            with pytest.raises(RecordError, match=f"^{place}{re.escape(fault)}"):
                records["shop"]


# What each kind takes ---------------------------------------------------------------------

BERLIN = Column("c", "datetime", format="%d.%m.%Y %H:%M", zone="Europe/Berlin", declared=True)
TAGS = Column("c", "list", of="text", separator="|", declared=True)
SPAN, HOUR, ZERO = dt.timedelta(1, 7384.5), dt.timedelta(hours=1), dt.timedelta()
HOURS = (-36, 14 * 24, 12)
LONG = dt.timedelta(999_999_999)
"""More microseconds than 64 bits count."""


@pytest.mark.parametrize(
    ("column", "cells", "expected"),
    [
        ("whole", [1, "2", " 3 ", "+4", 5.0, "6.0", np.int8(7), Decimal(8)], list(range(1, 9))),
        ("number", [1, "2.5", ".5", "1e3", None, "", "NA", NAN], [1, 2.5, 0.5, 1e3] + [NAN] * 4),
        ("truth", [True, "false", "TRUE", 0, "1", 1.0], [True, False, True, False, True, True]),
        ("text", ["a", "NA", "", None, np.str_("b")], ["a", "NA", None, None, "b"]),
        ("bytes", [b"a", bytearray(b"b"), base64.b64encode(b"c").decode()], [b"a", b"b", b"c"]),
        ("datetime", [NOON, "2020-01-02T12:00", pd.Timestamp(NOON), None], [NOON] * 3 + [None]),
        ("datetime", ["2020-01-02T13:00+01:00", NOON.replace(tzinfo=dt.UTC)], [NOON, NOON]),
        ("datetime", [dt.date(2020, 1, 2)], [NOON.replace(hour=0)]),
        ("date", [dt.date(2020, 1, 2), "2020-01-02", NOON.replace(hour=0)], [NOON.date()] * 3),
        ("time", [dt.time(12), "12:00", None], [dt.time(12), dt.time(12), None]),
        ("duration", [dt.timedelta(1), "P1D", np.timedelta64(1, "D")], [dt.timedelta(1)] * 3),
        ("duration", ["P1DT2H3M4.5S", "-PT36H", "P2W", "P0.5D"], [SPAN, *map(HOUR.__mul__, HOURS)]),
        (
            "duration",
            ["1 days 02:03:04.500000", "-1 days +23:00:00", "0 days"],
            [SPAN, -HOUR, ZERO],
        ),
        ("duration", ["P-1DT23H0M0S", "PT-1H", "+PT3600S", None], [-HOUR, -HOUR, HOUR, None]),
        ("object", [{"a": np.int64(1)}, None], [{"a": 1}, None]),
        (BERLIN, ["02.01.2020 13:00", "02.07.2020 14:00"], [NOON, NOON.replace(month=7)]),
        (TAGS, ["a|b", ["c"], "", None], [["a", "b"], ["c"], None, None]),
        (Column("c", "list", of="number", declared=True), ["[1, 2.5]", [3]], [[1.0, 2.5], [3.0]]),
        (Column("c", "text", declared=True), [7, "a"], ["7", "a"]),
        (Column("c", "number", missing=("-", "-999")), [-999, "-", -999.0, 1], [NAN] * 3 + [1.0]),
        (Column("c", "text", missing=("NA",)), ["NA", "a"], [None, "a"]),
    ],
    ids=repr,
)
def test_a_kind_takes(column: str | Column, cells: list[Any], expected: list[Any]) -> None:
    column = Column("c", column) if isinstance(column, str) else column
    for some in (
        [*zip(cells, expected, strict=True)],
        *([pair] for pair in zip(cells, expected, strict=True)),
    ):
        made = to_kind(objects([cell for cell, _ in some]), column)
        np.testing.assert_equal(handed_out(made, column), [value for _, value in some])


@pytest.mark.parametrize(
    ("kind", "cells"),
    [
        ("whole", [1.5, "1_000", "٣", "007", True, 2**63, "1e20", [1], {}]),
        ("number", ["many", "1_000", "0x1F", "007", True, 2**53 + 1, math.inf, "inf", b"1"]),
        ("truth", ["maybe", 2, 0.5, "yes", []]),
        ("text", [7, 1.5, True, b"a", ["a"]]),
        ("bytes", ["no base64!", 7]),
        ("datetime", ["yesterday", 7, "2020-13-01"]),
        ("date", [NOON, "2020-01-02T12:00", 7]),
        ("time", ["noon", 7]),
        ("duration", ["long", 7, "5", "P1M", "1 day", "00:05:00", "NaT", "P", "PT", "P1DT", LONG]),
        ("duration", ["P999999999D", "P99999999999D"]),
        ("object", ["{}", 7]),
        ("list", ["[1]", 7]),
    ],
)
def test_a_kind_refuses(kind: str, cells: list[Any]) -> None:
    for cell in cells:
        with pytest.raises(CellError, match=r"^expected .*, got ") as error:
            to_kind(objects(["" if kind == "text" else None, cell]), Column("c", kind, True))
        assert error.value.row == 1


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(list(KINDS)),
    st.booleans(),
    st_numpy.arrays(
        st.sampled_from([np.int8, np.int64, np.uint64, np.float32, np.float64, np.bool_]),
        st.integers(0, 4),
        elements=None,
    ),
)
def test_an_array_is_taken_as_its_cells_are(kind: str, optional: bool, cells: np.ndarray) -> None:
    column = Column("c", kind, optional, "number" if kind == "list" else "")

    def outcome(given: np.ndarray) -> Any:
        try:
            made = to_kind(given, column)
        except CellError as error:
            return error.row, error.message
        return repr(handed_out(made, column)), made.astype(column.dtype).dtype

    assert outcome(cells) == outcome(objects(cells.tolist()))


# Declared ---------------------------------------------------------------------------------


def test_declared_columns_are_what_they_are_declared_to_be() -> None:
    dataset = {
        "columns": {
            "code": "text",
            "sold": {"kind": "date", "format": "%d/%m/%Y"},
            "tags": {"kind": "list", "separator": "|"},
            "note": {"kind": "text", "missing": ["-"]},
        },
        "missing_values": ["unknown"],
        "csv": {"sep": ";", "decimal": ","},
    }
    text = "code;sold;tags;note;n\n7;02/01/2020;a|b;-;1,5\n12;03/01/2020;c;unknown;unknown\n"
    records = csv(text, schema=Schema.from_config(dataset))
    np.testing.assert_equal(
        list(records),
        [
            {"code": "7", "sold": NOON.date(), "tags": ["a", "b"], "note": None, "n": 1.5},
            {"code": "12", "sold": dt.date(2020, 1, 3), "tags": ["c"], "note": None, "n": NAN},
        ],
    )
    assert records.schema.columns["sold"].reason == "declared"
    # The same holds on other ways in.
    other = Records.read([{"code": 7, "sold": "02/01/2020", "n": "unknown"}], schema=records.schema)
    assert other[0]["code"] == "7"
    assert math.isnan(other[0]["n"])
    with pytest.raises(RecordError, match=r"no column 'cod'; did you mean 'code'\? .* declares it"):
        csv(text, schema=Schema.from_config({**dataset, "columns": {"cod": "text"}}))


def test_tabs_are_found() -> None:
    assert list(csv("a\tb\n1\tx, y\n")) == [{"a": 1, "b": "x, y"}]
