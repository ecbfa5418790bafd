"""The settled points of the config, one by one: what is accepted and what is a fault."""

import copy
import importlib
import json
from pathlib import Path

import pytest
from recipes import MINIMAL

from barrage_mlflow.config import find_faults, read_config
from barrage_mlflow.config import resolve_config as resolve
from barrage_mlflow.config.monitors import known_monitors

CASES = (Path(__file__).parent / "golden" / "values.txt").read_text("utf-8")


def config(path="", value=None, **further):
    data = copy.deepcopy(MINIMAL)
    data["model"]["outputs"][0]["metrics"] = [{"import": "mae"}]
    for key, item in {path: value, **further}.items():
        *parents, last = key.split(".")
        holder = data
        for part in parents:
            holder = holder[int(part)] if isinstance(holder, list) else holder.setdefault(part, {})
        if last:
            holder[last] = item
    return data


def faults(path="", value=None, **further):
    return [str(fault) for fault in find_faults(read_config(config(path, value, **further)))]


@pytest.mark.parametrize("group", CASES.split("\n\n"), ids=lambda group: group[:60])
def test_a_value_gives_just_its_faults(group):
    """Each case is a path of a config, the value that is put there, and the faults that it has."""
    case, *expected = group.strip().split("\n")
    path, _, value = case.partition(" = ")
    assert faults(path, json.loads(value)) == [line.strip() for line in expected]


STOPPING = {"monitor": "loss", "mode": "min", "patience": 3, "min_delta": 0.1}


def test_nothing_is_merged_into_a_block_that_is_present():
    resolved = resolve(config("services.train_early_stopping", STOPPING))
    assert resolved["services"]["train_early_stopping"] == STOPPING


def test_resolving_draws_no_seed():
    assert "seed" not in resolve(MINIMAL)["dataset"]


def test_resolving_is_pure():
    before = copy.deepcopy(MINIMAL)
    first, second = resolve(MINIMAL), resolve(MINIMAL)
    first["dataset"]["loader"]["params"]["inputs"]["x"] = "changed"
    first["services"]["tensorboard"]["changed"] = True
    assert before == MINIMAL
    assert second == resolve(MINIMAL)
    assert resolve(second) == second


def test_the_one_output_weighs_1_unless_it_says_so():
    assert resolve(MINIMAL)["model"]["outputs"][0]["loss_weight"] == 1.0
    halved = resolve(config("model.outputs.0.loss_weight", 0.5))
    assert halved["model"]["outputs"][0]["loss_weight"] == 0.5


def monitors(*outputs):
    """The names that a training of these outputs logs; None where that is not known."""
    directions, complete = known_monitors({"model": {"outputs": list(outputs)}})
    return sorted(directions) if complete else None


@pytest.mark.parametrize(
    ("metrics", "names"),
    [
        ([], []),
        (["accuracy", "acc", "mse", "AUC"], ["accuracy", "acc", "mse", "AUC"]),
        (["AUC", "AUC", "AUC_1", "AUC"], None),
        (["AUC", "AUC"], ["AUC", "AUC_1"]),
        (["keras.metrics.AUC", "tf.keras.metrics.MeanIoU"], ["auc", "mean_io_u"]),
        (["tensorflow.python.keras.metrics.MeanSquaredError"], ["mean_squared_error"]),
        (["keras.losses.Huber"], ["huber_loss"]),
        (["mae", "my_project.Metric"], None),
        (["keras.metrics.NoSuch"], None),
        (["{{metric}}"], None),
        ([3], None),
    ],
)
def test_names_of_metrics(metrics, names):
    found = monitors({"name": "y", "metrics": [{"import": name} for name in metrics]})
    assert found == (names if names is None else sorted(["learning_rate", "loss", *names]))


def test_a_metric_can_be_given_its_name():
    auc = {"import": "AUC", "params": {"name": "area"}}
    own = {"import": "my.M", "params": {"name": "m"}}
    assert monitors({"metrics": [auc, own]}) == ["area", "learning_rate", "loss", "m"]
    # What a mistyped param means is not known, and so not the name.
    assert monitors({"metrics": [{"import": "AUC", "params": {"nmae": "area"}}]}) is None


@pytest.mark.parametrize(
    "outputs",
    [[], [3], [{}, {"name": "y"}], [{"name": "{{n}}"}, {"name": "y"}],
     [{"name": "y", "metrics": 3}], [{"name": "y", "metrics": [{"import": "my.Metric"}]}]],
)  # fmt: skip
def test_monitors_that_the_config_alone_does_not_tell(outputs):
    assert monitors(*outputs) is None


def test_monitors_of_several_outputs():
    found = monitors({"name": "a", "metrics": [{"import": "mae"}]}, {"name": "b"})
    assert found == ["a_loss", "a_mae", "b_loss", "learning_rate", "loss"]


@pytest.mark.parametrize(
    ("module", "param", "mistyped", "meant"),
    [
        ("activations", "activation", "rleu", "relu"),
        ("initializers", "kernel_initializer", "glorot_unifrom", "glorot_uniform"),
        ("regularizers", "bias_regularizer", "l22", "l2"),
        ("constraints", "kernel_constraint", "non_nge", "non_neg"),
    ],
)
def test_names_that_keras_takes_for_params(module, param, mistyped, meant):
    def found(name):
        params = {"layers": [{"import": "Dense", "params": {"units": 1, "name": "y", param: name}}]}
        return faults("model.network", {"import": "sequential_from_config", "params": params})

    # Keras's own table, in which its layers look a name up.
    for name in importlib.import_module(f"keras.src.{module}").ALL_OBJECTS_DICT:
        assert found(name) == []
    assert found("my_package>rleu") == found("{{name}}")[1:] == []
    (fault,), (other,) = found(mistyped), found("far_from_all")
    assert fault.endswith(f" '{mistyped}'; did you mean '{meant}'?")
    kind = param.rpartition("_")[2].replace("activation", "layer")
    assert other.endswith(f"""'far_from_all'; give your own {kind} as {{"import": …}}""")


def test_features_of_a_loader_of_ones_own_are_checked_too(tmp_path):
    """Told by the params that it takes, which the source shows."""
    (tmp_path / "own_features.py").write_text(
        "from barrage_mlflow import FeatureLoader, FeatureTransformer\n"
        "class Loader(FeatureLoader): ...\n"
        "class Transformer(FeatureTransformer): ...\n"
    )
    targets = {"prise": {"type": "number", "lg": 1}}
    params = {"features": {"carat": "nmber"}, "targets": targets}
    loader = {"import": "own_features.Loader", "params": params}
    dataset = {"loader": loader, "transformer": {"import": "own_features.Transformer"}}
    outputs = [{"name": "price", "loss": {"import": "mse"}}]
    model = {"network": {"import": "feature_network"}, "outputs": outputs}
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"dataset": dataset, "model": model}))
    found = [str(fault) for fault in find_faults(read_config(path))]
    assert [fault.partition("$.dataset.loader.params.")[2] for fault in found] == [
        "features.carat: expected a feature type, got \"nmber\"; did you mean 'number'?",
        "targets: the model has no output 'prise'; did you mean 'price'?",
        "targets.prise: unknown option 'lg'; did you mean 'log'?",
    ]
