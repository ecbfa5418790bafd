"""Records: one behaviour over every source."""

import datetime
import gzip
import json
import math
import re
import string
from decimal import Decimal
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.records.tables import UnevenError
from barrage_mlflow.errors import RecordError

NAN = math.nan
DAY = datetime.datetime(2020, 1, 2)
KINDS = ["csv", "csv.gz", "json", "jsonl", "ndjson", "jsonl.gz", "parquet"]


def message(error: pytest.ExceptionInfo[BaseException]) -> str:
    return str(error.value)


def same(one: object, other: object) -> bool:
    """Equality in which NaN equals NaN."""
    try:
        np.testing.assert_equal(one, other)
    except AssertionError:
        return False
    return type(one) is type(other)


# Sources ----------------------------------------------------------------------------------

ROWS = [
    {"id": 3, "mass": 1.5, "sex": "f", "tame": True},
    {"id": 4, "mass": None, "sex": None, "tame": False},
]


def write(path: Path, rows: list[dict], kind: str) -> Path:
    path = path / f"train.{kind}"
    frame = pd.DataFrame(rows)
    if kind.startswith("csv"):
        frame.to_csv(path, index=False)
    elif kind == "json":
        path.write_text(json.dumps(rows))
    elif kind in ("jsonl", "ndjson"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "jsonl.gz":
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    else:
        frame.to_parquet(path)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_each_kind_gives_the_same_records(tmp_path, kind):
    path = write(tmp_path, ROWS, kind)
    records = Records.read(path)
    assert same(list(records), [ROWS[0], {**ROWS[1], "mass": NAN}])
    assert records.columns == ["id", "mass", "sex", "tame"]
    assert records.dtypes() == {"id": "int64", "mass": "float64", "sex": "object", "tame": "bool"}
    assert (records.name, records.source) == (path.name, str(path))


def test_a_url_is_read_through_fsspec():

    with fsspec.open("memory://records/train.csv", "w") as file:
        file.write("a,b\n1,x\n")
    records = Records.read("memory://records/train.csv")
    assert list(records) == [{"a": 1, "b": "x"}]
    assert records.place(0) == "train.csv, record 0 (line 2)"


def test_signs_in_the_names_of_files_and_columns_mean_nothing(tmp_path):
    folder = tmp_path / "data [v2]*?"
    (folder / "part").mkdir(parents=True)
    frame = pd.DataFrame({"groups": [1], "schema": ["x"], "columns": [0.5]})
    frame.to_parquet(folder / "part" / "0.parquet")
    frame.to_csv(tmp_path / "t[1].csv", index=False)
    for source in (frame, folder, tmp_path / "t[1].csv", pa.Table.from_pandas(frame)):
        assert list(Records.read(source)) == [{"groups": 1, "schema": "x", "columns": 0.5}]


def test_a_name_replaces_that_of_the_file(tmp_path):
    records = Records.read(write(tmp_path, ROWS, "csv"), name="penguins")
    assert records.place(1) == "penguins, record 1 (line 3)"
    assert Records.read(records) is records
    assert Records.read(records, name="birds").place(0) == "birds, record 0 (line 2)"


ZONED = pd.to_datetime(["2020-01-02T01:00+01:00", None]).tz_convert("Europe/Berlin")
PANDAS = {
    "whole": (pd.array([1, None], dtype="Int64"), "float64", [1.0, NAN]),
    "full": (pd.array([1, 2], dtype="Int64"), "int64", [1, 2]),
    "real": (pd.array([0.5, None], dtype="Float64"), "float64", [0.5, NAN]),
    "flag": (pd.array([True, None], dtype="boolean"), "object", [True, None]),
    "text": (pd.array(["a", None], dtype="string"), "object", ["a", None]),
    "kind": (pd.Categorical(["a", None]), "object", ["a", None]),
    "code": (pd.Categorical([7, None]), "float64", [7.0, NAN]),
    "time": (pd.to_datetime(["2020-01-02", None]), "datetime64[us]", [DAY, None]),
    "zone": (ZONED, "datetime64[us]", [DAY, None]),
    "span": (pd.to_timedelta(["1h", None]), "timedelta64[us]", [datetime.timedelta(hours=1), None]),
    "narrow": (np.array([1, 2], dtype=np.uint8), "int64", [1, 2]),
    "single": (np.array([0.5, 1.5], dtype=np.float32), "float64", [0.5, 1.5]),
    "decimal": ([Decimal("0.5")] * 2, "float64", [0.5, 0.5]),
    "lists": ([[1, 2], [3, 4]], "int64", [[1, 2], [3, 4]]),
    "arrays": (
        [np.array([1.0, 2.0]), np.array([3.0, 4.0])],
        "float64",
        np.array([[1.0, 2.0], [3.0, 4.0]]),
    ),
    "odd": ([{"a": np.int64(1)}, None], "object", [{"a": 1}, None]),
}


def test_cells_of_every_pandas_dtype_become_native():
    records = Records.read(pd.DataFrame({name: cells for name, (cells, _, _) in PANDAS.items()}))
    assert records.dtypes() == {name: dtype for name, (_, dtype, _) in PANDAS.items()}
    for row, record in enumerate(records):
        assert same(record, {name: values[row] for name, (_, _, values) in PANDAS.items()})


@pytest.mark.parametrize(
    ("cells", "want"),
    [
        ([1, None], np.array([1.0, NAN])),
        (["a", NAN], np.array(["a", None], object)),
        ([True, None], np.array([True, None], object)),
        ([np.float32(0.5), np.int8(1)], np.array([0.5, 1.0])),
        ([np.array(5), 6], np.array([5, 6])),
        ([np.datetime64("2020-01-02"), pd.NaT], np.array([DAY, None], "datetime64[us]")),
        ([datetime.date(2020, 1, 2), None], np.array([DAY, None], "datetime64[us]")),
        (["", "a"], np.array([None, "a"], object)),
        ([None, None], np.array([NAN, NAN])),
        ([[1, None], [2, 3]], np.array([[1.0, NAN], [2.0, 3.0]])),
        ([["a", "bb"], ["c", None]], np.array([["a", "bb"], ["c", None]], object)),
        ([np.array([1, 2], np.uint8), (3, 4)], np.array([[1, 2], [3, 4]])),
        ([[], []], np.empty((2, 0))),
    ],
    ids=repr,
)
def test_a_column_is_typed_by_its_cells(cells, want):
    column = Records.read([{"c": cell} for cell in cells])["c"]
    assert column.dtype == want.dtype
    np.testing.assert_array_equal(column, want)


def test_timestamps_and_spans_finer_than_a_microsecond_come_out_as_dates():
    moment, span = pd.Timestamp("2020-01-01T00:00:00.000000001"), np.timedelta64(1500, "ns")
    assert Records.read([{"m": moment, "s": span}])[0] == {
        "m": datetime.datetime(2020, 1, 1),
        "s": datetime.timedelta(microseconds=1),
    }


AS_TEXT = 'declare the column as text, in dataset.columns: {"c": "text"}'
SORTS = 'write one sort of values, or declare what it is, in dataset.columns: {"c": "text"}'
INT64 = f"column 'c': expected a whole number within int64, got %d (int); {AS_TEXT}"
DIGITS = (
    "record 0, column 'c': expected a number within 2^53, got 9007199254740993 (int); a double "
    f"does not hold all its digits; {AS_TEXT}"
)


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        (["a", 1], f": column 'c' holds whole numbers and strings; {SORTS}"),
        ([True, 2.5], f": column 'c' holds numbers and truth values; {SORTS}"),
        ([10**30, 1], f", record 0, {INT64 % 10**30}"),
        (np.array([1, 2**63], np.uint64), f", record 1, {INT64 % 2**63}"),
        ([2**53 + 1, None], f", {DIGITS}"),
        (pd.array([2**53 + 1, None], dtype="Int64"), f", {DIGITS}"),
        ([0.5, math.inf], ", record 1, column 'c': expected a finite number, got inf"),
    ],
    ids=repr,
)
def test_a_column_that_is_of_no_kind_is_refused_where_it_is_read(cells, fault):
    rows = [{"c": cell, "d": 1} for cell in cells]
    source = rows if isinstance(cells, list) else pd.DataFrame({"c": cells, "d": 1})
    records = Records.read(source, name="train")
    assert list(records) == [{"d": 1}] * 2
    assert records["d"].tolist() == [1, 1]
    with pytest.raises(RecordError, match=f"^{re.escape(f'train{fault}')}$"):
        records["c"]


