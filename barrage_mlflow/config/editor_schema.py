"""The schema of a config for editors: with the names that can be written, and their params."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from barrage_mlflow.config.annotations import annotation_schema
from barrage_mlflow.config.imports import find_target
from barrage_mlflow.config.offered import KINDS, SEQUENTIAL, Offer, built_in, of_project
from barrage_mlflow.config.schema import schema
from barrage_mlflow.config.shape import value_findings
from barrage_mlflow.config.signatures import Accepts

Node = dict[str, Any]

_PLACEHOLDER: Node = {"$ref": "#/$defs/placeholder"}
_IN_MODEL = ("network", "loss", "metric", "layer")
_CALLBACK_BLOCKS = (
    ("solver", "learning_rate_reducer"),
    ("services", "tensorboard"),
    ("services", "train_early_stopping"),
    ("services", "validation_early_stopping"),
)
_MONITORS = {
    "best_checkpoint": "^val_",
    "validation_early_stopping": "^val_",
    "train_early_stopping": "^(?!val_)",
}
_SET_BY_BARRAGE = ("log_dir",)


def editor_schema(project: str | None = None, folders: Sequence[str] = ()) -> Node:
    """A JSON Schema (draft 2020-12) of a config, for editors and validators.

    Args:
        project: a package or module of one's own on the Python path. Its components, Barrage's
            and Keras's are then offered by name at each place of the config, and their params
            are described; any other name stays valid. Its code is read, not run. Left out, the
            schema holds the keys of the config alone.
        folders: where the package is looked for, besides the Python path.

    Raises:
        ImportPathError: there is no such package, or it holds no component.

    Example:
        >>> editor_schema()["properties"]["solver"]["properties"]["epochs"]["default"]
        10
    """
    root: Node = _without_own_words(schema())
    _describe_where_used(root)
    root["$defs"]["placeholder"] = {
        "description": "Stands for a value of `model.network.params` or of the transformer's "
        "`network_params`.",
        "type": "string",
        "pattern": r"^\{\{\s*[A-Za-z_][A-Za-z0-9_]*\s*\}\}$",
    }
    _take_placeholders(root)
    _add_rules(root)
    if project is not None:
        own = of_project(project, folders)
        for kind in KINDS:
            _add_names(root, kind, [*own[kind], *built_in(kind)])
        del root["$defs"]["importBlock"]
        _add_callback_params(root)
    return root


def _without_own_words(node: Any) -> Any:
    """A schema without the keywords that are no JSON Schema, which strict validators refuse."""
    if isinstance(node, list):
        return [_without_own_words(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _without_own_words(value) for key, value in node.items() if not key.startswith("x-")
    }


def _describe_where_used(root: Node) -> None:
    """Moves descriptions from definitions to the nodes that refer to them.

    Where both have one, editors show that of the definition, which says less.
    """
    told = {name: node.pop("description") for name, node in root["$defs"].items()}
    for node in _nodes(root):
        if "$ref" in node:
            node.setdefault("description", told[node["$ref"].rpartition("/")[2]])


def _nodes(value: Any) -> Iterator[Node]:
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _nodes(inner)


def _take_placeholders(root: Node) -> None:
    """In the model section, a placeholder may stand for a number or a choice."""
    keys = root["properties"]["model"]["properties"]["outputs"]["items"]["properties"]
    for key in ("loss_weight", "sample_weight_mode"):
        node = keys[key]
        words = {word: node.pop(word) for word in ("type", "enum") if word in node}
        node["anyOf"] = [words, _PLACEHOLDER]


def _add_rules(root: Node) -> None:
    """Of the rules between keys, those that a schema can hold."""
    parts = root["properties"]
    services = parts["services"]["properties"]
    for key, pattern in _MONITORS.items():
        services[key]["properties"]["monitor"]["pattern"] = pattern
    outputs = parts["model"]["properties"]["outputs"]
    outputs |= {"if": {"minItems": 2}, "then": {"items": {"required": ["loss_weight"]}}}
    schedule = {"properties": {"learning_rate": {"type": "object"}}, "required": ["learning_rate"]}
    parts["solver"]["not"] = {
        "properties": {"optimizer": schedule},
        "required": ["optimizer", "learning_rate_reducer"],
    }


def _add_names(root: Node, kind: str, offers: Sequence[Offer]) -> None:
    """Offers names where a kind of component is imported, and describes their params."""
    definitions = root["$defs"]
    if kind == "optimizer":
        block = root["properties"]["solver"]["properties"]["optimizer"]
    else:
        block = _place_of(root, kind)
        block.pop("$ref", None)
        block.update(copy.deepcopy(definitions["importBlock"]))
    name = block["properties"]["import"]
    any_other = {word: name.pop(word) for word in ("type", "minLength")}
    name["anyOf"] = [*_names(offers), any_other]
    if kind == "layer":
        params = block["properties"]["params"]
        params["anyOf"] = [{"type": params.pop("type")}, _PLACEHOLDER]
    rules = []
    for offer in offers:
        if offer.accepts is None or not (offer.accepts.names or not offer.accepts.any_name):
            continue
        # One class may be a network here and a layer there, and then they differ.
        key = f"network:{offer.path}" if kind == "network" else offer.path
        definitions[key] = _params(offer, kind)
        rules.append(_when(offer, {"$ref": f"#/$defs/{quote(key, safe=':')}"}))
    if rules:
        block["allOf"] = rules


def _names(offers: Sequence[Offer]) -> Iterator[Node]:
    """What is offered to write, each with what it says of itself."""
    for is_told, group in itertools.groupby(offers, key=lambda offer: bool(offer.doc)):
        named = [(name, offer.doc) for offer in group for name in offer.names]
        if is_told:
            yield from ({"const": name, "description": doc} for name, doc in named)
        else:
            yield {"enum": [name for name, _ in named]}


def _place_of(root: Node, kind: str) -> Node:
    """Where a kind of component is imported."""
    parts = root["properties"]
    dataset, model = parts["dataset"]["properties"], parts["model"]["properties"]
    output = model["outputs"]["items"]["properties"]
    optimizer = parts["solver"]["properties"]["optimizer"]["properties"]
    places: dict[str, Node] = {
        "loader": dataset["loader"],
        "transformer": dataset["transformer"],
        "augmentor": dataset["augmentor"]["items"],
        "network": model["network"],
        "loss": output["loss"],
        "metric": output["metrics"]["items"],
        "schedule": optimizer["learning_rate"]["anyOf"][1],
        # Which only the params of a network hold.
        "layer": root["$defs"].setdefault("layer", {"description": "One layer."}),
    }
    return places[kind]


def _when(offer: Offer, params: Node) -> Node:
    """The rule that an import has these params."""
    names = "|".join(dict.fromkeys((*offer.names, *offer.other_names))).replace(".", r"\.")
    then: Node = {"properties": {"params": params}}
    if offer.accepts is not None and offer.accepts.required:
        then["required"] = ["params"]
    # Not as an enum, which editors would offer to write.
    condition = {"properties": {"import": {"pattern": f"^({names})$"}}, "required": ["import"]}
    return {"if": condition, "then": then}


def _params(offer: Offer, kind: str) -> Node:
    accepts = offer.accepts or Accepts()
    node: Node = {"properties": {name: _param(accepts, name, kind) for name in accepts.names}}
    if offer.path == SEQUENTIAL:
        blocks = {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/layer"}, _PLACEHOLDER]}}
        node["properties"]["layers"] = {
            "description": "The layers, one after the other, as import blocks.",
            "anyOf": [blocks, _PLACEHOLDER],
        }
    if accepts.required:
        node["required"] = list(accepts.required)
    # A network's params may hold further ones, for the placeholders of the model section.
    if not accepts.any_name and kind != "network":
        node["additionalProperties"] = False
    return node


def _param(accepts: Accepts, name: str, kind: str) -> Node:
    node = annotation_schema(accepts.types[name]) if name in accepts.types else {}
    if name in accepts.defaults and any(value_findings(accepts.defaults[name], node, ())):
        # A default may be what its annotation does not tell of, ``rate: float = None``.
        node = {"anyOf": [node, {"const": accepts.defaults[name]}]}
    if kind in _IN_MODEL:
        node = _or_placeholder(node)
    return {**node, "default": accepts.defaults[name]} if name in accepts.defaults else dict(node)


def _or_placeholder(node: Node) -> Node:
    """A node that also takes a placeholder, for itself and for what is in it."""
    inner = dict(node)
    for word in ("items", "additionalProperties"):
        if isinstance(inner.get(word), dict):
            inner[word] = _or_placeholder(inner[word])
    choices = [_or_placeholder(choice) for choice in inner.get("anyOf", [])]
    if choices:
        flat = [c for choice in choices for c in choice.get("anyOf", [choice])]
        return {"anyOf": [c for i, c in enumerate(flat) if c not in flat[:i]]}
    types = inner.get("type", [])
    is_text = "string" in ([types] if isinstance(types, str) else types)
    return inner if not inner or is_text else {"anyOf": [inner, _PLACEHOLDER]}


def _add_callback_params(root: Node) -> None:
    """The further params of the callbacks that the services and the reducer are."""
    callbacks = schema()["properties"]
    for section, key in _CALLBACK_BLOCKS:
        name = callbacks[section]["properties"][key]["x-callback"]
        accepts = find_target(name, "callback").accepts
        block = root["properties"][section]["properties"][key]
        known = block.setdefault("properties", {})
        for param in accepts.names:
            if param not in known and param not in _SET_BY_BARRAGE:
                known[param] = _param(accepts, param, "callback")
        block["additionalProperties"] = accepts.any_name
