"""Parts of a file: together they are the file, wherever one ends and wherever reading begins."""

from __future__ import annotations

import gzip
import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.records.column_kinds import Column, Schema
from barrage_mlflow.dataset.records.parts import Part, Parts
from barrage_mlflow.errors import RecordError

ROWS: list[dict[str, Any]] = [
    {"id": number, "mass": None if number % 7 == 3 else number / 4, "sex": "fm"[number % 2]}
    for number in range(23)
]
SCHEMA = Records.read(ROWS).schema
KINDS = ["csv", "csv.gz", "csv.bz2", "jsonl", "jsonl.gz", "json", "parquet", "folder"]


@pytest.fixture(autouse=True)
def _one_batch_in_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barrage_mlflow.dataset.records.parts.PART", 1)


def known(**kinds: str) -> Schema:
    """A schema of such columns, of which records may lack any."""
    return Schema({n: Column(n, k, optional=True) for n, k in kinds.items()}, is_complete=True)


def write(kind: str, rows: list[dict[str, Any]] = ROWS) -> str:
    """Write rows to a file of a kind; return its path."""
    path = Path(f"train.{kind}")
    table = pd.DataFrame(rows).to_csv(index=False)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    if kind == "folder":
        path.mkdir()
        for part in range(3):
            pd.DataFrame(rows[part * 8 : part * 8 + 8]).to_parquet(path / f"{part}.parquet")
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=5)
    elif kind == "json":
        path.write_text(json.dumps(rows))
    else:
        with fsspec.open(str(path), "wt", compression="infer", newline="") as file:
            file.write(table if "csv" in kind else lines)
    return str(path)


def told(*parts: Records) -> list[str]:
    """Every record of some parts, with its place."""
    return [f"{part.place(row)}: {record}" for part in parts for row, record in enumerate(part)]


def contents(parts: list[Part]) -> list[Any]:
    """What some parts hold and tell."""
    kept = [pa.table(part.kept).to_pylist() for part in parts]
    return [told(*(part.records for part in parts)), kept, [part.first for part in parts]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 4, 23, 100])
def test_all_parts_together_are_the_file(kind: str, size: int) -> None:
    path = write(kind)
    parts = list(Parts(path).read(SCHEMA, batch=size))
    ends = [part.first + len(part.records) for part in parts]
    assert [part.first for part in parts] == [0, *ends[:-1]]
    assert ends[-1] == 23
    assert not any(end % size for end in ends[:-1])
    assert told(*(part.records for part in parts)) == told(Records.read(path))
    shares = [part.share for part in parts]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_reading_goes_on_at_any_part(kind: str) -> None:
    path = write(kind)
    parts = list(Parts(path, keep=["id"]).read(SCHEMA, batch=5))
    for done in range(23):
        rest = list(Parts(path, keep=["id"]).read(SCHEMA, batch=5, done=done))
        assert contents(rest) == contents([p for p in parts if p.first + len(p.records) > done])
    assert list(Parts(path).read(SCHEMA, batch=5, done=25)) == []


def test_a_part_is_read_when_it_is_asked_for() -> None:
    Path("t.csv").write_text("a,b\n" + "1.5,2.5\n" * 1_000_000)
    Path("t.jsonl").write_text('{"a": 1.5, "b": 2.5}\n' * 200_000)
    for name in ("t.csv", "t.jsonl"):
        part = next(Parts(name).read(known(a="number"), batch=1000))
        assert part.share is not None
        assert part.share < 0.3


def test_records_that_are_large_make_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barrage_mlflow.dataset.records.parts.PART", 1 << 14)
    monkeypatch.setattr("barrage_mlflow.dataset.records.csv_files._FIRST", 1000)
    monkeypatch.setattr("barrage_mlflow.dataset.records.csv_files._BLOCK", 1000)
    monkeypatch.setattr("barrage_mlflow.dataset.records.json_files._CHUNK", 2)
    rows = [{"a": "abcdefghi"[number] * 300} for number in range(9)]
    for kind in ("csv", "jsonl"):
        read = list(Parts(write(kind, rows)).read(known(a="text"), batch=1))
        assert max(len(part.records) for part in read) < 5
        assert [len(record["a"]) for part in read for record in part.records] == [300] * 9


# Types ------------------------------------------------------------------------------------


def test_a_column_of_strings_is_text_in_every_part() -> None:
    Path("t.csv").write_text("postcode,mass\n01234,1\n98765,2\n,3\nK1A,4.5\n")
    first, last = Parts("t.csv").read(known(postcode="text", mass="number"), batch=2)
    assert first.records.values("postcode") == ["01234", "98765"]
    assert last.records.values("postcode") == [None, "K1A"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "parquet"])
@pytest.mark.parametrize("size", [1, 3, 8])
def test_typed_records_do_not_depend_on_where_parts_end(kind: str, size: int) -> None:
    cells = {
        "postcode": ["007", "12", None, "x", "1e5", None, None],
        "mass": [1, 2, 2.5, None, 7, 8, 9],
        "age": [3, 4, 5, 6, 7, 8, 9],
        "tame": [True, False, None, True, None, None, None],
    }
    rows = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    path = write(kind, rows)
    schema = known(postcode="text", mass="number", age="whole", tame="truth")
    whole = Records.read(path, schema=schema)
    got = [record for part in Parts(path).read(schema, size) for record in part.records]
    assert repr(got) == repr(list(whole))
    assert got[0] == {"postcode": "007", "mass": 1.0, "age": 3, "tame": True}


