"""Fits names and texts to what MLflow stores, so that nothing a user writes breaks logging."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

T = TypeVar("T")

_NAME_LIMIT = 250
TAG_LIMIT = 5_000
"""Characters of a tag's value; MLflow takes 8,000 today, servers of older releases 5,000."""

_DIGEST = 8
_REQUEST_LIMIT = 500_000
"""Bytes of a request's items; a server refuses more than 1,000,000 in all."""


def legal_name(name: str) -> str:
    """Return the name that MLflow takes for a param, metric or tag.

    A legal name is returned as it is. Any other is mended and gets a short hash of itself, so
    that different names stay different and one name is the same in every run.

    Example:
        >>> legal_name("model.outputs.0.name")
        'model.outputs.0.name'
        >>> legal_name("units[0]")
        'units_0__a6d4d120'
    """
    # A colon is legal, but not for a server on Windows.
    legal = re.sub(r"[^\w.\- /]", "_", plain_text(name))
    if posixpath.normpath(legal) != legal or legal.startswith("/"):
        legal = legal.replace("/", "_")
    if legal.startswith("..") or legal in ("", "."):
        legal = "_" + legal.lstrip(".")
    if legal == name and len(legal) <= _NAME_LIMIT:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{legal[: _NAME_LIMIT - _DIGEST - 1]}_{digest}"


def legal_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags as MLflow takes them.

    Example:
        >>> legal_tags({"team": "birds"})
        {'team': 'birds'}
    """
    return {legal_name(name): shorten(str(value), TAG_LIMIT) for name, value in tags.items()}


def plain_text(text: str) -> str:
    r"""Escape what a database cannot store: lone surrogates and NUL.

    Example:
        >>> plain_text("caf\u00e9 \ud800")
        'café \\ud800'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def shorten(text: str, limit: int, where: str = "") -> str:
    """Cut a text to a number of characters, and add how many it had.

    Args:
        text: any text; what a database cannot store is escaped.
        limit: characters of the result.
        where: the file that holds the whole.

    Example:
        >>> shorten("a" * 100, 40, "all.json")
        'aaaaaaaaaa… (100 characters in all.json)'
    """
    text = plain_text(text)
    end = f"… ({len(text)} characters{f' in {where}' if where else ''})"
    return text if len(text) <= limit else text[: limit - len(end)] + end


def batches(items: Iterable[T], text: Callable[[T], str]) -> Iterator[list[T]]:
    """Split items so that each batch fits into one request; MLflow itself counts them.

    Args:
        items: what is sent.
        text: the part of an item that can be long.

    Example:
        >>> [len(batch) for batch in batches(["a" * 200_000] * 5, str)]
        [2, 2, 1]
    """
    batch: list[T] = []
    total = 0
    for item in items:
        # Requests escape all that is not ASCII: up to 12 bytes a character.
        size = len(json.dumps(text(item))) + 150
        if batch and total + size > _REQUEST_LIMIT:
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size
    if batch:
        yield batch
