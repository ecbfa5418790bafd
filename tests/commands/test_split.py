"""Splitting a file: every record once, as it was written, in the shares that were asked for."""

from __future__ import annotations

import gzip
import json
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from barrage_mlflow import ArtifactError, RecordError, Records, split
from barrage_mlflow.cli import main

SETS = ["train", "validation", "test"]
SHARES = {"validation": 0.2, "test": 0.1}
ENDINGS = ["csv", "csv.gz", "jsonl", "json", "parquet"]


def make_frame(records: int = 60) -> pd.DataFrame:
    """Columns id, shop (0 to 9), kind (5/6 a, 1/6 b) and day, two records a day and unsorted."""
    numbers = np.arange(records)
    days = np.random.default_rng(1).permutation(records) // 2
    return pd.DataFrame(
        {
            "id": [f"{number:04}" for number in numbers],
            "shop": numbers % 10,
            "kind": np.where(numbers % 6, "a", "b"),
            "day": np.datetime_as_string(np.datetime64("2024-01-01") + days),
        }
    )


def write_frame(frame: pd.DataFrame, ending: str) -> Path:
    path = Path(f"birds.{ending}")
    if ending.startswith("csv"):
        frame.to_csv(path, index=False)
    elif ending == "parquet":
        frame.to_parquet(path, row_group_size=25)
    else:
        frame.to_json(path, orient="records", lines=ending == "jsonl")
    return path


def read_sets(paths: dict[str, Path]) -> dict[str, pd.DataFrame]:
    read = {}
    for name, path in paths.items():
        records = Records.read(path)
        read[name] = pd.DataFrame({column: records.values(column) for column in records.columns})
    return read


def texts(paths: dict[str, Path]) -> list[str]:
    return [path.read_bytes().decode() for path in paths.values()]


# Records as they are ---------------------------------------------------------------------------

CELLS = st.one_of(
    st.sampled_from(["", "007", " 1 ", "NA", '5" pipe', "é"]),
    st.text('ab ,;"\r\n', max_size=6).map(lambda cell: '"' + cell.replace('"', '""') + '"'),
)


@given(
    rows=st.lists(st.tuples(CELLS, CELLS), min_size=4, max_size=30),
    blanks=st.sets(st.integers(0, 29)),
    line_end=st.sampled_from(["\n", "\r\n"]),
    bom=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    seed=st.integers(0, 3),
)
@settings(deadline=None, max_examples=50)
def test_every_record_of_a_csv_file_is_in_one_set_byte_by_byte(rows, blanks, line_end, bom, seed):
    head = bom + f'id,"a\n1",b{line_end}'.encode()
    records = [f"{n},{a},{b}{line_end}".encode() for n, (a, b) in enumerate(rows)]
    records[-1] = records[-1].removesuffix(line_end.encode())
    blank = line_end.encode()
    data = [blank * (n in blanks) + record for n, record in enumerate(records)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "birds.csv")
        path.write_bytes(head + b"".join(data))
        made = split(path, validation=0.3, test=0.3, seed=seed)
        written = [path.read_bytes() for path in made.values()]
    found: list[bytes] = []
    for text in written:
        assert text.startswith(head)
        rest = text.removeprefix(head)
        for record in records:
            if record not in found and rest.startswith(record):
                found.append(record)
                rest = rest.removeprefix(record)
        assert rest == b""
    assert sorted(found) == sorted(records)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "by", [{}, {"stratify": "kind"}, {"group": "shop"}, {"time": "day"}], ids=str
)
def test_every_format_keeps_its_records_and_their_order(ending: str, by: dict[str, str]):
    frame = make_frame()
    made = split(write_frame(frame, ending), **SHARES, **by)
    assert made == {name: Path(f"{name}.{ending}") for name in SETS}
    read = read_sets(made)
    assert {name: len(of) for name, of in read.items()} == {
        "train": 42,
        "validation": 12,
        "test": 6,
    }
    for of in read.values():
        assert of["id"].is_monotonic_increasing
    together = pd.concat(read.values()).sort_values("id", ignore_index=True)
    assert together[frame.columns].astype(str).equals(frame.astype(str))


