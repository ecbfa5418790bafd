"""Parquet by pieces: what is read of it is what reading it whole gives."""

import datetime as dt
import decimal
import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.records import parquet, parquet_tables
from barrage_mlflow.dataset.records.column_specs import look_at_columns
from barrage_mlflow.dataset.records.columns import UnevenError
from barrage_mlflow.dataset.records.row_groups import read_row_groups, row_groups
from barrage_mlflow.errors import RecordError

D = decimal.Decimal
DAY = dt.datetime(2020, 1, 2)
NAN = float("nan")

# Six records each, which row groups of two cut in three.
COLUMNS = {
    "integers": pa.array([1, 2, 3, 4, 5, 6]),
    "integers with a gap": pa.array([1, 2, 3, None, 5, 6]),
    "large integers": pa.array([1, 2, 3, 4, 5, 2**63], pa.uint64()),
    "unsigned integers": pa.array([1, 2, 3, 4, 5, 2**62], pa.uint64()),
    "floats": pa.array([1, 2.5, NAN, 4, 5, 6], pa.float32()),
    "truth": pa.array([True, False, True, True, False, False]),
    "truth with a gap": pa.array([True, False, True, None, False, False]),
    "strings with a gap": pa.array(["a", "b", None, None, "ä", "a"], pa.large_string()),
    "nothing": pa.nulls(6),
    "binary": pa.array([b"a", b"", None, b"c", b"\0", b"a"]),
    "categories": pa.array(["a", "b", "a", None, "a", "c"]).dictionary_encode(),
    "categories of integers": pa.array([1, 2, 1, None, 1, 3]).dictionary_encode(),
    "decimals": pa.array([D("0.1"), D("0.2"), None, None, D("2.5"), D("0.3")]),
    "decimals that are all missing": pa.array([None] * 6, pa.decimal128(5, 2)),
    "times": pa.array([DAY, None, DAY, DAY, DAY, DAY], pa.timestamp("us")),
    "structs": pa.array([{"a": 1, "b": "x"}, {"a": None, "b": None}, None] * 2),
    "lists": pa.array([[1, 2], [3, 4], [5, 6], [7, 8], [9, 10], [11, 12]]),
    "lists with a gap inside": pa.array([[1, 2], [3, 4], [5, None], [7, 8], [9, 10], [11, 12]]),
    "lists with a gap": pa.array([[1, 2], [3, 4], [5, 6], None, [9, 10], [11, 12]]),
    "lists with a gap at first": pa.array([None, None, None, [1], [2], [3]]),
    "lists that are all missing": pa.array([None] * 6, pa.list_(pa.int64())),
    "lists of differing lengths": pa.array([[1], [2], [3], [4], [5, None], [7]]),
    "lists that differ from part to part": pa.array([[1], [2], [3, 4], [5, 6], [7], [8]]),
    "empty lists": pa.array([[]] * 6, pa.list_(pa.int32())),
    "lists of a fixed length": pa.array([[1, 2]] * 6, pa.list_(pa.int16(), 2)),
    "lists of strings": pa.array([["a", "b"], ["c", None]] * 3),
    "lists of truth with a gap": pa.array([[True]] * 3 + [[None]] + [[False]] * 2),
    "lists of decimals": pa.array([[None], [None], [D("0.1")], [D("0.2")], [None], [D("1.5")]]),
    "lists of structs": pa.array([[{"a": 1}], [{"a": None}]] * 3),
    "lists of lists": pa.array([[[1, 2], [3, 4]]] * 6),
    "uneven lists of lists": pa.array([[[1], [2]]] * 4 + [[[1], [2, 3]]] * 2),
    "maps": pa.array([[("k", 1)], [("k", None)]] * 3, pa.map_(pa.string(), pa.int64())),
}  # fmt: skip


@pytest.fixture
def small_batches(monkeypatch):
    """Read three records at once, so that batches and row groups cut across each other."""
    monkeypatch.setattr(parquet, "PIECE", 3)
    monkeypatch.setattr(parquet_tables, "PIECE", 3)


