"""The settled points of the config, one by one: what is accepted and what is a fault."""

import copy
import importlib

import pytest

from barrage_mlflow.config import find_faults, metric_names, monitor_names, read_config
from barrage_mlflow.config import resolve_config as resolve

CONFIG = {
    "dataset": {
        "loader": {"import": "KeySelector", "params": {"inputs": {"x": "x"}, "outputs": {"y": "y"}}}
    },
    "model": {
        "network": {"import": "keras.applications.MobileNetV2"},
        "outputs": [{"name": "y", "loss": {"import": "mse"}, "metrics": [{"import": "mae"}]}],
    },
}


def config(path="", value=None, **further):
    data = copy.deepcopy(CONFIG)
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


STOPPING = {"monitor": "loss", "mode": "min", "patience": 3, "min_delta": 0.1}
REDUCER = {"monitor": "val_loss", "mode": "min", "patience": 3, "factor": 0.5}
OUTPUT = {"name": "y", "loss": {"import": "mse"}}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$schema", "https://example.org/schema.json"),
        ("dataset.augmentor", []),
        ("dataset.seed", 0),
        ("dataset.seed", 2**32 - 1),
        ("model.outputs.0.sample_weight_mode", None),
        ("model.outputs.0.sample_weight_mode", "samplewise"),
        ("model.outputs.0.sample_weight_mode", "temporal"),
        ("model.outputs.0.loss_weight", 0.5),
        ("solver", {}),
        ("solver.steps", 5),
        ("solver.learning_rate_reducer", REDUCER),
        ("solver.learning_rate_reducer", {**REDUCER, "monitor": "loss"}),
        ("solver.learning_rate_reducer", {**REDUCER, "monitor": "mae", "cooldown": 3}),
        ("services", {}),
        ("services.best_checkpoint", {"monitor": "val_mae", "mode": "min"}),
        ("services.tensorboard", {}),
        ("services.tensorboard", {"profile_batch": 2, "update_freq": "batch"}),
        ("services.train_early_stopping", {**STOPPING, "monitor": "mae", "baseline": 3}),
        ("services.validation_early_stopping", {**STOPPING, "monitor": "val_mae"}),
    ],
)
def test_what_is_allowed(path, value):
    assert faults(path, value) == []


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (
            "services.best_checkpoint",
            {"monitor": "loss", "mode": "min"},
            '.monitor: expected a validation metric (val_…), got "loss"; write "val_loss"',
        ),
        (
            "services.best_checkpoint",
            {"monitor": "val_los", "mode": "min"},
            ".monitor: no output produces 'val_los'; produced are 'val_loss', 'val_mae'; "
            "did you mean \"val_loss\"?",
        ),
        (
            "services.best_checkpoint",
            {"monitor": "val_learning_rate", "mode": "min"},
            ".monitor: no output produces 'val_learning_rate'; produced are 'val_loss', 'val_mae'",
        ),
        (
            "services.best_checkpoint",
            {"monitor": "learning_rate", "mode": "min"},
            '.monitor: expected a validation metric (val_…), got "learning_rate"; produced are '
            "'val_loss', 'val_mae'",
        ),
        (
            "services.train_early_stopping",
            {**STOPPING, "monitor": "val_los"},
            '.monitor: expected a train metric, got "val_los"; write "loss"',
        ),
        (
            "dataset.loader",
            {"import": "KeySelector", "params": {"inputs": "x", "outputs": {"y": "y"}}},
            '.params.inputs: expected an object, got "x"',
        ),
        (
            "services.best_checkpoint",
            {"monitor": "val_loss"},
            ": missing key 'mode'; give all of 'monitor', 'mode', or leave the block out",
        ),
        (
            "services.best_checkpoint",
            {"monitor": "val_loss", "mode": "min", "save_best_only": True},
            ": unknown key 'save_best_only'; known keys: 'monitor', 'mode'",
        ),
        (
            "services.train_early_stopping",
            {**STOPPING, "monitor": "val_loss"},
            '.monitor: expected a train metric, got "val_loss"; write "loss"',
        ),
        (
            "services.train_early_stopping",
            {**STOPPING, "monitor": "zzzzzz"},
            ".monitor: no output produces 'zzzzzz'; produced are 'learning_rate', 'loss', 'mae'",
        ),
        (
            "services.best_checkpoint",
            {"monitor": "val_y_mae", "mode": "min"},
            ".monitor: no output produces 'val_y_mae'; produced are 'val_loss', 'val_mae'; "
            'did you mean "val_mae"?',
        ),
        (
            "services.train_early_stopping",
            {**STOPPING, "mode": "auto"},
            '.mode: expected "min" or "max", got "auto"; "auto" is not supported',
        ),
        (
            "services.train_early_stopping",
            {},
            ": missing keys 'monitor', 'mode', 'patience', 'min_delta'; give all of 'monitor', "
            "'mode', 'patience', 'min_delta', or leave the block out",
        ),
        (
            "services.validation_early_stopping",
            STOPPING,
            '.monitor: expected a validation metric (val_…), got "loss"; write "val_loss"',
        ),
        (
            "services.tensorboard",
            {"log_dir": "logs"},
            ": key 'log_dir' is set by Barrage; remove it",
        ),
        (
            "services.tensorboard",
            {"write_grph": True},
            ": unknown key 'write_grph'; did you mean 'write_graph'?",
        ),
        (
            "solver.learning_rate_reducer",
            {**REDUCER, "mode": "auto"},
            '.mode: expected "min" or "max", got "auto"; "auto" is not supported',
        ),
        (
            "solver.learning_rate_reducer",
            {"monitor": "loss", "mode": "min", "patience": 3},
            ": missing key 'factor'; give all of 'monitor', 'mode', 'patience', 'factor', "
            "or leave the block out",
        ),
        (
            "solver.optimizer",
            {"learning_rate": 0.1, "params": {}},
            ": missing key 'import'; give all of 'import', 'learning_rate', "
            "or leave the block out",
        ),
        (
            "solver.optimizer",
            {"import": "Adam", "learning_rate": 0},
            ".learning_rate: expected a number > 0 or an import block "
            '{"import": …}, got 0',
        ),
        (
            "solver.optimizer",
            {"import": "Adam", "learning_rate": True},
            ".learning_rate: expected a number > 0 or an import block "
            '{"import": …}, got true',
        ),
        (
            "solver.optimizer",
            {"import": "Adam", "learning_rate": {"params": {}}},
            ".learning_rate: missing key 'import'",
        ),
        (
            "solver.optimizer",
            {"import": "Adam", "learning_rate": 0.1, "params": {"learning_rate": 0.1, "beta1": 1}},
            [
                ".params: param 'learning_rate' is passed by Barrage; remove it",
                ".params: unknown param 'beta1'; did you mean 'beta_1'?",
            ],
        ),
        (
            "solver.learning_rate_schedule",
            {},
            "$.solver: unknown key 'learning_rate_schedule'; did you mean 'learning_rate_reducer'?",
        ),
        ("model.outputs", [], ": expected a list with at least 1 item, got an empty one"),
        (
            "model.outputs",
            [OUTPUT, {**OUTPUT, "loss_weight": 1}],
            [
                "[0]: missing key 'loss_weight'; it is required on each of 2 outputs",
                "[1].name: output name 'y' stands twice, first in outputs[0]; "
                "every output needs its own",
            ],
        ),
        ("solver.epochs", 10.0, ": expected an integer ≥ 1, got 10.0"),
    ],
)  # fmt: skip
def test_what_is_a_fault(path, value, expected):
    expected = [expected] if isinstance(expected, str) else expected
    found = faults(path, value)
    assert found == [line if line.startswith("$") else f"$.{path}{line}" for line in expected]


