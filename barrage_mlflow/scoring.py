"""Records in, scores out: the one scoring path behind ``predict``, the pyfunc and serving.

A :class:`Scorer` reads the ``model`` folder that training leaves in an artifact folder and
that is packed into the MLflow model as it stands. Nothing else passes from training to
scoring.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow import artifacts
from barrage_mlflow.dataset import (
    ArraySpec,
    Pipeline,
    RecordLoader,
    RecordMode,
    Records,
    RecordScore,
    columns_read,
    conform_inputs,
    load_pipeline,
)
from barrage_mlflow.errors import ArtifactError, RecordError
from barrage_mlflow.saved_network import Arrays, Network, load_network, save_network

if TYPE_CHECKING:
    import keras
    import pandas as pd

BATCH_SIZE = 256
"""Records that are scored at once: enough to fill the cores, few enough for images."""

_PIECE = 8192
"""Records that are loaded, transformed and postprocessed at once by components on columns."""

_SAMPLE = 256
"""Records that are loaded to learn which columns scoring reads."""

_REHEARSED = 5
"""Records that are scored before the network is trained."""


@dataclass(frozen=True)
class Column:
    """A column of the records that scoring reads.

    Attributes:
        name: the record key.
        type: ``"integer"``, ``"double"``, ``"boolean"``, ``"string"``, or ``"other"`` for
            lists, arrays and whatever else a record may hold.
        required: whether every training record had a value.

    Example:
        >>> Column("bill_length_mm", "double", required=False).name
        'bill_length_mm'
    """

    name: str
    type: str
    required: bool


@dataclass(frozen=True)
class Rehearsal:
    """What scoring a few records with the untrained network has shown.

    Attributes:
        columns: the columns that scoring reads.
        scores: what ``postprocess`` handed out, arrays ``(records, ...)`` by output.

    Example:
        >>> Rehearsal([], {"y": np.zeros((5, 1))}).scores["y"].shape
        (5, 1)
    """

    columns: list[Column]
    scores: Arrays


class Scorer:
    """Scores records with a trained network and its fitted transformer.

    Safe to call from several threads, as far as the project's loader and transformer are.

    Attributes:
        columns: the columns of the records that scoring reads.
        outputs: names of the network's outputs.

    Example:
        >>> scorer = Scorer.load("artifacts/2026-11-23-10-15-00-1f0c")  # doctest: +SKIP
        >>> scorer.score([{"sepal_length": 5.1}])["species"].shape  # doctest: +SKIP
        (1, 3)
    """

    def __init__(
        self,
        pipeline: Pipeline,
        network: Network,
        input_specs: Mapping[str, ArraySpec],
        outputs: list[str],
        columns: list[Column],
    ) -> None:
        self.columns = columns
        self.outputs = outputs
        self._pipeline = pipeline
        self._network = network
        self._input_specs = dict(input_specs)
        is_uniform = all(None not in spec.shape for spec in self._input_specs.values())
        self._by_columns = pipeline.is_columnar and is_uniform

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Scorer:
        """Load from an artifact folder, or from the ``model`` folder inside one.

        Args:
            folder: the folder. An artifact folder brings the project's code along.

        Raises:
            ArtifactError: the folder is not there or holds no trained model.

        Example:
            >>> Scorer.load("/nowhere")
            Traceback (most recent call last):
                ...
            barrage_mlflow.errors.ArtifactError: /nowhere: no trained model here; expected an \