@pytest.fixture
def opened(monkeypatch):
    """The columns and the first record of each time that files are opened to be read."""
    opened = []
    batches = parquet.ParquetFiles.batches
    monkeypatch.setattr(
        parquet.ParquetFiles, "batches", lambda *a: opened.append(a[1:]) or batches(*a)
    )
    return opened


def write(path: Path, columns: dict[str, object], rows: int = 2, **options: object) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=rows, **options)
    return path


def read_whole(path: Path, name: str) -> Records:
    """The column ``c`` of a file, read by other means."""
    if name in ("structs", "lists of structs", "maps"):
        # Whether pandas makes floats of integers in them depends on those beside them.
        rows = [{"c": cell} for cell in COLUMNS[name].to_pylist()]
        return Records.read(rows, name="t.parquet")
    return Records.read(pd.read_parquet(path), name="t.parquet")


def outcome(records: Records, name: str) -> tuple[object, ...]:
    """All that a column hands out."""
    try:
        stacked: object = records.stacked(name)
    except UnevenError as error:
        stacked = str(error)
    column = records[name]
    return (
        str(column.dtype), column.shape, repr(column.tolist()), repr(records.values(name)),
        repr([record[name] for record in records]),
        getattr(stacked, "dtype", None), getattr(stacked, "shape", stacked),
    )  # fmt: skip


def assert_same(one: Records, other: Records, name: str) -> None:
    np.testing.assert_equal(outcome(one, name), outcome(other, name))


# The same whichever part is read -----------------------------------------------------------


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_that_of_the_whole_whichever_part_is_read(
    tmp_path, name, statistics, small_batches
):
    path = write(tmp_path / "t.parquet", {"c": COLUMNS[name]}, write_statistics=statistics)
    whole = read_whole(path, name)
    assert_same(Records.read(path), whole, "c")
    assert look_at_columns(Records.read(path), ["c"]) == look_at_columns(whole, ["c"])
    for size in (1, 2, 3, 4, 6):
        pieces = Records.read(path).pieces(size)
        for start, piece in zip(range(0, 6, size), pieces, strict=True):
            assert_same(piece, whole[start : start + size], "c")
    records = Records.read(path)
    for start, stop in ((0, 0), (0, 1), (1, 4), (3, 6), (5, 6), (2, 3)):
        assert_same(records[start:stop], whole[start:stop], "c")
        assert_same(records[start:][: stop - start], whole[start:stop], "c")
    assert_same(records.take([5, 0, 0]), whole.take([5, 0, 0]), "c")


