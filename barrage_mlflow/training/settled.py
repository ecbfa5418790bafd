"""What a training is of: config, records and code, settled before its folder is touched."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from barrage_mlflow.config.document import Document
from barrage_mlflow.config.paths import read_path, value_at
from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.components.reading import ask_kinds
from barrage_mlflow.errors import hide_secrets
from barrage_mlflow.scoring.dependencies import project_code
from barrage_mlflow.training.prepare import infer, read_sets, resolve
from barrage_mlflow.workspace.changes import begun_config
from barrage_mlflow.workspace.record import Dataset, read_record

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settled:
    """What a training is of.

    Attributes:
        inferred: by path, what the config left to the training.
        config: the resolved config.
        sets: the records by name, with the kinds that the components ask for.
        datasets: how the run record describes them.
        code: files and folders of the project's modules.
    """

    inferred: Mapping[str, Any]
    config: dict[str, Any]
    sets: Mapping[str, Records]
    datasets: tuple[Dataset, ...]
    code: list[Path]


def settle_training(
    document: Document, sources: Mapping[str, Any], folder: Path | None = None
) -> Settled:
    """Settle what a training is of; a set that has the train records is told of at once.

    Args:
        document: a config without faults.
        sources: ``"train"``, ``"validation"`` and perhaps ``"test"``, each whatever
            :meth:`Records.read` takes.
        folder: the artifact folder to go on in, by which the same is inferred as when it was begun.

    Raises:
        ConfigError: the project's modules, or the records, lack what the config names.
        RecordError: a set cannot be read, or is empty.

    Example:
        >>> document = read_document("config.json")  # doctest: +SKIP
        >>> settle_training(document, {"train": "train.csv"}).config["solver"]  # doctest: +SKIP
        {'optimizer': {'import': 'Adam', 'learning_rate': 0.001}, 'batch_size': 32, 'epochs': 10}
    """
    read = read_sets(sources, document.data["dataset"], document.folders[0])
    inferred = (find_inferred(folder) if folder else {}) or infer(document, read)
    config = resolve(document, inferred)
    sets = ask_kinds(config, read, document)
    train, *others = datasets = describe_sets(sets)
    for other in others:
        if other.digest == train.digest:
            logger.warning(
                "%s has the same records as train: figures on them say nothing about new ones; "
                "`barrage-mlflow split` makes sets",
                other.name,
            )
    return Settled(inferred, config, sets, datasets, project_code(config))


def find_inferred(folder: Path) -> dict[str, Any]:
    """Take what was settled when a training was begun in a folder; nothing if none was.

    Args:
        folder: an artifact folder that is to be resumed.

    Example:
        >>> find_inferred(Path("nowhere"))
        {}
    """
    before, record = begun_config(folder), read_record(folder)
    if before is None or record is None:
        return {}
    paths = {"$.dataset.seed", *record.inferred}
    return {path: value_at(before, read_path(path)) for path in sorted(paths)}


def describe_sets(sets: Mapping[str, Records]) -> tuple[Dataset, ...]:
    """Describe sets of records for the run record, with a digest of their files or values.

    Args:
        sets: by name.

    Raises:
        RecordError: a file is damaged, or not there any more.

    Example:
        >>> [dataset.rows for dataset in describe_sets({"train": Records.read([{"a": 1}])})]
        [1]
    """
    return tuple(
        Dataset(name, each.digest(), hide_secrets(each.source), each.dtypes(), len(each))
        for name, each in sets.items()
    )
