"""Errors as golden files have them: the name of each case, and what a user reads of it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping

from barrage_mlflow.errors import describe_error


def messages(cases: Mapping[str, Callable[[], object]]) -> str:
    """What a user reads of each case; all of them raise."""
    texts = []
    for name, act in cases.items():
        try:
            text = f"no error: {act()}"
        except Exception as error:
            text = describe_error(error)
        texts.append(f"{name}\n{textwrap.indent(text, '    ')}\n")
    return "\n".join(texts)