artifact folder of a finished training
        """
        folder = Path(folder)
        if (folder / artifacts.MODEL).is_dir():
            code = (folder / artifacts.CODE).resolve()
            # The code that the model was trained with goes before whatever else has its name.
            if code.is_dir() and str(code) not in sys.path:
                sys.path.insert(0, str(code))
            folder = folder / artifacts.MODEL
        try:
            config = json.loads((folder / artifacts.MODEL_CONFIG).read_text("utf-8"))
            signature = json.loads((folder / artifacts.MODEL_SIGNATURE).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ArtifactError(
                f"{folder}: no trained model here; expected an artifact folder of a finished "
                "training"
            ) from error
        input_specs = {
            spec["name"]: ArraySpec(tuple(spec["shape"]), spec["dtype"])
            for spec in signature["inputs"]
        }
        return cls(
            load_pipeline(config, RecordMode.SCORE, folder / artifacts.MODEL_TRANSFORMER),
            load_network(folder / artifacts.MODEL_NETWORK, list(input_specs), signature["outputs"]),
            input_specs,
            signature["outputs"],
            [Column(**column) for column in signature["columns"]],
        )

    def score(self, records: Any, batch_size: int = BATCH_SIZE) -> Arrays:
        """Score records: load → transform → network → postprocess.

        Args:
            records: whatever :meth:`Records.read` takes: a DataFrame, dicts or a file.
            batch_size: records that go through the network at once.

        Returns:
            One array ``(records, ...)`` for each output, in the order of the records.

        Raises:
            RecordError: a record cannot be loaded or fed to the network.

        Example:
            >>> Scorer.load(folder).score("validation.csv")  # doctest: +SKIP
            {'species': array([[0.99, 0.01, 0.  ], ...], dtype=float32)}
        """
        records = Records.read(records)
        if not len(records):
            raise RecordError(f"{records.name}: no records to score")
        # Components that work on columns take many batches as easily as one.
        size = max(1, _PIECE // batch_size) * batch_size if self._by_columns else batch_size
        pieces = [self._score_piece(piece, batch_size) for piece in records.pieces(size)]
        if len(pieces) == 1:
            return pieces[0]
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    def _score_piece(self, records: Records, batch_size: int) -> Arrays:
        pipeline = self._pipeline
        inputs = _load_inputs(pipeline, records, self._input_specs)
        scores = self._network(inputs, batch_size)
        _check_finite(scores, records)
        return pipeline.postprocess(scores, records)


def _load_inputs(
    pipeline: Pipeline, records: Records, input_specs: Mapping[str, ArraySpec]
) -> Arrays:
    (x, *_) = pipeline.load_and_transform(records)
    return conform_inputs(x, input_specs, records, pipeline.loader, pipeline.transformer)


def _check_finite(scores: Arrays, records: Records) -> None:
    for name, array in scores.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            wrong = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
            raise RecordError(
                f"{records.place(int(np.argmax(wrong)))}: expected finite scores, got NaN or "
                f"infinity from the network for output {name!r}; look for inputs that are far "
                "from those it was trained on"
            )


def to_record_scores(scores: Arrays) -> list[RecordScore]:
    """Turn columns of scores into one dict for each record.

    Args:
        scores: arrays ``(records, ...)``.

    Example:
        >>> to_record_scores({"species": np.array(["Gentoo", "Adelie"], dtype=object)})
        [{'species': 'Gentoo'}, {'species': 'Adelie'}]
    """
    rows = zip(*scores.values(), strict=True)
    return [dict(zip(scores, row, strict=True)) for row in rows]


def to_frame(scores: Arrays) -> pd.DataFrame:
    """Turn columns of scores into a DataFrame; a vector of a record becomes a list.

    Args:
        scores: arrays ``(records, ...)``.

    Example:
        >>> to_frame({"p": np.array([[0.25, 0.75]], dtype=np.float32)})["p"].tolist()
        [[0.25, 0.75]]
    """
    import pandas as pd

    return pd.DataFrame(
        {
            name: pd.Series(array.tolist(), dtype=object) if array.ndim > 1 else array
            for name, array in scores.items()
        }
    )


def rehearse(
    config: Mapping[str, Any],
    network: keras.Model,
    input_specs: Mapping[str, ArraySpec],
    transformer_folder: Path,
    records: Records,
    count: int = _REHEARSED,
) -> Rehearsal:
    """Score a few records with the untrained network, to find now what would break at the end.

    A loader that fails without targets or a ``postprocess`` that breaks is found here, before
    an hour of training is spent. The network is left as it is.

    Args:
        config: the resolved config.
        network: dict-in, dict-out.
        input_specs: of the network's inputs.
        transformer_folder: where the fitted transformer was saved.
        records: train records.
        count: how many of them to score.

    Raises:
        RecordError: a record cannot be loaded or fed to the network.
        ComponentError: a component broke its contract.
        Exception: whatever loader or transformer raise, with the place as a note.
    """
    import keras

    pipeline = load_pipeline(config, RecordMode.SCORE, transformer_folder)
    columns = describe_columns(pipeline.loader, records)
    few = records[:count]
    with keras.StatelessScope():
        outputs = network(_load_inputs(pipeline, few, input_specs), training=False)
    names = [output["name"] for output in config["model"]["outputs"]]
    scores = {name: keras.ops.convert_to_numpy(outputs[name]) for name in names}
    # An untrained network may give what a trained one does not and postprocess rightly refuses.
    mild = {name: np.full_like(array, 0.5) for name, array in scores.items()}
    failures = []
    for attempt in (scores, mild):
        try:
            return Rehearsal(columns, pipeline.postprocess(attempt, few))
        except Exception as error:
            failures.append(error)
    failures[0].add_note("found before training, on scores of the untrained network")
    raise failures[0]


def save_model(
    folder: Path,
    config: Mapping[str, Any],
    network: keras.Model,
    input_specs: Mapping[str, ArraySpec],
    columns: Sequence[Column],
) -> None:
    """Write what :meth:`Scorer.load` reads, the transformer's own files apart.

    Args:
        folder: the ``model`` folder; the transformer has been saved in it already.
        config: the resolved config.
        network: dict-in, dict-out, holding the weights to keep.
        input_specs: of the network's inputs, in its order.
        columns: the columns that scoring reads, as :func:`rehearse` found them.
    """
    outputs = [output["name"] for output in config["model"]["outputs"]]
    signature = {
        "columns": [asdict(column) for column in columns],
        "inputs": [
            {"name": name, "shape": list(spec.shape), "dtype": spec.dtype}
            for name, spec in input_specs.items()
        ],
        "outputs": outputs,
    }
    save_network(network, folder / artifacts.MODEL_NETWORK, input_specs, outputs)
    artifacts.write_json(folder / artifacts.MODEL_SIGNATURE, signature)
    artifacts.write_json(folder / artifacts.MODEL_CONFIG, config)


def describe_columns(loader: RecordLoader, records: Records) -> list[Column]:
    """Tell which columns loading reads in the loader's mode, and what they hold.

    Args:
        loader: in SCORE mode.
        records: train records; all are looked at for missing values.

    Example:
        >>> from barrage_mlflow.dataset import KeySelector
        >>> loader = KeySelector(RecordMode.SCORE, {"x": "a"}, {"y": "b"})
        >>> describe_columns(loader, Records.read([{"a": 1, "b": 0}]))
        [Column(name='a', type='integer', required=True)]
    """
    scanned = records.scan().columns
    return [
        Column(name, scanned[name].type, required=not scanned[name].missing)
        for name in columns_read(loader, records[:_SAMPLE])
    ]
