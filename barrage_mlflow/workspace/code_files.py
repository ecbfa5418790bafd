"""The files of Python code that goes along with a model, copied; and fingerprints of files."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path


def code_files(paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """The files of modules and packages; what Python makes itself and hidden files left out.

    Args:
        paths: the file of each module, the folder of each package.

    Returns:
        The name of each, from its package on, and where it lies.

    Example:
        >>> import fractions
        >>> [name for name, _ in code_files([Path(fractions.__file__)])]
        ['fractions.py']
    """
    for root in paths:
        for path in [root] if root.is_file() else sorted(root.rglob("*")):
            parts = path.relative_to(root.parent).parts
            hidden = any(part.startswith(".") or part == "__pycache__" for part in parts[1:])
            if path.is_file() and not hidden:
                yield "/".join(parts), path


def copy_code(paths: Iterable[Path], folder: Path) -> None:
    """Copy modules and packages into a folder, from which they can then be imported."""
    for name, path in code_files(paths):
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def digest_files(path: Path) -> str:
    """A fingerprint of a file, or of a folder's files and their names.

    Example:
        >>> import fractions, os
        >>> digest_files(Path(fractions.__file__)) == digest_files(Path(os.__file__))
        False
    """
    hashed = hashlib.sha256()
    for name, file in code_files([path]):
        content = file.read_bytes()
        hashed.update(f"{name}\n{len(content)}\n".encode())
        hashed.update(content)
    return hashed.hexdigest()