def test_a_key_that_a_record_lacks_is_a_missing_value():
    records = Records.read([{"a": 1}, {"b": "x"}])
    assert same(list(records), [{"a": 1.0, "b": None}, {"a": NAN, "b": "x"}])


@pytest.mark.parametrize("sort", [np.array, list])
@pytest.mark.parametrize("cells", [([1.0, 2.0], [3.0, 4.0]), ([1.0, 2.0], [3.0])])
def test_arrays_stay_arrays_and_lists_lists_whatever_way_they_come(tmp_path, sort, cells):
    train = Records.read([{"v": sort(cell)} for cell in cells])
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({"v": cell}) + "\n" for cell in cells))
    for source in (train, tmp_path / "t.jsonl", [{"v": np.array(cell)} for cell in cells]):
        records = Records.read(source, schema=train.schema)
        for made in (records.values("v"), [record["v"] for record in records]):
            assert [type(cell) for cell in made] == [type(sort([]))] * 2
            assert [[*cell] for cell in made] == [*cells]


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        (
            [[1], [2, 3], [4, 5]],
            "lists of several shapes: record 1 has (2,), those before (1,)",
        ),
        ([[1], None], "lists, some missing"),
        (
            [[1], [[1], [2, 3]]],
            "lists of several shapes: record 1 holds lists of differing lengths",
        ),
    ],
)
def test_lists_that_differ_in_shape_stay_lists(cells, fault):
    records = Records.read([{"t": cell} for cell in cells], name="train")
    assert (records["t"].dtype, records["t"].tolist()) == (object, cells)
    assert records[1:].values("t") == cells[1:]
    with pytest.raises(UnevenError, match="column 't'") as error:
        records[:1].stacked("t")
    assert message(error) == f"train: column 't' holds {fault}"


