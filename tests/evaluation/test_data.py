"""What a report says of the data: columns of two sets compared, and the records of both."""

from __future__ import annotations

import datetime
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.records.column_kinds import Schema
from barrage_mlflow.errors import RecordError
from barrage_mlflow.evaluation import data
from barrage_mlflow.evaluation.data import Overlap, count_overlap, profile


def frame(records: int, seed: int, shift: float = 0.0, **extra: object) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    columns = {
        "size": rng.normal(50 + 3 * shift, 3, records),
        "rooms": rng.integers(1, 6, records),
        "town": rng.choice(["Bonn", "Kiel", "Köln"], records, p=[0.5, 0.25, 0.25]),
        "is_new": rng.random(records) < 0.25,
        "built": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, records), "D"),
        "photo": [bytes([seed, *rng.bytes(3)]) for _ in range(records)],
        "sound": [*rng.normal(size=(records, 3))],
        "note": [f"note {number}" for number in rng.integers(0, 10**9, records)],
    }
    return pd.DataFrame(columns).assign(**extra)


def pair(train: pd.DataFrame, other: pd.DataFrame) -> tuple[Records, Records]:
    records = Records.read(train, name="train")
    return records, Records.read(other, name="other", schema=records.schema)


def test_planted_differences():
    before, after = frame(2000, 1), frame(1000, 2, shift=1.0)
    before.loc[:199, "size"] = None
    after.loc[:249, "town"] = "Ulm"
    after.loc[250:299, "town"] = None
    after["photo"] = after["photo"].where(after.index >= 100, None)
    train, other = pair(before, after)
    found = profile(train, other, train.columns)
    assert [*found.index[:3]] == ["note", "size", "town"]
    assert [*found.index[-2:]] == ["photo", "sound"]  # of which no shift is known
    rows = {row.pop("column"): row for row in found.reset_index().to_dict("records")}

    def share(towns: pd.Series) -> pd.Series:
        return towns.value_counts(normalize=True)

    apart = share(after["town"]).sub(share(before["town"]), fill_value=0).abs().sum() / 2
    expected = {
        "size": ("number", 0.1, 0.0, "1,800", math.nan),
        "rooms": ("whole", 0.0, 0.0, "5", 0.0),
        "town": ("text", 0.0, 0.05, "3", 250 / 950, apart),
        "is_new": ("truth", 0.0, 0.0, "2", 0.0),
        "built": ("datetime", 0.0, 0.0, f"{before['built'].nunique()}"),
        "photo": ("bytes", 0.0, 0.1, "", math.nan, math.nan),
        "sound": ("list", 0.0, 0.0, "", math.nan, math.nan),
        "note": ("text", 0.0, 0.0, "2,000", 1.0, 1.0),
    }
    for name, row in expected.items():
        assert tuple(rows[name].values())[: len(row)] == pytest.approx(row, nan_ok=True), name
    unseen = ~after["built"].isin(before["built"])
    assert rows["built"]["unseen"] == pytest.approx(unseen.mean())
    for name in ("size", "rooms", "built"):
        known = [
            one[name].dropna().astype("int64" if name == "built" else float)
            for one in (before, after)
        ]
        assert rows[name]["shift"] == pytest.approx(ks_2samp(*known).statistic), name


def test_planted_overlap():
    before = frame(2000, 1)
    before.loc[:9, ["size", "town"]] = None
    before.loc[1990:, "size"] = 0.0
    after = pd.concat([frame(1900, 2), before[:50], before[-50:]], ignore_index=True)
    after["size"] = after["size"].mask(after["size"] == 0, -0.0)
    train, other = pair(before, after)
    assert count_overlap(train, other, train.columns) == Overlap(100, 0.0)
    assert count_overlap(other, train, train.columns) == Overlap(100, 0.0)
    assert count_overlap(train, train[:7], train.columns) == Overlap(7, 0.0)
    in_train = after["town"].isin(before["town"]).sum()
    assert count_overlap(train, other, ["town"]) == Overlap(in_train, len(after))