def test_what_is_not_comma_separated_utf8_is_kept():
    Path("birds.csv").write_bytes("größe;b\nä;1\nö;2\nä;3\nö;4\n".encode("latin-1"))
    split("birds.csv", validation=0.5, stratify="b", folder="sets")
    assert sorted(
        line
        for path in Path("sets").iterdir()
        for line in path.read_bytes().decode("latin-1").splitlines()
    ) == ["größe;b", "größe;b", "ä;1", "ä;3", "ö;2", "ö;4"]


def test_json_is_written_as_it_is_spelt():
    records = ['{"a": 1.00}', '{"a":  [1, {"b": "}{"}]}', '{"b": "\\u00e9"}', '{"a": 1e5}']
    Path("birds.jsonl").write_text(" \r\n\n".join(records))
    Path("birds.json").write_text(f" [{' ,'.join(records)}] \n")
    of_lines = texts(split("birds.jsonl", validation=0.5))
    assert sorted("".join(of_lines).replace(" \r\n", "\n").splitlines()) == sorted(records)
    assert [text.count(" \r\n") for text in of_lines] == [2, 1]
    assert texts(split("birds.json", validation=0.5)) == [
        f"[{text.strip()}]\n".replace(" \r\n", ",\n") for text in of_lines
    ]


def test_a_parquet_folder_becomes_files_beside_it_with_the_columns_of_all_its_files():
    for year, rows in ((2023, {"a": [1, 2]}), (2024, {"a": [3, 4], "b": ["x", "y"]})):
        Path(f"birds/year={year}").mkdir(parents=True)
        pq.write_table(pa.table(rows), f"birds/year={year}/0.parquet", compression=None)
    made = split("birds", validation=0.5, group="year")
    assert sorted(str(path) for path in made.values()) == ["train.parquet", "validation.parquet"]
    rows = [row for path in made.values() for row in pq.read_table(path).to_pylist()]
    assert sorted(rows, key=lambda row: row["a"]) == [
        {"a": 1, "year": 2023, "b": None},
        {"a": 2, "year": 2023, "b": None},
        {"a": 3, "year": 2024, "b": "x"},
        {"a": 4, "year": 2024, "b": "y"},
    ]
    with pytest.raises(ArtifactError, match=r"^birds/train.parquet would change birds; name an"):
        split("birds", validation=0.5, folder="birds")


# A folder of images ----------------------------------------------------------------------------


def make_images(*names: str) -> None:
    for name in names:
        Path("photos", name).parent.mkdir(parents=True, exist_ok=True)
        Path("photos", name).touch()


def test_a_folder_of_images_becomes_paths_and_labels(caplog: pytest.LogCaptureFixture):
    make_images("cat/2.JPG", "cat/1.png", "big, dog/é.webp", "big, dog/4.tiff")
    make_images("top.png", "cat/deep/3.png", "cat/notes.txt", "cat/.1.png", ".git/1.png")
    made = split("photos", validation=0.5)
    assert {name: path.name for name, path in made.items()} == {
        "train": "train.csv",
        "validation": "validation.csv",
    }
    lines = [text.splitlines() for text in texts(made)]
    assert [[head, len(rows)] for head, *rows in lines] == [["path,label", 2]] * 2
    assert sorted(row for _, *rows in lines for row in rows) == [
        '"big, dog/4.tiff","big, dog"',
        '"big, dog/é.webp","big, dog"',
        "cat/1.png,cat",
        "cat/2.JPG,cat",
    ]
    for of in read_sets(made).values():
        assert sorted(of["label"]) == ["big, dog", "cat"]
    (warning,) = [each.message for each in caplog.records if each.levelname == "WARNING"]
    assert warning == "photos: 3 files are left out, as no images in a class's folder"


def test_images_may_be_split_by_group():
    make_images("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png", "eel/1.png")
    found = read_sets(split("photos", validation=0.2, group="label", folder="sets"))
    assert found["validation"]["path"].tolist() == ["eel/1.png"]


# Shares ----------------------------------------------------------------------------------------


def write_values(values: list[Any], name: str = "v") -> Path:
    path = Path("birds.jsonl")
    path.write_text("".join(json.dumps({"id": n, name: v}) + "\n" for n, v in enumerate(values)))
    return path


def values_by_set(made: dict[str, Path], name: str = "v") -> dict[str, list[Any]]:
    rows = {of: path.read_text().splitlines() for of, path in made.items()}
    return {of: [json.loads(row)[name] for row in some] for of, some in rows.items()}