# Nothing that is handed out reaches the source --------------------------------------------


def test_what_is_done_to_records_reaches_nothing():
    rows = [{"a": 1, "t": [1, 2], "o": {"k": [1]}}, {"a": 2, "t": [3, 4], "o": {"k": [2]}}]
    before = json.dumps(rows)
    records = Records.read(rows)
    for _ in range(2):
        record = records[0]
        assert record == {"a": 1, "t": [1, 2], "o": {"k": [1]}}
        record["t"].append(9)
        record["o"]["k"].clear()
        for name in ("a", "t"):
            records[name][:] = 9
            records.values(name)[0] = 9
        records["o"][0]["k"].clear()
        records.values("t")[0].clear()
    assert json.dumps(rows) == before
    rows[0]["a"] = 9
    assert records[0]["a"] == 1


def test_a_data_frame_is_neither_changed_nor_followed():
    frame = pd.DataFrame({"a": [1, 2], "s": ["x", "y"]})
    records = Records.read(frame)
    records["a"][:] = 0
    assert frame["a"].tolist() == [1, 2]
    frame.loc[0, "a"] = 9
    frame["b"] = 1
    assert records[0] == {"a": 1, "s": "x"}


# Access -----------------------------------------------------------------------------------


def test_positions_survive_slices_and_take():
    records = Records.read([{"a": number} for number in range(10)], name="train")
    part = records[2:9].take([6, 0, 0])
    assert part["a"].tolist() == [8, 2, 2]
    assert [part.place(i) for i in range(3)] == [f"train, record {n}" for n in (8, 2, 2)]
    assert part[-1] == {"a": 2}
    assert records[::-1]["a"].tolist() == list(range(9, -1, -1))
    assert part.values("a") == [8, 2, 2]


@pytest.mark.parametrize("index", [2, -3])
def test_there_is_no_record_past_the_ends(index):
    records = Records.read(ROWS)
    with pytest.raises(IndexError, match=f"^record {index} of 2 records$"):
        records[index]
    with pytest.raises(IndexError, match=re.escape(f"rows {index} to {index} of 2 records")):
        records.take([index])