def test_a_key_that_a_later_part_lacks_is_missing_there() -> None:
    Path("t.jsonl").write_text('{"a": 1, "b": "x"}\n{"a": 2}\n{"a": 3}\n')
    parts = list(Parts("t.jsonl").read(known(b="text"), batch=1))
    assert [part.records.values("b") for part in parts] == [["x"], [None], [None]]


def test_of_parquet_only_what_is_asked_for_is_read() -> None:
    pd.DataFrame({"a": [1, 2], "b": [3, 4], "c": [5, 6]}).to_parquet("t.parquet")
    (part,) = Parts("t.parquet", keep=["c"]).read(known(b="whole"))
    assert (part.records[1], part.kept["c"].to_pylist()) == ({"b": 4}, [5, 6])


# Columns to keep --------------------------------------------------------------------------


def test_kept_columns_are_as_the_file_has_them() -> None:
    Path("t.csv").write_text('id,n,x\n007,NA,1.50\n"a,b",,2\n')
    (part,) = Parts("t.csv", keep=["x", "id", "n", "x"]).read(known(x="number", n="number"))
    assert part.kept == {"x": ["1.50", "2"], "id": ["007", "a,b"], "n": ["NA", ""]}
    assert part.records.values("x") == [1.5, 2.0]
    assert [math.isnan(cell) for cell in part.records.values("n")] == [True, True]
    rows = [{"id": 7, "v": [1, "a"]}, {"id": None}, {"id": 2**62 + 1, "v": {"k": 1.5}}]
    Path("t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    Path("t.json").write_text(json.dumps(rows))
    for name in ("t.jsonl", "t.json"):
        (part,) = Parts(name, keep=["id", "v"]).read(known())
        assert part.kept == {"id": [7, None, 2**62 + 1], "v": [[1, "a"], None, {"k": 1.5}]}
    table = pa.table({"id": pa.array([7, None], pa.int16()), "at": pa.array([0, 1], pa.date32())})
    pq.write_table(table, "t.parquet")
    (part,) = Parts("t.parquet", keep=["at", "id"]).read(known())
    assert pa.table(dict(part.kept)) == table.select(["at", "id"])


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "parquet"])
def test_a_column_to_keep_that_is_not_there_is_named(kind: str) -> None:
    path = write(kind)
    message = f"^{path}: no column 'ids'; did you mean 'id'\\? The columns are 'id', 'mass', 'sex'$"
    with pytest.raises(RecordError, match=message):
        next(Parts(path, keep=["id", "ids"]).read(known()))


def test_a_csv_file_is_read_as_the_model_has_it() -> None:
    """With its own marks; read with commas, its rows would differ in length."""
    Path("t.csv").write_text("a;b\n1,5;x\n2;y,z,u\n")
    schema = replace(known(a="number"), csv={"sep": ";", "decimal": ","})
    (part,) = Parts("t.csv", keep=["b"]).read(schema)
    assert (part.records["a"].tolist(), list(part.kept["b"])) == ([1.5, 2.0], ["x", "y,z,u"])


# What is wrong, and where -----------------------------------------------------------------


def test_a_bad_value_in_a_late_part_has_its_place() -> None:
    Path("t.csv").write_text('a,b\n1,"x\ny"\n\n2,z\n3,u\nmany,v\n')
    *_, part = Parts("t.csv").read(known(a="number"), batch=2)
    with pytest.raises(RecordError, match=r"^t.csv, record 3 \(line 7\), column 'a': expected"):
        part.records["a"]


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n\n3,4\n5,6\n7,8,9\n1,2\n",
        'a,b\n"1\n1",2\n3,4\n5,6\n"7,8\n9,9\n',
        "a,b\n1,2\n3,4\n5,6\n7,8\n9,\xff\n",
    ],
)
def test_a_broken_csv_file_is_told_as_if_it_was_read_at_once(text: str, size: int) -> None:
    Path("t.csv").write_text(text, "latin-1")
    with pytest.raises(RecordError, match=r"^t.csv is not CSV") as whole:
        Records.read("t.csv")
    with pytest.raises(RecordError, match=r"^t.csv is not CSV") as parted:
        list(Parts("t.csv").read(known(a="number"), batch=size))
    assert str(parted.value) == str(whole.value)


@pytest.mark.parametrize("name", ["t.csv.gz", "t.jsonl.gz"])
def test_a_file_that_is_cut_off_says_so(name: str) -> None:
    numbers = np.random.default_rng(0).integers(0, 1 << 60, 100_000)
    text = "a\n" + "".join(f"{number}\n" for number in numbers)
    if "json" in name:
        text = "".join(f'{{"a": {number}}}\n' for number in numbers)
    packed = gzip.compress(text.encode())
    Path(name).write_bytes(packed[: len(packed) // 2])
    with pytest.raises(RecordError, match=rf"^{name} is not .*: Compressed file ended before"):
        list(Parts(name).read(known(a="whole")))


def test_a_file_is_known_by_its_place_size_and_time() -> None:
    first = Parts(write("csv")).identity()
    assert Parts(Path("train.csv").absolute()).identity() == first
    os.utime("train.csv", (0, 0))
    assert Parts("train.csv").identity() != first
    folder = Parts(write("folder")).identity()
    Path("train.folder/1.parquet").touch()
    os.utime("train.folder/1.parquet", (0, 0))
    assert Parts("train.folder").identity() != folder
    with fsspec.open("memory://identity/t.csv", "w") as file:
        file.write("a\n1\n")
    remote = Parts("memory://identity/t.csv").identity()
    assert Parts("memory://identity/t.csv").identity() == remote
