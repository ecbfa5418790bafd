"""What a process that was started along with others says to the one that started them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import IO

LAUNCHED = "BARRAGE_LAUNCHED"
"""Environment variable: the process that started this one, and the descriptor of a file that is
for its last word, ``"4711:5"``."""


@dataclass(frozen=True)
class LastWord:
    """Why a process failed.

    Attributes:
        message: for the user.
        is_consequence: it failed because another process of the training had ended.
    """

    message: str = ""
    is_consequence: bool = False

    def say(self) -> bool:
        """Leave it to the process that started this one; whether there is one that listens.

        Example:
            >>> LastWord("error: train.csv: no such file").say()
            False
        """
        return _write(json.dumps(vars(self)))

    @classmethod
    def read(cls, file: IO[bytes]) -> LastWord:
        """Read what was said; an empty one, if nothing was."""
        file.seek(0)
        text = file.read().strip()
        return cls(**json.loads(text)) if text else cls()


def say_met() -> None:
    """Say to the process that started this one that this one has met the others."""
    _write("\n")


def has_met(file: IO[bytes]) -> bool:
    """Whether a process has said that it met the others, or its last word."""
    return os.fstat(file.fileno()).st_size > 0


def _write(text: str) -> bool:
    if not os.environ.get(LAUNCHED):
        return False
    process, descriptor = map(int, os.environ[LAUNCHED].split(":"))
    if os.getppid() != process:
        return False
    with open(descriptor, "w", encoding="utf-8", closefd=False) as file:
        file.write(text)
    return True


def launcher() -> int | None:
    """The process that started this one along with others; None if nothing did.

    It is none either where something that was launched has started this one.

    Example:
        >>> launcher() is None
        True
    """
    if not os.environ.get(LAUNCHED):
        return None
    process = int(os.environ[LAUNCHED].partition(":")[0])
    if os.getppid() != process:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return process  # it has died already
        return None
    return process
