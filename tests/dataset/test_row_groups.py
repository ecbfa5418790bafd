"""Row groups of Parquet: which there are, and how they are read as often as they are drawn."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.feeding.sample_counts import group_draws, sample_counts
from barrage_mlflow.dataset.records.row_groups import read_row_groups, row_groups
from barrage_mlflow.errors import RecordError


def write(path: Path, columns: dict[str, object], rows: int = 2) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=rows)
    return path


def test_row_groups_are_those_of_the_records(tmp_path):
    (tmp_path / "t").mkdir()
    write(tmp_path / "t" / "0.parquet", {"a": range(5)})
    write(tmp_path / "t" / "1.parquet", {"a": range(3)}, 3)
    records = Records.read(tmp_path / "t")
    assert row_groups(records) == [2, 2, 1, 3]
    assert row_groups(records[1:6]) == row_groups(records[:6][1:]) == [1, 2, 1, 1]
    assert row_groups(Records.read(tmp_path / "t", limit=3)) == [2, 1]
    for part in (Records.read([{"a": 1}]), records.take([1, 2])):
        assert row_groups(part) is None
        with pytest.raises(RecordError, match="expected consecutive records of a Parquet file"):
            read_row_groups(part, [0])


@pytest.mark.parametrize("key", [None, "n"])
def test_row_groups_are_read_as_often_as_they_are_drawn(tmp_path, key):
    counts = [2, 0, 1, 5, 0, 0, 3, 1, 1, 0, 2, 4]
    columns = {"a": range(12), "n": counts, "s": list("abcdefghijkl")}
    records = Records.read(write(tmp_path / "t.parquet", columns, 5))
    for part, ends in ((records, [0, 5, 10, 12]), (records[2:11], [2, 5, 10, 11])):
        draws = group_draws(part, key)
        for groups in ([0], [1], [2, 0], [0, 1, 2]):
            rows = [row for group in groups for row in range(ends[group], ends[group + 1])]
            want = [row for row in rows for _ in range(1 if key is None else counts[row])]
            assert len(want) == sum(draws[group] for group in groups)
            drawn = read_row_groups(part, groups, key)
            assert drawn["a"].tolist() == want
            assert [record["s"] for record in drawn] == [columns["s"][row] for row in want]
            assert drawn.place(-1) == f"t.parquet, record {want[-1]}"
            assert drawn.whole()["a"].tolist() == list(range(12))
    with pytest.raises(IndexError, match="index out of range"):
        read_row_groups(records, [3], key)


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
