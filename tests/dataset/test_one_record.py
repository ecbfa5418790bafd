"""One record is one record: what a component gets of it depends on neither company nor way in.

For random columns and cells: what each way of reading makes of a record, alone and among others,
is the same to the bit, and so is what it refuses.
"""

from __future__ import annotations

import base64
import csv
import datetime as dt
import io
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.records import csv_files
from barrage_mlflow.dataset.records.column_kinds import Schema
from barrage_mlflow.dataset.records.parts import Parts
from barrage_mlflow.errors import RecordError

EXAMPLES = int(os.environ.get("BARRAGE_EXAMPLES", "300"))
"""The same 300 on every change; `.ci/nightly one-record` has thousands of others."""
Rows = list[dict[str, Any]]

moments = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)).map(
    lambda moment: moment.replace(fold=0)
)
words = st.text("aZ09äß ,;\"'\n.-+", max_size=6) | st.sampled_from(["NA", "null", "007", "1e5"])
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
of_kind: dict[str, st.SearchStrategy[Any]] = {
    "whole": st.integers(-(2**63), 2**63 - 1),
    "number": numbers,
    "truth": st.booleans(),
    "text": words.filter(lambda word: word != ""),
    "bytes": st.binary(max_size=4),
    "datetime": moments,
    "date": moments.map(lambda moment: moment.date()),
    "time": moments.map(lambda moment: moment.time()),
    "duration": st.timedeltas(dt.timedelta(-36_500), dt.timedelta(36_500)),
    "list": st.lists(st.floats(-9, 9), min_size=2, max_size=2),
}
odd = st.sampled_from(
    [
        *(
            None,
            float("nan"),
            "",
            " ",
            "NA",
            "null",
            "many",
            "007",
            "+5",
            " 5",
            ".5",
            "5.",
            "1e400",
        ),
        *("true", "False", "0", "1", "1.0", "inf", "1_000", "٣", True, False, 0, 1, 1.5, 2.0),
        *(2**53, 2**53 + 1, 2**63 - 1, 2**63, 1e20, -0.0, [1.0], {"a": 1}, b"x", "9" * 20),
    ]
)
names = st.text("ab Zß.,\"'{}0", min_size=1, max_size=4)


@st.composite
def cases(draw: Any) -> tuple[Rows, Rows]:
    """Train records, each column of one kind, and records to read as these."""
    kinds = draw(st.dictionaries(names, st.sampled_from(list(of_kind)), min_size=1, max_size=4))
    gaps = {name: draw(st.booleans()) for name in kinds}
    usual = {
        name: of_kind[kind] | st.none() if gaps[name] else of_kind[kind]
        for name, kind in kinds.items()
    }
    train = draw(st.lists(st.fixed_dictionaries(usual), min_size=1, max_size=5))
    any_cell = {name: usual[name] | odd for name in kinds}
    return train, draw(st.lists(st.fixed_dictionaries(any_cell), min_size=1, max_size=5))


def outcomes(records: Records) -> Iterator[dict[str, str]]:
    """Of each record, by column, what a component gets, or why it is refused."""
    for row in range(len(records)):
        one = records[row : row + 1]
        found = {}
        for name in records.schema.columns:
            try:
                column = one[name]
                found[name] = f"{one.values(name)!r} {column.dtype} {column.tolist()!r}"
            except RecordError as error:
                found[name] = str(error).partition(", column")[2] or str(error)
        yield found


def alone(rows: Rows, schema: Schema) -> list[dict[str, str]]:
    """What comes of each record that is read by itself."""
    return [next(outcomes(Records.read([row], schema=schema))) for row in rows]


# Ways in ----------------------------------------------------------------------------------


def frame(rows: Rows) -> pd.DataFrame:
    """Rows as a DataFrame that changes no cell."""
    columns = {
        name: np.fromiter((row[name] for row in rows), object, len(rows)) for name in rows[0]
    }
    return pd.DataFrame(columns, dtype=object)


def as_json(cell: Any) -> Any:
    """A cell as JSON has it; some have no form there."""
    if isinstance(cell, bytes):
        return base64.b64encode(cell).decode()
    if isinstance(cell, dt.timedelta):
        return pd.Timedelta(cell).isoformat()
    return cell.isoformat() if isinstance(cell, (dt.date, dt.time)) else cell


def in_json(rows: Rows) -> Rows:
    return [{name: as_json(cell) for name, cell in row.items()} for row in rows]


def write_jsonl(rows: Rows) -> str:
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in in_json(rows)))
    return "t.jsonl"


def write_json(rows: Rows) -> str:
    Path("t.json").write_text(json.dumps(in_json(rows)))
    return "t.json"


def write_csv(rows: Rows) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(rows[0])
    for row in in_json(rows):
        cells = [row[name] for name in rows[0]]
        writer.writerow(["" if cell is None or cell != cell else cell for cell in cells])
    Path("t.csv").write_text(text.getvalue(), newline="")
    return "t.csv"