values = st.one_of(
    st.lists(st.none() | st.integers(-9, 9), min_size=1, max_size=12),
    st.lists(st.none() | st.text("ab", max_size=2), min_size=1, max_size=12),
    st.lists(st.none() | st.lists(st.integers(0, 9), max_size=2), min_size=1, max_size=12),
    st.lists(st.lists(st.none() | st.integers(0, 9), min_size=2, max_size=2), min_size=1),
    st.lists(st.lists(st.lists(st.integers(0, 9), max_size=2), max_size=2), min_size=1),
)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(values, st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_any_column_is_that_of_the_whole(tmp_path, small_batches, cells, rows, size, statistics):
    path = write(tmp_path / "t.parquet", {"c": cells}, rows, write_statistics=statistics)
    whole = Records.read(pd.read_parquet(path), name="t.parquet")
    for number, piece in enumerate(Records.read(path).pieces(size)):
        assert_same(piece, whole[number * size :][:size], "c")
    assert_same(Records.read(path), whole, "c")
    assert look_at_columns(Records.read(path), ["c"]) == look_at_columns(whole, ["c"])


def test_columns_are_looked_at_in_one_pass(tmp_path, opened):
    records = Records.read(write(tmp_path / "t.parquet", dict.fromkeys("abcdef", range(6))))
    look_at_columns(records, ["a", "c", "e"])
    assert opened == [(["a", "c", "e"], 0)]


# Nothing more than is asked for -------------------------------------------------------------


def broken_column(path: Path, index: int) -> None:
    """Overwrite the values of one column of a Parquet file."""
    footer = pq.ParquetFile(path).metadata
    content = bytearray(path.read_bytes())
    for group in range(footer.num_row_groups):
        chunk = footer.row_group(group).column(index)
        start = chunk.dictionary_page_offset or chunk.data_page_offset
        size = chunk.total_compressed_size
        content[start : start + size] = b"\xff" * size
    path.write_bytes(content)


def test_columns_that_nobody_reads_stay_on_disk(tmp_path):
    path = write(tmp_path / "t.parquet", {"a": range(6), "b": range(6)})
    broken_column(path, 1)
    records = Records.read(path)
    assert records["a"].tolist() == list(range(6))
    assert [piece["a"].tolist() for piece in records.pieces(3, ["a"])] == [[0, 1, 2], [3, 4, 5]]
    assert records[1:3].joined(["a"]).tolist() == [[1], [2]]
    assert read_row_groups(records, [1], columns=["a"])["a"].tolist() == [2, 3]
    fault = rf"^{re.escape(str(path))} is not Parquet: .*; mend the file, or give"
    for read in (
        lambda: records["b"],
        lambda: records[0],
        lambda: next(records.pieces()),
        lambda: next(records.pieces(columns=["a"]))["b"],
        lambda: read_row_groups(records, [0]),
    ):
        with pytest.raises(RecordError, match=fault):
            read()


def test_a_folder_says_which_of_its_files_is_broken(tmp_path):
    for number in range(3):
        write(tmp_path / f"{number}.parquet", {"a": [number]})
    broken_column(tmp_path / "1.parquet", 0)
    records = Records.read(tmp_path)
    assert records[:1]["a"].tolist() == [0]
    with pytest.raises(RecordError, match=r"/1\.parquet is not Parquet"):
        records["a"]
    (tmp_path / "2.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(RecordError, match=r"/2\.parquet is not Parquet"):
        Records.read(tmp_path)


def test_a_file_that_changes_is_told(tmp_path):
    path = write(tmp_path / "t.parquet", {"a": [1, 2]})
    records = Records.read(path)
    stored = pickle.dumps(records)
    write(path, {"a": list(range(50))})
    with pytest.raises(RecordError, match=r"t\.parquet has changed since it was opened; read it"):
        records["a"]
    with pytest.raises(RecordError, match=r"t\.parquet has changed: expected 2 records, got 50"):
        pickle.loads(stored)
    path.unlink()
    with pytest.raises(RecordError, match=r"t\.parquet is not Parquet: .*No such file"):
        records["a"]


def test_pieces_and_short_parts_leave_nothing_behind(tmp_path, monkeypatch):
    path = write(tmp_path / "t.parquet", {"a": range(6), "t": [[1], [2, 3]] * 3})
    monkeypatch.setattr(
        parquet_tables.ParquetTable, "_convert", lambda *_: pytest.fail("a whole column is read")
    )
    records = Records.read(path)
    assert [len(piece) for piece in records.pieces(4)] == [4, 2]
    assert records[-2:][0] == {"a": 4, "t": [1]}
    assert records[:5].values("t") == [[1], [2, 3], [1], [2, 3], [1]]
    assert records.dtypes() == {"a": "int64", "t": "object"}
    assert look_at_columns(records, ["a"]) == {"a": ("integer", False)}


def test_columns_that_were_read_are_not_read_again(tmp_path):
    path = write(tmp_path / "t.parquet", {"a": range(6), "t": [[1]] * 6, "u": [[1], []] * 3})
    records = Records.read(path)
    whole = {name: records[name].tolist() for name in records.columns}
    path.unlink()
    parts = [*records.pieces(4), records[1:3], read_row_groups(records, [2, 0])]
    rows = [range(4), range(4, 6), range(1, 3), [4, 5, 0, 1]]
    for part, of_part in zip(parts, rows, strict=True):
        for name, cells in whole.items():
            wanted = [cells[row] for row in of_part]
            assert part[name].tolist() == part.values(name) == wanted


def test_parts_that_follow_each_other_read_on(tmp_path, opened):
    records = Records.read(write(tmp_path / "t.parquet", {"a": range(1000)}, 500))
    for first in range(500, 1000, 7):
        part = records[first : first + 7]
        assert part["a"].tolist() == list(range(first, min(first + 7, 1000)))
    assert opened == [(["a"], 500)]


# Pieces ------------------------------------------------------------------------------------


def test_a_piece_speaks_of_the_whole(tmp_path):
    path = write(tmp_path / "t.parquet", {"a": range(6), "b": ["x"] * 6, "t": [[1]] * 5 + [[]]})
    records = Records.read(path, limit=5)
    *_, piece = records.pieces(2, ["a"])
    assert (len(piece), piece.name, piece.source) == (1, "t.parquet", str(path))
    assert piece.owner == "the first 5 records of t.parquet"
    for same in (piece, piece[:1], piece.take([0])):
        assert same.place(-1) == "t.parquet, record 4"
    assert piece[0] == {"a": 4, "b": "x", "t": [1]}
    assert piece.whole()["a"].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(RecordError, match=r"^the first 5 records of t\.parquet: no column 'c'"):
        piece["c"]
    with pytest.raises(UnevenError, match=r"^t\.parquet, record 5: column 't' has shape"):
        next(Records.read(path).pieces(2)).stacked("t")


@pytest.mark.parametrize("source", ["rows", "frame", "parquet"])
def test_pieces_are_cut_alike_from_every_source(tmp_path, source):
    rows = [{"a": number, "b": str(number)} for number in range(7)]
    frame = pd.DataFrame(rows)
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=2)
    records = Records.read({"rows": rows, "frame": frame}.get(source, tmp_path / "t.parquet"))
    shuffled = records.take([6, 0])
    for part, want in ((records, rows), (records[1:6], rows[1:6]), (shuffled, [rows[6], rows[0]])):
        for size in (1, 3, 100):
            for start, piece in enumerate(part.pieces(size)):
                assert list(piece) == want[start * size : (start + 1) * size]
                assert piece.joined(["a", "a"]).tolist() == [[row["a"]] * 2 for row in piece]
    with pytest.raises(RecordError, match="no column 'q'"):
        next(records.pieces(columns=["q"]))


def test_pieces_of_large_records_hold_fewer_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_BATCH_BYTES", 4_000)
    columns = {"a": range(10), "b": [bytes([n]) * 1000 for n in range(10)]}
    options = {"use_dictionary": False, "write_statistics": False, "compression": "none"}
    path = write(tmp_path / "t.parquet", columns, **options)
    records = Records.read(path)
    assert [len(piece) for piece in records.pieces()] == [3, 3, 3, 1]
    assert [len(piece) for piece in records.pieces(2)] == [2] * 5
    assert [len(piece) for piece in records.pieces(columns=["a"])] == [10]
    assert [cell[0] for piece in records.pieces() for cell in piece["b"]] == list(range(10))


# Folders ------------------------------------------------------------------------------------


def test_files_of_a_folder_may_differ(tmp_path):
    write(tmp_path / "0.parquet", {"a": [1.5], "c": pa.array(["x"]).dictionary_encode(), "n": [1]})
    write(tmp_path / "1.parquet", {"c": ["y"], "a": [2], "n": pa.nulls(1, pa.int64())})
    write(tmp_path / "2.parquet", {"a": pa.array([3], pa.float32()), "z": [0]})
    records = Records.read(tmp_path)
    want = [
        {"a": 1.5, "c": "x", "n": 1.0},
        {"a": 2.0, "c": "y", "n": NAN},
        {"a": 3.0, "c": None, "n": NAN},
    ]
    np.testing.assert_equal(list(records), want)
    np.testing.assert_equal([row for piece in records.pieces(2) for row in piece], want)
    np.testing.assert_equal(list(Records.read(tmp_path, limit=2)), want[:2])


def test_keys_in_the_names_of_folders_are_columns_of_pieces_too(tmp_path):
    for year in ("2020", "2021", "2022"):
        for kind in ("x", "y"):
            folder = tmp_path / f"year={year}" / f"kind={kind}"
            folder.mkdir(parents=True)
            write(folder / "rows.parquet", {"a": [1, 2, 3]})
    records, whole = Records.read(tmp_path), Records.read(pd.read_parquet(tmp_path))
    assert records.columns == ["a", "year", "kind"]
    for name in records.columns:
        assert_same(records, whole, name)
        for start, piece in zip(range(0, 18, 4), records.pieces(4, [name]), strict=True):
            assert_same(piece, whole[start : start + 4], name)
    assert row_groups(records) == [2, 1] * 6


def test_a_key_that_a_folder_lacks_is_missing(tmp_path):
    for year in ("2020", "__HIVE_DEFAULT_PARTITION__"):
        (tmp_path / f"year={year}").mkdir()
        write(tmp_path / f"year={year}" / "rows.parquet", {"a": [1, 2]})
    records = Records.read(tmp_path)
    np.testing.assert_equal([record["year"] for record in records], [2020.0, 2020.0, NAN, NAN])
    assert records[:1]["year"].dtype == np.float64


def test_the_index_that_pandas_wrote_is_no_column(tmp_path):
    pd.DataFrame({"a": [1, 2]}, index=["x", "y"]).to_parquet(tmp_path / "t.parquet")
    assert Records.read(tmp_path / "t.parquet").columns == ["a"]


def test_a_name_with_a_dot_is_a_name(tmp_path):
    columns = {"a": [{"b": 1}, {"b": None}], "a.b": [1, None], "c.d": [1, None], "c": [1, 2]}
    records = Records.read(write(tmp_path / "t.parquet", columns))
    assert records["c.d"].dtype == records[:1]["a.b"].dtype == np.float64
    assert (records.values("c"), records.values("a")) == ([1, 2], columns["a"])


def test_tensors_are_lists(tmp_path):
    cells = pa.array([[1, 2, 3, 4]] * 3, pa.list_(pa.float32(), 4))
    tensors = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float32(), (2, 2)), cells)
    records = Records.read(write(tmp_path / "t.parquet", {"c": tensors}))
    assert records["c"].shape == (3, 4)
    assert records[1:]["c"].tolist() == [[1, 2, 3, 4]] * 2


