"""Names of the files in an artifact folder: the one place where training and scoring meet.

::

    <artifact folder>/
      config.json            the config as given (config.yaml for a YAML file)
      resolved_config.json   with every default and override filled in
      run.json               the MLflow run that it belongs to
      model/                 all that scoring reads; packed into the MLflow model as it stands
        config.json          the resolved config
        transformer/         what RecordTransformer.save wrote
        network/             the best network, as a TensorFlow SavedModel
        signature.json       the columns that scoring reads, the network's inputs and outputs
      code/                  the project's own modules, as they were when training began
      checkpoints/           best.weights.h5, and the last two resume checkpoints in resume/
      cache/                 transformed records, while training with dataset.cache "disk" lasts
      tensorboard/           event files
      training_report.csv    every metric of every epoch
      network_summary.txt
      learning_curves.png
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from barrage_mlflow.errors import ArtifactError

CONFIG = "config"
RESOLVED_CONFIG = "resolved_config.json"
RUN = "run.json"

MODEL = "model"
MODEL_CONFIG = "config.json"
MODEL_TRANSFORMER = "transformer"
MODEL_NETWORK = "network"
MODEL_SIGNATURE = "signature.json"

CODE = "code"

CHECKPOINTS = "checkpoints"
BEST_WEIGHTS = "best.weights.h5"
RESUME = "resume"

CACHE = "cache"

TENSORBOARD = "tensorboard"
REPORT = "training_report.csv"
NETWORK_SUMMARY = "network_summary.txt"
LEARNING_CURVES = "learning_curves.png"


def default_folder(run_id: str) -> Path:
    """Name the artifact folder of a run whose user named none.

    Example:
        >>> default_folder("1f0c").name.endswith("-1f0c")
        True
    """
    return Path("artifacts", f"{datetime.now():%Y-%m-%d-%H-%M-%S}-{run_id}")


def check_free(folder: str | os.PathLike[str] | None) -> None:
    """Refuse an artifact folder that is in use; ``None`` stands for a new one.

    Raises:
        ArtifactError: it is a file, or a folder that holds something.

    Example:
        >>> check_free(None)
    """
    if folder is None:
        return
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ArtifactError(f"{folder}: expected a new or empty folder, got a file")
    if folder.is_dir() and any(folder.iterdir()):
        holds = "already holds a run" if (folder / RUN).exists() else "is not empty"
        raise ArtifactError(f"{folder} {holds}; nothing is overwritten: name a new folder")


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, in UTF-8."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
