"""A config made of data alone trains, and its model scores the same whatever way records come."""

from __future__ import annotations

import base64
import io
import json
import zlib
from datetime import date, timedelta
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from click.testing import CliRunner
from outside import ROUNDING, assert_scores_agree, invoke, serving

import barrage_mlflow
from barrage_mlflow import BarrageModel
from barrage_mlflow.cli import main
from barrage_mlflow.commands.init import init, start_config
from barrage_mlflow.config import read_config, resolve_config
from barrage_mlflow.errors import ArtifactError, RecordError


def png(value: int) -> bytes:
    file = io.BytesIO()
    PIL.Image.new("L", (6, 6), value).save(file, "PNG")
    return file.getvalue()


HUGE = bytearray(png(0))
HUGE[16:24] = (40_000).to_bytes(4, "big") * 2  # height and width
HUGE[29:33] = zlib.crc32(HUGE[12:29]).to_bytes(4, "big")
HUGE = bytes(HUGE)
"""The header of an image that no memory holds."""


def rows(count: int, seed: int) -> list[dict]:
    """Of every kind a column that tells of the targets, with gaps."""
    random, found = np.random.default_rng(seed), []
    for number in range(count):
        size = random.normal()
        row = {
            "id": f"{seed}-{number:05}",
            "carat": size,
            "on": bool(size > 1),
            "age": int(random.integers(20, 60)),
            "sold": f"{date(2026, 1, 1) + timedelta(days=int(100 + 50 * size)):%d/%m/%Y}",
            "cut": "fair" if size < 0 else "good",
            "note": f"a stone, {'small and dull' if size < 0 else 'large and bright'} {number}",
            "photo": f"{int(np.clip(120 + 50 * size, 0, 255))}.png",
            "load": [size + step for step in range(int(random.integers(3, 6)))],
            "tags": ["small"] if size < 0 else ["large", "new"],
            "same": 3,
            "price": 1000 + 200 * size,
            "kind": "rough" if size < -0.5 else "cut" if size < 0.5 else "rare",
            "sell": bool(size > 0),
        }
        gone = random.random(len(row)) < 0.05
        found.append({k: None if g else v for (k, v), g in zip(row.items(), gone, strict=True)})
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Data, photos, and the config that ``init`` makes of it, trained."""
    home = tmp_path_factory.mktemp("features")
    (home / "photos").mkdir()
    for value in range(256):
        (home / "photos" / f"{value}.png").write_bytes(png(value))
    for name, count in (("train", 300), ("validation", 60)):
        text = "\n".join(map(json.dumps, rows(count, seed=count)))
        (home / f"{name}.jsonl").write_text(text)
    targets = ["price", "kind", "sell"]
    start = init(str(home / "train.jsonl"), targets, home / "config.yaml")
    assert {row[0]: row[2] for row in start.columns} == {
        "id": "left out", "carat": "number", "on": "truth", "sold": "datetime", "cut": "category",
        "age": "number",
        "note": "text", "photo": "left out", "load": "series", "tags": "multi_category",
        "same": "left out", "price": "target: number", "kind": "target: category",
        "sell": "target: truth",
    }  # fmt: skip
    data = read_config(home / "config.yaml").data
    features = data["dataset"]["loader"]["params"]["features"]
    features["photo"] = {"type": "image", "size": [4, 4], "channels": 1, "root": "photos"}
    (home / "config.json").write_text(json.dumps(data))
    barrage_mlflow.train(
        home / "config.json",
        home / "train.jsonl",
        home / "validation.jsonl",
        artifact_dir=home / "out",
        offline=True,
        overrides={
            "solver.epochs": 12,
            "model.network.params.units": [32],
            "model.network.params.encoders": {
                "image": {"filters": [4]},
                "series": {"filters": [8, 8, 8]},
            },
            "dataset.loader.params.all": {"category": {"rare": 2}},
        },
    )
    return home


def test_what_it_foretells_is_in_the_datas_own_terms(folder):
    scores = BarrageModel(folder / "out").predict(records_with_bytes(folder))
    truth = pd.DataFrame(rows(60, 60))
    found = pd.DataFrame(list(scores))
    assert list(found) == [
        "price", "kind", "kind_probability", "kind_probabilities", "sell", "sell_probability",
    ]  # fmt: skip
    known = truth["price"].notna()
    assert np.abs(found["price"] - truth["price"])[known].mean() < 100  # the mean is 160 off
    assert (found["kind"] == truth["kind"])[truth["kind"].notna()].mean() > 0.8
    assert (found["sell"] == truth["sell"])[truth["sell"].notna()].mean() > 0.8
    assert list(found["kind_probabilities"][0]) == ["cut", "rare", "rough"]


def records_with_bytes(folder: Path) -> list[dict]:
    """The validation records, with photos in place of their paths, as a client has them."""
    records = [dict(row) for row in rows(60, 60)]
    for record in records:
        if record["photo"] is not None:
            record["photo"] = (folder / "photos" / record["photo"]).read_bytes()
    return records


def test_every_way_in_gives_the_same_score(folder, tmp_path):
    records = records_with_bytes(folder)
    want = [dict(score) for score in BarrageModel(folder / "out").predict(records)]
    alone = [dict(BarrageModel(folder / "out").predict([record])[0]) for record in records[:5]]
    assert_scores_agree(alone, want[:5], ROUNDING)
    arguments = ["predict", str(folder / "validation.jsonl"), str(folder / "out")]
    options = ["--root", f"photo={folder / 'photos'}", "-o", str(tmp_path / "scores.jsonl")]
    done = CliRunner().invoke(main, [*arguments, *options])
    assert done.exit_code == 0, done.output
    lines = (tmp_path / "scores.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == want
    model = mlflow.pyfunc.load_model(str(folder / "out" / "model"))
    answered = model.predict(pd.DataFrame(records)).to_dict("records")
    assert answered == want
    whole = [place for place, record in enumerate(records) if record["age"] is not None]
    frame = pd.DataFrame([records[place] for place in whole])
    assert frame["age"].dtype == "int64"  # which MLflow takes for no double
    scores = model.predict(frame).to_dict("records")
    assert_scores_agree(scores, [want[place] for place in whole], ROUNDING)
    lenient = model.predict(pd.DataFrame(records), params={"threshold": 0.1}).to_dict("records")
    assert lenient == [{**score, "sell": score["sell_probability"] >= 0.1} for score in want]
    assert lenient != want


@pytest.mark.slow
def test_a_server_gives_the_same_score(folder, tmp_path):
    records = records_with_bytes(folder)
    want = [dict(score) for score in BarrageModel(folder / "out").predict(records)]
    for record in records:
        if record["photo"] is not None:
            record["photo"] = base64.b64encode(record["photo"]).decode()
    with serving(folder / "out" / "model", tmp_path) as address:
        assert invoke(address, {"dataframe_records": records}) == want


def test_features_that_are_left_out_are_found_and_kept_with_the_run(folder, tmp_path):
    data = read_config(folder / "config.json").data
    params = data["dataset"]["loader"]["params"]
    listed = params.pop("features")
    del listed["photo"]  # of which each record has another
    small = {"solver.epochs": 1, "model.network.params.units": [4]}
    sets = (folder / "train.jsonl", folder / "validation.jsonl")
    for _ in range(2):  # the second time it is resumed, and finds nothing anew
        barrage_mlflow.train(
            data, *sets, artifact_dir=tmp_path / "out", resume=True, offline=True, overrides=small
        )
        resolved = json.loads((tmp_path / "out/resolved_config.json").read_text())
        assert resolved["dataset"]["loader"]["params"]["features"] == listed
        record = json.loads((tmp_path / "out/run.json").read_text())
        assert record["inferred"] == ["$.dataset.loader.params.features"]


def test_the_reasons_stand_beside_the_features_in_yaml(tmp_path):
    (tmp_path / "t.csv").write_text(
        "No,1e3,when,a: b,y\n"
        + "".join(f"{n},{n / 7},{n % 28 + 1}/3/2026,{n % 2}x,{n}\n" for n in range(40))
    )
    done = CliRunner().invoke(
        main, ["init", str(tmp_path / "t.csv"), "--target", "y", "-o", str(tmp_path / "c.yaml")]
    )
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:6] == [
        "column  kind    feature         why",
        "No      whole   left out        another in every record: an id",
        "1e3     number  number          numbers",
        "when    text    datetime        dates written %d/%m/%Y",
        "a: b    text    category        2 levels, the most frequent 50%",
        "y       whole   target: number  40 different numbers",
    ]
    text = (tmp_path / "c.yaml").read_text()
    assert text.splitlines()[6:12] == [
        "      features:",
        '        # "No" is left out: another in every record: an id',
        '        "1e3": number  # numbers',
        "        when: datetime  # dates written %d/%m/%Y",
        '        "a: b": category  # 2 levels, the most frequent 50%',
        "      targets:",
    ]
    resolved = resolve_config(tmp_path / "c.yaml")
    assert resolved["dataset"]["columns"] == {"when": {"kind": "datetime", "format": "%d/%m/%Y"}}
    assert list(resolved["dataset"]["loader"]["params"]["features"]) == ["1e3", "when", "a: b"]


def test_a_folder_of_images_is_data_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(60):
        path = tmp_path / "photos" / ("dark" if number % 2 else "light") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(number if number % 2 else 255 - number))
    for arguments in (
        ["split", "photos", "--validation", "0.2"],
        ["init", "photos", "--target", "label", "-o", "configs/config.yaml"],
    ):
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
    config = resolve_config("configs/config.yaml")
    assert config["dataset"]["loader"]["params"] == {
        "features": {
            "path": {"type": "image", "size": [6, 6], "channels": 1, "root": "../photos"}
        },
        "targets": {"label": "category"},
    }  # fmt: skip
    small = {
        "solver.epochs": 30,
        "model.network.params.encoders": {"image": {"filters": [8]}},
    }
    barrage_mlflow.train(
        "configs/config.yaml", "train.csv", "validation.csv", artifact_dir="out", offline=True,
        overrides=small,
    )  # fmt: skip
    scores = BarrageModel("out").predict([{"path": png(3)}, {"path": png(250)}])
    assert [score["label"] for score in scores] == ["dark", "light"]


def test_what_it_cannot_do_is_said(tmp_path):
    path = tmp_path / "config.json"
    path.write_text("mine")
    with pytest.raises(ArtifactError, match=r"is there already; name another file, or use --force"):
        init("none.csv", ["y"], path)
    with pytest.raises(RecordError, match="no column 'prise'; did you mean 'price'"):
        start_config([{"price": 1.0, "a": 2.0}], ["prise"])
    with pytest.raises(RecordError, match="no column but the target can be used as a feature"):
        start_config([{"price": 1.5, "a": 2.0}, {"price": 2.5, "a": 2.0}], ["price"])
    with pytest.raises(RecordError, match="column 'y': objects: no target type for"):
        start_config([{"y": {}, "a": 2.0}, {"y": {}, "a": 3.0}], ["y"])
    windows = {"time": "t", "history": 2, "horizon": 1}
    with pytest.raises(
        RecordError, match=r"column 't' holds lists; dataset\.windows expects dates"
    ):
        start_config([{"y": 1.0, "t": [1, 2]}, {"y": 2.0, "t": [1, 3]}], ["y"], windows=windows)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "0.png").write_bytes(png(1))
    for content in (b"none", HUGE):
        (tmp_path / "photos" / "cat" / "0.png").write_bytes(content)
        with pytest.raises(RecordError, match=r"photos/cat/0\.png: expected an image, such as PN"):
            start_config(tmp_path / "photos", ["label"])
    huge = [{"y": 1.0, "a": HUGE}, {"y": 2.0, "a": HUGE}]
    with pytest.raises(RecordError, match="no column but the target can be used as a feature"):
        start_config(huge, ["y"])
    assert path.read_text() == "mine"


def test_a_rare_class_has_a_hint():
    start = start_config([{"y": n == 0, "a": float(n)} for n in range(50)], ["y"])
    assert start.hints == [
        "y: 2.0% of the records are True; to have rare classes count as much as frequent ones, at "
        "the cost of true probabilities, add class_weight: balanced to the output"
    ]


def test_a_column_that_may_be_known_only_after_the_target_is_told():
    rows = [{"a": n % 50, "late": n / 7, "gaps": n / 3, "y": n / 9} for n in range(200)]
    for n in range(0, 200, 40):
        rows[n] |= {"late": None, "y": None}
    for n in range(0, 200, 2):
        rows[n]["gaps"] = None
    why = {name: why for name, _, _, why in start_config(rows, ["y"]).columns}
    assert why == {
        "a": "whole numbers",
        "late": "numbers, some missing, missing where y is: known only after it?",
        "gaps": "numbers, some missing",
        "y": "195 different numbers, 2.5% missing",
    }


def test_a_column_that_alone_tells_the_target_is_told():
    rows = [
        {
            "id": 3 * n,
            "noise": n % 7,
            "late": "now" if n in (3, 8) else "later",
            "cause": f"c{n % 3}" if n % 5 < 2 else None,
            "mass": 9.5 - n,
            "dead": n % 5 < 2,
            "rare": n in (3, 8),
            "price": n / 3,
        }
        for n in range(200)
    ]
    targets = ["dead", "rare", "price"]
    why = {name: why for name, _, _, why in start_config(rows, targets).columns}
    assert why == {
        "id": "another in every record: an id",
        "noise": "whole numbers",
        "late": "2 levels, the most frequent 99%",
        "cause": "3 levels, the most frequent 34%, alone tells dead: known before it?",
        "mass": "numbers, alone tells price: known before it?",
        "dead": "two values, yes and no",
        "rare": "two values, yes and no",
        "price": "200 different numbers",
    }


def test_dates_have_a_hint_and_sets_that_are_there_are_named():
    rows = "".join(f"2026-03-{n % 28 + 1:02},{n * 1.5}\n" for n in range(40))
    for name in ("train", "validation"):
        Path(f"{name}.csv").write_text(f"the day,y\n{rows}")
    done = CliRunner().invoke(main, ["init", "train.csv", "--target", "y"])
    assert done.stdout.splitlines()[-5:] == [
        "the day: if the model is to predict for later dates than these, make the sets with split "
        "--time 'the day', and write the day: {type: datetime, trend: false}",
        "",
        "config.yaml is written; next:",
        "  barrage-mlflow check config.yaml train.csv validation.csv",
        "  barrage-mlflow train config.yaml train.csv validation.csv",
    ]
    Path("validation.csv").unlink()
    done = CliRunner().invoke(main, ["init", "train.csv", "--target", "y", "--force"])
    assert done.stdout.splitlines()[-4:] == [
        "config.yaml is written; next, make sets of the data and train:",
        "  barrage-mlflow split train.csv --validation 0.15",
        "  barrage-mlflow check config.yaml TRAIN VALIDATION",
        "  barrage-mlflow train config.yaml TRAIN VALIDATION",
    ]


def test_a_column_of_several_kinds_is_left_out():
    rows = [{"m": "a" if n else 1, "a": float(n), "y": n / 7} for n in range(40)]
    assert start_config(rows, ["y"]).columns == [
        ("m", "mixed", "left out", "whole numbers and strings: no feature type for them"),
        ("a", "number", "number", "numbers"),
        ("y", "number", "target: number", "40 different numbers"),
    ]
