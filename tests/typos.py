"""Makes typos in configs: one slip of the fingers at one place, drawn from a seed.

A typo leaves out, doubles, swaps, replaces, inserts or shifts one letter of a
word that the engine can know: a key, the name of a thing or of its param, a placeholder, an
output, a monitor. Three rules keep it fair:

* What gives another valid name (``Nadam`` → ``Adam``) is no typo and is drawn again.
* The word has at least three letters; of a shorter one a typo leaves too little to tell by.
* Something else in the config, or beside it, tells how the word is spelt. Hence an output's name
  only where the loader, the network's last layer and the config's outputs all hold it, and not
  the names that a network's params give to placeholders, which stand twice and no more.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from recipes import MODULES

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.component_kinds import KINDS
from barrage_mlflow.config.import_blocks import import_blocks
from barrage_mlflow.config.import_strings import find_target
from barrage_mlflow.config.monitors import known_monitors
from barrage_mlflow.config.paths import Path, value_at
from barrage_mlflow.config.placeholders import placeholders_in
from barrage_mlflow.config.project_source import SourceReader
from barrage_mlflow.config.schema import SCHEMA, dereferenced

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SHORTEST = 3
_PLACEHOLDERS = {
    "my_project.transformers.Vocabulary": ("vocabulary_size", "shape"),
    "penguins.PenguinTransformer": ("island_count", "sex_count", "species_count"),
    "golden_parts.Transformer": ("classes", "vocabulary"),
}


@dataclass(frozen=True)
class Word:
    """A word of a config that a typo can be made in.

    Attributes:
        kind: what it names, for the table of results.
        path: where it stands; of a key, the path of the value under it.
        is_key: it is the key.
        text: the word itself.
        before: what stands before it in the same string.
        after: what stands after it in the same string.
        taken: words that would be valid there as well.
    """

    kind: str
    path: Path
    is_key: bool
    text: str
    before: str = ""
    after: str = ""
    taken: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Typo:
    """One typo: what became of which word."""

    recipe: str
    word: Word
    mistyped: str

    def __str__(self) -> str:
        where = ".".join(map(str, self.word.path))
        return f"{self.recipe}: {where}: {self.word.text} → {self.mistyped}"


def draw_typos(
    recipes: Mapping[str, dict[str, Any]], seed: int, of_each_kind: int
) -> Iterator[Typo]:
    """Draws typos in recipes, as many of each kind of word; the same for the same seed."""
    rng = random.Random(seed)
    by_kind: dict[str, list[tuple[str, Word]]] = {}
    for name, config in recipes.items():
        for word in words_in(config):
            by_kind.setdefault(word.kind, []).append((name, word))
    for kind in sorted(by_kind):
        for _ in range(of_each_kind):
            name, word = rng.choice(by_kind[kind])
            yield Typo(name, word, slip(rng, word))


def slip(rng: random.Random, word: Word) -> str:
    """Slips once in typing a word: what is typed."""
    while True:
        how = rng.choice(("drop", "double", "swap", "replace", "insert", "case"))
        at = rng.randrange(len(word.text))
        mistyped = _slipped(rng, how, word.text, at)
        if mistyped not in (word.text, *word.taken):
            return mistyped


def _slipped(rng: random.Random, how: str, word: str, at: int) -> str:
    before, letter, after = word[:at], word[at], word[at + 1 :]
    if how == "drop":
        return before + after
    if how == "double":
        return before + letter * 2 + after
    if how == "swap":
        return before + after[:1] + letter + after[1:]
    if how == "insert":
        return before + rng.choice(_LETTERS) + letter + after
    if how == "case":
        return before + letter.swapcase() + after
    chosen = rng.choice(_LETTERS)
    return before + (chosen.upper() if letter.isupper() else chosen) + after


def mistyped_config(config: dict[str, Any], typo: Typo) -> dict[str, Any]:
    """A copy of a recipe with the typo in it."""
    changed = copy.deepcopy(config)
    word = typo.word
    *parents, last = word.path
    holder = value_at(changed, tuple(parents))
    text = word.before + typo.mistyped + word.after
    if word.is_key:
        pairs = [(text if key == last else key, value) for key, value in holder.items()]
        holder.clear()
        holder.update(pairs)
    else:
        holder[last] = text
    return changed


def words_in(config: dict[str, Any]) -> list[Word]:
    """Every word of a config that a typo can be made in."""
    words = [
        *_schema_words(config, (), SCHEMA),
        *_import_words(config),
        *_placeholder_words(config),
        *_output_words(config),
        *_monitor_words(config),
    ]
    return [word for word in words if len(word.text) >= _SHORTEST]


def _schema_words(value: Any, path: Path, node: dict[str, Any]) -> Iterator[Word]:
    """Keys that the schema holds, and values of which it lists all."""
    node = dereferenced(node)
    if isinstance(value, dict):
        for choice in node.get("anyOf", ()):
            yield from _schema_words(value, path, choice)
        known = node.get("properties", {})
        for key in value:
            if key in known and key != "$schema":
                yield Word("key", (*path, key), True, key, taken=frozenset(known))
                yield from _schema_words(value[key], (*path, key), known[key])
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _schema_words(item, (*path, i), node["items"])
    elif "enum" in node and isinstance(value, str):
        yield Word("choice", path, False, value, taken=frozenset(node["enum"]))


def is_of_project(name: str) -> bool:
    """Whether an import string names code that stands beside the recipes."""
    return name.split(".")[0] in ("my_project", "penguins", "golden_parts")


def _import_words(config: dict[str, Any]) -> Iterator[Word]:
    for path, block, kind in import_blocks(config):
        name = block["import"]
        yield from _name_words((*path, "import"), kind, name)
        accepts = find_target(name, kind, SourceReader()).accepts
        # What a class of the project takes beside the names that it lists, only it knows.
        if is_of_project(name) and accepts.any_name:
            continue
        for key in block.get("params", {}):
            if key in accepts.names:
                which = "project param" if is_of_project(name) else "param"
                taken = frozenset(accepts.names)
                yield Word(which, (*path, "params", key), True, key, taken=taken)


def _name_words(path: Path, kind: str, name: str) -> Iterator[Word]:
    parts = name.split(".")
    if len(parts) == 1 and kind in ("loader", "transformer", "network"):
        yield Word("built-in name", path, False, name)
    elif len(parts) == 1:
        yield Word(f"{kind} name", path, False, name, taken=_near_names(kind, name))
    elif is_of_project(name):
        for i, part in enumerate(parts):
            which = "class or function" if i == len(parts) - 1 else "module"
            taken = frozenset(MODULES) if which == "module" else frozenset()
            yield _part(Word(which, path, False, part, taken=taken), parts, i)
    else:
        # On the old private paths only the last part still counts.
        first = len(parts) - 1 if "python" in parts else 0
        for i in range(first, len(parts)):
            taken = _near_names(kind, parts[i]) if i == len(parts) - 1 else frozenset()
            yield _part(Word("long path", path, False, parts[i], taken=taken), parts, i)


def _part(word: Word, parts: list[str], i: int) -> Word:
    before = "".join(f"{part}." for part in parts[:i])
    after = "".join(f".{part}" for part in parts[i + 1 :])
    return replace(word, before=before, after=after)


def _near_names(kind: str, name: str) -> frozenset[str]:
    """Every name of the kind; in any case, where it is found in any."""
    if not KINDS[kind].is_keras:
        return frozenset()
    known = set(keras_index.names(kind))
    if kind == "optimizer" or name.lower() in KINDS[kind].by_shape:
        known |= {name[:i] + name[i].swapcase() + name[i + 1 :] for i in range(len(name))}
    return frozenset(known)


def _placeholder_words(config: dict[str, Any]) -> Iterator[Word]:
    learnt = _PLACEHOLDERS.get(config["dataset"].get("transformer", {}).get("import"), ())
    own = config["model"]["network"].get("params", {})
    taken = frozenset({*own, *learnt})
    for path, name in placeholders_in(config["model"], ("model",)):
        if name in learnt:
            before, _, after = value_at(config, path).partition(name)
            yield Word("placeholder", path, False, name, before, after, taken)


def _output_words(config: dict[str, Any]) -> Iterator[Word]:
    """The name of an output that loader, network and outputs all hold: two tell of the third."""
    layers = config["model"]["network"].get("params", {}).get("layers", [{}])
    last = layers[-1].get("params", {}).get("name")
    loaded = config["dataset"]["loader"].get("params", {}).get("outputs", {})
    names = [output["name"] for output in config["model"]["outputs"]]
    if names == [last] and list(loaded) == [last]:
        at = len(layers) - 1
        layer: Path = ("model", "network", "params", "layers", at, "params", "name")
        for path in (("model", "outputs", 0, "name"), layer):
            yield Word("output name", path, False, last)
        for param in ("outputs", "sample_weights"):
            if last in config["dataset"]["loader"]["params"].get(param, {}):
                yield Word("output name", ("dataset", "loader", "params", param, last), True, last)


def _monitor_words(config: dict[str, Any]) -> Iterator[Word]:
    directions, complete = known_monitors(config)
    names = [*directions, *(f"val_{name}" for name in directions)]
    taken = frozenset(names if complete else ())
    for section in ("solver", "services"):
        for name, block in config.get(section, {}).items():
            if isinstance(block, dict) and "monitor" in block:
                path = (section, name, "monitor")
                yield Word("monitor", path, False, block["monitor"], taken=taken)
