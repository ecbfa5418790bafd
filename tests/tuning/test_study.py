"""What is drawn for the trials of a search."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small import small_config

from barrage_mlflow.config.overrides import apply_overrides
from barrage_mlflow.config.read import read_config
from barrage_mlflow.tuning import study as recipe
from barrage_mlflow.tuning.search_file import read_search
from barrage_mlflow.tuning.study import NAME, Study

RATE = "solver.optimizer.learning_rate"
SPACE = {
    RATE: {"low": 1e-4, "high": 1.0, "log": True},
    "solver.batch_size": [16, 32, 64],
    "solver.optimizer.import": ["Adam", "SGD"],
    "solver.optimizer.params.momentum": {
        "low": 0.0, "high": 0.9, "when": {"solver.optimizer.import": "SGD"},
    },
}  # fmt: skip
CONFIG = read_config(small_config())
TRIALS = 40


def opened(folder: str, sampler: str = "tpe", space: dict[str, Any] = SPACE) -> Study:
    asked = {"space": space, "trials": TRIALS, "seed": 3, "sampler": sampler}
    return Study(*place_of(folder), read_search(asked, CONFIG), CONFIG)


def place_of(name: str, owner: str = "here") -> tuple[Path, str, str]:
    return Path(f"{name}.db"), NAME, owner


def draw(search: Study, worker: Study, best: float = 0.01) -> dict[str, Any]:
    """Begin a trial and end it; which rate is best is given."""
    number = search.next()
    assert number is not None
    values = worker.draw(number)
    value = abs(math.log10(values[RATE] / best)) + 0.01 * (values["solver.batch_size"] == 16)
    search.tell(number, value, {})
    return values


def test_a_process_that_lives_long_draws_as_one_that_begins_anew() -> None:
    search, worker = opened("long"), opened("long")
    long = [draw(search, worker) for _ in range(TRIALS)]
    anew = [draw(opened("anew"), opened("anew")) for _ in range(TRIALS)]
    assert long == anew
    assert search.next() is None

    def errors(drawn: list[dict[str, Any]]) -> float:
        return sum(abs(math.log10(values[RATE]) + 2) for values in drawn) / len(drawn)

    assert errors(long[-10:]) < 0.7 * errors(long[1:11])  # it has learnt


def test_a_random_sampler_draws_whatever_the_trials_have_shown() -> None:
    drawn = {
        (sampler, best): [draw(study, study, best) for _ in range(20)]
        for sampler in ("tpe", "random")
        for best in (0.001, 0.1)
        for study in [opened(f"{sampler}-{best}", sampler)]
    }
    assert drawn["random", 0.001] == drawn["random", 0.1]
    assert drawn["tpe", 0.001] != drawn["tpe", 0.1]


def once(suggest: Callable[..., Any]) -> Callable[..., Any]:
    """What draws one value, and then the process is killed."""
    left = [suggest]

    def draw(*given: Any) -> Any:
        if not left:
            raise InterruptedError("killed")
        return left.pop()(*given)

    return draw


def test_what_was_drawn_before_a_kill_stays_and_the_rest_comes_as_it_would_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = []
    of_adam = "solver.optimizer.params"
    space = {f"{of_adam}.{name}": {"low": 0.5, "high": 0.9} for name in ("beta_1", "beta_2")}
    for folder, kills in (("whole", False), ("killed", True)):
        search = opened(folder, space={**SPACE, **space})
        for _ in range(12):
            draw(search, search)
        number = search.next()
        assert number is not None
        again = opened(folder, space={**SPACE, **space})
        assert again.begun() == [number]
        if kills:  # once the first value is drawn
            with monkeypatch.context() as patch:
                patch.setattr(recipe, "_suggest", once(recipe._suggest))
                with pytest.raises(InterruptedError, match=r"^killed$"):
                    again.draw(number)
        values.append(opened(folder, space={**SPACE, **space}).draw(number))
    assert values[0] == values[1]


def test_the_first_trial_is_the_config_as_it_is() -> None:
    units = "model.network.params.layers.1.params.units"
    space = {**SPACE, RATE: {"low": 0.1, "high": 1.0}, units: {"low": 4, "high": 16, "step": 4}}
    search = read_search({"space": space}, CONFIG)
    study = Study(*place_of("out"), search, CONFIG)
    number = study.next()
    assert number is not None
    values = study.draw(number)
    assert values.pop(RATE) >= 0.1  # which the config's is not
    assert values == {"solver.batch_size": 16, "solver.optimizer.import": "Adam", units: 8}


def test_values_that_do_not_make_sense_are_left_out() -> None:
    search = opened("out")
    for _ in range(20):
        values = draw(search, search)
        uses_momentum = values["solver.optimizer.import"] == "SGD"
        assert ("solver.optimizer.params.momentum" in values) == uses_momentum
        data = apply_overrides(CONFIG, values).data
        assert data["solver"]["optimizer"]["import"] == values["solver.optimizer.import"]


def test_several_machines_share_the_trials_of_one_search() -> None:
    search = read_search({"space": SPACE, "trials": 4}, CONFIG)
    here, there = (Study(*place_of("out", owner), search, CONFIG) for owner in ("here", "there"))
    assert [here.next(), there.next(), here.next()] == [0, 1, 2]
    assert (here.begun(), here.elsewhere()) == ([0, 2], ["1 in there"])
    assert (there.begun(), there.elsewhere()) == ([1], ["0 in here", "2 in here"])
    first, second = (study.draw(study.begun()[0]) for study in (here, there))
    assert first[RATE] == 0.001  # the config's
    assert second[RATE] != 0.001
    here.tell(0, 0.5, {})
    there.tell(1, 0.25, {})
    best = here.best()
    assert best is not None
    assert (best.number, here.is_own(best), there.is_own(best)) == (1, False, True)
    assert [there.next(), here.next()] == [3, None]
    here.note_run("parent")
    anew = Study(*place_of("out", "there"), search, CONFIG)
    assert (anew.run_id, anew.begun()) == ("parent", [3])


def test_a_trial_that_went_on_after_it_was_to_end_is_complete() -> None:
    """Killed before its last checkpoint, it trains an epoch anew; the median may be another."""
    study = opened("out")
    for number in [study.next() for _ in range(5)]:
        assert number is not None
        assert not any(study.report(number, epoch, 0.1) for epoch in range(6))
        study.tell(number, 0.1, {})
    for number in (study.next(), study.next()):
        assert number is not None
        assert [study.report(number, epoch, 0.2) for epoch in range(4)] == [False] * 3 + [True]
    study.report(6, 4, 0.05)
    study.tell(5, 0.2, {})
    study.tell(6, 0.05, {"error": None, "run": "1f0c"})
    states = [(trial.state.name, trial.value) for trial in study.trials()[-2:]]
    assert states == [("PRUNED", 0.2), ("COMPLETE", 0.05)]
    assert study.trials()[6].user_attrs == {
        "owner": "here", "pruned": 3, "error": None, "run": "1f0c",
    }  # fmt: skip