def test_the_same_seed_gives_the_same_sets_and_another_seed_others():
    path = write_frame(make_frame(), "csv")
    first, again, other = (
        texts(split(path, validation=0.3, seed=seed, folder="sets", force=True))
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=12),
    validation=st.floats(0.05, 0.45),
    test=st.one_of(st.just(0.0), st.floats(0.05, 0.45)),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=50)
def test_each_class_has_its_share_in_every_set(counts, validation, test, seed):
    values = [number or None for number, n in enumerate(counts) for _ in range(n)]
    sizes = [round(len(values) * share) for share in (validation, test)]
    sizes = [len(values) - sum(sizes), *sizes]
    with tempfile.TemporaryDirectory() as folder:
        path = write_values(np.random.default_rng(seed).permutation(values).tolist())
        options: Any = {"validation": validation, "test": test, "seed": seed, "force": True}
        if min(sizes[: 3 if test else 2]) < 1:
            with pytest.raises(RecordError, match=r"records, \w+ gets none; give other shares, or"):
                split(path, stratify="v", folder=folder, **options)
            return
        found = values_by_set(split(path, stratify="v", folder=folder, **options))
    assert [len(of) for of in found.values()] == sizes[: len(found)]
    for of, size in zip(found.values(), sizes, strict=False):
        got = Counter(of)
        for number, count in enumerate(counts):
            assert abs(got[number or None] - count * size / len(values)) < 1


@given(
    counts=st.lists(st.integers(1, 12), min_size=3, max_size=30),
    validation=st.floats(0.1, 0.4),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=50)
def test_a_group_is_in_one_set_and_what_is_short_of_a_share_no_group_fits(counts, validation, seed):
    values = [number for number, count in enumerate(counts) for _ in range(count)]
    size = round(len(values) * validation)
    with tempfile.TemporaryDirectory() as folder:
        path = write_values(values)
        made = split(path, validation=validation, group="v", seed=seed, folder=folder)
        found = values_by_set(made)
    assert not set(found["train"]) & set(found["validation"])
    assert sorted([*found["train"], *found["validation"]]) == values
    lacking = size - len(found["validation"])
    assert all(counts[group] > lacking for group in found["train"])
    assert lacking >= 0 or len(set(found["validation"])) == 1


def test_the_last_by_time_are_test_and_those_before_validation():
    cases: list[tuple[list[Any], dict[str, list[Any]]]] = [
        (
            ["2024-03-01", "2024-01-01", "2024-02-01T05:00+02:00", "2024-01-31T23:00:00"],
            {
                "train": ["2024-01-01", "2024-01-31T23:00:00"],
                "validation": ["2024-02-01T05:00+02:00"],
                "test": ["2024-03-01"],
            },
        ),
        ([2, 10, 1.5, 9], {"train": [2, 1.5], "validation": [9], "test": [10]}),
        # Records of one moment stay together, in the set of which most of them would be.
        ([1, 1, 1, 2, 3, 3], {"train": [1, 1, 1], "validation": [2], "test": [3, 3]}),
        ([1, 3, 3, 3, 2, 3], {"train": [1], "validation": [2], "test": [3, 3, 3, 3]}),
        ([2**60 + 2, 2**60, 2**60 + 1], {"train": [2**60], "validation": [2**60 + 1]}),
    ]
    for values, expected in cases:
        expected.setdefault("test", [2**60 + 2])
        made = split(write_values(values), validation=0.25, test=0.25, time="v", force=True)
        assert values_by_set(made) == expected


def test_a_csv_column_orders_as_numbers_or_dates():
    for cells, last in (["9", "10", "7"], "10"), (["2024-01-03", "2024-01-01"], "2024-01-03"):
        Path("birds.csv").write_text("\n".join(["v", *cells]))
        made = split("birds.csv", validation=0.4, time="v", force=True)
        assert made["validation"].read_text().split() == ["v", last]


