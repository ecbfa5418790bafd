"""Docstrings as the page of the Python API shows them; zensical.toml names this extension."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Docstrings(griffe.Extension):
    """Shows examples as code, and names as such."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Changes the docstring of an object that was read."""
        if obj.docstring:
            obj.docstring.value = _shown(obj.docstring.value)


def _shown(text: str) -> str:
    """A docstring in griffe's words: without roles, whose names are those of this project alone."""
    text = re.sub(r":\w+:`~?(?:barrage_mlflow\.)?([^`]+)`", r"`\1`", text)
    text = re.sub(r"^( *)Example:$", r"\1Examples:", text, flags=re.M)
    return re.sub(r" *# doctest: .*$", "", text, flags=re.M)
