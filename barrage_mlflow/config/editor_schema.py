"""The schema of a config for editors: with the names that can be written, and their params."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from barrage_mlflow.config.annotations import annotation_schema
from barrage_mlflow.config.catalog import built_in, of_project
from barrage_mlflow.config.component_kinds import EACH, KINDS, Kind
from barrage_mlflow.config.document import Document
from barrage_mlflow.config.import_targets import Target
from barrage_mlflow.config.project import code_modules
from barrage_mlflow.config.schema import SCHEMA, Node, with_placeholders
from barrage_mlflow.config.shape import value_findings
from barrage_mlflow.files import written_whole


def write_schema(document: Document) -> None:
    """Write the schema of a config's ``$schema`` beside it, so that an editor has it at hand.

    It holds the names of Keras and of the project's own modules that the config imports from.
    Nothing is written where ``$schema`` is an address, or a file that is no such schema.

    Args:
        document: a config without faults.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     write_schema(Document({"$schema": "./s.json"}, f"{folder}/config.json"))
        ...     print(Path(folder, "s.json").read_text().partition(",")[0])
        {
         "$schema": "https://json-schema.org/draft/2020-12/schema"
    """
    name = document.data.get("$schema", "")
    if not (document.source and name) or ":" in name:
        return
    path = Path(document.source).parent / name
    with suppress(OSError):  # it is a help, which no training is to fail for
        before = path.read_text("utf-8") if path.exists() else ""
        if before and f'"title": "{SCHEMA["title"]}"' not in before:
            return
        schema = show_schema(editor_schema(code_modules(document.data), document.folders))
        if before != schema:
            with written_whole(path) as partial:
                partial.write_text(schema, "utf-8")


def show_schema(schema: Node) -> str:
    """A schema as the text of a file."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def editor_schema(projects: Sequence[str] | None = None, folders: Sequence[str] = ()) -> Node:
    """A JSON Schema (draft 2020-12) of a config, for editors and validators.

    Args:
        projects: packages or modules of one's own on the Python path. Their components, Barrage's
            and Keras's then complete at each place of the config, and their params are
            described; any other name stays valid. Their code is read, not run. Left out, the
            schema has the keys of the config alone.
        folders: where they are looked for, besides the Python path.

    Raises:
        ImportPathError: there is no such package, or it has no component.

    Example:
        >>> editor_schema()["properties"]["solver"]["properties"]["epochs"]["default"]
        10
    """
    root = copy.deepcopy(SCHEMA)
    loader = root["properties"]["dataset"]["properties"]["loader"]
    params = {part: _by_column(root, part) for part in ("features", "targets")}
    name = {"type": "string", "pattern": r"^(barrage(_mlflow)?\.dataset\.)?FeatureLoader$"}
    condition = {"properties": {"import": name}, "required": ["import"]}
    then = {"properties": {"params": {"properties": params}}}
    loader["allOf"] = [{"if": condition, "then": then}]
    if projects is not None:
        found = [of_project(project, folders) for project in projects]
        for kind in KINDS.values():
            if kind.place:
                own = [target for each in found for target in each[kind.name]]
                _add_names(root, kind, [*own, *built_in(kind)])
        del root["$defs"]["importBlock"]
    return root


def _add_names(root: Node, kind: Kind, entries: Sequence[Target]) -> None:
    """Adds names where a kind of component is imported, and describes their params."""
    block = _block_of(root, kind)
    if block.pop("$ref", None):
        block.update(copy.deepcopy(root["$defs"]["importBlock"]))
    name = block["properties"]["import"]
    any_other = {word: name.pop(word) for word in ("type", "minLength")}
    name["anyOf"] = [*_names(entries), any_other]
    rules = []
    for entry in entries:
        if entry.accepts.names or not entry.accepts.any_name:
            # One class may be a network here and a layer there, and then they differ.
            key = f"network:{entry.path}" if kind.name == "network" else entry.path
            root["$defs"][key] = _params(entry, kind)
            rules.append(_when(entry, kind, {"$ref": f"#/$defs/{quote(key, safe=':')}"}))
    if rules:
        block["allOf"] = [*block.get("allOf", ()), *rules]


def _by_column(root: Node, part: str) -> Node:
    """What features or targets are: by column, a type's name, or an object with its options."""
    types = root["$defs"][part]
    names = [{"const": name, "description": each["description"]} for name, each in types.items()]
    objects = [
        {
            "type": "object",
            "required": ["type"],
            "additionalProperties": False,
            "properties": {"type": name, **types[name["const"]]["properties"]},
        }
        for name in names
    ]
    root["$defs"][part] = {"type": "object", "additionalProperties": {"anyOf": [*names, *objects]}}
    return {"$ref": f"#/$defs/{part}"}


def _block_of(root: Node, kind: Kind) -> Node:
    """Where a kind of component is imported."""
    if kind.name == "layer":  # which only the params of a network have
        block: Node = root["$defs"]["layer"]
        return block
    node = root
    for part in kind.place:
        node = node["items"] if part == EACH else node["properties"][part]
    return next((one for one in node.get("anyOf", ()) if "$ref" in one), node)


def _names(entries: Sequence[Target]) -> Iterator[Node]:
    """The names that complete; each of which there is a description, with it."""
    for entry in entries:
        if entry.doc:
            yield from ({"const": name, "description": entry.doc} for name in entry.names)
    yield {"enum": [name for entry in entries if not entry.doc for name in entry.names]}


def _when(entry: Target, kind: Kind, params: Node) -> Node:
    """The rule that an import has these params."""
    names = "|".join(dict.fromkeys((*entry.names, entry.path))).replace(".", r"\.")
    then: Node = {"properties": {"params": params}}
    if _required(entry, kind):
        then["required"] = ["params"]
    # Not as an enum, whose names editors would complete twice.
    condition = {"properties": {"import": {"pattern": f"^({names})$"}}, "required": ["import"]}
    return {"if": condition, "then": then}


def _params(entry: Target, kind: Kind) -> Node:
    accepts = entry.accepts
    node: Node = {"properties": {name: _param(entry, name, kind) for name in accepts.names}}
    if required := _required(entry, kind):
        node["required"] = required
    # A network's params may have further ones, for the placeholders of the model section.
    if not accepts.any_name and kind.name != "network":
        node["additionalProperties"] = False
    return node


def _required(entry: Target, kind: Kind) -> list[str]:
    """The params that a config must have; those of a network may come from the transformer."""
    return [] if kind.name == "network" else list(entry.accepts.required)


def _param(entry: Target, name: str, kind: Kind) -> Node:
    types, defaults = entry.accepts.types, entry.accepts.defaults
    node = annotation_schema(types[name]) if name in types else {}
    if name in defaults and any(value_findings(defaults[name], node, ())):
        # A default may be outside of its annotation, ``rate: float = None``.
        node = {"anyOf": [node, {"const": defaults[name]}]}
    if kind.place[0] == "model":
        node = with_placeholders(node)
    return {**node, "default": defaults[name]} if name in defaults else dict(node)
