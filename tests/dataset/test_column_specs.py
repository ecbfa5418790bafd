"""Records to score become what training was used to, whatever way they come."""

from __future__ import annotations

import math
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from barrage_mlflow.dataset import KeySelector, RecordLoader, RecordMode, Records
from barrage_mlflow.dataset.components.reading import describe_columns
from barrage_mlflow.dataset.records.column_specs import ColumnSpec, as_specified
from barrage_mlflow.errors import RecordError

SCORE = RecordMode.SCORE


def test_columns_are_described_by_what_they_hold() -> None:
    records = Records.read(
        [
            {"i": 1, "d": 0.5, "n": None, "b": True, "s": "x", "o": None, "l": [1, 2], "y": b"a"},
            {"i": 2, "d": 1.5, "n": 2, "b": False, "s": "y", "o": "z", "l": [3, 4], "y": b""},
        ]
    )
    loader = KeySelector(SCORE, {name: name for name in "idnbsoly"}, {"t": "i"})
    assert describe_columns(loader, records) == [
        ColumnSpec("i", "integer", required=True),
        ColumnSpec("d", "double", required=True),
        ColumnSpec("n", "double", required=False),
        ColumnSpec("b", "boolean", required=True),
        ColumnSpec("s", "string", required=True),
        ColumnSpec("o", "string", required=False),
        ColumnSpec("l", "other", required=True),
        ColumnSpec("y", "binary", required=True),
    ]


class Asks(RecordLoader):
    """Demands a, and can do without b but not without c."""

    def load(self, record):
        b = record.get("b") or 0.0
        return ({"x": np.array([record["a"], b, float(record.get("c", 1.0))])},)


def test_a_column_that_loading_can_do_without_is_not_required() -> None:
    specs = describe_columns(Asks(SCORE), Records.read([{"a": 1.0, "b": 2.0, "c": 3.0}]))
    assert {spec.name: spec.required for spec in specs} == {"a": True, "b": False, "c": True}


def typed(kind: str, cells: list) -> list:
    """The cells of a column after it was made to be of a type, as the record form has them."""
    records = Records.read([{"a": cell, "z": 0} for cell in cells])
    return as_specified(records, [ColumnSpec("a", kind, True)]).values("a")


@pytest.mark.parametrize(
    ("kind", "cells", "expected"),
    [
        ("double", [1, 2], [1.0, 2.0]),
        ("double", [1.5, None], [1.5, math.nan]),
        ("double", [None, None], [math.nan, math.nan]),
        ("double", [True, False], [1.0, 0.0]),
        ("double", [1, "2.5", None, Decimal("0.5"), True], [1.0, 2.5, math.nan, 0.5, 1.0]),
        ("double", [2**70, 1], [float(2**70), 1.0]),
        ("integer", [1, 2], [1, 2]),
        ("integer", [1.0, 2.0], [1, 2]),
        ("integer", [1.5, 2.0], [1.5, 2.0]),
        ("integer", [1, None], [1.0, math.nan]),
        ("integer", ["7", 2**62 + 1], [7, 2**62 + 1]),
        ("integer", [True], [1]),
        ("integer", [2**64], [float(2**64)]),
        ("boolean", [True, False], [True, False]),
        ("boolean", [True, None], [True, None]),
        ("boolean", ["true", "False", 0, 1.0], [True, False, False, True]),
        ("string", ["a", None], ["a", None]),
        ("string", [None], [None]),
        ("string", [math.nan, math.nan], [None, None]),
        ("binary", [b"ab", "YWI=", "", None, math.nan], [b"ab", b"ab", b"", None, None]),
        ("other", [[1], [1, 2]], [[1], [1, 2]]),
    ],
)
def test_cells_become_of_the_columns_type(kind: str, cells: list, expected: list) -> None:
    assert repr(typed(kind, cells)) == repr(expected)


@pytest.mark.parametrize(
    ("kind", "cells", "message"),
    [
        ("double", [1, "many"], "record 1, column 'a': expected a number, got 'many' (str)"),
        ("double", [[1], [2]], "record 0, column 'a': expected a number, got [1] (list)"),
        ("double", [{"x": 1}], "record 0, column 'a': expected a number, got {'x': 1} (dict)"),
        ("double", [1, 10**400], "record 1, column 'a': expected a number, got 1"),
        ("integer", ["1", ""], "record 1, column 'a': expected a number, got '' (str)"),
        ("boolean", [True, "no"], "record 1, column 'a': expected true or false, got 'no' (str)"),
        ("boolean", [2], "record 0, column 'a': expected true or false, got 2 (int)"),
        ("string", ["a", 3], "record 1, column 'a': expected a string, got 3 (int)"),
        ("string", [math.nan, 7.0], "record 1, column 'a': expected a string, got 7.0"),
        (
            "binary",
            ["YWI"],
            "record 0, column 'a': expected bytes, in JSON and CSV as base64, got 'YWI' (str)",
        ),
        (
            "binary",
            [b"a", "Y\x00WI="],
            "record 1, column 'a': expected bytes, in JSON and CSV as "
            "base64, got 'Y\\x00WI=' (str)",
        ),
        (
            "binary",
            [5],
            "record 0, column 'a': expected bytes, in JSON and CSV as base64, got 5 (int)",
        ),
        ("string", [0.5], "record 0, column 'a': expected a string, got 0.5"),
        ("string", [["a"]], "record 0, column 'a': expected a string, got ['a'] (list)"),
    ],
)
def test_a_cell_of_another_type_is_named(kind: str, cells: list, message: str) -> None:
    with pytest.raises(RecordError, match="^" + re.escape(message)):
        typed(kind, cells)


def test_what_fits_is_left_as_it_is() -> None:
    records = Records.read(pd.DataFrame({"a": [0.5], "n": [1], "s": ["x"], "b": [True], "z": [0]}))
    specs = [
        ColumnSpec("a", "double", True),
        ColumnSpec("n", "integer", True),
        ColumnSpec("s", "string", True),
        ColumnSpec("b", "boolean", True),
        ColumnSpec("z", "other", True),
    ]
    assert as_specified(records, specs) is records


def test_a_column_that_may_be_missing_is_added_and_one_that_may_not_is_named() -> None:
    records = Records.read([{"aa": 1, "y": 5}, {"aa": 2, "y": 6}], name="input")
    added = as_specified(
        records,
        [
            ColumnSpec("d", "double", False),
            ColumnSpec("s", "string", False),
            ColumnSpec("o", "other", False),
        ],
    )
    assert added[1] == {
        "aa": 2,
        "y": 6,
        "d": pytest.approx(math.nan, nan_ok=True),
        "s": None,
        "o": None,
    }
    message = "input: no column 'a'; did you mean 'aa'? The columns are 'aa', 'y'"
    with pytest.raises(RecordError, match="^" + re.escape(message)):
        as_specified(records, [ColumnSpec("a", "double", True)])


def test_places_are_those_of_what_was_read(tmp_path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3,4\n5,x\n", "utf-8")
    specs = [ColumnSpec("a", "double", True), ColumnSpec("b", "double", True)]
    with pytest.raises(RecordError, match=r"^t.csv, record 2 \(line 4\), column 'b': expected a"):
        as_specified(Records.read(path)[1:], specs)
    part = as_specified(Records.read(path)[1:], specs[:1])
    assert (part.place(1), part["a"].tolist(), part.take([1])["a"].tolist()) == (
        "t.csv, record 2 (line 4)",
        [3.0, 5.0],
        [5.0],
    )
