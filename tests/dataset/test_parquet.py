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
from barrage_mlflow.dataset.records import parquet_files
from barrage_mlflow.dataset.records.tables import UnevenError
from barrage_mlflow.errors import RecordError

D = decimal.Decimal
DAY, NAN = dt.datetime(2020, 1, 2), float("nan")

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
    "times with a zone": pa.array([DAY, None] * 3, pa.timestamp("us", "Europe/Berlin")),
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
def opened(monkeypatch):
    """The row groups and columns of each time that files are read."""
    opened = []
    read = parquet_files.ParquetFiles.read

    def watched(self, groups, columns):
        opened.append((list(groups), list(columns)))
        return read(self, groups, columns)

    monkeypatch.setattr(parquet_files.ParquetFiles, "read", watched)
    return opened


def write(path: Path, columns: dict[str, object], rows: int = 2, **options: object) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=rows, **options)
    return path


def outcome(records: Records, name: str) -> tuple[object, ...]:
    """All that a column hands out."""
    try:
        column = records[name]
    except RecordError as error:
        return (str(error),)
    try:
        stacked: object = records.stacked(name)
    except UnevenError as error:
        stacked = str(error)
    return (
        records.schema.columns[name].kind, str(column.dtype), column.shape,
        repr(column.tolist()), repr(records.values(name)),
        repr([record[name] for record in records]),
        getattr(stacked, "dtype", None), getattr(stacked, "shape", stacked),
    )  # fmt: skip


def assert_same(one: Records, other: Records, name: str) -> None:
    np.testing.assert_equal(outcome(one, name), outcome(other, name))


# The same whichever part is read -----------------------------------------------------------


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_that_of_the_whole_whichever_part_is_read(tmp_path, name, statistics):
    path = write(tmp_path / "t.parquet", {"c": COLUMNS[name]}, write_statistics=statistics)
    rows = [{"c": cell} for cell in COLUMNS[name].to_pylist()]
    whole = Records.read(rows, name="t.parquet")
    records = Records.read(path)
    assert_same(records, whole, "c")
    if name == "large integers":  # a part without the one that is refused is all right
        return
    for start, stop in ((0, 0), (0, 1), (1, 4), (3, 6), (5, 6), (2, 3)):
        assert_same(records[start:stop], whole[start:stop], "c")
        assert_same(records[start:][: stop - start], whole[start:stop], "c")
    for start, piece in zip(range(0, 6, 2), Records.read(path).pieces(2), strict=True):
        assert_same(piece, whole[start : start + 2], "c")
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
def test_any_column_is_that_of_the_whole(tmp_path, cells, rows, size, statistics):
    path = write(tmp_path / "t.parquet", {"c": cells}, rows, write_statistics=statistics)
    whole = Records.read([{"c": cell} for cell in cells], name="t.parquet")
    assert_same(Records.read(path), whole, "c")
    start = 0
    for piece in Records.read(path).pieces(size):
        assert_same(piece, whole[start : start + len(piece)], "c")
        start += len(piece)


def test_kinds_are_learnt_from_footers_and_of_lists_in_one_pass(tmp_path, opened):
    columns = {"a": range(6), "t": [[1]] * 6, "s": list("abcdef"), "u": [[1], []] * 3}
    records = Records.read(write(tmp_path / "t.parquet", columns, 3))
    kinds = {name: column.kind for name, column in records.schema.columns.items()}
    assert kinds == {"a": "whole", "t": "list", "s": "text", "u": "list"}
    assert opened == [([0], ["t", "u"]), ([1], ["t", "u"])]


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
    assert records[1:3].stacked("a").tolist() == [1, 2]
    assert records.read_groups([1], columns=["a"])["a"].tolist() == [2, 3]
    fault = rf"^{re.escape(str(path))} is not Parquet: .*; mend the file, or give"
    for read in (
        lambda: records["b"],
        lambda: records[0],
        lambda: next(records.pieces())["b"],
        lambda: next(records.pieces(columns=["b"])),
        lambda: next(records.pieces(columns=["a"]))["b"],
        lambda: records.read_groups([0], ["b"]),
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


def test_pieces_and_parts_read_their_row_groups_alone(tmp_path, opened):
    records = Records.read(write(tmp_path / "t.parquet", {"a": range(6), "b": range(6)}))
    assert [piece["a"].tolist() for piece in records.pieces(1, ["a"])] == [[n] for n in range(6)]
    assert records[3:5].values("b") == [3, 4]
    assert records[:1][0] == {"a": 0, "b": 0}
    assert opened == [
        ([0], ["a"]), ([1], ["a"]), ([2], ["a"]), ([1, 2], ["b"]), ([0], ["a", "b"]),
    ]  # fmt: skip


def test_columns_that_were_read_are_not_read_again(tmp_path):
    path = write(tmp_path / "t.parquet", {"a": range(6), "t": [[1]] * 6, "u": [[1], []] * 3})
    records = Records.read(path)
    whole = {name: records[name].tolist() for name in records.columns}
    path.unlink()
    for part, rows in zip(records.pieces(4), (range(4), range(4, 6)), strict=True):
        for name, cells in whole.items():
            assert part[name].tolist() == part.values(name) == [cells[row] for row in rows]


# Pieces ------------------------------------------------------------------------------------


def test_a_piece_speaks_of_the_whole(tmp_path):
    path = write(tmp_path / "t.parquet", {"a": range(6), "b": ["x"] * 6, "t": [[1]] * 5 + [[]]})
    records = Records.read(path, limit=5)
    *_, piece = records.pieces(2, ["a"])
    assert (len(piece), piece.name, piece.source) == (1, "t.parquet", str(path))
    assert piece.owner == "5 records of t.parquet"
    for same in (piece, piece[:1], piece.take([0])):
        assert same.place(-1) == "t.parquet, record 4"
    assert piece[0] == {"a": 4, "b": "x", "t": [1]}
    assert piece.whole()["a"].tolist() == [4, 5]
    with pytest.raises(RecordError, match=r"^5 records of t\.parquet: no column 'c'"):
        piece["c"]
    *_, last = Records.read(path).pieces(2)
    with pytest.raises(UnevenError, match=r"^t\.parquet: column 't' holds .*: record 5 has \(0,\)"):
        last.stacked("t")


@pytest.mark.parametrize("source", ["rows", "frame", "parquet"])
def test_pieces_are_the_records_of_every_source(tmp_path, source):
    rows = [{"a": number, "b": str(number)} for number in range(7)]
    frame = pd.DataFrame(rows)
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=2)
    records = Records.read({"rows": rows, "frame": frame}.get(source, tmp_path / "t.parquet"))
    shuffled = records.take([6, 0])
    for part, want in ((records, rows), (records[1:6], rows[1:6]), (shuffled, [rows[6], rows[0]])):
        for size in (1, 3, 100):
            pieces = list(part.pieces(size))
            assert [row for piece in pieces for row in piece] == want
            assert all(len(piece) <= size for piece in pieces)
            for piece in pieces:
                assert piece.stacked("a").tolist() == [row["a"] for row in piece]
    with pytest.raises(RecordError, match="no column 'q'"):
        next(records.pieces(columns=["q"]))


