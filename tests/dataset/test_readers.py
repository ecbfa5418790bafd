"""Reading files: lines, the first records alone, and what is wrong with a file."""

import io
import json
import re
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.records import formats
from barrage_mlflow.errors import RecordError

KINDS = "a CSV (.csv), JSON (.json), JSON Lines (.jsonl, .ndjson) or Parquet (.parquet) file"


# Lines ------------------------------------------------------------------------------------


def test_the_line_of_a_csv_record_minds_quoted_newlines_and_blank_lines(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text('a,b\n1,"x\ny"\n\n2,z\n')
    records = Records.read(path)
    assert [records.place(i) for i in range(2)] == [
        "train.csv, record 0 (line 2)",
        "train.csv, record 1 (line 5)",
    ]


def test_a_csv_file_that_changed_or_went_has_no_lines(tmp_path):
    path = tmp_path / "train.csv"
    for change in (lambda: path.write_text("a\n1\n"), path.unlink):
        path.write_text("a\n1\n2\n")
        records = Records.read(path)
        change()
        assert records.place(1) == "train.csv, record 1"


def test_the_line_of_a_json_lines_record_minds_blank_lines(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"a": "\u2028"}\n\n{"a": "y"}\n')
    assert Records.read(path).place(1) == "train.jsonl, record 1 (line 3)"


# The first records of a file ----------------------------------------------------------------


def test_blank_lines_at_the_end_are_no_more_records():
    Path("t.jsonl").write_text('{"a": 1}\n\n  \n' + "\n" * 100_000)
    Path("t.csv").write_text("a,b\n1,2\n\n\n")
    assert Records.read("t.jsonl", limit=1).cut_at is None
    assert Records.read("t.csv", limit=1).cut_at is None


class Counted(io.FileIO):
    """A file that counts the bytes that are read of all of them."""

    total = 0

    def readinto(self, buffer):
        length = super().readinto(buffer)
        Counted.total += length
        return length


class CountingFiles(LocalFileSystem):
    """Local files that are counted."""

    protocol = "counting"

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.removeprefix("counting://"))

    def _open(self, path, mode="rb", **options):
        return io.BufferedReader(Counted(path))


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Arrow leaves it to others to close
@pytest.mark.parametrize("name", ["t.parquet", "parts", "t.csv", "t.jsonl"])
def test_little_is_read_of_a_large_file(name, monkeypatch):
    monkeypatch.setattr(formats, "LEARNT_CELLS", 5_000)
    fsspec.register_implementation("counting", CountingFiles, clobber=True)
    if name == "t.csv":
        Path(name).write_text("a,b\n" + "1.5,2.5\n" * 500_000)
    elif name == "t.jsonl":
        Path(name).write_text('{"a": 1.5, "b": 2.5}\n' * 200_000)
    else:
        file = Path(name) / "0.parquet" if name == "parts" else Path(name)
        file.parent.mkdir(exist_ok=True)
        # A single row group is the hardest to read a part of.
        table = pa.table({"a": np.random.default_rng(0).normal(size=1_000_000)})
        pq.write_table(table, file, row_group_size=len(table))
    Counted.total = 0
    records = Records.read(f"counting://{Path(name).absolute()}", limit=1000)
    assert 0 < Counted.total < 1_000_000
    assert (len(records), records.cut_at) == (1000, 1000)
    assert len(records.whole()) > 2_000  # of which kinds are learnt


def test_the_first_records_of_a_parquet_folder_are_those_of_its_files_in_order(tmp_path):
    frame = pd.DataFrame({"a": range(10), "s": list("abcdefghij")})
    for part, rows in enumerate((frame[:4], frame[4:4], frame[4:7], frame[7:])):
        (tmp_path / f"year=202{part}").mkdir()
        rows.to_parquet(tmp_path / f"year=202{part}" / "rows.parquet", row_group_size=2)
    whole = Records.read(tmp_path)
    assert whole["year"].tolist() == [2020] * 4 + [2022] * 3 + [2023] * 3
    for limit in (1, 3, 4, 5, 9, 10, 11):
        records = Records.read(tmp_path, limit=limit)
        assert list(records) == list(whole[:limit])
        assert records.cut_at == (limit if limit < 10 else None)


