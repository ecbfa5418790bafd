"""The code that a packaged model brings along, and whether this process can run it.

MLflow puts the code of each model on the Python path, where a module that is imported already
wins, and a late import finds whichever came last. Keras keeps one class for each registered name.
So one process runs the code of one project; a model with other code needs a process of its own.
"""

from __future__ import annotations

import sys
import threading
from functools import cache
from pathlib import Path

from barrage_mlflow.config.project import module_source
from barrage_mlflow.workspace.code_files import digest_files

_ENGINE = __package__.partition(".")[0]

_adopted: dict[str, str] = {}
"""Digests of the project's modules that this process runs for a model, by name."""
_lock = threading.Lock()


def adopt(code: Path) -> bool:
    """Make this process run a model's code, unless it runs other code already.

    Args:
        code: folder with the engine and the project's modules, as they were packaged.

    Returns:
        Whether it does. If not, the folder is not on the Python path.
    """
    digests = {path.stem: digest_files(path) for path in sorted(code.glob("*")) if _is_code(path)}
    with _lock:
        fits = digests.pop(_ENGINE, _engine_digest()) == _engine_digest() and _fits(digests)
        _adopted.update(digests if fits else {})
        # MLflow has put it there already, where other models would find it.
        sys.path[:] = [entry for entry in sys.path if entry != str(code)]
        if fits and digests:
            sys.path.insert(0, str(code))
    return fits


def _fits(digests: dict[str, str]) -> bool:
    """Whether the modules are those that this process runs, or it runs none of these names."""
    if not digests or digests == _adopted:
        return True
    loaded = {name: _loaded_digest(name) for name in digests if name in sys.modules}
    return not _adopted and all(digests[name] == digest for name, digest in loaded.items())


def _loaded_digest(name: str) -> str:
    source = module_source(name)
    return digest_files(source) if source else ""


@cache
def _engine_digest() -> str:
    return digest_files(Path(__file__).parents[1])


def _is_code(path: Path) -> bool:
    return path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__")