def test_a_missing_column_is_named_with_the_nearest():
    records = Records.read([{"species": 1, "sex": 2}], name="train.csv")
    for read in (records.__getitem__, records.stacked, records.values):
        with pytest.raises(RecordError, match="no column") as error:
            read("speces")
        assert message(error) == (
            "train.csv: no column 'speces'; did you mean 'species'? "
            "The columns are 'species', 'sex'"
        )
    with pytest.raises(RecordError, match=r"^the records: no column 'q'; the columns are 'a'$"):
        Records.read([{"a": 1}])["q"]
    Path("t.csv").write_text("on, no\n1,2\n")
    with pytest.raises(RecordError, match=r"^t\.csv: no column 'no'; did you mean ' no'\?"):
        Records.read("t.csv")["no"]


def test_no_records_are_records_too():
    for source in ([], pd.DataFrame({"a": np.array([], float)})):
        assert len(Records.read(source)) == 0
    assert Records.read(pd.DataFrame({"a": np.array([], float)}))["a"].shape == (0,)
    assert Records.read([{"a": 1}])[:0].dtypes() == {"a": "int64"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_records_of_a_file_of_each_kind(tmp_path, kind):
    rows = [{"id": i, "mass": i / 2, "sex": "fm"[i % 2]} for i in range(5)]
    path = write(tmp_path, rows, kind)
    for limit, cut_at in ((1, 1), (4, 4), (5, None), (6, None), (None, None)):
        records = Records.read(path, limit=limit)
        assert (list(records), records.cut_at) == (rows[:limit], cut_at)
        assert records.dtypes() == {"id": "int64", "mass": "float64", "sex": "object"}
        assert (records[:1].cut_at, records.whole().cut_at) == (cut_at, cut_at)


def test_the_first_of_records_that_are_there_already():
    for source in (ROWS, pd.DataFrame(ROWS), Records.read(ROWS)):
        records = Records.read(source, limit=1)
        assert (list(records), records.cut_at) == ([ROWS[0]], 1)
        assert Records.read(source, limit=2).cut_at is None
    cut = Records.read(ROWS, limit=1)
    assert Records.read(cut, name="other").cut_at == 1
    assert Records.read(cut, limit=1) is cut


# Properties -------------------------------------------------------------------------------

names = st.text(string.ascii_lowercase, min_size=1, max_size=5)
text = st.text(string.ascii_letters + "äß ,\"'\n", min_size=1, max_size=8).filter(
    lambda s: (
        s.strip() == s
        and s.lower() not in {"nan", "na", "null", "none", "true", "false", "n", "inf", "infinity"}
    )
)
finite = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not x.is_integer())
whole = st.integers(-(2**53), 2**53)


def tables(*columns: st.SearchStrategy) -> st.SearchStrategy[list[dict]]:
    """Rows whose columns each keep to one of the strategies."""

    def rows(kinds: dict[str, st.SearchStrategy]) -> st.SearchStrategy[list[dict]]:
        return st.lists(st.fixed_dictionaries(kinds), min_size=1, max_size=6)

    return st.dictionaries(names, st.sampled_from(columns), min_size=1, max_size=4).flatmap(rows)


flat = tables(whole, finite, st.booleans(), finite | st.none(), text)
quick = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@quick
@given(flat, st.sampled_from(["csv", "json", "jsonl", "parquet"]))
def test_a_file_gives_back_what_was_written(tmp_path, rows, kind):
    records = Records.read(write(tmp_path, rows, kind))
    plain = Records.read(rows)
    assert same(list(Records.read(plain.to_frame())), list(plain))
    assert same(list(records), list(plain))


@pytest.mark.parametrize("dtype", ["int64", "float64"])
def test_the_columns_of_a_short_frame_are_those_of_a_long_one(dtype: str) -> None:
    long = pd.DataFrame({"a": np.arange(9_000), "b": np.arange(9_000) * 2}, dtype=dtype)
    short = long[10:20]
    records, all_records = Records.read(short), Records.read(long)
    # What the caller writes later is none of the records' business.
    short.loc[10, "a"] = -1
    for name in ("a", "b"):
        assert records.as_read(name).dtype == all_records.as_read(name).dtype == dtype
        assert repr(records.values(name)) == repr(all_records[10:20].values(name))
