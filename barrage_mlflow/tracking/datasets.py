"""Describes a set of records as MLflow's datasets are, by a digest of its whole content."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from barrage_mlflow.tracking.names import plain_text, shorten

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

_NAME_LIMIT = 500
_DIGEST_LIMIT = 36
_SCHEMA_LIMIT = 1_000_000
_SOURCE_LIMIT = 60_000

# What MLflow calls a column of a dtype; the first pattern that matches, else "string".
_TYPES = (
    (r"bool", "boolean"),
    (r"u?int(8|16)|int32|integer", "integer"),
    (r"u?int(32|64)", "long"),
    (r"float(16|32)", "float"),
    (r"float64|double|decimal", "double"),
    (r"datetime|timestamp|date", "datetime"),
    (r"bytes|binary", "binary"),
)
_LOCAL_SCHEMES = ("", "file")


def dataset_input(
    name: str,
    context: str,
    digest: str,
    source: str,
    columns: Mapping[str, str],
    rows: int,
) -> DatasetInput:
    """Build what MLflow logs for a dataset.

    Args:
        name: shown in the UI.
        context: what it is used for, ``"train"``.
        digest: hash of the whole content; MLflow keeps 36 characters.
        source: path or URL; empty for records that were handed over in memory.
        columns: dtype of each column, ``{"age": "int64"}``.
        rows: number of records.

    Example:
        >>> entity = dataset_input("train", "train", "5f2b", "train.csv", {"age": "int64"}, 120)
        >>> entity.dataset.source_type, entity.dataset.source
        ('local', '{"uri": "train.csv"}')
        >>> entity.dataset.schema
        '{"mlflow_colspec": [{"type": "long", "name": "age", "required": true}]}'
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    specs = [
        {"type": mlflow_type(dtype), "name": plain_text(column), "required": True}
        for column, dtype in columns.items()
    ]
    schema = json.dumps({"mlflow_colspec": specs})
    source_type, details = _describe_source(shorten(source, _SOURCE_LIMIT))
    return DatasetInput(
        Dataset(
            name=shorten(name, _NAME_LIMIT),
            digest=digest[:_DIGEST_LIMIT],
            source_type=source_type,
            source=json.dumps(details),
            schema=schema if specs and len(schema) <= _SCHEMA_LIMIT else None,
            profile=json.dumps({"num_rows": rows, "num_columns": len(columns)}),
        ),
        [InputTag(MLFLOW_DATASET_CONTEXT, context)],
    )


def mlflow_type(dtype: str) -> str:
    """Return MLflow's name of a column's type.

    Example:
        >>> mlflow_type("float64"), mlflow_type("object"), mlflow_type("boolean")
        ('double', 'string', 'boolean')
    """
    return next(
        (name for pattern, name in _TYPES if re.match(pattern, dtype, re.IGNORECASE)), "string"
    )


def _describe_source(source: str) -> tuple[str, dict[str, Any]]:
    """Name a source as MLflow's own dataset sources do, so that it can read them back."""
    if not source:
        return "code", {"tags": {}}
    scheme = urlsplit(source).scheme
    if scheme in ("http", "https"):
        return "http", {"url": source}
    # A scheme of one letter is a drive of Windows.
    return "local" if scheme in _LOCAL_SCHEMES or len(scheme) == 1 else scheme, {"uri": source}
