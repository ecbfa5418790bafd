"""Digests: of a file by its bytes, of what is in memory by its values."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from barrage_mlflow.dataset import Records
from barrage_mlflow.errors import RecordError

CONTENTS = [
    [{"a": 1}], [{"a": 1.0}], [{"a": "1"}], [{"a": True}], [{"a": None}], [{"b": 1}],
    [{"a": [1]}], [{"a": [1, 1]}], [{"a": [[1], [1]]}], [{"a": 1, "b": 1}],
    [{"a": 1}, {"a": 1}], [{"a": 1}, {"a": 2}], [{"a": 2}, {"a": 1}], [{"a": [1]}, {"a": [1, 2]}],
]  # fmt: skip


def test_the_digest_tells_values_apart() -> None:
    digests = [Records.read(rows).digest() for rows in CONTENTS]
    assert len(set(digests)) == len(CONTENTS)
    assert all(re.fullmatch("[0-9a-f]{32}", digest) for digest in digests)


def test_the_digest_of_values_minds_neither_width_nor_order_of_columns() -> None:
    one = pd.DataFrame({"a": np.array([1, 2], np.int8), "b": [None, "x"]})
    other = [{"b": None, "a": 1}, {"b": "x", "a": 2}]
    assert Records.read(one).digest() == Records.read(other).digest()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_digest_of_a_file_is_of_its_bytes_and_of_which_records_these_are(kind: str) -> None:
    def write(path: str, cells: list[int]) -> str:
        frame = pd.DataFrame({"a": cells})
        frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
        return path

    path = write(f"t.{kind}", [1, 2, 3])
    records = Records.read(path)
    alike = [records, Records.read(write(f"u.{kind}", [1, 2, 3])), records[1:].whole()]
    assert len({some.digest() for some in alike}) == 1
    others = [records[1:], records[:2], records.take([0, 2]), records.take([2, 0])]
    digests = {some.digest() for some in (records, *others)}
    assert len(digests) == 5
    assert Records.read(path, limit=2).digest() == records[:2].digest()
    assert Records.read(write(path, [1, 2, 3, 4])).digest() not in digests


def test_the_digest_of_a_folder_minds_the_names_of_its_files() -> None:
    Path("t").mkdir()
    pd.DataFrame({"a": [1]}).to_parquet("t/0.parquet")
    pd.DataFrame({"a": [1]}).to_parquet("t/1.parquet")
    digest = Records.read("t").digest()
    Path("t/_SUCCESS").touch()  # which is not read
    Path("t").rename("u")
    assert Records.read("u").digest() == digest
    Path("u/1.parquet").rename("u/2.parquet")
    assert Records.read("u").digest() != digest


def test_a_file_that_is_gone_has_no_digest() -> None:
    Path("t.csv").write_text("a\n1\n")
    records = Records.read("t.csv")
    Path("t.csv").unlink()
    with pytest.raises(RecordError, match=r"^t\.csv is not readable: .*No such file"):
        records.digest()
