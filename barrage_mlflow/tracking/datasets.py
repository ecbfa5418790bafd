"""Describes a set of records as MLflow's datasets are, by its digest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from barrage_mlflow.tracking.limits import plain_text, shorten
from barrage_mlflow.workspace.record import Dataset

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

DIGEST_LIMIT = 36
_SCHEMA_LIMIT = 1_000_000
_SOURCE_LIMIT = 60_000

_TYPES = {"int64": "long", "float64": "double", "bool": "boolean"}
"""What MLflow calls a column of a dtype; else it is ``"string"``."""


def dataset_input(dataset: Dataset) -> DatasetInput:
    """Build what MLflow logs for a dataset; it keeps 36 characters of the digest.

    Args:
        dataset: a set of records that a training was made from.

    Example:
        >>> entity = dataset_input(Dataset("train", "5f2b", "train.csv", {"age": "int64"}, 120))
        >>> entity.dataset.source_type, entity.dataset.source
        ('local', '{"uri": "train.csv"}')
        >>> entity.dataset.schema
        '{"mlflow_colspec": [{"type": "long", "name": "age", "required": true}]}'
    """
    from mlflow import entities
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    specs = [
        {"type": _TYPES.get(dtype, "string"), "name": plain_text(column), "required": True}
        for column, dtype in dataset.columns.items()
    ]
    schema = json.dumps({"mlflow_colspec": specs})
    source_type, details = _describe_source(shorten(dataset.source, _SOURCE_LIMIT))
    return entities.DatasetInput(
        entities.Dataset(
            name=dataset.name,
            digest=dataset.digest[:DIGEST_LIMIT],
            source_type=source_type,
            source=json.dumps(details),
            schema=schema if specs and len(schema) <= _SCHEMA_LIMIT else None,
            profile=json.dumps({"num_rows": dataset.rows, "num_columns": len(dataset.columns)}),
        ),
        [entities.InputTag(MLFLOW_DATASET_CONTEXT, dataset.name)],
    )


def _describe_source(source: str) -> tuple[str, dict[str, Any]]:
    """Name a source as MLflow's own dataset sources do, so that it can read them back."""
    if not source:
        return "code", {"tags": {}}
    scheme = urlsplit(source).scheme if "://" in source else ""
    if scheme in ("http", "https"):
        return "http", {"url": source}
    return "local" if scheme in ("", "file") else scheme, {"uri": source}
