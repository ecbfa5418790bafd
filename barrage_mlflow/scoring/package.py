"""Packs a trained model as an MLflow model, in its artifact folder."""

from __future__ import annotations

import base64
import shutil
import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from barrage_mlflow.config.output_names import output_names
from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.feeding.conform import ArraySpec
from barrage_mlflow.dataset.records.column_kinds import Column, Schema
from barrage_mlflow.dataset.records.values import is_missing, native, objects
from barrage_mlflow.scoring.saved_network import Network, save_network
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.code_files import copy_code

if TYPE_CHECKING:
    import keras
    import pandas as pd
    from mlflow.models import ModelSignature

LOADER = "barrage_mlflow.pyfunc"
"""The module that a packaged model names as its loader: its address, for good."""
_MLMODEL = "MLmodel"
_REQUIREMENTS = "requirements.txt"
_CONDA_ENV = "conda.yaml"
_PYTHON_ENV = "python_env.yaml"
_PARAM_TYPES = {bool: "boolean", int: "long", float: "double", str: "string"}


def save_model(
    folder: Path,
    config: Mapping[str, Any],
    network: keras.Model,
    input_specs: Mapping[str, ArraySpec],
    schema: Schema,
    reads: Sequence[str],
) -> Network:
    """Write what :meth:`Scorer.load` reads, the transformer's own files apart.

    Args:
        folder: the ``data`` folder of the packaged model; the transformer has been saved in it.
        config: the resolved config.
        network: dict-in, dict-out, holding the weights to keep.
        input_specs: of the network's inputs, in its order.
        schema: what is known of the columns of records.
        reads: those that scoring reads.

    Returns:
        The network as it was saved.
    """
    outputs = output_names(config)
    signature = {
        "columns": [*reads],
        "inputs": [
            {"name": name, "shape": list(spec.shape), "dtype": spec.dtype}
            for name, spec in input_specs.items()
        ],
        "outputs": outputs,
    }
    artifacts.write_json(folder / artifacts.SIGNATURE, signature)
    artifacts.write_json(folder / artifacts.COLUMNS, schema.to_json())
    artifacts.write_json(folder / artifacts.DATA_CONFIG, config)
    return save_network(network, folder / artifacts.NETWORK, input_specs, outputs)


def package_model(
    folder: Path,
    example: Records,
    scores: pd.DataFrame,
    requirements: Sequence[str],
    code: Iterable[Path],
    params: Mapping[str, Any] = {},
) -> None:
    """Make an MLflow model of a folder whose ``data`` folder is what scoring reads.

    Args:
        folder: the model's folder.
        example: a few records of the columns that scoring reads, which become the input example.
        scores: what the model answers to them.
        requirements: pinned pip requirements.
        code: files and folders of the project's modules.
        params: what a request may set, by name: the defaults.
    """
    import pandas as pd
    from mlflow.models import Model
    from mlflow.models.utils import _save_example
    from mlflow.pyfunc import add_to_model

    columns = [*example.schema.columns.values()]
    frame = example.as_rows().to_frame()
    shutil.rmtree(folder / artifacts.CODE, ignore_errors=True)
    copy_code([Path(__file__).parents[1], *code], folder / artifacts.CODE)
    # MLflow's save_model writes the same, but would put the data folder into another one.
    metadata = {"columns": {column.name: column.to_json() for column in columns}}
    model = Model(signature=_signature(columns, frame, scores, params), metadata=metadata)
    cells = {c.name: objects([_in_json(cell, c) for cell in frame[c.name]]) for c in columns}
    _save_example(model, pd.DataFrame(cells, dtype=object), str(folder))
    _write_environment(folder, requirements)
    add_to_model(  # type: ignore[no-untyped-call]
        model,
        loader_module=LOADER,
        data=artifacts.DATA,
        code=artifacts.CODE,
        conda_env=_CONDA_ENV,
        python_env=_PYTHON_ENV,
    )
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    model.model_size_bytes = sum(sizes)
    model.save(str(folder / _MLMODEL))


def _in_json(cell: Any, column: Column) -> Any:
    """A value as a client would send it."""
    if isinstance(cell, bytes):
        return base64.b64encode(cell).decode()
    if isinstance(cell, list):
        return [_in_json(item, column) for item in cell]
    if isinstance(cell, dict):
        return {key: _in_json(item, column) for key, item in cell.items()}
    if is_missing(cell):
        return None
    if isinstance(cell, timedelta):
        import pandas as pd

        return pd.Timedelta(cell).isoformat()
    if isinstance(cell, datetime) and (column.format or column.zone):
        cell = cell.replace(tzinfo=UTC).astimezone(ZoneInfo(column.zone or "UTC"))
    if isinstance(cell, (date, time)):
        return cell.strftime(column.format) if column.format else cell.isoformat()
    return native(cell)


def _write_environment(folder: Path, requirements: Sequence[str]) -> None:
    from mlflow.utils.environment import _mlflow_conda_env, _PythonEnv

    (folder / _REQUIREMENTS).write_text("\n".join(requirements), "utf-8")
    pins = list(requirements)
    _mlflow_conda_env(  # type: ignore[no-untyped-call]
        str(folder / _CONDA_ENV), additional_pip_deps=pins, install_mlflow=False
    )
    python = _PythonEnv.current()  # type: ignore[no-untyped-call]
    python.to_yaml(str(folder / _PYTHON_ENV))


def _signature(
    columns: Sequence[Column], frame: pd.DataFrame, scores: pd.DataFrame, params: Mapping[str, Any]
) -> ModelSignature:
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(_mlflow_type(column, frame[column.name]), column.name, required=not column.optional)
        for column in columns
    ]
    answers: list[Any] = scores.to_dict("records")
    with warnings.catch_warnings():
        # It warns of whole numbers that may be missing, which no answer is.
        warnings.filterwarnings("ignore", "Hint: Inferred schema contains integer", UserWarning)
        outputs = infer_signature(model_input=None, model_output=answers).outputs
    specs = [ParamSpec(name, _PARAM_TYPES[type(it)], it) for name, it in params.items()]
    settable: Any = ParamSchema(specs) if specs else None
    return ModelSignature(inputs=Schema(inputs), outputs=outputs, params=settable)


def _mlflow_type(column: Column, cells: pd.Series[Any]) -> Any:
    """The type of a column for MLflow; what MLflow would change is left open, for the model.

    Its server would cut 1.5 to 1, take null for false or for "None", and make bytes of what is no
    base64; and it refuses a DataFrame of int64 for a double. A column of numbers is typed all the
    same, since MLflow takes a microsecond for each cell of an open one, and reads CSV for none; but
    not where all are whole, which may come as int64.
    """
    from mlflow.types.schema import AnyType, Array

    if column.kind == "number" and not column.only_whole:
        return "double"
    if column.kind == "text" and not column.optional:
        return "string"
    # The items of a list are left open: MLflow would look at each number of it, which takes long,
    # and refuse whole numbers among doubles.
    anything = AnyType()  # type: ignore[no-untyped-call]
    return Array(anything) if any(isinstance(cell, list) for cell in cells) else anything