def test_types_of_the_first_records_are_those_of_the_whole_where_that_can_be_told(tmp_path):
    rows = [{"a": 1, "b": 1.5}, {"a": 2, "b": 2.5}, {"a": None, "b": None}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    (tmp_path / "t.json").write_text(json.dumps(rows))
    for name in ("t.parquet", "t.json"):
        first = Records.read(tmp_path / name, limit=2)
        assert first.dtypes() == Records.read(tmp_path / name).dtypes()
        assert first.dtypes() == {"a": "float64", "b": "float64"}


def test_a_header_may_begin_as_files_of_another_kind_do():
    for header in ("par1,y", "PAR1,y", "htmlish,y", "<htmlish,y"):
        Path("t.csv").write_text(f"{header}\n1,2\n")
        assert Records.read("t.csv").columns == header.split(",")


# Bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("t.csv", b"", "t.csv holds no records; give a file with at least one record"),
        ("t.csv", b"a,b\n", "t.csv holds no records; give a file with at least one record"),
        ("t.csv", b"PAR1\x15", f"t.csv is not CSV but looks like Parquet; expected {KINDS}"),
        ("t.csv", b"a\0b", f"t.csv is not CSV but a binary file; expected {KINDS}"),
        ("t.csv", b"<HTML lang", f"t.csv is not CSV but looks like HTML; expected {KINDS}"),
        ("t.csv", b",a\n0,1\n", "t.csv: column 0 has no name; name it (pandas leaves out the nam"),
        ("t.csv", b"a;b\n1;2,5\n", "t.csv has semicolons where commas are expected: write it"),
        ("t.csv", "a,b\n1,2\n".encode("utf-16"), "t.csv is not CSV in UTF-8 but in UTF-16: sa"),
        ("t.csv", b"a,b,a\n1,2,3\n", "t.csv: the column 'a' stands twice; rename one of them"),
        (
            "t.csv",
            b"a\n\xff\n",
            "t.csv is not CSV in UTF-8: save it so, or name its encoding, in dataset.csv: ",
        ),
        (
            "t.csv",
            b"a,b\n1,2\n1,2,3\n",
            "t.csv is not CSV: expected 2 fields in each row, as the header has them, got 3",
        ),
        (
            "t.csv",
            b"a\n1,2\n",
            "t.csv is not CSV: expected 1 fields in each row, as the header has them, got 2",
        ),
        ("t.json", b"\n", "t.json holds no records; give a file with at least one record"),
        (
            "t.json",
            b"[1,",
            "t.json is not JSON: Expecting value: line 1 column 4 (char 3); mend th",
        ),
        ("t.json", b'{"a": 1}', "t.json holds an object; expected a list of objects, one for each"),
        (
            "t.json",
            pd.DataFrame({"a": [1]}).to_json().encode(),
            "t.json holds an object; expected a list of objects, one for each record; pandas "
            'writes one with frame.to_json(path, orient="records")',
        ),
        ("t.json", b'[{"a": 1}, null]', "t.json, record 1: expected an object, got null"),
        ("t.jsonl", b"", "t.jsonl holds no records; give a file with at least one record"),
        ("t.jsonl", b'{"a": 1}\n{"a"\n', "t.jsonl, line 2: not JSON: Expecting ':' delimiter: "),
        ("t.jsonl", b"3", "t.jsonl, line 1: expected an object, got a number"),
        (
            "t.csv.gz",
            b"a\n1\n",
            f"t.csv.gz is not CSV: Not a gzipped file (b'a\\n'); mend the file, or give {KINDS}",
        ),
        ("t.parquet", pd.DataFrame({"": [1]}).to_parquet(), "t.parquet: column 0 has no name; nam"),
        ("t.txt", b"a\n1\n", f"t.txt has the extension '.txt'; expected {KINDS}"),
        ("train", b"a\n1\n", f"train has no extension; expected {KINDS}"),
    ],
)
def test_a_file_that_is_unfit_says_why(name, content, fault):
    Path(name).write_bytes(content)
    with pytest.raises(RecordError, match="^" + re.escape(fault)):
        Records.read(name)


def test_a_place_without_records_says_so():
    Path("data").mkdir()
    Path("t.parquet").write_text("a\n1\n")
    for source, fault in (
        ("trian.csv", f"trian.csv: no such file; expected {KINDS}, or a folder of Parquet files"),
        ("data", f"data is a folder without .parquet files; expected {KINDS}"),
        ("nope://a.csv", "nope://a.csv cannot be opened: Protocol not known"),
        ("t.parquet", "t.parquet is not Parquet: "),
    ):
        with pytest.raises(RecordError, match="^" + re.escape(fault)):
            Records.read(source)


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ({"a": [1]}, "the records: expected a DataFrame, a list of dicts or a path, got dict"),
        (3, "the records: expected a DataFrame, a list of dicts or a path, got int"),
        ([{"a": 1}, 3], "the records, record 1: expected a dict, got int"),
        (pd.DataFrame([1]), "the records: expected strings as column names, got 0; rename the col"),
        (
            pd.DataFrame([[1, 2]], columns=["a", "a"]),
            "the records: the column 'a' stands twice; rename one of them",
        ),
        ([{"": 1}], "the records: column 0 has no name; name it"),
        (pd.DataFrame({"a": [1], "": 1}), "the records: column 1 has no name; name it"),
    ],
    ids=["dict", "number", "no dict", "number as name", "twice", *["no name"] * 2],
)
def test_a_source_that_holds_no_records_says_so(source, fault):
    with pytest.raises(RecordError, match="^" + re.escape(fault)):
        Records.read(source)
