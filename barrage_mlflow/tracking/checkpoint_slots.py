"""Resume checkpoints among the artifacts of an MLflow run, for another machine to go on with.

Sending one may be cut off at any moment. So there are two slots that are written in turn:
``resume/a.zip`` with all that an artifact folder needs to be gone on with, and ``resume/a.json``
written last, with its number among those that were sent, and its name for people; and ``b``
alike. A ZIP file that was left half written cannot be read, and the other one is taken.
"""

from __future__ import annotations

import logging
import tempfile
import zipfile
from contextlib import suppress
from functools import partial
from pathlib import Path

from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.tracking.store import Store, files_in
from barrage_mlflow.workspace import layout as artifacts

logger = logging.getLogger(__name__)

SLOTS = "resume"
"""The folder of both slots among the artifacts."""
_NAMES = ("a", "b")
BEGUN = (
    f"{artifacts.CONFIG}.*",
    artifacts.RESOLVED_CONFIG,
    artifacts.RUN,
    f"{artifacts.CODE}/**/*",
)
"""What an artifact folder has when a training begins."""
_TRANSFORMER = f"{artifacts.FITTED_TRANSFORMER}/**/*"


def send_checkpoint(store: Store, run_id: str, folder: Path, checkpoint: Path) -> None:
    """Send a resume checkpoint, and all that is needed to go on from it, in place of the older one.

    Args:
        store: where the run is.
        run_id: the run.
        folder: the artifact folder.
        checkpoint: one of its checkpoints.

    Raises:
        TrackingError: MLflow cannot be reached.
        OSError: the checkpoint has been replaced meanwhile.

    Example:
        >>> send_checkpoint(Store(), "1f0c", folder, checkpoint)  # doctest: +SKIP
    """
    with tempfile.TemporaryDirectory(dir=folder / artifacts.CHECKPOINTS) as home:
        packed = Path(home, "packed")
        parts = files_in(folder, *BEGUN, artifacts.METRICS, _TRANSFORMER)
        # At once: while MLflow answers, newer checkpoints may take this one's place.
        with zipfile.ZipFile(packed, "w") as file:
            file.write(checkpoint, checkpoint.relative_to(folder))
            for name, path in parts.items():
                file.write(path, name)
        found = _manifests(store, run_id)
        slot = min(_NAMES, key=lambda name: found.get(name, 0))
        # Its steps do not say which is newer: epochs may have become shorter.
        number = 1 + max(found.values(), default=0)
        archive, manifest = packed.rename(Path(home, f"{slot}.zip")), Path(home, f"{slot}.json")
        artifacts.write_json(manifest, {"number": number, "checkpoint": checkpoint.name})
        for path in (archive, manifest):
            store.send(partial(store.client.log_artifact, run_id), {f"{SLOTS}/{path.name}": path})


def fetch_training(run_id: str, folder: Path) -> None:
    """Make an artifact folder of the newest resume checkpoint among the artifacts of a run.

    Args:
        run_id: the run.
        folder: the artifact folder; there is none yet, or it is empty.

    Raises:
        TrackingError: MLflow cannot be reached, or there is no such run.
        ArtifactError: the run has no resume checkpoint that is whole, or the folder is not empty.

    Example:
        >>> fetch_training("1f0c", Path("artifacts/here"))  # doctest: +SKIP
    """
    store = Store()
    run = store.read_run(run_id)
    artifacts.check_free(folder)
    found = _manifests(store, run_id)
    folder.parent.mkdir(parents=True, exist_ok=True)
    for slot in sorted(found, key=found.__getitem__, reverse=True):
        # In the end it is put in its place as a whole.
        with tempfile.TemporaryDirectory(dir=folder.parent) as home:
            archive = store.fetch(run_id, f"{SLOTS}/{slot}.zip", home)
            try:
                with zipfile.ZipFile(archive) as file:
                    # What leads outside is put inside by ZipFile, where nothing looks for it.
                    file.extractall(Path(home, "whole"))
            except zipfile.BadZipFile:
                logger.warning("resume checkpoint %s/%s of run %s is damaged", SLOTS, slot, run_id)
                continue
            _move(Path(home, "whole"), folder)
            logger.info("run %s is fetched into %s", run_id, folder)
            return
    raise ArtifactError(
        f"run {run_id} ({run.info.status}) has no whole resume checkpoint in MLflow, which gets "
        'them with {"services": {"resume_checkpoint": {"in_mlflow": true}}}: train from the start, '
        "in a new folder"
    )


def _move(source: Path, folder: Path) -> None:
    try:
        source.replace(folder)
    except OSError as error:
        raise ArtifactError(f"{folder} is in use, or cannot be made ({error})") from error


def _manifests(store: Store, run_id: str) -> dict[str, int]:
    """Read the number of the checkpoint in each slot of a run."""
    listed = store.list_files(run_id, SLOTS)
    found = {}
    with tempfile.TemporaryDirectory() as home:
        for slot in _NAMES:
            name = f"{SLOTS}/{slot}.json"
            if name in listed:
                path = store.fetch(run_id, name, home)
                with suppress(ArtifactError, ValueError, KeyError, TypeError):  # torn, or not ours
                    found[slot] = int(artifacts.read_json(path)["number"])
    return found