def test_what_chance_gives():
    def some(seed: int, records: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        return pd.DataFrame(rng.integers(0, 14, (records, 3)), columns=["a", "b", "c"])

    train, other = pair(some(1, 2000), some(2, 1000))
    found = count_overlap(train, other, train.columns)
    assert found.expected == pytest.approx(1000 * (1 - math.exp(-2000 / 14**3)), rel=0.05)
    assert found.count == pytest.approx(found.expected, rel=0.1)


def test_time_that_is_over():
    train, other = pair(frame(20, 1), frame(10, 2))
    assert count_overlap(train, other, train.columns, 0.0) is None
    assert profile(train, other, train.columns, 0.0) is None


def test_files_are_not_read(tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(b"png")
    schema = Schema.from_config({"columns": {"image": {"kind": "bytes", "root": str(tmp_path)}}})
    rows = [{"image": f"{number}.png", "size": number} for number in range(4)]
    train, other = (Records.read(rows[:n], schema=schema) for n in (4, 2))
    for file in tmp_path.iterdir():
        file.unlink()
    assert count_overlap(train, other, ["image", "size"]) == Overlap(2, 0.0)
    found = profile(train, other, ["image", "size"]).loc["image"]
    assert [*found] == pytest.approx(
        ["bytes", math.nan, math.nan, "", math.nan, math.nan], nan_ok=True
    )


def test_kinds_by_their_values_however_they_were_read():
    kinds = {"a": "number", "t": "time", "l": {"kind": "list", "of": "number"}, "o": "object"}
    schema = Schema.from_config({"columns": kinds})
    ones = [
        {
            "a": 1,
            "b": True,
            "w": 3,
            "t": "10:15",
            "l": [1],
            "o": {"x": 1, "y": None},
            "s": "\ud800",
        },
        {"a": 2, "b": None, "w": None, "t": None, "l": [2, 3], "o": None, "s": None},
    ]
    train = Records.read(ones, schema=schema)
    others = [
        {**ones[0], "a": 1.0, "l": [1.0], "o": {"y": None, "x": 1}},
        ones[1],
        {**ones[1], "a": 3},
    ]
    other = Records.read(others, schema=train.schema)
    assert count_overlap(train, other, train.columns) == Overlap(2, 0.0)
    found = profile(train, other[:2], train.columns)
    assert dict(zip(train.columns, found.loc[train.columns, "kind"], strict=True)) == {
        "a": "number", "b": "truth", "w": "number", "t": "time", "l": "list", "o": "object",
        "s": "text",
    }  # fmt: skip
    assert [*found.loc[train.columns, "missing_other"]] == [0, 0.5, 0.5, 0.5, 0, 0.5, 0.5]
    assert found["shift"].max() == 0
    with pytest.raises(RecordError, match="no column 'c'"):
        profile(train, other, ["c"])


def test_windows_have_their_last_values():
    rows = [{"day": day, "sales": float(day % 7), "town": "Bonn"} for day in range(40)]
    schema = Schema.from_config({"windows": {"time": "day", "history": 3, "horizon": 2}})
    records = Records.read(rows, schema=schema)
    train, other = records[:20], records[14:]
    found = profile(train, other, ["sales", "town"])
    assert found["kind"].to_dict() == {"sales": "number", "town": "text"}
    last = ks_2samp(train["sales"][:, -1], other["sales"][:, -1]).statistic
    assert found.loc["sales", "shift"] == pytest.approx(last)
    assert count_overlap(train, other, ["day", "sales", "next_sales"]) == Overlap(6, 0.0)
    assert count_overlap(train, other, ["sales", "next_sales"]).count == len(other)


def test_a_streamed_file_gives_the_same(tmp_path, monkeypatch):
    before, after = frame(3000, 1), pd.concat([frame(900, 2), frame(3000, 1)[:100]])
    before.to_parquet(tmp_path / "train.parquet", row_group_size=700)
    after.to_parquet(tmp_path / "other.parquet", row_group_size=130)
    train = Records.read(str(tmp_path / "train.parquet"))
    streamed = train, Records.read(str(tmp_path / "other.parquet"), schema=train.schema)
    assert all(records.row_groups() for records in streamed)
    held = pair(before, after)
    for sampled, kept in ((10**6, 10**6), (500, 600)):
        monkeypatch.setattr(data, "SAMPLED", sampled)
        monkeypatch.setattr(data, "KEPT", kept)
        one, other = (profile(*records, train.columns) for records in (held, streamed))
        pd.testing.assert_frame_equal(one, other)
        counts = [count_overlap(*records, train.columns) for records in (held, streamed)]
        assert counts[0] == counts[1]
        assert counts[0].count == pytest.approx(100, abs=50 * (kept < 1000))


def test_a_sample_tells_what_all_would(monkeypatch):
    rng = np.random.default_rng(0)

    def some(records: int, codes: tuple[int, int], mean: float) -> pd.DataFrame:
        rare = [f"{number}" for number in rng.integers(*codes, records)]
        few = [f"{number}" for number in rng.integers(codes[0] // 1000, codes[1] // 1000, records)]
        return pd.DataFrame({"rare": rare, "few": few, "a": rng.normal(mean, size=records)})

    train, other = pair(some(20_000, (0, 9000), 0.0), some(10_000, (3000, 12_000), 1.0))
    table, overlap = profile(train, other, ["few", "a"]), count_overlap(train, other, ["rare"])
    monkeypatch.setattr(data, "KEPT", 2000)
    monkeypatch.setattr(data, "SAMPLED", 2000)
    part, estimate = profile(train, other, ["few", "a"]), count_overlap(train, other, ["rare"])
    assert part["distinct"]["a"] != table["distinct"]["a"]
    shown = ["unseen", "shift"]
    pd.testing.assert_frame_equal(part[shown], table.loc[part.index, shown], atol=0.06)
    assert overlap.count != estimate.count == pytest.approx(overlap.count, rel=0.1)
    assert overlap.expected != estimate.expected == pytest.approx(overlap.expected, rel=0.1)


def test_a_piece_of_which_no_record_is_drawn(monkeypatch):
    monkeypatch.setattr(data, "PIECE", 1)
    monkeypatch.setattr(data, "SAMPLED", 20)
    train, other = pair(frame(60, 1), frame(50, 2))
    found = profile(train, other, ["rooms"]).loc["rooms"]
    assert (found["missing_train"], found["distinct"]) == (0, "5")


def test_of_many_values_nothing_is_said(monkeypatch):
    monkeypatch.setattr(data, "DISTINCT", 100)
    train, other = pair(frame(400, 1), frame(300, 2))
    found = profile(train, other, ["note", "town", "built"]).drop(columns="kind")
    assert [*found.loc["note"]][2:] == pytest.approx(["> 100", math.nan, math.nan], nan_ok=True)
    assert [*found.loc["town"]][2:4] == ["3", 0.0]
    assert [*found.loc["built"]][2:4] == pytest.approx(["> 100", math.nan], nan_ok=True)
    assert found.loc["built", "shift"] > 0


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([1.5], [1.5], (0.0, 0.0, "1", math.nan, 0.0)),
        ([1.5], [2.5], (0.0, 0.0, "1", math.nan, 1.0)),
        ([1.5, None], [None], (0.5, 1.0, "1", math.nan, math.nan)),
        (["x"], ["y", None], (0.0, 0.5, "1", 1.0, 1.0)),
        (["x", "y"], [None], (0.0, 1.0, "2", math.nan, math.nan)),
        ([7] * 5, [7] * 3, (0.0, 0.0, "1", 0.0, 0.0)),
        ([True], [False], (0.0, 0.0, "1", 1.0, 1.0)),
        ([datetime.date(2026, 1, 1)], [datetime.date(2026, 1, 1)], (0.0, 0.0, "1", 0.0, 0.0)),
    ],
)
def test_small_sets(before, after, expected):
    train = Records.read([{"a": value} for value in before])
    other = Records.read([{"a": value} for value in after], schema=train.schema)
    (row,) = profile(train, other, ["a"]).drop(columns="kind").itertuples(index=False)
    assert tuple(row) == pytest.approx(expected, nan_ok=True)


def test_all_missing_in_train():
    train = Records.read([{"a": 1.5, "s": "x"}, {"a": None, "s": None}])
    found = profile(train[1:], train, ["a", "s"])
    assert [*found["missing_train"]] == [1, 1]
    assert [*found["distinct"]] == ["0", "0"]
    assert [*found["unseen"]] == pytest.approx([math.nan, 1.0], nan_ok=True)
    assert found["shift"].isna().all()
