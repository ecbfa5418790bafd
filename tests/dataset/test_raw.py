"""Records as a file has them: their types stay, and what is no such file is refused."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from barrage_mlflow.dataset.records.raw import RawRecords
from barrage_mlflow.errors import RecordError


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_parquet_keeps_types_metadata_and_compression(compression: str):
    table = pa.table(
        {
            "a": pa.array(range(20), pa.int8()),
            "s": pa.array(list("ab" * 10)).dictionary_encode(),
            "t": pa.array([None, *range(19)], pa.timestamp("ns", "Europe/Berlin")),
            "x": pa.array([{"y": [n]} for n in range(20)]),
        }
    ).replace_schema_metadata({"from": "the north"})
    pq.write_table(table, "birds.parquet", row_group_size=3, compression=compression)
    paths = [Path("even.parquet"), Path("odd.parquet")]
    RawRecords("birds.parquet").write(np.arange(20) % 2, paths)
    for number, name in enumerate(["even", "odd"]):
        file = pq.ParquetFile(f"{name}.parquet")
        assert file.schema_arrow.equals(pq.read_schema("birds.parquet"), check_metadata=True)
        codecs = {"none": "UNCOMPRESSED", "zstd": "ZSTD"}
        assert file.metadata.row_group(0).column(0).compression == codecs[compression]
        assert file.read().to_pylist() == table.to_pylist()[number::2]


@pytest.mark.parametrize(
    ("ending", "text", "message"),
    [
        ("csv", "", "birds.csv holds no records; give a file with at least one"),
        ("csv", "a,b\n1,2\n\n3\n", "birds.csv, line 4: expected 2 fields, as the header has them"),
        ("csv", "a,a\n1,2\n", "birds.csv: the column 'a' stands twice; rename one of them"),
        ("json", '[{"a": 1}, 2]', "birds.json, record 1: expected an object, got a number"),
        ("jsonl", '{"a": 1}\n{', "birds.jsonl, line 2: not JSON: Expecting property name"),
        ("parquet", "PAR1", "birds.parquet is not Parquet: "),
        ("txt", "a", "birds.txt has the extension '.txt'; expected a CSV"),
    ],
)
def test_a_file_that_is_not_of_its_kind_is_refused(ending: str, text: str, message: str):
    Path(f"birds.{ending}").write_text(text)
    with pytest.raises(RecordError, match=f"^{re.escape(message)}"):
        list(RawRecords(f"birds.{ending}").cells(None))


def test_a_cell_of_csv_may_be_larger_than_python_reads_by_default():
    Path("birds.csv").write_text(f'a,b\n{"x" * 200_000},"y\nz"\n')
    records = RawRecords("birds.csv")
    assert [list(map(len, records.cells(name))) for name in "ab"] == [[200_000], [3]]


def test_a_folder_without_images_by_class_is_refused():
    Path("photos").mkdir()
    Path("photos/1.png").touch()
    message = r"^photos has no .parquet files, and no images in a folder for each class, such as ca"
    with pytest.raises(RecordError, match=message):
        RawRecords("photos")
