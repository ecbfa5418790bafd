"""Columns whose cells are files under a root: which are read, when, and what never is."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from barrage_mlflow.dataset import IdentityTransformer, RecordLoader, RecordMode, Records
from barrage_mlflow.dataset.components.pipeline import Pipeline
from barrage_mlflow.dataset.feeding.batches import Batches
from barrage_mlflow.dataset.feeding.blocks import Blocks
from barrage_mlflow.dataset.feeding.conform import ArraySpec
from barrage_mlflow.dataset.feeding.feeder import Feeder
from barrage_mlflow.dataset.records import tables
from barrage_mlflow.dataset.records.column_kinds import Schema
from barrage_mlflow.dataset.records.parts import Parts
from barrage_mlflow.dataset.records.roots import read_file
from barrage_mlflow.errors import RecordError

PHOTOS = Path("data", "photos")
DATASET = {"columns": {"photo": {"kind": "bytes", "root": str(PHOTOS)}}}


def write_photos(count: int = 3) -> list[str | None]:
    """Files that hold their own number; the paths, the last of which is missing."""
    (PHOTOS / "cats").mkdir(parents=True)
    for number in range(count):
        (PHOTOS / "cats" / f"{number}.raw").write_bytes(bytes([number + 1]))
    return [*(f"cats/{number}.raw" for number in range(count)), None]


def read(source: Any, **options: Any) -> Records:
    return Records.read(source, schema=Schema.from_config(DATASET), **options)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read."""
    found: list[str] = []

    def watched(root: str, path: str) -> bytes | None:
        found.append(path)
        return read_file(root, path)

    monkeypatch.setattr(tables, "read_file", watched)
    return found


def to_csv(frame: pd.DataFrame) -> str:
    frame.to_csv("t.csv", index=False)
    return "t.csv"


def to_jsonl(frame: pd.DataFrame) -> str:
    frame.to_json("t.jsonl", orient="records", lines=True)
    return "t.jsonl"


def to_parquet(frame: pd.DataFrame) -> str:
    frame.to_parquet("t.parquet", row_group_size=2)
    return "t.parquet"


WAYS: list[Callable[[pd.DataFrame], Any]] = [
    to_csv, to_jsonl, to_parquet, lambda frame: frame, lambda frame: frame.to_dict("records"),
]  # fmt: skip
NAMES = ["csv", "jsonl", "parquet", "frame", "dicts"]


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
def test_a_path_becomes_the_bytes_of_its_file_when_it_is_asked_for(
    way: Callable[[pd.DataFrame], Any], reads: list[str]
) -> None:
    paths = write_photos()
    records = read(way(pd.DataFrame({"photo": paths, "n": range(4)})))
    assert (records.has_files, reads) == (True, [])
    assert records[1] == {"photo": b"\2", "n": 1}
    first = next(iter(records[2:]))
    assert (first["photo"], reads) == (b"\3", ["cats/1.raw", "cats/2.raw"])
    reads.clear()
    assert records[:2]["photo"].tolist() == [b"\1", b"\2"]
    assert records.take([2, 3])["photo"].tolist() == [b"\3", None]
    assert reads == paths[:3]
    assert [record["photo"] for record in records] == [b"\1", b"\2", b"\3", None]
    elsewhere = pickle.loads(pickle.dumps(records))  # as worker processes have them
    assert elsewhere[1:].values("photo") == [b"\2", b"\3", None]
    # What a model knows of columns has no root: the set keeps it.
    scored = Records.read(records, schema=records.schema.without_roots())
    assert (
        scored.as_read("photo").tolist() == scored["photo"].tolist() == [b"\1", b"\2", b"\3", None]
    )


def test_validation_records_are_under_the_root_of_the_train_records() -> None:
    paths = write_photos()
    train = read([{"photo": path} for path in paths])
    assert Records.read([{"photo": paths[1]}], schema=train.schema)[0] == {"photo": b"\2"}


