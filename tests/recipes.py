"""Whole configs as practitioners write them, and the project code that they name.

They are what typos, faults and mutations are made in: `RECIPES` has every one by its name, all
valid once `write_project` has put the code beside them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "config" / "golden"
FILES = Path(__file__).with_name("recipe_files")
MODULES = sorted(path.stem for path in (FILES / "my_project").glob("*.py"))
"""The modules of the package ``my_project``."""

LEARNT: dict[str, Any] = {
    "vocabulary_size": 40,
    "shape": [5],
    "island_count": 3,
    "sex_count": 2,
    "species_count": 3,
}
"""What the transformers could learn from records, by the names that they declare."""


MINIMAL: dict[str, Any] = {
    "dataset": {
        "loader": {"import": "KeySelector", "params": {"inputs": {"x": "x"}, "outputs": {"y": "y"}}}
    },
    "model": {
        "network": {"import": "keras.applications.MobileNetV2"},
        "outputs": [{"name": "y", "loss": {"import": "mse"}}],
    },
}
"""A config without a key that can be left out."""


def _recipes() -> dict[str, dict[str, Any]]:
    found = {}
    for name in ("image", "text", "series", "table"):
        found[name] = json.loads((FILES / f"{name}.json").read_text("utf-8"))
    for name in ("iris", "penguins"):
        text = (ROOT / "examples" / name / "config.json").read_text("utf-8")
        found[name] = json.loads(text)
    for path in sorted(GOLDEN.glob("*/resolved.json")):
        for config in path.parent.glob("config.json"):
            found[f"golden {path.parent.name}"] = json.loads(config.read_text("utf-8"))
    return found


RECIPES = _recipes()


def write_project(folder: Path) -> None:
    """Puts all the code that the recipes name into a folder."""
    compiled = shutil.ignore_patterns("__pycache__")
    shutil.copytree(FILES / "my_project", folder / "my_project", ignore=compiled)
    shutil.copy(ROOT / "examples" / "penguins" / "penguins.py", folder)
    shutil.copy(GOLDEN / "golden_parts.py", folder)


def write_penguins(folder: Path) -> None:
    """Puts the penguins' project into a folder, with its config and one that has four faults."""
    for name in ("penguins.py", "config.json"):
        shutil.copy(ROOT / "examples" / "penguins" / name, folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["dataset"]["loader"]["import"] = "penguins.PengiunLoader"
    config["model"]["outputs"][0]["loss"]["import"] = "sparse_categorical_crossentrpy"
    config["solver"]["epohcs"] = config["solver"].pop("epochs")
    config["solver"]["learning_rate_reducer"]["monitor"] = "val_los"
    (folder / "faulty.json").write_text(json.dumps(config, indent=2), "utf-8")


def written(value: Any) -> tuple[str, dict[tuple[str | int, ...], tuple[int, int]]]:
    """A value as JSON text, one key or item a line.

    Returns:
        The text, and the line and column of every value by its path; those of a key by the path
        of its value and ``"key"`` after it.
    """
    lines: list[str] = [""]
    spots: dict[tuple[str | int, ...], tuple[int, int]] = {}

    def spot() -> tuple[int, int]:
        return len(lines), len(lines[-1]) + 1

    def write(value: Any, path: tuple[str | int, ...]) -> None:
        spots[path] = spot()
        if not isinstance(value, dict | list) or not value:
            lines[-1] += json.dumps(value)
            return
        indent = "  " * (len(path) + 1)
        pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
        lines[-1] += "{" if isinstance(value, dict) else "["
        for position, (key, item) in enumerate(pairs):
            lines.append(indent)
            if isinstance(value, dict):
                spots[(*path, key, "key")] = spot()
                lines[-1] += f"{json.dumps(key)}: "
            write(item, (*path, key))
            lines[-1] += "," if position + 1 < len(pairs) else ""
        lines.append("  " * len(path) + ("}" if isinstance(value, dict) else "]"))

    write(value, ())
    return "\n".join(lines) + "\n", spots
