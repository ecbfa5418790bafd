"""Pages that show commands: their blocks, run as a reader runs them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from outside import invoke, run, serving


def blocks(text: str, language: str) -> list[str]:
    """What stands in the blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def run_blocks(text: str, folder: Path) -> None:
    """Run the ``bash`` blocks in a folder."""
    for block in blocks(text, "bash"):
        run(f"set -e\n{block}", folder)


@contextmanager
def served_page(text: str, folder: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve and ask as an ``sh`` block does, at another port.

    Returns:
        The server's address, and what it answers to the page's request.
    """
    lines = "".join(blocks(text, "sh")).splitlines()
    (serve,) = [shlex.split(line) for line in lines if line.startswith("mlflow models serve -m ")]
    (curl,) = [line for line in lines if line.startswith("curl ")]
    *_, header, _, body = run(f"printf '%s\\n' {curl}", folder).splitlines()
    with serving(serve[4], folder, *serve[5:7]) as address:
        yield address, invoke(address, body.encode(), header.split(": ")[1])
