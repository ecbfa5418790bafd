"""Records to score become what training was used to, whatever way they come."""

from __future__ import annotations

import math
import re
from decimal import Decimal

import numpy as np
import pytest

from barrage_mlflow.dataset import KeySelector, RecordLoader, RecordMode, Records
from barrage_mlflow.dataset.components.reading import describe_columns
from barrage_mlflow.dataset.records.column_specs import ColumnSpec, as_specified
from barrage_mlflow.errors import RecordError

SCORE = RecordMode.SCORE


def test_columns_are_described_by_what_they_hold() -> None:
    cells = {
        "i": [1, 2], "d": [0.5, 1.5], "n": [None, 2], "b": [True, False], "s": ["x", "y"],
        "o": [None, "z"], "m": ["x", b"y"], "l": [[1, 2], [3, 4]], "u": [None, [1]],
        "y": [b"a", b""], "e": [None, None],
    }  # fmt: skip
    records = Records.read([{name: cells[name][row] for name in cells} for row in range(2)])
    specs = describe_columns(
        KeySelector(SCORE, {name: name for name in cells}, {"t": "i"}), records
    )
    assert [(spec.name, spec.type, spec.required) for spec in specs] == [
        ("i", "integer", True), ("d", "double", True), ("n", "double", False),
        ("b", "boolean", True), ("s", "string", True), ("o", "string", False),
        ("m", "other", True), ("l", "other", True), ("u", "other", False),
        ("y", "binary", True), ("e", "string", False),
    ]  # fmt: skip


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
        ("double", [1.5, None], [1.5, math.nan]),
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
        ("double", [{"x": 1}], "record 0, column 'a': expected a number, got {'x': 1} (dict)"),
        ("double", [1, 10**400], "record 1, column 'a': expected a number, got 1"),
        ("integer", ["1", ""], "record 1, column 'a': expected a number, got '' (str)"),
        ("boolean", [True, "no"], "record 1, column 'a': expected true or false, got 'no' (str)"),
        ("string", ["a", 3], "record 1, column 'a': expected a string, got 3 (int)"),
        ("string", [math.nan, 7.0], "record 1, column 'a': expected a string, got 7.0"),
        ("binary", ["YWI"], "record 0, column 'a': expected bytes, in JSON and CSV as base64, got"),
        ("binary", [5], "record 0, column 'a': expected bytes, in JSON and CSV as base64, got 5"),
    ],
)
def test_a_cell_of_another_type_is_named(kind: str, cells: list, message: str) -> None:
    with pytest.raises(RecordError, match="^" + re.escape(message)):
        typed(kind, cells)


def test_what_fits_is_left_as_it_is() -> None:
    types = {"d": "double", "i": "integer", "s": "string", "b": "boolean", "o": "other"}
    records = Records.read([{"d": 0.5, "i": 1, "s": "x", "b": True, "o": [0]}])
    assert as_specified(records, [ColumnSpec(*spec, True) for spec in types.items()]) is records


def test_a_column_that_may_be_missing_is_added_and_one_that_may_not_is_named() -> None:
    records = Records.read([{"aa": 1, "y": 5}, {"aa": 2, "y": 6}], name="input")
    types = {"d": "double", "s": "string", "o": "other"}
    added = as_specified(records, [ColumnSpec(*spec, False) for spec in types.items()])
    missing = {"d": pytest.approx(math.nan, nan_ok=True), "s": None, "o": None}
    assert added[1] == {"aa": 2, "y": 6, **missing}
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
    assert part.place(1) == "t.csv, record 2 (line 4)"
    assert (part["a"].tolist(), part.take([1])["a"].tolist()) == ([3.0, 5.0], [5.0])
