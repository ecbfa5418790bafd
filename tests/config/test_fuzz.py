"""Mutated configs end in a resolved config or in faults, and what is valid also builds."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from recipes import LEARNT, RECIPES

from barrage_mlflow.config import add_project_path, read_config, resolve_config
from barrage_mlflow.config.monitors import known_monitors
from barrage_mlflow.config.paths import value_at
from barrage_mlflow.config.project import code_modules
from barrage_mlflow.errors import ConfigError, describe_error

SEED = 5
ODD_TEXTS = (
    "", " ", "\u202e", "\ufeff", "e\u0301", "🦜" * 3, "a\nb", "\x00", "\ud800", "{{", "{{a}}",
    "{{ b }} ", "..", "a..b", ".a", "keras.", "keras.losses", "os.system", "__import__", "class",
    "None", "val_", "x" * 5000, "$ref", "0", "-", "../../etc", "\uff4dse", "İ", "ß",
)  # fmt: skip
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2.0, 0.5, 1e300, -0.0, 5e-324, 2**63, 2**64, 10**40, float("nan"),
    float("inf"), [], {}, [[]], {"": {}}, [None], {"import": "mse"}, {"import": None},
    {"import": "Dense", "params": {"units": 2}}, {"params": {}}, (1, 2),
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything inside a value."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, key))


def drop(rng: random.Random, holder: Any, key: Any, other: Any) -> None:
    del holder[key]


def rename(rng: random.Random, holder: Any, key: Any, other: Any) -> None:
    if isinstance(holder, dict):
        new = rng.choice([*map(str, other), *ODD_TEXTS]) if isinstance(other, dict) else "name"
        pairs = [(new if name == key else name, value) for name, value in holder.items()]
        holder.clear()
        holder.update(pairs)


def replace(rng: random.Random, holder: Any, key: Any, other: Any) -> None:
    holder[key] = copy.deepcopy(rng.choice(ODD_VALUES))


def borrow(rng: random.Random, holder: Any, key: Any, other: Any) -> None:
    holder[key] = copy.deepcopy(other)


def splice(rng: random.Random, holder: Any, key: Any, other: Any) -> None:
    text = holder[key] if isinstance(holder[key], str) else str(key)
    more = rng.choice([other, *ODD_TEXTS]) if isinstance(other, str) else rng.choice(ODD_TEXTS)
    at = rng.randint(0, len(text))
    holder[key] = rng.choice((text[:at] + more, text[:at] + more + text[at:], more + text[at:]))


def nest(rng: random.Random, holder: Any, key: Any, other: Any) -> None:
    for _ in range(rng.choice((1, 1, 2, 150))):
        holder[key] = [holder[key]] if rng.random() < 0.5 else {"import": holder[key]}


def nudge(rng: random.Random, holder: Any, key: Any, other: Any) -> None:
    """A number becomes another of its kind, as it does when somebody tunes a config."""
    value = holder[key]
    if isinstance(value, bool):
        holder[key] = not value
    elif isinstance(value, int):
        holder[key] = value + rng.randint(-2, 3)
    elif isinstance(value, float):
        holder[key] = value * rng.choice((0.5, 0.9, 1.5))


MUTATIONS: tuple[Callable[[random.Random, Any, Any, Any], None], ...] = (
    drop, rename, replace, borrow, splice, nest, nudge, nudge, nudge,
)  # fmt: skip


def mutants(count: int, seed: int, names: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Draws recipes and changes each at one to three places."""
    rng = random.Random(seed)
    for _ in range(count):
        name = rng.choice(names)
        config = copy.deepcopy(RECIPES[name])
        for _ in range(rng.choice((1, 1, 2, 3))):
            here = list(places(config))
            if not here:
                break
            path = rng.choice(here)
            donor = RECIPES[rng.choice(names)]
            given = rng.choice(list(places(donor)))
            other = value_at(donor, given)
            rng.choice(MUTATIONS)(rng, value_at(config, path[:-1]), path[-1], other)
        yield name, config


def resolved_or_faults(config: dict[str, Any], as_text: bool) -> dict[str, Any] | None:
    """The resolved config of a mutant, None for one with faults, all of them one line."""
    source: Any = config
    if as_text:
        Path("config.json").write_text(json.dumps(config), "utf-8")
        source = "config.json"
    try:
        document = read_config(source)
        add_project_path(document)
        resolved = resolve_config(document)
    except ConfigError as error:
        faults = error.faults
    else:
        assert resolve_config(resolved) == resolved
        code_modules(resolved)
        return resolved
    lines = [str(fault) for fault in faults]
    assert lines
    assert [line for line in lines if not line.isprintable()] == []
    assert len(set(lines)) == len(lines)
    if as_text:
        # Each fault has a place, in the order of the text.
        places = [[int(number) for number in fault.place.split(":")[1:]] for fault in faults]
        assert places == sorted(places)
    return None


