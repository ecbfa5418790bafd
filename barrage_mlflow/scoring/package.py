"""Packs a trained model as an MLflow model, in its artifact folder."""

from __future__ import annotations

import base64
import json
import platform
import shutil
from collections.abc import Iterable, Sequence
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from barrage_mlflow.dataset import ColumnSpec, Records, as_specified
from barrage_mlflow.dataset.records.columns import is_missing, native
from barrage_mlflow.workspace import folder as artifacts
from barrage_mlflow.workspace.code_files import copy_code

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import ModelSignature

_LOADER = "barrage_mlflow.pyfunc"
_MLMODEL = "MLmodel"
_REQUIREMENTS = "requirements.txt"
_CONDA_ENV = "conda.yaml"
_PYTHON_ENV = "python_env.yaml"
_EXAMPLE = "input_example.json"
_SERVING_EXAMPLE = "serving_input_example.json"

# What is not among them is left open, and checked by the model itself: MLflow's server would first
# cut 1.5 to 1, take null for false or for "None", and make bytes of what is no base64; and it
# refuses a DataFrame of int64 for a double.
_TYPES_LEFT_TO_MLFLOW = {("double", True), ("double", False), ("string", True)}
"""Types of columns, and whether a value is required, of which MLflow changes none."""


def package_model(
    folder: Path,
    columns: Sequence[ColumnSpec],
    example: Records,
    scores: pd.DataFrame,
    requirements: Sequence[str],
    code: Iterable[Path],
) -> None:
    """Make an MLflow model of a folder whose ``data`` folder is what scoring reads.

    Args:
        folder: the model's folder.
        columns: the columns that scoring reads.
        example: a few records, which become the input example.
        scores: what the model answers to them.
        requirements: pinned pip requirements.
        code: files and folders of the project's modules.
    """
    from mlflow.models import Model
    from mlflow.pyfunc import add_to_model

    typed = as_specified(example, columns)
    frame = typed.to_frame()[[column.name for column in columns]]
    for path in folder.iterdir():
        if path.name != artifacts.DATA:
            path.unlink() if path.is_file() else shutil.rmtree(path)
    copy_code([Path(__file__).parents[1], *code], folder / artifacts.CODE)
    # MLflow's save_model writes the same, but looks through all that is installed for that.
    _write_example(folder, frame)
    _write_environment(folder, requirements)
    model = Model(signature=_signature(columns, frame, scores))
    model.saved_input_example_info = {
        "artifact_path": _EXAMPLE,
        "serving_input_path": _SERVING_EXAMPLE,
        "type": "dataframe",
        "pandas_orient": "split",
    }
    add_to_model(  # type: ignore[no-untyped-call]
        model,
        loader_module=_LOADER,
        data=artifacts.DATA,
        code=artifacts.CODE,
        conda_env=_CONDA_ENV,
        python_env=_PYTHON_ENV,
    )
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    model.model_size_bytes = sum(sizes)
    model.save(str(folder / _MLMODEL))


def _write_example(folder: Path, frame: pd.DataFrame) -> None:
    rows = [[_in_json(cell) for cell in row] for row in frame.itertuples(index=False, name=None)]
    split = {"columns": list(frame), "data": rows}
    (folder / _EXAMPLE).write_text(json.dumps(split), "utf-8")
    serving = json.dumps({"dataframe_split": split}, indent=2)
    (folder / _SERVING_EXAMPLE).write_text(serving, "utf-8")


def _in_json(cell: Any) -> Any:
    """A value as a client would send it."""
    if isinstance(cell, bytes):
        return base64.b64encode(cell).decode()
    if isinstance(cell, list):
        return [_in_json(item) for item in cell]
    if isinstance(cell, dict):
        return {key: _in_json(item) for key, item in cell.items()}
    if is_missing(cell):
        return None
    return cell.isoformat() if isinstance(cell, date) else native(cell)


def _write_environment(folder: Path, requirements: Sequence[str]) -> None:
    (folder / _REQUIREMENTS).write_text("\n".join(requirements), "utf-8")
    python = platform.python_version()
    tools = {name: _version(name) for name in ("pip", "setuptools", "wheel")}
    conda = {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [
            f"python={python}",
            # The newest pip may not have come to conda-forge yet.
            f"pip<={tools['pip']}" if tools["pip"] else "pip",
            {"pip": list(requirements)},
        ],
    }
    virtualenv = {
        "python": python,
        "build_dependencies": [f"{name}=={version}" for name, version in tools.items() if version],
        "dependencies": [f"-r {_REQUIREMENTS}"],
    }
    for name, content in ((_CONDA_ENV, conda), (_PYTHON_ENV, virtualenv)):
        (folder / name).write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _signature(
    columns: Sequence[ColumnSpec], frame: pd.DataFrame, scores: pd.DataFrame
) -> ModelSignature:
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec, Schema, TensorSpec

    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(_mlflow_type(column, frame[column.name]), column.name, required=column.required)
        for column in columns
    ]
    answers: list[Any] = scores.to_dict("records")
    outputs = infer_signature(model_input=None, model_output=answers).outputs
    return ModelSignature(inputs=Schema(inputs), outputs=outputs)


def _mlflow_type(column: ColumnSpec, cells: pd.Series[Any]) -> Any:
    from mlflow.types.schema import AnyType, Array

    if (column.type, column.required) in _TYPES_LEFT_TO_MLFLOW:
        return column.type
    present = next((cell for cell in cells if cell is not None), None)
    # What a list holds is left open: MLflow would look at each number of it, which takes long,
    # and refuse whole numbers among doubles.
    anything = AnyType()  # type: ignore[no-untyped-call]
    return Array(anything) if isinstance(present, list) else anything