# Folders ------------------------------------------------------------------------------------


def test_files_of_a_folder_may_differ(tmp_path):
    write(tmp_path / "0.parquet", {"a": [1.5], "c": pa.array(["x"]).dictionary_encode(), "n": [1]})
    write(tmp_path / "1.parquet", {"c": ["y"], "a": [2], "n": pa.nulls(1, pa.int64())})
    write(tmp_path / "2.parquet", {"a": pa.array([3], pa.float32()), "z": [0]})
    records = Records.read(tmp_path)
    want = [
        {"a": 1.5, "c": "x", "n": 1.0, "z": NAN},
        {"a": 2.0, "c": "y", "n": NAN, "z": NAN},
        {"a": 3.0, "c": None, "n": NAN, "z": 0.0},
    ]
    np.testing.assert_equal(list(records), want)
    np.testing.assert_equal([row for piece in records.pieces(2) for row in piece], want)


@pytest.mark.parametrize(
    ("one", "other", "fault"),
    [
        (pa.array([True]), pa.array([5]), "whole numbers and truth values"),
        (pa.array([1]), pa.array([True]), "whole numbers and truth values"),
        (pa.array(["a"]), pa.array([7.0]), "numbers and strings"),
        (pa.array(["a"]), pa.array([b"a"]), "strings and bytes"),
        (pa.array([1.5], pa.float32()), pa.array([1e300]), [1.5, 1e300]),
        (pa.array([D("1.25")]), pa.array([D("1.234")]), [1.25, 1.234]),
        (pa.nulls(1), pa.array([5]), [NAN, 5.0]),
        (pa.array([1]), pa.array([1.5]), [1.0, 1.5]),
        (pa.array([1], pa.int32()), pa.array([2**40]), [1, 2**40]),
        (pa.array([200], pa.uint8()), pa.array([300]), [200, 300]),
        (pa.array([[1]]), pa.array([[1.5]]), [[1.0], [1.5]]),
        (pa.array([{"a": 1}]), pa.array([{"a": 1, "b": 2}]), [{"a": 1}, {"a": 1, "b": 2}]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_files_of_a_folder_come_to_one_kind_without_loss_or_are_refused(
    tmp_path, one, other, fault
):
    for number, cells in enumerate((one, other)):
        write(tmp_path / f"{number}.parquet", {"c": cells})
    records = Records.read(tmp_path, name="parts")
    if isinstance(fault, str):
        with pytest.raises(RecordError, match=f"^parts: column 'c' holds {fault}; write one"):
            records["c"]
    else:
        np.testing.assert_equal(records.values("c"), fault)


def test_keys_in_the_names_of_folders_are_columns_of_pieces_too(tmp_path):
    for year in ("2020", "2021", "2022"):
        for kind in ("x", "y"):
            folder = tmp_path / f"year={year}" / f"kind={kind}"
            folder.mkdir(parents=True)
            write(folder / "rows.parquet", {"a": [1, 2, 3]})
    records = Records.read(tmp_path)
    whole = Records.read(pd.read_parquet(tmp_path), name=records.name)
    assert records.columns == ["a", "year", "kind"]
    for name in records.columns:
        assert_same(records, whole, name)
        first = 0
        for piece in records.pieces(4, [name]):
            assert_same(piece, whole[first : first + len(piece)], name)
            first += len(piece)
    assert records.row_groups() == [2, 1] * 6


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
    parts = (whole.take([2, 0]), whole[1:], next(whole.pieces(2)), whole.read_groups([1, 0], ["a"]))
    for records in (whole, cut, *parts, csv, csv[1:], rows):
        other = pickle.loads(pickle.dumps(records))
        assert (other.columns, other.owner, other.source) == (
            records.columns, records.owner, records.source,
        )  # fmt: skip
        for name in records.columns:
            assert_same(other, records, name)
        assert other.place(-1) == records.place(-1)
        assert other.digest() == records.digest()
        assert other.row_groups() == records.row_groups()


def test_a_parquet_file_reaches_another_process_as_its_path(tmp_path):
    records = Records.read(write(tmp_path / "t.parquet", {"a": np.arange(10_000)}, 5_000))
    records["a"].sum()
    assert len(pickle.dumps(records)) < 2_000
