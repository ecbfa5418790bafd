"""Writes the reference page of the config, docs/config.md, from the schema.

At the top of the repository: ``python -m tools.reference_page``; a test compares.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from barrage_mlflow.config.schema import SCHEMA, dereferenced
from barrage_mlflow.config.shape import expected

PAGE = Path(__file__).parents[1] / "docs" / "config.md"

_HEAD = """<!-- Generated from barrage_mlflow/config/schema.json; change that file, then run
     python -m tools.reference_page -->

# Config
"""
_TYPES = (
    'By column, a type, `"number"`, or an object of a type and its options, '
    '`{"type": "number", "scale": "log"}`. [Features](features.md) shows how they are used.'
)
_IMPORT_BLOCKS = "A class or function by its Python path, called with `params`."


def render() -> str:
    """Writes the page, as Markdown."""
    root = SCHEMA
    parts = [_HEAD, root["description"], *_section("", root)]
    block = root["$defs"]["importBlock"]
    parts += ["## Import blocks", _IMPORT_BLOCKS, _table(block)]
    for part in ("features", "targets"):
        parts += [f"## {part.capitalize()} of `FeatureLoader`", _TYPES]
        for name, node in root["$defs"][part].items():
            parts += [f"### {part.removesuffix('s').capitalize()} `{name}`", node["description"]]
            parts += [_table(node)] if node["properties"] else []
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _section(path: str, node: dict[str, Any]) -> list[str]:
    parts = [_table(node)]
    for key, child in node["properties"].items():
        child = dereferenced(child)
        here = f"{path}.{key}" if path else key
        if child.get("type") == "array" and "properties" in dereferenced(child["items"]):
            child, here = {**dereferenced(child["items"])}, f"{here}[]"
        if "examples" in child:
            parts += [f"Example of `{here}`:", *[_code(example) for example in child["examples"]]]
        if "properties" in child and child.get("title") != "import block":
            heading = "##" + "#" * here.count(".")
            parts += [f"{heading} `{here}`", child["description"], *_section(here, child)]
    return parts


def _table(node: dict[str, Any]) -> str:
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, child in node["properties"].items():
        child = dereferenced(child)
        default = "required" if key in node.get("required", ()) else "none"
        if "default" in child:
            default = f"`{json.dumps(child['default'])}`"
        description = child["description"].replace("|", "\\|")
        rows.append(f"| `{key}` | {expected(child)} | {default} | {description} |")
    return "\n".join(rows)


def _code(example: Any) -> str:
    return f"```json\n{json.dumps(example, indent=2)}\n```"


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
