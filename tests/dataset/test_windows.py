"""Windows of a long table: what each has, which there are, and what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from barrage_mlflow.dataset import FeatureLoader, FeatureTransformer, RecordMode, Records
from barrage_mlflow.dataset.components.reading import ask_kinds
from barrage_mlflow.dataset.records.column_kinds import Schema
from barrage_mlflow.errors import ConfigError, RecordError

DATES = pd.date_range("2026-01-01", periods=8).strftime("%Y-%m-%d").tolist()


def table(seed: int = 0) -> pd.DataFrame:
    """Two shops of 8 and 5 days, whose rows stand in no order."""
    rows = [
        {"day": day, "shop": shop, "sales": first + 10.5 * place, "staff": place, "weather": "sun"}
        for shop, first, count in (("north", 0, 8), ("south", 500, 5))
        for place, day in enumerate(DATES[:count])
    ]
    rows[3]["weather"], rows[4]["sales"] = "rain", None
    return pd.DataFrame(rows).sample(frac=1, random_state=seed)


def schema(**windows) -> Schema:
    given = {"time": "day", "group": "shop", "history": 3, "horizon": 2, **windows}
    return Schema.from_config({"windows": given})


def by_end(records: Records) -> dict:
    """The records by group and time, whatever the order."""
    found = {(r["shop"], str(r["day"].date())): r for r in records}
    assert len(found) == len(records)
    return found


def test_a_window_has_what_came_before_and_what_comes_after():
    records = by_end(Records.read(table(), schema=schema()))
    assert [*records] == sorted(records, key=lambda key: [*records].index(key))
    assert {shop: sum(s == shop for s, _ in records) for shop, _ in records} == {
        "north": 4, "south": 1,
    }  # fmt: skip
    found = records["north", "2026-01-04"]
    sales, after = found.pop("sales"), found.pop("next_sales")
    assert sales == [10.5, 21.0, 31.5]
    assert repr(after) == "[nan, 52.5]"
    assert found == {
        "day": pd.Timestamp("2026-01-04"), "shop": "north", "weather": "rain",
        "staff": [1, 2, 3], "next_staff": [4, 5],
    }  # fmt: skip
    assert records["south", "2026-01-03"]["next_sales"] == [531.5, 542.0]


def test_which_windows_there_are_hangs_on_no_order_and_the_last_is_one_of_them():
    plain = Records.read(table(), schema=schema())
    for seed in (1, 2):
        other = Records.read(table(seed), schema=schema())
        same = by_end(other)
        assert same.keys() == by_end(plain).keys()
        assert all(repr(same[key]) == repr(one) for key, one in by_end(plain).items())
    skipped = by_end(Records.read(table(), schema=schema(step=2)))
    assert [*skipped] == [key for key in by_end(plain) if key in skipped]
    assert {day for shop, day in skipped if shop == "north"} == {"2026-01-04", "2026-01-06"}


def test_to_score_each_group_is_its_last_rows_and_tells_nothing_after_them():
    train = Records.read(table(), schema=schema())
    records = Records.read(table(), schema=train.schema.to_score(["day", "shop", "sales"]))
    assert records.columns == ["day", "shop", "sales"]
    assert sorted(records["sales"].tolist()) == [[52.5, 63.0, 73.5], [521.0, 531.5, 542.0]]


def test_windows_are_made_anew_of_their_rows_where_others_are_asked_for():
    records = Records.read(table(), schema=schema(history=2, horizon=1))
    for windows in ({"history": 3, "horizon": 2}, {"history": 4, "horizon": 1}):
        want = Records.read(table(), schema=schema(**windows))
        assert repr([*Records.read(records, schema=schema(**windows))]) == repr([*want])
    assert repr([*Records.read(records, limit=2)]) == repr([*records[:2]])
    learnt = Records.read(records, schema=schema(history=2, horizon=1))
    assert learnt.schema.columns["day"].kind == "datetime"


def test_no_rows_are_no_windows():
    inputs = Records.read(table(), schema=schema()).schema.to_score(["day", "shop", "sales"])
    for each in (schema(), inputs):
        assert len(Records.read(table().iloc[:0], schema=each)) == 0


@pytest.mark.parametrize("rows", [slice(1, 4), [4, 0]])
def test_every_form_of_some_windows_has_the_same_values(rows):
    records = Records.read(table(), schema=schema())
    some = records[rows] if isinstance(rows, slice) else records.take(rows)
    numbers = np.arange(len(records))[rows]
    assert repr([*some]) == repr([records[int(number)] for number in numbers])
    for name in ("sales", "next_staff", "shop", "day"):
        whole = records[name]
        assert repr(some[name]) == repr(some.as_read(name)) == repr(whole[rows])
        assert some[name].dtype == whole.dtype
        in_pieces = [piece[name] for piece in records.pieces(2)]
        assert repr(np.concatenate(in_pieces)) == repr(whole)
    assert repr([*pickle.loads(pickle.dumps(some))]) == repr([*some])


def test_a_file_and_a_folder_of_parquet_give_the_same(tmp_path):
    table().to_csv(tmp_path / "t.csv", index=False)
    table().to_parquet(tmp_path / "t.parquet", row_group_size=3)
    table().to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    want = repr([*Records.read(table(), schema=schema())])
    for name in ("t.csv", "t.parquet", "t.jsonl"):
        records = Records.read(tmp_path / name, schema=schema())
        assert repr([*records]) == want
        limited = Records.read(tmp_path / name, limit=2, schema=schema())
        assert (repr([*limited]), limited.cut_at) == (repr([*records[:2]]), 2)


def test_the_digest_is_of_all_rows_and_of_the_windows():
    changed = table()
    changed.loc[changed.index[0], "weather"] = "snow"
    digests = {
        Records.read(data, schema=schema(**windows))[:count].digest()
        for data, windows, count in (
            (table(), {}, 5), (changed, {}, 5), (table(), {"history": 2}, 5), (table(), {}, 4),
            (table(), {}, 5),
        )
    }  # fmt: skip
    assert len(digests) == 4


def test_features_take_the_history_or_the_last_value():
    records = Records.read(table(), schema=schema())
    params = {
        "features": {
            "shop": "category", "sales": "series", "staff": "number",
            "day": {"type": "datetime", "trend": False},
        },
        "targets": {"next_sales": "series"},
    }  # fmt: skip
    dataset = {
        "loader": {"import": "FeatureLoader", "params": params},
        "windows": {"time": "day", "group": "shop", "history": 3, "horizon": 2},
    }
    sets = ask_kinds({"dataset": dataset}, {"train": records})
    loader = FeatureLoader(RecordMode.TRAIN, **params)
    x, y = loader.load_batch(sets["train"])
    alone = [loader.load(record) for record in sets["train"]]
    assert x["staff"].tolist() == [w[-1] for w in records["staff"].tolist()]
    for name in x:
        assert repr([each[0][name].tolist() for each in alone]) == repr(x[name].tolist())
    transformer = FeatureTransformer(RecordMode.TRAIN, loader)
    transformer.fit(sets["train"])
    _, _, weights = transformer.transform_batch((x, y))
    gaps = [bool(np.isnan(after).any()) for after in records["next_sales"]]
    assert weights["next_sales"].tolist() == [float(not gap) for gap in gaps]
    assert {*gaps} == {True, False}


def test_a_declared_kind_is_of_the_tables_cells():
    data = table().assign(day=[day.replace("-", "/") for day in table()["day"]])
    dataset = {
        "columns": {"day": {"kind": "datetime", "format": "%Y/%m/%d"}, "sales": "text"},
        "windows": {"time": "day", "group": ["shop"], "history": 3, "horizon": 1},
        "loader": {
            "import": "FeatureLoader",
            "params": {"features": {"sales": "series"}, "targets": {"next_staff": "series"}},
        },
    }
    records = Records.read(data, schema=Schema.from_config(dataset))
    assert str(records["day"].min()) == "2026-01-03T00:00:00.000000"
    with pytest.raises(ConfigError, match="expected 'number', which FeatureLoader asks for, got"):
        ask_kinds({"dataset": dataset}, {"train": records})


@pytest.mark.parametrize(
    ("change", "windows", "message"),
    [
        (
            {},
            {"time": "date"},
            "no column 'date'; the columns are 'day',.*; dataset.windows names it",
        ),
        ({}, {"history": 7}, r"expected 7 \+ 2 rows .* the longest has 8"),
        (
            {"day": None},
            {},
            "record 2, column 'day': expected a value in every row, .* got none; give",
        ),
        ({"shop": None}, {}, "record 2, column 'shop': expected a value in every row, .* got none"),
        ({"shop": ["north"]}, {}, "column 'shop' holds .*expects strings, numbers or truth"),
        ({"day": "2026-01-01"}, {}, "record 2 and .* are of one time and group; name all columns"),
        ({"day": "Monday"}, {}, "column 'day': expected a date and time, in letters as ISO 8601"),
        ({"next_sales": 1}, {}, "column 'next_sales' has the name that windows give .* rename it"),
        ({}, {"time": "weather", "group": "day"}, "expected a date and time"),
        (
            {"ok": True},
            {"time": "ok"},
            "column 'ok' holds truth values; .* expects dates, durations or numbers as its time",
        ),
    ],
)
def test_what_makes_no_windows_is_said(change, windows, message):
    rows = table().to_dict("records")
    rows[2] = {**rows[2], **change}
    if "ok" in change or change.get("shop") == ["north"]:
        rows = [{**row, **change} for row in rows]
    if change.get("day") == "2026-01-01":
        rows[2]["shop"] = "south"
    with pytest.raises(RecordError, match=message):
        Records.read(rows, schema=schema(**windows))


def test_a_group_that_is_too_short_to_score_is_named():
    inputs = Records.read(table(), schema=schema()).schema.to_score(["day", "shop", "sales"])
    rows = [row for row in table().to_dict("records") if row["shop"] != "south"]
    rows.append({"day": DATES[0], "shop": "west", "sales": 1.0})
    match = r"record 8: expected 3 rows of history of {'shop': 'west'}, got 1; give more, or leave"
    with pytest.raises(RecordError, match=match):
        Records.read(rows, schema=inputs)
