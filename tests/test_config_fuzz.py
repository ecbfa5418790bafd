"""Mutated configs end in a resolved config or in faults, and what is valid also builds."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from recipes import NETWORK_PARAMS, RECIPES, write_project

from barrage_mlflow.config import add_project_path, read_config, resolve_config
from barrage_mlflow.errors import BarrageError, ConfigError

SEED = 5
ODD_TEXTS = (
    "", " ", "\u202e", "\ufeff", "e\u0301", "🦜" * 3, "a\nb", "\x00", "\ud800", "{{", "{{a}}",
    "{{ b }} ", "..", "a..b", ".a", "keras.", "keras.losses", "os.system", "__import__", "class",
    "None", "val_", "x" * 5000, "$ref", "0", "-", "../../etc", "ｍｓｅ", "İ", "ß",
)  # fmt: skip
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2.0, 0.5, 1e300, -0.0, 5e-324, 2**63, 2**64, 10**40, float("nan"),
    float("inf"), [], {}, [[]], {"": {}}, [None], {"import": "mse"}, {"import": None},
    {"import": "Dense", "params": {"units": 2}}, {"params": {}}, (1, 2),
)  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    write_project(folder)
    return folder


@pytest.fixture
def in_project(project, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything inside a value."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, key))


def holder_of(config: Any, path: tuple[Any, ...]) -> Any:
    for part in path[:-1]:
        config = config[part]
    return config


def drop(rng: random.Random, holder: Any, key: Any, other: Any) -> None:
    del holder[key]


def double(rng: random.Random, holder: Any, key: Any, other: Any) -> None:
    if isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    else:
        holder[f"{key}_"] = copy.deepcopy(holder[key])


def rename(rng: random.Random, holder: Any, key: Any, other: Any) -> None:
    if isinstance(holder, dict):
        new = rng.choice([*map(str, other), *ODD_TEXTS]) if isinstance(other, dict) else "name"
        pairs = [(new if name == key else name, value) for name, value in holder.items()]
        holder.clear()
        holder.update(pairs)


def shuffle(rng: random.Random, holder: Any, key: Any, other: Any) -> None:
    pairs = list(holder.items()) if isinstance(holder, dict) else list(holder)
    rng.shuffle(pairs)
    if isinstance(holder, dict):
        holder.clear()
        holder.update(pairs)
    else:
        holder[:] = pairs


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
    drop, double, rename, shuffle, replace, borrow, splice, nest, nudge, nudge, nudge,
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
            other = holder_of(donor, given)[given[-1]]
            rng.choice(MUTATIONS)(rng, holder_of(config, path), path[-1], other)
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
        assert error.faults
        lines = [str(fault) for fault in error.faults]
        assert [line for line in lines if not line.isprintable()] == []
        assert len(set(lines)) == len(lines)
        return None
    assert resolve_config(resolved) == resolved
    return resolved


def fuzz(count: int, seed: int) -> int:
    """Resolves so many mutants; the number of those that are valid."""
    valid = 0
    broken: list[str] = []
    for i, (name, config) in enumerate(mutants(count, seed, sorted(RECIPES))):
        before = repr(config)
        try:
            valid += resolved_or_faults(config, as_text=i % 4 == 0) is not None
            assert repr(config) == before
        except Exception as error:
            broken.append(f"mutant {i} of {name}: {type(error).__name__}: {error!s:.300}: {before}")
    assert not broken, f"{len(broken)} of {count}\n" + "\n".join(broken[:20])
    return valid


def test_a_mutated_config_resolves_or_has_faults(in_project):
    assert fuzz(400, SEED) > 60


@pytest.mark.slow
def test_twenty_thousand_mutated_configs_resolve_or_have_faults(in_project):
    assert fuzz(20_000, SEED + 1) > 1000
