"""Keeps what `keras_scan` finds in a file, one for each version of Keras."""

from __future__ import annotations

import importlib.machinery
import json
import logging
import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

_MAKERS = ("keras_scan.py", "keras_arguments.py", "keras_names.py", "signatures.py")
"""The modules that what is in the file depends on."""

_FOLDER = Path(__file__).parent


def cached_scan() -> dict[str, Any]:
    """What `keras_scan.scan` finds: read from the file, or found anew and written there.

    Where no file can be written, it is found anew each time.

    Raises:
        ImportError: there is no such file, and Keras cannot be imported.

    Example:
        >>> sorted(cached_scan()["classes"])
        ['callback', 'layer', 'loss', 'metric', 'optimizer', 'schedule']
    """
    path = cache_file()
    found = _read(path) if path else None
    if found is None:
        # Not before: what it takes to look at Keras is not needed to read a file.
        from barrage_mlflow.config import keras_scan

        logger.info("looking through Keras %s, once; this takes some seconds", keras_version())
        found = {"file": path.name if path else "", **keras_scan.scan()}
        if path:
            _write(path, found)
    return found


def cache_file() -> Path | None:
    """The file for the installed Keras and this engine; None if there is no place for it.

    Example:
        >>> cache_file().name
        'keras-3...json'
    """
    folder, version = _cache_folder(), keras_version()
    if folder is None or version is None:
        return None
    try:
        sources = [(_FOLDER / name).read_bytes() for name in _MAKERS]
    except OSError:
        return None
    return folder / f"keras-{version}-{zlib.crc32(b''.join(sources)):08x}.json"


def _cache_folder() -> Path | None:
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        # As the XDG specification has it, a relative path does not count.
        folder = given if given.is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        return None
    return folder / "barrage-mlflow"


def keras_version() -> str | None:
    """The version of the installed Keras, found without importing it; None if it is not known.

    Example:
        >>> keras_version().split(".")[0]
        '3'
    """
    spec = importlib.machinery.PathFinder.find_spec("keras")
    if spec is not None and spec.origin:
        beside = Path(spec.origin).parents[1].glob("keras-*.dist-info")
        versions = [path.name.removeprefix("keras-").removesuffix(".dist-info") for path in beside]
        if len(versions) == 1:
            return versions[0]
    # Its import takes longer than all the rest.
    from importlib import metadata

    try:
        return metadata.version("keras")
    except metadata.PackageNotFoundError:
        return None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    # Which it is stands in the file too: it may be a copy of another one.
    return found if isinstance(found, dict) and found.get("file") == path.name else None


def _write(path: Path, found: dict[str, Any]) -> None:
    """Writes the file as a whole, whoever else does so too; where that cannot be, nothing."""
    import tempfile

    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        unfinished = Path(name)
        os.close(handle)
        try:
            unfinished.write_text(json.dumps(found, separators=(",", ":")), "utf-8")
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink()
            raise
