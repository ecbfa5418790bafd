"""What the tests stand on: the records, and the config's components."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

# Before TensorFlow is imported: its notes about the machine are no test's business.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest
from barrage_mlflow.config import add_project_path, read_config, resolve_config
from barrage_mlflow.dataset import (
    RecordMode,
    Records,
    RecordTransformer,
    build_loader,
    build_transformer,
)
from barrage_mlflow.dataset.components.reading import ask_kinds
from barrage_mlflow.training.prepare import read_sets

PROJECT = Path(__file__).parents[1]
CONFIG = PROJECT / "config.json"
TRAIN = PROJECT / "data" / "train.<< cookiecutter._records[cookiecutter.kind] >>"
VALIDATION = PROJECT / "data" / "validation.<< cookiecutter._records[cookiecutter.kind] >>"


@pytest.fixture(scope="session")
def config() -> dict[str, Any]:
    """The config with all its defaults; `config["dataset"]` names the components."""
    document = read_config(CONFIG)
    add_project_path(document)
    return resolve_config(document)


@pytest.fixture(scope="session")
def records(config: dict[str, Any]) -> Records:
    """Enough train records to fit on, spread over the file."""
    folder = str(PROJECT)
    sets = ask_kinds(config, read_sets({"train": TRAIN}, config["dataset"], folder), folder)
    return sets["train"][:: max(1, len(sets["train"]) // 300)]


@pytest.fixture(scope="session")
def fitted(config: dict[str, Any], records: Records) -> RecordTransformer:
    """The transformer, fitted on the records."""
    transformer = build_transformer(
        config, RecordMode.TRAIN, build_loader(config, RecordMode.TRAIN)
    )
    transformer.fit(records)
    return transformer
