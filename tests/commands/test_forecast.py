"""A forecast of a long table, from ``init`` to the same answer whatever way its rows come."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from outside import ROUNDING, assert_scores_agree, invoke, serving

import barrage_mlflow
from barrage_mlflow import BarrageModel
from barrage_mlflow.cli import main
from barrage_mlflow.commands.init import init
from barrage_mlflow.config import read_config
from barrage_mlflow.errors import RecordError


def days(first: int, last: int) -> pd.DataFrame:
    """Sales of shops of different size, which go up and down with the weekday and the promotion."""
    made = []
    for shop, level in (("north", 20.0), ("south", 400.0), ("west", 3.0)):
        for day in range(first, last):
            promo = day % 5 == 0
            sales = level * (2 + np.sin(day * 2 * np.pi / 7) + 0.5 * promo)
            when = pd.Timestamp("2025-01-01") + pd.Timedelta(days=day)
            made.append(
                {"when": f"{when:%d/%m/%Y}", "shop": shop, "sales": sales, "promo": int(promo)}
            )
    return pd.DataFrame(made).sample(frac=1, random_state=first)


def forecast(model: BarrageModel, records: object) -> list[dict]:
    """What a model answers, as JSON has it."""
    return [
        {"shop": each["shop"], "next_sales": [*each["next_sales"]]}
        for each in model.predict(records)
    ]


def run(*arguments: object) -> str:
    done = CliRunner().invoke(main, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("forecast")
    days(0, 240).to_csv(home / "train.csv", index=False)
    days(240, 300).to_csv(home / "validation.csv", index=False)
    days(300, 335).to_csv(home / "latest.csv", index=False)
    # Not by the command line, which sets up the messages of the process.
    windows = {"horizon": 3, "history": 14, "time": "when", "group": ["shop"]}
    init(str(home / "train.csv"), ["sales"], home / "config.yaml", **windows)
    barrage_mlflow.train(
        home / "config.yaml",
        home / "train.csv",
        home / "validation.csv",
        artifact_dir=home / "out",
        offline=True,
        overrides={"solver.epochs": 40, "model.network.params.units": [64]},
    )
    return home


def test_init_writes_windows_and_what_is_known_of_them(folder):
    dataset = read_config(folder / "config.yaml").data["dataset"]
    assert dataset == {
        "loader": {
            "import": "FeatureLoader",
            "params": {
                "features": {
                    "when": {"type": "datetime", "trend": False},
                    "shop": "category", "sales": "series", "promo": "series",
                },
                "targets": {"next_sales": "series"},
            },
        },
        "transformer": {"import": "FeatureTransformer"},
        "columns": {"when": {"kind": "datetime", "format": "%d/%m/%Y"}},
        "windows": {"time": "when", "group": "shop", "history": 14, "horizon": 3},
        "seed": 0,
    }  # fmt: skip
    run("check", folder / "config.yaml", folder / "train.csv", folder / "validation.csv")


def test_it_foretells_better_than_the_week_before(folder):
    answers = pd.DataFrame(list(BarrageModel(folder / "out").predict(folder / "latest.csv")))
    after = days(335, 338).assign(when=lambda d: pd.to_datetime(d["when"], dayfirst=True))
    before = days(328, 331).assign(when=lambda d: pd.to_datetime(d["when"], dayfirst=True))
    for shop, found in zip(answers["shop"], answers["next_sales"], strict=True):
        want, week = (
            each[each["shop"] == shop].sort_values("when")["sales"].to_numpy()
            for each in (after, before)
        )
        off = np.abs(np.array(found) - want).mean()
        assert off < 0.6 * np.abs(week - want).mean(), shop


def test_every_way_in_gives_the_same_forecast(folder, tmp_path):
    model, latest = BarrageModel(folder / "out"), days(300, 335)
    want = forecast(model, latest)
    assert [answer["shop"] for answer in want] == latest["shop"].unique().tolist()
    for answer in want:
        own = latest[latest["shop"] == answer["shop"]]
        assert forecast(model, own.to_dict("records")) == [answer]
    output = tmp_path / "forecast.jsonl"
    run("predict", folder / "latest.csv", folder / "out", "-o", output, "--keep", "when")
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert {line.pop("when") for line in lines} == {f"{pd.Timestamp('2025-12-01'):%d/%m/%Y}"}
    assert lines == want
    answered = mlflow.pyfunc.load_model(str(folder / "out" / "model")).predict(latest)
    assert answered.to_dict("records") == want


@pytest.mark.slow
def test_a_server_gives_the_same_forecast(folder, tmp_path):
    latest = days(300, 335)
    want = forecast(BarrageModel(folder / "out"), latest)
    with serving(folder / "out" / "model", tmp_path) as address:
        assert invoke(address, {"dataframe_records": latest.to_dict("records")}) == want


def test_a_number_that_lacks_is_as_the_mean_of_its_own_series(folder):
    model, latest = BarrageModel(folder / "out"), days(300, 335).reset_index(drop=True)
    whole = {each["shop"]: each["next_sales"] for each in forecast(model, latest)}
    last = latest[latest["when"] == "28/11/2025"].index
    assert len(last) == 3
    latest.loc[last, "sales"] = None
    for each in forecast(model, latest):
        level = np.mean(whole[each["shop"]])
        assert np.abs(np.array(each["next_sales"]) - whole[each["shop"]]).max() < 0.5 * level


def test_windows_are_scored_alike_in_a_process_of_their_own(folder):
    from barrage_mlflow.scoring.scorer import ProcessScorer, Scorer
    from barrage_mlflow.scoring.scores import to_frame

    here = Scorer.load(folder / "out")
    there = ProcessScorer(folder / "out" / "model", here.config, [*here.inputs.columns])
    overlapping = here.read(folder / "validation.csv")[:5]
    for records in (overlapping, days(300, 335)):
        found, want = (to_frame(scorer.score(records)) for scorer in (there, here))
        assert_scores_agree(found.to_dict("records"), want.to_dict("records"), ROUNDING)


def test_what_is_no_forecast_is_a_fault(folder, tmp_path):
    config = read_config(folder / "config.yaml").data
    params = config["dataset"]["loader"]["params"]
    params["targets"] = {"sales": "series", "next_promo": "number"}
    params["features"]["next_promo"] = "series"
    (tmp_path / "config.json").write_text(json.dumps(config))
    output = CliRunner().invoke(main, ["check", str(tmp_path / "config.json")]).output
    for message in (
        "got its history, 'sales'; write 'next_sales'",
        'expected a series, the numbers to come, got "number"',
        "comes after the window, so that no request has it; leave it out, or write 'promo'",
    ):
        assert message in output


def test_a_table_without_a_whole_target_is_nothing_to_learn(folder, tmp_path):
    gaps = days(0, 60)
    gaps.loc[pd.to_datetime(gaps["when"], dayfirst=True).dt.day % 2 == 0, "sales"] = None
    match = "no record has a value of the target 'next_sales', or each has a gap in it"
    with pytest.raises(RecordError, match=match):
        barrage_mlflow.train(
            folder / "config.yaml", gaps, gaps, offline=True, artifact_dir=tmp_path
        )


@pytest.mark.parametrize(("count", "share"), [(60, 0.3), (36, 0.5), (400, 0.15)])
def test_init_tells_of_a_share_that_does_to_validate(tmp_path, monkeypatch, count, share):
    monkeypatch.chdir(tmp_path)
    days(0, count).to_csv("all days.csv", index=False)
    windows = ["--horizon", 3, "--time", "when", "--group", "shop"]
    said = run("init", "all days.csv", "--target", "sales", *windows)
    command = f"split 'all days.csv' --validation {share} --time when"
    assert f"barrage-mlflow {command}" in said
    run(*shlex.split(command))
    run("check", "config.yaml", "train.csv", "validation.csv", "--records", 1)
    given = ["init", "all days.csv", "--target", "shop", *map(str, windows), "-o", "none.yaml"]
    assert "'shop' holds strings; a forecast has numbers as its target" in (
        CliRunner().invoke(main, given).stderr
    )
