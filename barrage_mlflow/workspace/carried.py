"""What another process needs of an artifact folder to train along, as bytes."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from barrage_mlflow.workspace import layout as artifacts

_CARRIED = (
    artifacts.RUN,
    artifacts.RESOLVED_CONFIG,
    artifacts.METRICS,
    artifacts.CODE,
    artifacts.FITTED_TRANSFORMER,
)


def pack(folder: Path, checkpoint: Path | None) -> bytes:
    """Pack a training that was begun: config, code, records' digests, fitted transformer.

    Args:
        folder: its artifact folder.
        checkpoint: the resume checkpoint to go on from, if any.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, TemporaryDirectory() as copy:
        ...     _ = Path(folder, "run.json").write_text("{}")
        ...     unpack(pack(Path(folder), None), Path(copy))
        ...     [path.name for path in Path(copy).iterdir()]
        ['run.json']
    """
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for path in (*(folder / name for name in _CARRIED), *filter(None, [checkpoint])):
            if path.exists():
                archive.add(path, path.relative_to(folder))
    return content.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """Make an artifact folder of what :func:`pack` gave.

    Raises:
        OSError: it cannot be written.
    """
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")
