"""The artifact folder of one training, which this process alone writes to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from barrage_mlflow.config.document import Document
from barrage_mlflow.errors import ArtifactError, describe_error
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.changes import find_changes, refuse_changes
from barrage_mlflow.workspace.code_files import copy_code
from barrage_mlflow.workspace.disk import explain_unwritable
from barrage_mlflow.workspace.history import History
from barrage_mlflow.workspace.lock import locked
from barrage_mlflow.workspace.record import Dataset, RunRecord, now, read_record


class Workspace:
    """An artifact folder that this process has to itself.

    Args:
        folder: the artifact folder.

    Attributes:
        folder: as given.
        record: what is in ``run.json``; that of a new training if there is none.
        begun: whether there was one.
        history: the metrics of every epoch.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, Workspace.open(Path(folder)) as work:
        ...     work.update(run_id="1f0c")
        ...     work.record.status, work.record.run_id
        ('RUNNING', '1f0c')
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        record = read_record(folder)
        self.begun = record is not None
        self.record = record or RunRecord()
        self.history = History(folder / artifacts.METRICS)
        self._running = False

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[Workspace]:
        """Lock an artifact folder, which is made if it is not there, and read what it has.

        Raises:
            ArtifactError: another process is in it, it cannot be written to, or another version of
                Barrage wrote it.
        """
        with locked(folder):
            work = cls(folder)
            try:
                yield work
            except BaseException as error:
                if work._running:
                    work._end(error)
                raise

    @property
    def transformer(self) -> Path:
        """The folder of the fitted transformer."""
        return self.folder / artifacts.FITTED_TRANSFORMER

    @property
    def is_packaged(self) -> bool:
        """Whether the packaged model is there."""
        return (self.folder / artifacts.MODEL / "MLmodel").exists()

    def update(self, **values: Any) -> None:
        """Change the run record, on disk too.

        Args:
            values: of the fields of :class:`RunRecord`.

        Raises:
            OSError: it cannot be written.
        """
        self.record = replace(self.record, **values)
        self.record.write(self.folder)

    def check_resumable(
        self,
        config: Mapping[str, Any],
        code: Sequence[Path],
        datasets: Sequence[Dataset],
        resume: bool,
        resume_anyway: bool,
    ) -> list[str]:
        """Find what has changed since a training was begun here, and refuse what must not go on.

        Args:
            config: the resolved config.
            code: files and folders of the project's modules.
            datasets: the records; the test set may be another one.
            resume: whether to go on with what was begun.
            resume_anyway: whether to do so also where something has changed.

        Raises:
            ArtifactError: the folder is in use and is not to be resumed, or something has changed.
        """
        if not (self.begun and resume):
            artifacts.check_free(self.folder)
        deciding = [dataset for dataset in datasets if dataset.name != "test"]
        changes = find_changes(self.folder, config, code, deciding)
        if not resume_anyway:
            refuse_changes(self.folder, changes)
        return changes

    def begin(
        self,
        document: Document,
        config: Mapping[str, Any],
        code: Sequence[Path],
        changes: Sequence[str],
        values: Mapping[str, Any],
    ) -> None:
        """Write down what is about to be trained.

        The run record comes first, so that the next start finds the training however this ends.

        Args:
            document: the config as given.
            config: the resolved config.
            code: files and folders of the project's modules.
            changes: what has changed since the training was begun here before.
            values: further fields of the run record.

        Raises:
            ArtifactError: the folder cannot be written to.
        """
        tags = {**self.record.tags, **values.get("tags", {})}
        if changes:
            tags["barrage.resumed_anyway"] = "\n".join(changes)
        try:
            self.update(
                status="RUNNING",
                error=None,
                ended=None,
                network_params=None,
                best_epoch=None,
                evaluation={},
                model_uri=None,
                version_uri=None,
                published=False,
                **{**values, "tags": tags},
            )
            self._running = True
            if changes or not (self.folder / artifacts.RESOLVED_CONFIG).exists():
                # The resolved config is the sign that all of it is whole: it comes last.
                suffix = Path(document.source).suffix or ".json"
                (self.folder / f"{artifacts.CONFIG}{suffix}").write_text(document.text, "utf-8")
                for outdated in (artifacts.CODE, artifacts.EVALUATION):
                    shutil.rmtree(self.folder / outdated, ignore_errors=True)
                copy_code(code, self.folder / artifacts.CODE)
                artifacts.write_json(self.folder / artifacts.RESOLVED_CONFIG, config)
        except OSError as error:
            raise ArtifactError(
                f"{self.folder}: the artifact folder cannot be made ({error}); name another one"
            ) from error

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Write down how the block ends: FINISHED, FAILED or KILLED, and why.

        Raises:
            ArtifactError: the block could not write a file, with what to do.
            BaseException: whatever else ends the block.
        """
        try:
            yield
            self.update(status="FINISHED", ended=now())
            self._running = False
        except BaseException as failure:
            error = explain_unwritable(failure, self.folder)
            self._end(error)
            if error is failure:
                raise
            raise error from failure

    def _end(self, error: BaseException) -> None:
        self._running = False
        is_killed = isinstance(error, KeyboardInterrupt)
        status = "KILLED" if is_killed else "FAILED"
        try:
            self.update(status=status, error=describe_error(error), ended=now())
        except OSError as problem:  # the disk is full, and may be why
            error.add_note(f"besides: {self.folder / artifacts.RUN}: {problem}")
        if is_killed and any((self.folder / artifacts.CHECKPOINTS).rglob("*.npz")):
            error.add_note(f"go on with: --artifact-dir {self.folder} --resume")
