"""Pages that show commands: their blocks, run as a reader runs them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loopback import isolated
from outside import invoke, run, serving


def blocks(text: str, language: str) -> list[str]:
    """What stands in the blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def commands(text: str) -> list[str]:
    """The commands of the ``bash`` and ``sh`` blocks, without the files that they write."""
    lines = "".join(block for name in ("bash", "sh") for block in blocks(text, name))
    lines = re.sub(r" <<'END'\n.*?^END\n", "\n", lines, flags=re.M | re.S)
    return [line for line in re.split(r"\n| (?:&&|\|\||>) ", lines) if line]


def run_blocks(text: str, folder: Path) -> None:
    """Run the ``bash`` blocks in a folder; a ``text`` block shows what the one before it prints."""
    printed = ""
    for language, block in re.findall(r"^```(bash|text)\n(.*?)^```", text, re.M | re.S):
        if language == "bash":
            command = ["bash", "-ec", block]
            printed = run(isolated(command) if "--processes" in block else command, folder)
        else:
            assert_shown(block, printed)


def assert_shown(block: str, printed: str) -> None:
    """Fail unless a block has what is printed; ``…`` is left out, and numbers may be others."""
    missing = [part for part in block.split("…") if _plain(part) not in _plain(printed)]
    assert not missing, f"{missing}\nis not in what is printed:\n{printed}"


def _plain(text: str) -> str:
    """A text whose numbers are all alike, with one blank between words."""
    return " ".join(re.sub(r"-?\d[\d.:]*(e-?\d+)?", "0", text).split())


@contextmanager
def served_page(text: str, folder: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve and ask as ``sh`` blocks do, at another port.

    Returns:
        The server's address, and what it answers to the page's requests, one after the other.
    """
    lines = "".join(blocks(text, "sh")).splitlines()
    (serve,) = [shlex.split(line) for line in lines if line.startswith("mlflow models serve -m ")]
    answers: list[dict[str, Any]] = []
    with serving(serve[4], folder, *serve[5:7]) as address:
        for curl in [line for line in lines if line.startswith("curl ")]:
            *_, header, _, body = run(f"printf '%s\\n' {curl}", folder).splitlines()
            answers += invoke(address, body.encode(), header.split(": ")[1])
        assert answers
        yield address, answers