def write_parquet(rows: Rows) -> str:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    if any(len({type(cell) for cell in cells} - {type(None)}) > 1 for cells in columns.values()):
        raise TypeError("a column of Parquet has one type")
    table = pa.table({name: pa.array(cells) for name, cells in columns.items()})
    pq.write_table(table, "t.parquet", row_group_size=2)
    return "t.parquet"


def split_request(rows: Rows) -> pd.DataFrame:
    """What MLflow makes of a request to its server, before a signature casts it."""
    from mlflow.pyfunc.scoring_server import infer_and_parse_data

    body = {
        "columns": [*rows[0]],
        "data": [[row[name] for name in rows[0]] for row in in_json(rows)],
    }
    return infer_and_parse_data({"dataframe_split": json.loads(json.dumps(body))})


def records_request(rows: Rows) -> pd.DataFrame:
    from mlflow.pyfunc.scoring_server import infer_and_parse_data

    return infer_and_parse_data({"dataframe_records": json.loads(json.dumps(in_json(rows)))})


IN_MEMORY: list[Callable[[Rows], Any]] = [frame, lambda rows: rows]
FILES = [write_json, write_jsonl, write_csv, write_parquet]


def spelt_apart(rows: Rows, schema: Schema, way: Callable[[Rows], Any]) -> bool:
    """Whether a way in has a form of its own for each cell, so that cells come as they were."""
    cells = [(schema.columns[name].kind, cell) for row in rows for name, cell in row.items()]
    if any(isinstance(cell, bytes) and kind != "bytes" for kind, cell in cells):
        return False  # what stands for it is a string like any other
    if way in (split_request, records_request):
        # pandas makes floats of a column of whole and other numbers, without the last digits.
        return not any(type(cell) is int and abs(cell) >= 2**53 for _, cell in cells) or all(
            type(cell) is not float for _, cell in cells
        )
    if way is write_csv:  # which knows strings alone
        return all(
            not isinstance(cell, (list, dict))
            and (kind in ("whole", "number", "truth", "list", "object") or isinstance(cell, str))
            and not (isinstance(cell, float) and cell in (float("inf"),))
            for kind, cell in cells
            if cell is not None and cell == cell
        )
    return True


@settings(
    max_examples=EXAMPLES,
    derandomize=EXAMPLES == 300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(cases(), st.sampled_from([(), ("-", "0", "1.5")]), st.randoms(use_true_random=False))
def test_a_record_is_the_same_alone_in_company_and_whatever_way_it_comes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[Rows, Rows],
    missing: tuple[str, ...],
    rng: random.Random,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("_FIRST", "_BLOCK"):  # bytes of a CSV file that are read at once
        monkeypatch.setattr(csv_files, name, rng.choice([8, 40, 1 << 16]))
    train, rows = case
    learnt = Records.read(train, schema=Schema(missing=missing))
    schema = learnt.schema
    assert not any("got a missing" in cell for one in outcomes(learnt) for cell in one.values())
    want = alone(rows, schema)
    for way in IN_MEMORY:
        # A fault is that of its own record, wherever it stands.
        order = rng.sample(range(len(rows)), len(rows))
        for row in order:
            assert next(outcomes(Records.read(way([rows[row]]), schema=schema))) == want[row]
    good = [
        row
        for row, one in zip(rows, want, strict=True)
        if not any("expected" in v for v in one.values())
    ]
    if good:
        check_ways(good, schema, rng)
    for row, one in zip(rows, want, strict=True):
        for write in FILES:
            if spelt_apart([row], schema, write):
                check_alone(row, one, schema, write)


def check_ways(rows: Rows, schema: Schema, rng: random.Random) -> None:
    """All records together, by each way in, and in parts."""
    want = alone(rows, schema)
    ways: list[Callable[[Rows], Any]] = [*IN_MEMORY, *FILES, split_request, records_request]
    for way in ways:
        if not spelt_apart(rows, schema, way):
            continue
        try:
            given = way(rows)
        except (
            pa.ArrowException,
            OverflowError,
            ValueError,
            TypeError,
        ):  # cells of several types in one column
            continue
        assert list(outcomes(Records.read(given, schema=schema))) == want, way
        if isinstance(given, str):
            batch = rng.randint(1, len(rows))
            parts = Parts(given).read(schema, batch)
            assert [one for part in parts for one in outcomes(part.records)] == want, way


def check_alone(
    row: dict[str, Any], want: dict[str, str], schema: Schema, write: Callable[[Rows], str]
) -> None:
    try:
        path = write([row])
    except (pa.ArrowException, OverflowError, ValueError, TypeError):
        return
    got = next(outcomes(Records.read(path, schema=schema)))
    for name in want:
        kind_of_fault = want[name].partition(", got ")[0]
        assert got[name].startswith(kind_of_fault), (write, row)