# Workers ------------------------------------------------------------------------------------


def test_records_reach_another_process(tmp_path):
    path = write(tmp_path / "t.parquet", {"a": [1, 2, None], "t": [[1], [2, 3], [4]]})
    (tmp_path / "t.csv").write_text("a,s\n1,x\n\n2,y\n")
    whole, csv = Records.read(path), Records.read(tmp_path / "t.csv")
    rows = Records.read([{"a": 1, "t": [1]}, {"a": None, "t": [1, 2]}])
    cut = Records.read(path, limit=2)
    parts = (whole.take([2, 0]), whole[1:], next(whole.pieces(2)), read_row_groups(whole, [1, 0]))
    for records in (whole, cut, *parts, csv, csv[1:], rows):
        other = pickle.loads(pickle.dumps(records))
        assert (other.columns, other.owner, other.source) == (
            records.columns, records.owner, records.source,
        )  # fmt: skip
        for name in records.columns:
            assert_same(other, records, name)
        assert other.place(-1) == records.place(-1)
        assert other.digest() == records.digest()
        assert row_groups(other) == row_groups(records)


def test_a_parquet_file_reaches_another_process_as_its_path(tmp_path):
    path = write(tmp_path / "t.parquet", {"a": np.arange(10_000)}, 5_000)
    records = Records.read(path)
    records["a"].sum()
    assert len(pickle.dumps(records)) < 2_000
