"""The solver: optimizer, schedule and learning rate reducer from a config."""

import keras
import pytest

from barrage_mlflow.errors import ComponentError, ConfigError, ImportPathError
from barrage_mlflow.solver import build_learning_rate_reducer, build_optimizer


def solver(**block):
    return {
        "solver": {"optimizer": {"import": "Adam", "learning_rate": 1e-3, "params": {}, **block}}
    }


@pytest.mark.parametrize(
    "name", ["Adam", "adam", "tf.keras.optimizers.Adam", "keras.optimizers.Adam"]
)
def test_optimizer_names(name):
    optimizer = build_optimizer(solver(**{"import": name}))

    assert type(optimizer) is keras.optimizers.Adam


def test_params_reach_the_optimizer():
    optimizer = build_optimizer(
        solver(**{"import": "SGD", "learning_rate": 0.25, "params": {"momentum": 0.5}})
    )

    assert optimizer.momentum == 0.5
    assert float(optimizer.learning_rate.numpy()) == 0.25


def test_params_may_be_left_out():
    config = {"solver": {"optimizer": {"import": "Adam", "learning_rate": 1}}}

    assert float(build_optimizer(config).learning_rate.numpy()) == 1.0


def test_schedule_block():
    schedule = {
        "import": "ExponentialDecay",
        "params": {"initial_learning_rate": 0.5, "decay_steps": 100, "decay_rate": 0.99},
    }

    optimizer = build_optimizer(solver(learning_rate=schedule))

    assert float(optimizer.learning_rate) == 0.5
    optimizer.iterations.assign(100)
    assert float(optimizer.learning_rate) == pytest.approx(0.495)


def test_the_config_is_left_as_it_was():
    config = solver(params={"beta_1": 0.8})

    build_optimizer(config)

    assert config == solver(params={"beta_1": 0.8})


def test_second_learning_rate_in_params():
    with pytest.raises(ConfigError, match="twice") as caught:
        build_optimizer(solver(params={"learning_rate": 0.1}))

    assert str(caught.value) == (
        "$.solver.optimizer.params.learning_rate: the learning rate is given twice; "
        "write it as $.solver.optimizer.learning_rate only"
    )


def test_wrong_params_name_the_place():
    with pytest.raises(ComponentError, match=r"^\$\.solver\.optimizer: Adam: .*'momentum'"):
        build_optimizer(solver(params={"momentum": 0.5}))
    with pytest.raises(ComponentError, match=r"^\$\.solver\.optimizer\.learning_rate: "):
        build_optimizer(solver(learning_rate={"import": "ExponentialDecay", "params": {"a": 1}}))


def test_unknown_optimizer():
    with pytest.raises(ImportPathError, match=r"^\$\.solver\.optimizer\.import: .*Adam"):
        build_optimizer(solver(**{"import": "Adamm"}))


REDUCER = {"monitor": "val_loss", "mode": "min", "patience": 3, "factor": 0.5}


def test_no_reducer():
    assert build_learning_rate_reducer(solver()) is None


def test_reducer_with_additional_params():
    reducer = build_learning_rate_reducer(
        {"solver": {"learning_rate_reducer": {**REDUCER, "min_lr": 1e-6, "cooldown": 2}}}
    )

    assert isinstance(reducer, keras.callbacks.ReduceLROnPlateau)
    got = {key: getattr(reducer, key) for key in (*REDUCER, "min_lr", "cooldown")}
    assert got == {**REDUCER, "min_lr": 1e-6, "cooldown": 2}


def test_reducer_refuses_the_keys_that_keras_swallows():
    params = {**REDUCER, "cooldwon": 2, "zzz": 1}

    with pytest.raises(ConfigError, match="cooldwon") as caught:
        build_learning_rate_reducer({"solver": {"learning_rate_reducer": params}})

    assert str(caught.value).splitlines() == [
        "$.solver.learning_rate_reducer.cooldwon: unknown key 'cooldwon'; did you mean 'cooldown'?",
        "$.solver.learning_rate_reducer.zzz: unknown key 'zzz'; known keys: 'monitor', 'factor', "
        "'patience', 'verbose', 'mode', 'min_delta', 'cooldown', 'min_lr'",
    ]


def test_reducer_refuses_a_factor_that_raises():
    params = {**REDUCER, "factor": 2.0}

    with pytest.raises(ComponentError, match=r"\$\.solver\.learning_rate_reducer.*factor"):
        build_learning_rate_reducer({"solver": {"learning_rate_reducer": params}})
