"""Whatever way records take to the network, the arrays and the weights are the same."""

from __future__ import annotations

import itertools
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from contract import assert_data_equal
from loops import run, same

from barrage_mlflow.dataset import RecordMode, Records
from barrage_mlflow.dataset.components.build import fit_and_save, load_pipeline
from barrage_mlflow.dataset.feeding.batches import Batches
from barrage_mlflow.dataset.feeding.blocks import Blocks
from barrage_mlflow.dataset.feeding.conform import ArraySpec
from barrage_mlflow.dataset.feeding.feeder import Feeder
from barrage_mlflow.dataset.feeding.plan import make_feed_plan
from barrage_mlflow.dataset.feeding.share import WHOLE, Share, batch_sizes
from barrage_mlflow.dataset.types import length
from barrage_mlflow.errors import ComponentError

SPECS = {"point": ArraySpec((2,), "float32"), "word": ArraySpec((1,), "float32")}
FORMS = list(itertools.product(["RecordForm", "BothForms"], repeat=2))
AUGMENTORS = ["jitter", "shake", "halve"]
COUNT, BATCH = 45, 8


def frame(seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "a": generator.normal(size=COUNT),
            "b": generator.normal(size=COUNT),
            "word": ["x" * n for n in generator.integers(1, 9, COUNT)],
            "w": generator.random(COUNT),
            "n": generator.integers(0, 3, COUNT),
        }
    )


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The same records in memory and in Parquet files of several row groups."""
    folder = tmp_path_factory.mktemp("sources")
    made = {}
    for seed, role in enumerate(("train", "validation")):
        path = folder / f"{role}.parquet"
        frame(seed).to_parquet(path, row_group_size=10)
        made[role] = {"frame": Records.read(frame(seed)), "parquet": Records.read(path)}
    return made


class Sets:
    """The train and validation set of one way to feed them."""

    def __init__(
        self,
        tmp_path,
        sources,
        forms,
        augmentors,
        source="frame",
        options=(),
        share=WHOLE,
        **feeder,
    ):
        loader, transformer = forms
        config = {
            "dataset": {
                "loader": {"import": f"forms.{loader}Loader"},
                "transformer": {"import": f"forms.{transformer}Transformer"},
                "augmentor": [{"import": f"forms.{name}"} for name in augmentors],
            },
            "solver": {"batch_size": BATCH},
        }
        records = [sources[role][source] for role in ("train", "validation")]
        folder = tmp_path / f"transformer{len(list(tmp_path.iterdir()))}"
        fit_and_save(config, records[0], folder)
        train, validation = (
            load_pipeline(config, mode, folder)
            for mode in (RecordMode.TRAIN, RecordMode.VALIDATION)
        )
        self.pipeline = train
        self.feeder = Feeder(folder=tmp_path / "cache", **feeder)
        common = {"feeder": self.feeder, "share": share}
        self.share = share
        self.train = Batches(records[0], train, SPECS, BATCH, seed=3, **common, **dict(options))
        self.validation = Batches(records[1], validation, SPECS, BATCH, **common)

    def __enter__(self):
        self.feeder.__enter__()
        return self

    def __exit__(self, *raised):
        self.feeder.__exit__(*raised)

    def batches(self):
        """Two train epochs, one of them from its second batch on, and the validation set."""
        train, rest = self.train.draws, self.train.draws - BATCH
        return [
            self.cut(self.train.epoch(0), train),
            self.cut(self.train.epoch(1, start=1), rest),
            self.cut(self.validation, len(self.validation)),
        ]

    def cut(self, blocks, total):
        """The share of each batch of a pass."""
        first, stop = self.share.bounds(batch_sizes(total, BATCH))
        front = Blocks(blocks)
        found = [front.take(size) for size in (stop - first).tolist()]
        assert front.take(1) is None
        return found


def assert_same(left, right):
    assert [len(part) for part in left] == [len(part) for part in right]
    for ours, theirs in zip(itertools.chain(*left), itertools.chain(*right), strict=True):
        assert_data_equal(ours, theirs, "a batch")


CACHES = [None, "memory", "disk"]


@pytest.mark.parametrize("augmentors", [(), ("jitter",), tuple(AUGMENTORS)])
@pytest.mark.parametrize("options", [{}, {"steps": 4}, {"sample_count": "n"}])
@pytest.mark.parametrize("shuffle_window", [None, 16])
def test_arrays_do_not_depend_on_forms_source_or_cache(
    tmp_path, sources, augmentors, options, shuffle_window
):
    way = {"augmentors": augmentors, "options": options, "shuffle_window": shuffle_window}
    with Sets(tmp_path, sources, FORMS[0], source="parquet", **way) as sets:
        expected = sets.batches()
    for forms, cache in itertools.product(FORMS, CACHES):
        with Sets(tmp_path, sources, forms, source="parquet", cache=cache, **way) as sets:
            assert_same(sets.batches(), expected)
        if shuffle_window is None:
            with Sets(tmp_path, sources, forms, cache=cache, **way) as sets:
                assert_same(sets.batches(), expected)
            assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("forms", "workers", "cache", "shuffle_window"),
    [(0, 1, None, None), (0, 3, None, 16), (3, 2, None, 16), (3, 2, "memory", None)],
)
def test_arrays_do_not_depend_on_workers(tmp_path, sources, forms, workers, cache, shuffle_window):
    way = {"augmentors": AUGMENTORS, "source": "parquet", "shuffle_window": shuffle_window}
    with Sets(tmp_path, sources, FORMS[0], **way) as sets:
        expected = sets.batches()
    with Sets(tmp_path, sources, FORMS[forms], **way, workers=workers, cache=cache) as sets:
        assert_same(sets.batches(), expected)


@pytest.mark.parametrize("count", [2, 6])
@pytest.mark.parametrize(
    ("forms", "augmentors", "source", "way"),
    [
        (0, AUGMENTORS, "parquet", {"shuffle_window": 16}),
        (0, ("jitter",), "frame", {"workers": 2, "cache": "disk"}),
        (3, (), "frame", {"options": {"sample_count": "n"}}),
        (3, ("jitter",), "parquet", {"options": {"steps": 4}}),
        (3, (), "parquet", {"shuffle_window": 16}),
    ],
)
def test_the_shares_of_a_batch_make_it_up(tmp_path, sources, forms, augmentors, source, way, count):
    given = (tmp_path, sources, FORMS[forms], augmentors, source)
    with Sets(*given, **way) as sets:
        expected = list(itertools.chain(*sets.batches()))
    shares = []
    for index in range(count):
        with Sets(*given, **way, share=Share(index, count)) as sets:
            shares.append(list(itertools.chain(*sets.batches())))
    for whole, *parts in zip(expected, *shares, strict=True):
        if length(whole) < count:  # of a batch that small each takes all
            for part in parts:
                assert_data_equal(part, whole, "a batch")
            continue
        assert {length(part) - length(whole) // count for part in parts} <= {0, 1}
        fronts = Blocks(parts)
        assert_data_equal(fronts.take(length(whole)), whole, "a batch")


@pytest.mark.parametrize(
    ("cache", "work"), [(None, "draws 0 to 7 of epoch 1"), ("memory", "records 0 to 7")]
)
def test_a_worker_that_dies_is_named_with_its_work(tmp_path, cache, work):
    frame(0).to_parquet(tmp_path / "train.parquet")
    records = Records.read(tmp_path / "train.parquet", "train")
    config = {
        "dataset": {
            "loader": {"import": "forms.DeadlyLoader"},
            "transformer": {"import": "IdentityTransformer"},
        },
        "solver": {"batch_size": BATCH},
    }
    pipeline = load_pipeline(config, RecordMode.TRAIN, tmp_path)
    specs = {**SPECS, "point": ArraySpec((None,), "float32")}  # one batch a task
    with Feeder(workers=1, cache=cache) as feeder:
        train = Batches(records, pipeline, specs, BATCH, seed=3, feeder=feeder)
        with pytest.raises(ComponentError, match="worker process 1 of 1 ended with exit") as error:
            next(train.epoch(0))
    assert f"while it worked on {work} of the train set; " in str(error.value)


# The plan ---------------------------------------------------------------------------------

PLANS = {
    "augmented by workers": (FORMS[3], ("jitter",), {"workers": 2}),
    "augmented here": (FORMS[3], ("jitter",), {}),
    "by the record": (FORMS[0], (), {}),
    "by the record, kept on disk": (FORMS[1], (), {"workers": 1, "cache": "disk"}),
    "in windows smaller than a row group": (FORMS[3], (), {"shuffle_window": 8}),
}


def test_plans_print_themselves(tmp_path, sources):
    printed = {}
    for name, (forms, augmentors, way) in PLANS.items():
        with Sets(tmp_path, sources, forms, augmentors, "parquet", **way) as sets:
            printed[name] = sets.train.plan
    specs = {**SPECS, "point": ArraySpec((None,), "float32")}
    records = sources["train"]["frame"]
    # Of the last sets, whose components work on columns.
    printed["inputs of any length"] = make_feed_plan(sets.pipeline, specs, records, BATCH, Feeder())
    golden = Path(__file__).with_name("golden_plans.txt")
    text = "\n\n".join(f"{name}\n{plan}" for name, plan in printed.items()) + "\n"
    assert text == golden.read_text("utf-8")


def trained(sets, steps_per_execution):
    """Weights, optimizer and logs of a training."""
    keras.utils.set_random_seed(5)
    inputs = {name: keras.Input(spec.shape, name=name) for name, spec in SPECS.items()}
    hidden = keras.layers.Concatenate()(list(inputs.values()))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(8, "relu")(hidden))
    output = keras.layers.Dense(1, name="y")(keras.layers.Dropout(0.5)(hidden))
    network = keras.Model(inputs, {"y": output})
    network.compile("adam", loss={"y": "mse"}, weighted_metrics={"y": ["mae"]})
    logs = run(network, sets.train, sets.validation, 3, steps_per_execution=steps_per_execution)
    return [*network.get_weights(), *map(np.asarray, network.optimizer.variables)], logs


TRAININGS = [
    (FORMS[0], 0, None, 1),
    (FORMS[0], 3, "memory", 4),
    (FORMS[1], 2, "disk", None),
    (FORMS[2], 0, None, 5),
    (FORMS[3], 4, "memory", 100),
]


@pytest.mark.slow
@pytest.mark.parametrize("shuffle_window", [None, 16])
def test_weights_do_not_depend_on_the_way(tmp_path, sources, shuffle_window):
    results = []
    for forms, workers, cache, steps in TRAININGS:
        way = {"workers": workers, "cache": cache, "shuffle_window": shuffle_window}
        with Sets(tmp_path, sources, forms, AUGMENTORS, "parquet", **way) as sets:
            results.append(trained(sets, steps))
    arrays, logs = results[0]
    for others, other_logs in results[1:]:
        assert same(arrays, others)
        assert other_logs == logs
