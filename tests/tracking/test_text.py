"""What is fitted to MLflow's limits: names, values, batches, flattened configs, datasets."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barrage_mlflow.tracking.datasets import dataset_input
from barrage_mlflow.tracking.limits import batches, legal_name, plain_text, shorten
from barrage_mlflow.tracking.params import flatten_config
from barrage_mlflow.workspace.record import Dataset

LEGAL = ["loss", "model.outputs.0.name", "val_body mass-g", "a/b", "größe", "x" * 250, ".hid"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *zip(LEGAL, LEGAL, strict=True),
        ("units[0]", "units_0__a6d4d120"),
        ("a:b", "a_b_6783a31e"),
        ("/a", "_a_6a50dc85"),
        ("", "__e3b0c442"),
        ("../x", "_/x_d6b96a97"),
        ("a\n", "a__87428fc5"),
    ],
)
def test_a_legal_name_stays_and_any_other_is_mended_and_marked(name, expected):
    assert legal_name(name) == expected


@settings(deadline=None)  # the first example imports MLflow
@given(st.lists(st.text(max_size=300), unique=True, max_size=20))
def test_mlflow_takes_every_mended_name(names):
    from mlflow.utils.validation import _validate_metric, _validate_param, _validate_tag

    mended = [legal_name(name) for name in names]
    for name in mended:
        _validate_param(name, "v")
        _validate_tag(name, "v")
        _validate_metric(name, 1.0, 1, 1)
    assert len(set(mended)) == len(names)


def test_shorten_says_how_long_a_text_was_and_where_it_is():
    short = shorten("a" * 7_000, 6_000, "resolved_config.json")
    assert len(short) == 6_000
    assert short.endswith("a… (7000 characters in resolved_config.json)")
    assert shorten("a" * 40, 40) == "a" * 40


@given(st.text(alphabet=st.characters(), max_size=50))
def test_plain_text_can_be_stored(text):
    assert b"\0" not in plain_text(text).encode("utf-8")


def test_batches_stay_below_the_size_of_a_request():
    values = ["é" * 6_000] * 100
    sizes = [sum(len(json.dumps(value)) for value in batch) for batch in batches(values, str)]
    assert sum(sizes) == sum(len(json.dumps(value)) for value in values)
    assert max(sizes) <= 500_000


def test_flatten_config_writes_each_value_once():
    config = {
        "solver": {
            "optimizer": {"import": "Adam", "learning_rate": 1e-3, "params": {}},
            "epochs": 3,
        },
        "model": {
            "outputs": [{"name": "a", "loss_weight": 1.0}, {"name": "b", "metrics": []}],
            "mixed": [1, {"x": None}],
            "deep": [[{"y": True}]],
            "grid": [[1, 2], [3, 4]],
            "words": ["é", "3"],
        },
        "augmentor": (),
    }
    assert flatten_config(config) == {
        "solver.optimizer.import": "Adam",
        "solver.optimizer.learning_rate": "0.001",
        "solver.optimizer.params": "{}",
        "solver.epochs": "3",
        "model.outputs.0.name": "a",
        "model.outputs.0.loss_weight": "1.0",
        "model.outputs.1.name": "b",
        "model.outputs.1.metrics": "[]",
        "model.mixed.0": "1",
        "model.mixed.1.x": "null",
        "model.deep.0.0.y": "true",
        "model.grid": "[[1, 2], [3, 4]]",
        "model.words": '["é", "3"]',
        "augmentor": "[]",
    }


@pytest.mark.parametrize(
    ("source", "kind", "attribute"),
    [
        ("data/train.csv", "local", "uri"),
        ("run:3.csv", "local", "uri"),
        ("file:///data/train.csv", "local", "uri"),
        ("https://example.org/train.csv", "http", "url"),
        ("s3://bucket/train.parquet", "s3", "uri"),
    ],
)
def test_mlflow_reads_a_dataset_source_back(source, kind, attribute):
    import mlflow.data

    entity = dataset_input(Dataset("train", "0", source, {}, 1))
    assert entity.dataset.source_type == kind
    assert getattr(mlflow.data.get_source(entity), attribute) == source


def test_a_dataset_without_a_source_comes_from_code():
    columns = {"age": "float64", "name": "object"}
    entity = dataset_input(Dataset("train", "d" * 64, "", columns, 7))
    assert entity.to_dictionary() == {
        "dataset": {
            "name": "train",
            "digest": "d" * 36,
            "source_type": "code",
            "source": '{"tags": {}}',
            "schema": '{"mlflow_colspec": [{"type": "double", "name": "age", "required": true}, '
            '{"type": "string", "name": "name", "required": true}]}',
            "profile": '{"num_rows": 7, "num_columns": 2}',
        },
        "tags": {"mlflow.data.context": "train"},
    }


def test_a_schema_past_mlflows_limit_is_left_out():
    columns = {f"column_{number:06}": "float64" for number in range(20_000)}
    dataset = dataset_input(Dataset("train", "0", "", columns, 1)).dataset
    assert dataset.schema is None
    assert dataset.profile == '{"num_rows": 1, "num_columns": 20000}'