def test_bytes_are_taken_as_they_are_and_an_empty_file_is_a_missing_value() -> None:
    paths = write_photos()
    (PHOTOS / "empty").touch()
    rows = [{"photo": cell} for cell in (b"own", paths[0], Path("cats/1.raw"), "empty")]
    assert read(rows)["photo"].tolist() == [b"own", b"\1", b"\2", None]
    pd.DataFrame({"photo": [b"own", None]}).to_parquet("t.parquet")
    assert read("t.parquet").values("photo") == [b"own", None]


def test_the_root_is_named_from_the_folder_of_the_config() -> None:
    write_photos()
    schema = Schema.from_config({"columns": {"photo": {"kind": "bytes", "root": "photos"}}}, "data")
    assert schema.columns["photo"].root == str(PHOTOS.resolve())


# What is never read -----------------------------------------------------------------------


OUT = "that leads out of it: write it from there on, without '..' or a link that leads out"
NONE = "there is none: put it there, or correct the path"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("{root}/cats/0.raw", OUT),
        ("/etc/passwd", OUT),
        ("../secret", OUT),
        ("cats/../cats/0.raw", OUT),
        ("link", OUT),
        ("linked/secret", OUT),
        ("circle", "Symlink loop.*|there is none: .*"),
        ("cats/7.raw", NONE),
        ("cats", NONE),
        ("", ""),
        ("a\0b", ".*embedded null .*"),
        ("x" * 300, ".*File name too long.*"),
    ],
)
def test_nothing_leads_out_of_the_root(path: str, why: str) -> None:
    write_photos()
    Path("data/secret").write_text("secret")
    (PHOTOS / "link").symlink_to("../secret")
    (PHOTOS / "linked").symlink_to("..")
    (PHOTOS / "circle").symlink_to("circle")
    root = PHOTOS.resolve()
    path = path.format(root=root)
    row = {"photo": path}
    if not path:  # as in every kind
        assert read([row])[0] == {"photo": None}
        return
    message = f"^expected the path of a file under {root}, got {re.escape(repr(path))}; ({why})$"
    message = message.replace("^", "^train.csv, record 1, column 'photo': ")
    with pytest.raises(RecordError, match=message):
        read([{"photo": "cats/0.raw"}, row], name="train.csv")


def test_a_link_may_lead_anywhere_within_the_root_and_the_root_may_be_one() -> None:
    write_photos()
    (PHOTOS / "link").symlink_to("cats/1.raw")
    Path("elsewhere").symlink_to(PHOTOS)
    dataset = {"columns": {"photo": {"kind": "bytes", "root": "elsewhere"}}}
    rows = [{"photo": "link"}]
    assert Records.read(rows, schema=Schema.from_config(dataset))[0] == {"photo": b"\2"}


def test_a_string_without_a_root_is_base64_and_no_path() -> None:
    paths = write_photos()
    for name in ("abcd", "data/photos/cats/one"):  # which base64 may be, too
        Path(name).write_bytes(b"file")
        rows = [{"photo": name}]
        schema = read([{"photo": paths[0]}]).schema.without_roots()
        assert Records.read(rows, schema=schema)["photo"].tolist() != [b"file"]
        assert json.dumps(schema.to_json()).find("root") == -1


# What is found before --------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS[:3], ids=NAMES[:3])
def test_all_missing_files_are_found_when_the_set_is_read(way: Any, reads: list[str]) -> None:
    paths = write_photos()
    for number in (1, 2):
        (PHOTOS / "cats" / f"{number}.raw").unlink()
    source = way(pd.DataFrame({"photo": paths}))
    with pytest.raises(RecordError, match=NONE) as error:
        read(source, limit=1)
    line = {"csv": " (line 3)", "jsonl": " (line 2)"}.get(source.split(".")[1], "")
    assert str(error.value).startswith(f"{source}, record 1{line}, column 'photo': expected the")
    assert error.value.__notes__ == ["so it is with 2 cells in all"]
    assert reads == []