def test_a_schedule_and_a_reducer_exclude_each_other():
    params = {"initial_learning_rate": 0.1, "decay_steps": 3}
    solver = {
        "optimizer": {
            "import": "Adam",
            "learning_rate": {"import": "CosineDecay", "params": params},
        },
        "learning_rate_reducer": REDUCER,
    }
    assert faults("solver", solver) == [
        "$.solver.learning_rate_reducer: cannot work together with a learning rate schedule; "
        "remove it, or give learning_rate as a number"
    ]


def test_nothing_is_merged_into_a_block_that_is_present():
    resolved = resolve(config("services.train_early_stopping", STOPPING))
    assert resolved["services"]["train_early_stopping"] == STOPPING


def test_resolving_draws_no_seed():
    assert "seed" not in resolve(CONFIG)["dataset"]


def test_resolving_is_pure():
    before = copy.deepcopy(CONFIG)
    first, second = resolve(CONFIG), resolve(CONFIG)
    first["dataset"]["loader"]["params"]["inputs"]["x"] = "changed"
    first["services"]["tensorboard"]["changed"] = True
    assert before == CONFIG
    assert second == resolve(CONFIG)
    assert resolve(second) == second


def test_the_one_output_weighs_1_unless_it_says_so():
    assert resolve(CONFIG)["model"]["outputs"][0]["loss_weight"] == 1.0
    halved = resolve(config("model.outputs.0.loss_weight", 0.5))
    assert halved["model"]["outputs"][0]["loss_weight"] == 0.5


@pytest.mark.parametrize(
    ("metrics", "names"),
    [
        ([], []),
        (["accuracy", "acc", "mse", "AUC"], ["accuracy", "acc", "mse", "AUC"]),
        (["AUC", "AUC", "AUC_1", "AUC"], ["AUC", "AUC_2", "AUC_1", "AUC_3"]),
        (["keras.metrics.AUC", "tf.keras.metrics.MeanIoU"], ["auc", "mean_io_u"]),
        (["tensorflow.python.keras.metrics.MeanSquaredError"], ["mean_squared_error"]),
        (["keras.losses.Huber"], ["huber_loss"]),
        (["mae", "my_project.Metric"], None),
        (["keras.metrics.NoSuch"], None),
        (["{{metric}}"], None),
        ([3], None),
    ],
)
def test_metric_names(metrics, names):
    assert metric_names({"metrics": [{"import": name} for name in metrics]}) == names


def test_a_metric_can_be_given_its_name():
    blocks = [
        {"import": "AUC", "params": {"name": "area"}},
        {"import": "my.M", "params": {"name": "m"}},
    ]
    assert metric_names({"metrics": blocks}) == ["area", "m"]
    assert metric_names({"metrics": [3]}) is None


@pytest.mark.parametrize(
    "outputs",
    [None, [], 3, [3], [{}, {"name": "y"}], [{"name": "{{n}}"}, {"name": "y"}],
     [{"name": "y", "metrics": 3}],
     [{"name": "y", "metrics": [{"import": "my_project.Metric"}]}]],
)  # fmt: skip
def test_monitors_that_the_config_alone_does_not_tell(outputs):
    assert monitor_names({"model": {"outputs": outputs}}) is None


def test_monitors_of_several_outputs():
    outputs = [{"name": "a", "metrics": [{"import": "mae"}]}, {"name": "b"}]
    assert monitor_names({"model": {"outputs": outputs}}) == {
        "a_loss", "a_mae", "b_loss", "learning_rate", "loss"
    }  # fmt: skip


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
    assert found("my_package>rleu") == found("far_from_all_of_them") == found("{{name}}")[1:] == []
    (fault,) = found(mistyped)
    assert fault.endswith(f"in Keras; did you mean '{meant}'?")
