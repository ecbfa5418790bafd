"""The artifact folder of one training, which this process alone writes to."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from barrage_mlflow.workspace.folder import METRICS
from barrage_mlflow.workspace.history import History
from barrage_mlflow.workspace.lock import locked
from barrage_mlflow.workspace.record import RunRecord, read_record


class Workspace(AbstractContextManager["Workspace"]):
    """An artifact folder, locked as long as it is entered.

    Args:
        folder: the artifact folder; made if it is not there.
        patience: seconds to wait for another process to leave it.

    Attributes:
        folder: as given.
        record: what ``run.json`` holds; that of a new training if there is none.
        begun: whether there was one.
        history: the metrics of every epoch.

    Raises:
        ArtifactError: another process is in it, it cannot be written to, or another version of
            Barrage wrote it.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, Workspace(Path(folder)) as work:
        ...     work.update(run_id="1f0c")
        ...     work.record.status, work.record.run_id
        ('RUNNING', '1f0c')
    """

    def __init__(self, folder: Path, patience: float = 0) -> None:
        self.folder = folder
        self._patience = patience
        self._lock = ExitStack()

    def __enter__(self) -> Workspace:
        self._lock.enter_context(locked(self.folder, self._patience))
        try:
            record = read_record(self.folder)
            self.begun = record is not None
            self.record = record or RunRecord()
            self.history = History(self.folder / METRICS)
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        self._lock.close()

    def update(self, **values: Any) -> None:
        """Change the run record, on disk too.

        Args:
            values: of the fields of :class:`RunRecord`.

        Raises:
            OSError: it cannot be written.
        """
        self.record = replace(self.record, **values)
        self.record.write(self.folder)