def test_a_file_that_goes_away_is_named_with_its_record() -> None:
    paths = write_photos()
    records = read([{"photo": path} for path in paths], name="train")
    (PHOTOS / "cats" / "2.raw").unlink()
    for ask in (lambda: records["photo"], lambda: list(records), lambda: records.digest()):
        with pytest.raises(RecordError, match=rf"^train, record 2, column 'photo': .*; {NONE}$"):
            ask()


def test_what_is_no_path_is_refused() -> None:
    write_photos()
    message = (
        r"record 0, column 'photo': expected the path of a file under .*photos, got 7 \(int\)$"
    )
    with pytest.raises(RecordError, match=message):
        read([{"photo": 7}])


# Digests ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
def test_the_digest_covers_the_files_in_their_order(way: Callable[[pd.DataFrame], Any]) -> None:
    paths = write_photos()
    source = way(pd.DataFrame({"photo": paths}))
    records = read(source)
    before = records.digest()
    assert read(source).digest() == records.whole().digest() == before
    assert len({before, records[1:].digest(), records.take([1, 0, 2, 3]).digest()}) == 3
    (PHOTOS / "cats" / "1.raw").write_bytes(b"other")
    changed = records.digest()
    (PHOTOS / "cats" / "1.raw").write_bytes(b"\3")
    (PHOTOS / "cats" / "2.raw").write_bytes(b"\2")
    assert len({before, changed, records.digest()}) == 3


# Feeding ----------------------------------------------------------------------------------


class Loader(RecordLoader):
    """Loads whole columns, and keeps how many files it asked for at once."""

    asked: ClassVar[list[int]] = []

    def load(self, record: Any) -> Any:
        return {"x": np.float32(record["photo"][0])}, {"y": record["n"]}

    def load_batch(self, records: Records) -> Any:
        self.asked.append(len(records))
        photos = [float(photo[0]) for photo in records["photo"]]
        return {"x": np.array(photos, np.float32)}, {"y": records["n"]}


@pytest.mark.parametrize("window", [None, 12])
@pytest.mark.parametrize("way", [to_csv, to_parquet], ids=["csv", "parquet"])
def test_no_more_files_are_read_at_once_than_a_batch_has(way: Any, window: int | None) -> None:
    paths = write_photos(20)[:20]
    records = read(way(pd.DataFrame({"photo": paths, "n": range(1, 21)})))
    loader = Loader(RecordMode.TRAIN)
    pipeline = Pipeline(loader, IdentityTransformer(RecordMode.TRAIN, loader))
    pipeline.transformer.fit(records)
    Loader.asked.clear()
    specs = {"x": ArraySpec((), "float32")}
    made = Batches(records, pipeline, specs, 4, Feeder(shuffle_window=window), seed=1)
    for blocks in (Blocks(iter(made)), Blocks(made.epoch(0))):
        data = list(iter(lambda blocks=blocks: blocks.take(4), None))
        for x, y in data:
            np.testing.assert_array_equal(x["x"], y["y"])
        assert sorted(np.concatenate([y["y"] for _, y in data])) == list(range(1, 21))
    assert max(Loader.asked) <= 4


# Roots of a prediction --------------------------------------------------------------------


def test_a_part_of_a_file_is_read_under_a_root() -> None:
    paths = write_photos()
    to_csv(pd.DataFrame({"photo": paths, "n": range(4)}))
    schema = read("t.csv").schema.without_roots()
    for root in (str(PHOTOS), f"photo={PHOTOS}"):
        parts = Parts("t.csv", keep=["photo"], roots=[root])
        (part,) = parts.read(schema)
        assert part.records["photo"].tolist() == [b"\1", b"\2", b"\3", None]
        assert part.kept["photo"][:3] == paths[:3]
    message = "^root 'n=/': expected a column of bytes; of these the model reads 'photo'$"
    with pytest.raises(RecordError, match=message):
        next(Parts("t.csv", roots=["n=/"]).read(schema))
    message = "^root '/': expected a column of bytes; of these the model reads none$"
    with pytest.raises(RecordError, match=message):
        next(Parts("t.csv", roots=["/"]).read(schema.to_score(["n"])))
