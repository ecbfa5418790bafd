"""The solver: optimizer, schedule and learning rate reducer from a config."""

import keras
import pytest

from barrage_mlflow.errors import ComponentError, ImportPathError
from barrage_mlflow.solver import build_learning_rate_reducer, build_optimizer

REDUCER = {"monitor": "val_loss", "mode": "min", "patience": 3, "factor": 0.5}


def solver(**block):
    return {"solver": {"optimizer": {"import": "Adam", "learning_rate": 1e-3, **block}}}


def test_params_and_learning_rate_reach_the_optimizer():
    config = solver(**{"import": "SGD", "learning_rate": 1, "params": {"momentum": 0.5}})

    optimizer = build_optimizer(config)

    assert (optimizer.momentum, float(optimizer.learning_rate.numpy())) == (0.5, 1.0)
    assert config == solver(**{"import": "SGD", "learning_rate": 1, "params": {"momentum": 0.5}})


def test_schedule_block():
    params = {"initial_learning_rate": 0.5, "decay_steps": 100, "decay_rate": 0.99}
    schedule = {"import": "ExponentialDecay", "params": params}

    optimizer = build_optimizer(solver(learning_rate=schedule))

    assert float(optimizer.learning_rate) == 0.5
    optimizer.iterations.assign(100)
    assert float(optimizer.learning_rate) == pytest.approx(0.495)


@pytest.mark.parametrize(
    ("block", "error", "message"),
    [
        (
            {"params": {"momentum": 0.5}},
            ComponentError,
            r"^\$\.solver\.optimizer: Adam: .*'momentum'",
        ),
        (
            {"learning_rate": {"import": "ExponentialDecay", "params": {"a": 1}}},
            ComponentError,
            r"^\$\.solver\.optimizer\.learning_rate: ",
        ),
        ({"import": "Adamm"}, ImportPathError, r"^\$\.solver\.optimizer\.import: .*Adam"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(block, error, message):
    with pytest.raises(error, match=message):
        build_optimizer(solver(**block))


def reducer(**params):
    return build_learning_rate_reducer({"solver": {"learning_rate_reducer": {**REDUCER, **params}}})


def test_reducer_with_additional_params():
    assert build_learning_rate_reducer(solver()) is None

    built = reducer(min_lr=1e-6, cooldown=2)

    assert isinstance(built, keras.callbacks.ReduceLROnPlateau)
    got = {key: getattr(built, key) for key in (*REDUCER, "min_lr", "cooldown")}
    assert got == {**REDUCER, "min_lr": 1e-6, "cooldown": 2}


def test_reducer_refuses_what_it_does_not_know():
    with pytest.raises(ComponentError, match="unknown param 'cooldwon'; did you mean 'cooldown'"):
        reducer(cooldwon=2)  # Keras itself takes any key
    with pytest.raises(ComponentError, match=r"\$\.solver\.learning_rate_reducer.*factor"):
        reducer(factor=2.0)
