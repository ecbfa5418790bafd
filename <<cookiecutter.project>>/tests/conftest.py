"""What the tests stand on: the records, and the config's components."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

# Before TensorFlow is imported: its notes about the machine are no test's business.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest
from barrage_mlflow import (
    RecordMode,
    Records,
    RecordTransformer,
    Settled,
    read_document,
    settle_training,
)
from barrage_mlflow.dataset import build_loader, build_transformer

PROJECT = Path(__file__).parents[1]
CONFIG = PROJECT / "config.json"
TRAIN = PROJECT / "data" / "train.<< cookiecutter._records[cookiecutter.kind] >>"
VALIDATION = PROJECT / "data" / "validation.<< cookiecutter._records[cookiecutter.kind] >>"


@pytest.fixture(scope="session")
def settled() -> Settled:
    """The resolved config and the records, as a training takes them."""
    return settle_training(read_document(CONFIG), {"train": TRAIN})


@pytest.fixture(scope="session")
def config(settled: Settled) -> dict[str, Any]:
    """The config with all its defaults; `config["dataset"]` names the components."""
    return settled.config


@pytest.fixture(scope="session")
def records(settled: Settled) -> Records:
    """Enough train records to fit on, spread over the file."""
    train = settled.sets["train"]
    return train[:: max(1, len(train) // 300)]


@pytest.fixture(scope="session")
def fitted(config: dict[str, Any], records: Records) -> RecordTransformer:
    """The transformer, fitted on the records."""
    transformer = build_transformer(
        config, RecordMode.TRAIN, build_loader(config, RecordMode.TRAIN)
    )
    transformer.fit(records)
    return transformer