def fuzz(count: int, seed: int) -> int:
    """Resolves so many mutants; the number of those that are valid."""
    valid = 0
    broken: list[str] = []
    for i, (name, config) in enumerate(mutants(count, seed, sorted(RECIPES))):
        before = repr(config)
        try:
            known_monitors(config)
            valid += resolved_or_faults(config, as_text=i % 4 == 0) is not None
            assert repr(config) == before
        except Exception as error:
            broken.append(f"mutant {i} of {name}: {type(error).__name__}: {error!s:.300}: {before}")
    assert not broken, f"{len(broken)} of {count}\n" + "\n".join(broken[:20])
    return valid


def test_a_mutated_config_resolves_or_has_faults(in_project):
    assert fuzz(400, SEED) > 60


@pytest.mark.nightly(part="fuzz")
def test_twenty_thousand_mutated_configs_resolve_or_have_faults(in_project):
    assert fuzz(20_000, SEED + 1) > 1000


BUILT = 200
SHAPES = {
    "image": {"image": (12, 12, 1)},
    "text": {"tokens": (5,)},
    "series": {"history": (6, 1)},
    "table": {"features": (3,)},
    "iris": {"flower": (4,)},
    "penguins": {"measurements": (4,), "missing": (4,), "island": (), "sex": ()},
}


def build_all(config: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> tuple[bool, list[str]]:
    """Builds all that a config names with the engine's own builders.

    Returns:
        Whether there is a network ready to be trained, and what is said by the exceptions that
        do not name the component.
    """
    import numpy as np

    from barrage_mlflow.dataset import RecordMode, build_loader, build_transformer
    from barrage_mlflow.dataset.components.build import build_augmentors
    from barrage_mlflow.model import build_network
    from barrage_mlflow.model.objective import Objective
    from barrage_mlflow.services.build import build_callbacks
    from barrage_mlflow.solver import build_learning_rate_reducer, build_optimizer

    unclear: list[str] = []

    def attempt(path: str, build: Callable[..., Any], *needed: Any) -> Any:
        if any(part is None for part in needed):
            return None
        try:
            return build(*needed)
        except Exception as error:
            if path not in describe_error(error):
                unclear.append(f"{path}: {describe_error(error)}")
            return None

    mode = RecordMode.TRAIN
    loader = attempt("$.dataset.loader", lambda: build_loader(config, mode))
    transformer = attempt(
        "$.dataset.transformer", lambda loader: build_transformer(config, mode, loader), loader
    )
    attempt("$.dataset.augmentor", lambda: build_augmentors(config))
    names = getattr(transformer, "network_param_names", None) or ()
    learnt = {name: LEARNT[name] for name in names}
    example = ({name: np.zeros((2, *shape), "float32") for name, shape in shapes.items()},)
    network = attempt("$.model", lambda _: build_network(config, learnt, example), transformer)
    objective = attempt(
        "$.model.outputs", lambda network: Objective(config, network, learnt), network
    )
    optimizer = attempt("$.solver.optimizer", lambda: build_optimizer(config))
    compiled = attempt(
        "$.model.outputs",
        lambda objective, *parts: [objective.compile(*parts)],
        objective,
        network,
        optimizer,
    )
    attempt("$.solver.learning_rate_reducer", lambda: build_learning_rate_reducer(config))
    attempt("$.services", lambda: build_callbacks(config, Path("artifacts")))
    return compiled is not None, unclear


@pytest.mark.nightly(part="fuzz")
def test_what_is_valid_builds_or_the_component_is_named(in_project):
    seen: set[str] = set()
    unclear: list[str] = []
    ready = 0
    for name, config in mutants(20 * BUILT, SEED + 2, sorted(SHAPES)):
        resolved = resolved_or_faults(config, as_text=False)
        text = json.dumps(resolved)
        if resolved is None or text in seen:
            continue
        seen.add(text)
        is_ready, said = build_all(resolved, SHAPES[name])
        ready += is_ready
        unclear += [f"{name}: {what}: {text}" for what in said]
        if len(seen) == BUILT:
            break
    assert len(seen) == BUILT
    assert BUILT // 2 < ready < BUILT
    assert not unclear, f"{len(unclear)}\n" + "\n".join(unclear)
