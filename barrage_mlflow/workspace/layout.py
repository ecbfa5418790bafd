"""Names of the files in an artifact folder: the one place where training and scoring meet.

::

    <artifact folder>/
      config.json            the config as given (config.yaml for a YAML file)
      resolved_config.json   with every default and override filled in
      run.json               how the training went, its datasets, its MLflow run and tags
      metrics.jsonl          every metric of every epoch, and when it was made
      lock                   while a training has the folder to itself
      model/                 the packaged model, an MLflow model that can be served as it is
        data/                all that scoring reads
          config.json        the resolved config
          transformer/       what RecordTransformer.save wrote
          network/           the best network, as a TensorFlow SavedModel
          columns.json       the kind of every column of the train records
          signature.json     the columns that scoring reads, the network's inputs and outputs
        code/                the engine and the project's own modules
        MLmodel …            what MLflow knows of it: signature, input example, requirements
      code/                  the project's own modules, as they were when training began
      checkpoints/           best.weights.h5, and the last two resume checkpoints in resume/
      cache/                 transformed records, while training with dataset.cache "disk" lasts
      tensorboard/           event files
      evaluation/            how good the packaged model is: a folder for each set
        validation/          report.md, and a folder of tables and pictures for each answer
        report.html          the reports of all sets, as one page with its pictures
        card.md              the model in short, which becomes its description in MLflow
      training_report.csv    every metric of every epoch
      network_summary.txt
      learning_curves.png
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from barrage_mlflow.errors import ArtifactError, BarrageError, describe_error
from barrage_mlflow.files import partial_path, written_whole

AGAIN = "fetch it again from where it came, or train again"
"""What to do about a file that is damaged."""

HOME = "artifacts"
"""Where the folders go that nobody names."""

CONFIG = "config"
RESOLVED_CONFIG = "resolved_config.json"
RUN = "run.json"
METRICS = "metrics.jsonl"
LOCK = "lock"

MODEL = "model"
DATA = "data"
TRANSFORMER = "transformer"
NETWORK = "network"
SIGNATURE = "signature.json"
COLUMNS = "columns.json"
DATA_CONFIG = "config.json"
FITTED_TRANSFORMER = f"{MODEL}/{DATA}/{TRANSFORMER}"

CODE = "code"

CHECKPOINTS = "checkpoints"
BEST_WEIGHTS = f"{CHECKPOINTS}/best.weights.h5"
RESUME = f"{CHECKPOINTS}/resume"

CACHE = "cache"

TRIALS = "trials"
STUDY = "study.db"

EVALUATION = "evaluation"
CARD = f"{EVALUATION}/card.md"
MODEL_URI = "MODEL_URI"
"""What stands in a card for the URI that MLflow gives the model."""

TENSORBOARD = "tensorboard"
REPORT = "training_report.csv"
NETWORK_SUMMARY = "network_summary.txt"
LEARNING_CURVES = "learning_curves.png"


def default_folder() -> Path:
    """Name a new artifact folder for a training whose user named none.

    Example:
        >>> default_folder().parent
        PosixPath('artifacts')
    """
    return Path(HOME, f"{datetime.now():%Y-%m-%d-%H-%M-%S}-{secrets.token_hex(4)}")


def resume_checkpoints(folder: Path) -> list[Path]:
    """The resume checkpoints of an artifact folder, whole or not, the newest first.

    Example:
        >>> resume_checkpoints(Path("nowhere"))
        []
    """
    return sorted((folder / RESUME).glob(f"step-{'[0-9]' * 9}.npz"), reverse=True)


def checkpoint_name(step: int) -> str:
    """The file name of a resume checkpoint of so many batches.

    Example:
        >>> checkpoint_name(1234)
        'step-000001234.npz'
    """
    return f"step-{step:09}.npz"


def check_free(folder: Path) -> None:
    """Refuse an artifact folder that is in use; the lock of this process does not count.

    Raises:
        ArtifactError: it is not empty.

    Example:
        >>> check_free(Path("nowhere"))
    """
    passing = (LOCK, partial_path(folder / RUN).name)
    if folder.is_dir() and any(path.name not in passing for path in folder.iterdir()):
        state, advice = "is not empty", ""
        if (folder / RUN).exists():
            state, advice = "already holds a run", ", or go on with that run: --resume"
        raise ArtifactError(f"{folder} {state}; nothing is overwritten: name a new folder{advice}")


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, in UTF-8, whole or not at all."""
    with written_whole(path) as partial:
        partial.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")


def digest_of(value: Any) -> str:
    """The SHA-256 of a JSON value, whatever the order of its keys.

    Example:
        >>> digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
        True
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def read_json(path: Path) -> Any:
    """Read what :func:`write_json` wrote; None if there is no such file.

    Raises:
        ArtifactError: it cannot be read.

    Example:
        >>> read_json(Path("nowhere/run.json")) is None
        True
    """
    value = None
    with undamaged(path), suppress(FileNotFoundError, NotADirectoryError):
        value = json.loads(path.read_text("utf-8"))
    return value


@contextmanager
def undamaged(path: str | Path) -> Iterator[None]:
    """Name a file, or a folder of a packaged model, that cannot be read, and what to do.

    Args:
        path: of what the block reads.

    Raises:
        ArtifactError: in place of what the block raises.

    Example:
        >>> with undamaged("model/MLmodel"):
        ...     json.loads("flavors:")
        Traceback (most recent call last):
        barrage_mlflow.errors.ArtifactError: model/MLmodel: cannot be read (JSONDecodeError:
        Expecting value: line 1 column 1 (char 0)); fetch it again from where it came, or train
        again
    """
    try:
        yield
    except BarrageError:
        raise
    except Exception as error:
        raise ArtifactError(f"{path}: cannot be read ({describe_error(error)}); {AGAIN}") from error
