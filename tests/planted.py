"""Plants several faults in one config, drawn from a seed, so that each must be told by itself.

Two faults are independent when neither makes the other moot. A planting therefore says which
values it *touches*, because it changes them or because nothing can be said of them any more (the
params of a class that is not there), and which values it *needs*, because the fault only shows
while they are sound (a monitor, while the names of all outputs and metrics are). Two plantings
stand in one config only if

* neither touches a value that lies at, above or below one that the other touches or needs, and
* they do not take two required keys or params from one block, which are told in one line.

A mistyped key touches no value: what stands below it means what it meant, and faults are planted
there too. Nothing is planted over a placeholder that reads a param of the network, since a param
that nothing reads any more is a second fault. The kinds of the faults in one config all differ.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from typos import Path, blocks_in, is_of_project, slip, words_in

from barrage_mlflow.config.import_strings import find_target
from barrage_mlflow.config.placeholders import placeholders_in
from barrage_mlflow.config.project_source import SourceReader

_STRANGE = ("zebra", "quux", "waltz", "glyph", "fjord", "vortex", "jigsaw", "kayak")
"""Names that are near to nothing."""
_STRANGE_VALUES = ("plover", "quince", "trellis")
"""Likewise, for placeholders: the name of an unknown param would give them a value."""

_OUT_OF_RANGE: dict[Path, Any] = {
    ("dataset", "seed"): -1,
    ("solver", "batch_size"): 0,
    ("solver", "epochs"): -3,
    ("solver", "steps"): 0,
    ("solver", "optimizer", "learning_rate"): -0.5,
    ("solver", "learning_rate_reducer", "factor"): 1.5,
    ("services", "train_early_stopping", "patience"): -1,
    ("services", "validation_early_stopping", "patience"): -2,
}
_WRONG_TYPE: dict[str, Any] = {
    "sample_count": 3,
    "seed": "seven",
    "batch_size": 2.5,
    "epochs": "ten",
    "steps": None,
    "patience": "long",
    "min_delta": [1],
    "loss_weight": "heavy",
    "metrics": {},
    "tensorboard": [],
}
_MONITORS = {
    ("solver", "learning_rate_reducer"): "val_",
    ("services", "best_checkpoint"): "val_",
    ("services", "train_early_stopping"): "",
    ("services", "validation_early_stopping"): "val_",
}


@dataclass(frozen=True)
class Planting:
    """One fault that can be planted in a config.

    Attributes:
        kind: what sort of fault it is.
        path: of the value at fault, as the fault is to tell it.
        edit: ``"set"``, ``"drop"`` or ``"rename"``.
        at: the path that is edited.
        value: what is set there, or the key that is written instead.
        is_key: the key at `path` is at fault, not its value.
        touches: paths of the values that it changes or that it leaves nothing to say about.
        needs: paths of the values that must be sound for the fault to show.
    """

    kind: str
    path: Path
    edit: str
    at: Path
    value: Any = None
    is_key: bool = False
    touches: frozenset[Path] = frozenset()
    needs: frozenset[Path] = frozenset()


def plant(config: dict[str, Any], count: int, rng: random.Random) -> list[Planting]:
    """Chooses independent faults of different kinds; fewer than `count` if no more fit."""
    candidates: dict[str, list[Planting]] = {}
    readers = _readers(config)
    for planting in _plantings(config, rng):
        if not any(_meet(touched, path) for touched in planting.touches for path in readers):
            candidates.setdefault(planting.kind, []).append(planting)
    chosen: list[Planting] = []
    for kind in rng.sample(sorted(candidates), len(candidates)):
        fit = [
            candidate
            for candidate in candidates[kind]
            if all(_independent(candidate, planting) for planting in chosen)
        ]
        if fit and len(chosen) < count:
            chosen.append(rng.choice(fit))
    return chosen


def planted_config(
    config: dict[str, Any], plantings: list[Planting]
) -> tuple[dict[str, Any], list[Planting]]:
    """A copy of a config with faults in it, and these with their paths as it now has them."""
    changed = copy.deepcopy(config)
    renamed: dict[Path, str] = {}
    # Deepest first, so that the paths of the others still hold; all else before any renaming.
    for planting in sorted(plantings, key=lambda p: (p.edit == "rename", -len(p.at))):
        _edit(changed, planting)
        if planting.edit == "rename":
            renamed[planting.at] = planting.value

    def now(path: Path) -> Path:
        return tuple(renamed.get(path[: i + 1], part) for i, part in enumerate(path))

    return changed, [replace(planting, path=now(planting.path)) for planting in plantings]


def _edit(config: Any, planting: Planting) -> None:
    *parents, last = planting.at
    holder = config
    for part in parents:
        holder = holder[part]
    if planting.edit == "drop":
        del holder[last]
    elif planting.edit == "rename":
        pairs = [(planting.value if key == last else key, item) for key, item in holder.items()]
        holder.clear()
        holder.update(pairs)
    elif isinstance(holder, list) and last == len(holder):
        holder.append(copy.deepcopy(planting.value))
    else:
        holder[last] = copy.deepcopy(planting.value)


def _readers(config: dict[str, Any]) -> list[Path]:
    """Where placeholders read params of the network."""
    own = config["model"]["network"].get("params", {})
    found = placeholders_in(config["model"], ("model",))
    return [path for path, name in found if name in own and path[-1] != name]


def _independent(a: Planting, b: Planting) -> bool:
    touched_twice = any(_meet(x, y) for x in a.touches for y in b.touches)
    missed = any(
        _meet(x, y)
        for first, second in ((a, b), (b, a))
        for x in first.touches
        for y in second.needs
        # A mistyped key leaves the value under it as sound as it was.
        if x[-1] != "(key)"
    )
    return not touched_twice and not missed


def _meet(a: Path, b: Path) -> bool:
    length = min(len(a), len(b))
    return a[:length] == b[:length]


def _plantings(config: dict[str, Any], rng: random.Random) -> Iterator[Planting]:
    yield from _mistyped_keys(config, rng)
    yield from _value_faults(config, (), rng)
    yield from _block_faults(config, rng)
    yield from _monitor_faults(config, rng)
    yield from _output_faults(config)
    yield from _solver_faults(config)
    yield from _placeholder_faults(config, rng)


def _changed(kind: str, path: Path, value: Any, *touches: Path, needs: Any = ()) -> Planting:
    return Planting(
        kind, path, "set", path, value, touches=frozenset((path, *touches)), needs=frozenset(needs)
    )


def _added(kind: str, path: Path, value: Any, needs: Any = ()) -> Planting:
    touches = frozenset([path])
    return Planting(kind, path, "set", path, value, True, touches, frozenset(needs))


def _missing(kind: str, path: Path, *touches: Path, needs: Any = ()) -> Planting:
    block = path[:-1]
    taken = frozenset((path, (*block, "(missing)"), *touches))
    return Planting(kind, block, "drop", path, touches=taken, needs=frozenset(needs))


def _mistyped_keys(config: dict[str, Any], rng: random.Random) -> Iterator[Planting]:
    for word in words_in(config):
        if word.is_key and word.kind == "key":
            _, mistyped = slip(rng, word)
            touches = frozenset([(*word.path, "(key)")])
            path = word.path
            yield Planting("mistyped key", path, "rename", path, mistyped, True, touches)


def _value_faults(value: Any, path: Path, rng: random.Random) -> Iterator[Planting]:
    """Values of the wrong type or range, choices that are none, keys that nothing reads."""
    in_params = "params" in path
    if path in _OUT_OF_RANGE and isinstance(value, int | float):
        yield _changed("out of range", path, _OUT_OF_RANGE[path])
    if path and path[-1] in _WRONG_TYPE and not in_params:
        yield _changed("wrong type", path, _WRONG_TYPE[str(path[-1])])
    if path and path[-1] == "mode":
        yield _changed("unknown choice", path, rng.choice(("auto", "lowest", 3)))
    if path and path[-1] == "sample_weight_mode":
        yield _changed("unknown choice", path, "weekly")
    if isinstance(value, dict) and not in_params and path[-1:] != ("params",):
        yield _added("unknown key", (*path, rng.choice(_STRANGE)), 3)
    pairs = value.items() if isinstance(value, dict) else ()
    for key, item in enumerate(value) if isinstance(value, list) else pairs:
        yield from _value_faults(item, (*path, key), rng)


def _block_faults(config: dict[str, Any], rng: random.Random) -> Iterator[Planting]:
    """Imports that lead nowhere, and params that do not fit what is imported."""
    for path, kind, block in blocks_in(config):
        name = block["import"]
        strange = rng.choice(_STRANGE).title()
        at = (*path, "import")
        if "." not in name and kind not in ("loader", "transformer", "network"):
            yield replace(_changed("unknown Keras name", at, strange), touches=frozenset([path]))
        if is_of_project(name):
            module, _, _ = name.rpartition(".")
            nowhere = rng.choice((f"{module}.{strange}", f"{strange.lower()}.Thing"))
            yield replace(_changed("unknown project class", at, nowhere), touches=frozenset([path]))
        if kind == "metric":
            yield _changed("no import block", path, name)
        if kind != "network":
            whole = frozenset([path, (*path, "(missing)")])
            yield replace(_missing("missing key", at), touches=whole)
        if kind not in ("loader", "transformer", "network") and block.get("params"):
            gone = (*path, "(missing)")
            yield _changed("params that are no object", (*path, "params"), [], gone, needs=[at])
        yield from _param_faults(path, kind, block, rng)


def _param_faults(
    path: Path, kind: str, block: dict[str, Any], rng: random.Random
) -> Iterator[Planting]:
    accepts = find_target(block["import"], kind, SourceReader()).accepts
    at = (*path, "import")
    params = block.get("params")
    if not params:
        return
    if not accepts.any_name:
        yield _added("unknown param", (*path, "params", rng.choice(_STRANGE)), 1, needs=[at])
    for name in params:
        here = (*path, "params", name)
        if name in accepts.required and name != "layers":
            missing = _missing("missing param", here, (*path, "(missing)"), needs=[at])
            yield replace(missing, path=path)
        wants = accepts.types.get(name, "")
        if is_of_project(block["import"]) and wants in ("int", "float", "bool"):
            yield _changed("wrong type of a param", here, "many", needs=[at])
    if kind == "loader":
        yield _added("param that Barrage passes", (*path, "params", "mode"), "train", needs=[at])
    if kind == "optimizer":
        rate = (*path, "params", "learning_rate")
        yield _added("param that Barrage passes", rate, 0.1, needs=[at])


def _monitor_faults(config: dict[str, Any], rng: random.Random) -> Iterator[Planting]:
    # A monitor can be judged once every output and metric has a name.
    needs = [
        ("model", "outputs", i, part)
        for i in range(len(config["model"]["outputs"]))
        for part in ("name", "metrics")
    ]
    for path, prefix in _MONITORS.items():
        block = config.get(path[0], {}).get(path[1])
        if block:
            here = (*path, "monitor")
            bad = prefix + rng.choice(_STRANGE)
            yield _changed("monitor of nothing", here, bad, needs=needs)
            if path[1] != "learning_rate_reducer":
                other = "" if prefix else "val_"
                yield _changed("monitor of the wrong kind", here, f"{other}loss", needs=needs)


def _output_faults(config: dict[str, Any]) -> Iterator[Planting]:
    outputs = config["model"]["outputs"]
    for i in range(len(outputs)):
        here: Path = ("model", "outputs", i)
        yield _missing("missing key", (*here, "loss"))
        if len(outputs) > 1:
            yield _missing("missing loss_weight", (*here, "loss_weight"))
    if len(outputs) > 1:
        at: Path = ("model", "outputs", len(outputs))
        again = {"name": outputs[0]["name"], "loss": {"import": "mse"}, "loss_weight": 1.0}
        first = ("model", "outputs", 0, "name")
        twice = _changed("output name that stands twice", at, again, needs=[first])
        yield replace(twice, path=(*at, "name"))


def _solver_faults(config: dict[str, Any]) -> Iterator[Planting]:
    solver = config.get("solver", {})
    for section in ("solver", "services"):
        for name, block in config.get(section, {}).items():
            for key in ("mode", "patience", "factor", "min_delta"):
                if isinstance(block, dict) and key in block:
                    yield _missing("missing key", (section, name, key))
    if "optimizer" not in solver:
        return
    rate: Path = ("solver", "optimizer", "learning_rate")
    reducer: Path = ("solver", "learning_rate_reducer")
    both = frozenset([rate, reducer])
    if isinstance(solver["optimizer"]["learning_rate"], dict):
        block = {"monitor": "loss", "mode": "min", "patience": 3, "factor": 0.5}
        yield Planting("schedule and reducer", rate, "set", reducer, block, touches=both)
    elif "learning_rate_reducer" in solver:
        params = {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}
        schedule = {"import": "ExponentialDecay", "params": params}
        yield Planting("schedule and reducer", rate, "set", rate, schedule, touches=both)


def _placeholder_faults(config: dict[str, Any], rng: random.Random) -> Iterator[Planting]:
    # Which names there are, the transformer tells and the params of the network.
    needs = [("dataset", "transformer"), ("model", "network", "import")]
    for path, kind, block in blocks_in(config):
        for name, value in block.get("params", {}).items() if kind in ("layer", "metric") else ():
            if isinstance(value, int | float) and not isinstance(value, bool):
                here = (*path, "params", name)
                given = f"{{{{ {rng.choice(_STRANGE_VALUES)} }}}}"
                yield _changed("unknown placeholder", here, given, needs=needs)
