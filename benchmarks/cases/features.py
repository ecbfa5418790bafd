"""Features: what encoding and decoding cost, and training on them."""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import Any

from data import features_config, few, mlp_config, table
from harness import Bench, Row, in_turn

from cases import training

NUMBERS, CATEGORIES, LEVELS = 10, 5, 20


def seconds_of_encoding(records: int, slices: int) -> dict[str, float]:
    """Seconds of encoding and decoding by ``ours``, and of the same written ``by_hand``."""
    import numpy as np

    from barrage_mlflow import FeatureLoader, FeatureTransformer, RecordMode, Records

    random = np.random.default_rng(0)
    numbers = {f"n{index}": random.normal(size=records) for index in range(NUMBERS)}
    for column in numbers.values():
        column[::10] = np.nan
    words = np.array([f"level {index}" for index in range(LEVELS)], object)
    categories = {
        f"c{index}": words[random.integers(0, LEVELS, records)] for index in range(CATEGORIES)
    }
    columns = {**numbers, **categories}
    targets = {"price": random.normal(size=records), "kind": words[random.integers(0, 3, records)]}
    features = {**dict.fromkeys(numbers, "number"), **dict.fromkeys(categories, "category")}
    asked = {"price": "number", "kind": "category"}
    loader = FeatureLoader(RecordMode.TRAIN, features, asked)
    transformer = FeatureTransformer(RecordMode.TRAIN, loader)
    some = 20_000
    rows = zip(*(column[:some] for column in {**columns, **targets}.values()), strict=True)
    names = [*columns, *targets]
    transformer.fit(Records.read([dict(zip(names, row, strict=True)) for row in rows]))
    scores = {
        "price": random.normal(size=(records, 1)).astype("float32"),
        "kind": random.dirichlet(np.ones(3), records).astype("float32"),
    }
    curves = {name: loader.features[name]._learnt for name in numbers}
    codes = {name: loader.features[name]._codes for name in categories}
    labels = np.array(loader.targets["kind"].classes, object)
    kinds = {label: code for code, label in enumerate(labels)}
    mean, deviation = (getattr(loader.targets["price"], key) for key in ("_mean", "_deviation"))

    def ours() -> Any:
        return transformer.transform_batch((columns, targets)), transformer.postprocess_batch(
            scores
        )

    def by_hand() -> Any:
        x = np.empty((records, 2 * NUMBERS), np.float32)
        for at, (name, column) in enumerate(numbers.items()):
            lacks = np.isnan(column)
            scaled = np.interp(column, curves[name]["from"], curves[name]["to"])
            x[:, 2 * at], x[:, 2 * at + 1] = np.where(lacks, 0, scaled), lacks
        c = np.empty((records, CATEGORIES), np.int32)
        for at, (name, column) in enumerate(categories.items()):
            c[:, at] = [codes[name].get(value, 0) for value in column]
        y = ((targets["price"] - mean) / deviation).astype(np.float32)
        kind = np.array([kinds[value] for value in targets["kind"]], np.int32)
        price = scores["price"][:, 0].astype(float) * deviation + mean
        found = scores["kind"].astype(float)
        named = [dict(zip(labels, row, strict=True)) for row in found.tolist()]
        return (x, c, y, kind), (price, labels[found.argmax(1)], found.max(1), named)

    (made, *_), _ = ours()
    (x, c, *_), _ = by_hand()
    if not (np.array_equal(made["numbers"], x) and np.array_equal(made["categories"], c)):
        raise ValueError("both sides are to encode alike")
    taken = in_turn(slices, {"ours": partial(_timed, ours), "by_hand": partial(_timed, by_hand)})
    return {side: statistics.median(parts) for side, parts in taken.items()}


def _timed(act: Any) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def measure(bench: Bench) -> list[Row]:
    """Measure encoding in one process a round; and training, on features and on plain arrays."""
    size = {"records": bench.size(200_000, 2_000), "slices": bench.size(7, 1)}
    rounds = [bench.call(seconds_of_encoding, **size) for _ in range(bench.rounds)]
    encoding = [[taken[side] for taken in rounds] for side in ("ours", "by_hand")]
    records, epochs = bench.size(training.RECORDS, training.SHORT_RECORDS), bench.size(8, 3)
    sets = {"train": table(bench, records, seed=1), "validation": few(bench)}
    config, plain = features_config(256, epochs), mlp_config(256, epochs)
    taken = bench.in_turn(
        ours=lambda: bench.call(training.ours, **sets, config=config),
        peer=lambda: bench.call(training.ours, **sets, config=plain),
    )
    speed = [training.rates(taken[side], records) for side in ("ours", "peer")]
    return [
        Row("features, encoding", "NumPy by hand", "s", *encoding, "≤ 1.5"),
        Row("features, training", "plain arrays", "records/s", *speed, "≥ 0.9"),
    ]


CASES = {"features": measure}
