"""Row groups of Parquet: which there are, and how they are read as often as they are drawn."""

import re
from collections import Counter
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from barrage_mlflow.dataset import RecordLoader, RecordMode, Records
from barrage_mlflow.dataset.components.reading import settle_columns
from barrage_mlflow.dataset.feeding.sample_counts import group_draws, sample_counts
from barrage_mlflow.dataset.records.parquet_files import ParquetFiles
from barrage_mlflow.errors import RecordError


def write(path: Path, columns: dict[str, object], rows: int = 2) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=rows)
    return path


def test_row_groups_are_those_of_the_records(tmp_path):
    (tmp_path / "t").mkdir()
    write(tmp_path / "t" / "0.parquet", {"a": range(5)})
    write(tmp_path / "t" / "1.parquet", {"a": range(3)}, 3)
    records = Records.read(tmp_path / "t")
    assert records.row_groups() == [2, 2, 1, 3]
    assert records[1:6].row_groups() == records[:6][1:].row_groups() == [1, 2, 1, 1]
    assert Records.read(tmp_path / "t", limit=3).row_groups() == [2, 1]
    for part in (Records.read([{"a": 1}]), records.take([1, 2])):
        assert part.row_groups() is None


def test_row_groups_are_read_in_any_order(tmp_path):
    columns = {"a": range(12), "s": list("abcdefghijkl")}
    records = Records.read(write(tmp_path / "t.parquet", columns, 5))
    for part, ends in ((records, [0, 5, 10, 12]), (records[2:11], [2, 5, 10, 11])):
        for groups in ([0], [1], [2, 0], [0, 1, 2]):
            want = [row for group in groups for row in range(ends[group], ends[group + 1])]
            read = part.read_groups(groups, ["a"])
            assert read["a"].tolist() == want
            assert [record["s"] for record in read] == [columns["s"][row] for row in want]
            assert read.place(-1) == f"t.parquet, record {want[-1]}"
    with pytest.raises(IndexError, match="index out of range"):
        records.read_groups([3], ["a"])


def test_which_columns_are_read_is_learnt_from_the_first_row_group(tmp_path, monkeypatch):
    class Loader(RecordLoader):
        def load(self, record):
            return ({"x": np.array(record["a"] + (record.get("b") or 0))},)

    read = []
    real = ParquetFiles.read
    monkeypatch.setattr(
        ParquetFiles,
        "read",
        lambda self, groups, names: read.extend(groups) or real(self, groups, names),
    )
    path = write(tmp_path / "t.parquet", {"a": range(600), "b": range(600)}, 300)
    schema, reads = settle_columns(Loader(RecordMode.SCORE), Records.read(path))
    assert (reads, schema.columns["b"].optional, set(read)) == (["a", "b"], True, {0})


def test_a_file_is_opened_as_often_however_many_columns_it_has(monkeypatch):
    opened, kept = [], MemoryFileSystem._open

    def watched(self, path, *arguments, **options):
        opened.append(path)
        return kept(self, path, *arguments, **options)

    monkeypatch.setattr(MemoryFileSystem, "_open", watched)
    cells = [[1, 2, 3, 4], ["a", None] * 2, [[1]] * 4]
    for count in (20, 200):
        path = f"memory://wide/{count}.parquet"
        table = pa.table({f"c{n}": cells[n % 3] for n in range(count)})
        with fsspec.open(path, "wb") as file:
            pq.write_table(table, file, row_group_size=2, write_statistics=False)
        records = Records.read(path)
        records.digest()
        assert len(list(records)) == 4
    few, many = Counter(opened).values()
    assert few == many


def test_draws_are_counted_by_row_group(tmp_path):
    path = write(tmp_path / "t.parquet", {"n": [2, 0, 1, 1, 0]})
    records = Records.read(path)
    assert group_draws(records, None) == [2, 2, 1]
    assert group_draws(records, "n") == [2, 2, 0]
    assert sample_counts(records, "n").tolist() == [2, 0, 1, 1, 0]
    for counts, fault in (
        ([1, None], "t.parquet, record 1: column 'n': expected an integer ≥ 0 as sample_count"),
        ([0, 0], "t.parquet: column 'n' is 0 in every record"),
        ([2**62, 2**62], "t.parquet: column 'n': expected sample counts that add up to 4,294,"),
        (["1", "many"], "t.parquet, record 1: column 'n': expected an integer ≥ 0"),
    ):
        records = Records.read(write(path, {"n": counts}))
        with pytest.raises(RecordError, match=f"^{re.escape(fault)}"):
            group_draws(records, "n")