# What is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stratify": "knid"}, "birds.csv: no column 'knid'; did you mean 'kind'? The columns are"),
        ({"validation": 0.0}, "expected shares above 0 that leave records to train on, got 0 for"),
        ({"validation": 0.6, "test": 0.4}, "got 0.6 for validation and 0.4 for test; give such as"),
        ({"validation": float("nan")}, "to train on, got nan for validation and 0 for test"),
        ({"validation": 0.001}, "birds.csv: of 60 records, validation gets none; give other sha"),
        ({"group": "one"}, "train gets none; give other shares, or more records that differ in 'o"),
        ({"time": "one"}, "validation gets none; give other shares, or more records that differ"),
        ({"time": "id", "group": "shop"}, "expected one of stratify, group and time, got group, t"),
        (
            {"time": "kind"},
            "birds.csv, record 0, column 'kind': expected a date and time, in letters as ISO 8601, "
            "got 'b' (str); write dates as 2026-03-01 or 2026-03-01T08:30 in every record, or name",
        ),
        ({"time": "gap"}, "birds.csv, record 7, column 'gap': expected a number, got a missing va"),
    ],
)
def test_what_cannot_be_split_so_is_refused(options: dict[str, Any], message: str):
    frame = make_frame().assign(one=1, gap=[1.5] * 7 + [None] + [2.5] * 52)
    path = write_frame(frame, "csv")
    with pytest.raises(RecordError, match=re.escape(message)):
        split(path, **{"validation": 0.2, **options})
    assert [path.name for path in Path().iterdir()] == ["birds.csv"]


@pytest.mark.parametrize(("ending", "text"), [("csv", "a,b\n"), ("json", "[]"), ("jsonl", "\n")])
def test_what_holds_no_records_is_refused(ending: str, text: str):
    Path(f"birds.{ending}").write_text(text)
    with pytest.raises(RecordError, match=rf"^birds.{ending} holds no records; give a file with"):
        split(f"birds.{ending}", validation=0.5)


def test_a_file_that_is_there_stays_unless_forced():
    write_frame(make_frame(), "csv")
    Path("validation.csv").write_text("mine")
    with pytest.raises(ArtifactError, match=r"^validation.csv is there already; name another fold"):
        split("birds.csv", validation=0.5)
    assert not Path("train.csv").exists()
    split("birds.csv", validation=0.5, force=True)
    before = Path("train.csv").read_text()
    assert len(before.splitlines()) == len(Path("validation.csv").read_text().splitlines()) == 31
    with pytest.raises(ArtifactError, match=r"^train.csv would change train.csv; name another fol"):
        split("train.csv", validation=0.5, force=True)
    assert Path("train.csv").read_text() == before


# The command -----------------------------------------------------------------------------------


def test_the_command_shows_sets_classes_and_what_to_do_next(caplog: pytest.LogCaptureFixture):
    frame = make_frame()
    frame.loc[3, "kind"] = None
    write_frame(frame, "csv.gz")
    Path("config.json").write_text("{}")
    words = "split birds.csv.gz --validation 0.2 --test 0.1 --stratify kind --seed 3 -o new"
    done = CliRunner().invoke(main, words.split())
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "set         records  share  file",
        "train       42       0.700  new/train.csv.gz",
        "validation  12       0.200  new/validation.csv.gz",
        "test        6        0.100  new/test.csv.gz",
        "kind       train  validation  test",
        "a          34     10          5",
        "b          7      2           1",
        "(missing)  1      0           0",
        "seed 3: the same data and seed give the same sets",
        "next:      barrage-mlflow check config.json new/train.csv.gz new/validation.csv.gz",
    ]
    assert done.stderr.splitlines() == [
        "validation has no record with kind '(missing)'",
        "test has no record with kind '(missing)'",
    ]
    lines = gzip.decompress(Path("new/test.csv.gz").read_bytes()).splitlines()
    assert len(lines) == 7
    # A number has too many values to tell of each.
    pd.DataFrame({"y": range(60)}).to_csv("numbers.csv", index=False)
    words = "split numbers.csv --validation 0.2 --stratify y"
    done = CliRunner().invoke(main, words.split())
    told = "y has 60 values, and of 60 a set has none; to stratify by is a column of classes\n"
    assert done.stderr == told


def test_the_command_shows_what_is_no_text_and_ends_without_a_config():
    Path("birds.csv").write_bytes("größe\nä\nä\nö\nö\n".encode("latin-1"))
    done = CliRunner().invoke(main, ["split", "birds.csv", "--validation", "0.5"])
    assert done.stdout.splitlines()[-1] == "seed 0: the same data and seed give the same sets"
    Path("birds.csv").write_bytes("a\nä\nä\nö\nö\n".encode("latin-1"))
    options = ["--validation", "0.5", "--stratify", "a", "--force"]
    done = CliRunner().invoke(main, ["split", "birds.csv", *options])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[3:6] == ["a  train  validation", "?  1      1", "?  1      1"]
