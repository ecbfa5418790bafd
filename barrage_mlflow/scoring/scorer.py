"""Records in, scores out: the one scoring path behind ``predict``, the pyfunc and serving.

A :class:`Scorer` reads the ``model`` folder that training leaves in an artifact folder, which is
what MLflow gets. Nothing else passes from training to scoring.
"""

from __future__ import annotations

import json
import math
import os
import sys
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow.dataset import (
    ArraySpec,
    ColumnSpec,
    Pipeline,
    RecordMode,
    Records,
    RecordScore,
    as_specified,
    conform_inputs,
    describe_columns,
    load_pipeline,
    text_columns,
)
from barrage_mlflow.dataset.records.columns import objects
from barrage_mlflow.errors import ArtifactError, BarrageError, RecordError
from barrage_mlflow.evaluation.measure import Evaluation, evaluate
from barrage_mlflow.scoring import model_code
from barrage_mlflow.scoring.process import ModelProcess
from barrage_mlflow.scoring.saved_network import Arrays, Network, load_network, save_network
from barrage_mlflow.workspace import folder as artifacts

if TYPE_CHECKING:
    import keras
    import pandas as pd

BATCH_SIZE = 256
"""Records that are scored at once: enough to fill the cores, few enough for images."""

_PIECE = 8192
"""Records that are loaded, transformed and postprocessed at once by components on columns."""

_REHEARSED = 5
"""Records that are scored before the network is trained."""


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

    columns: list[ColumnSpec]
    scores: Arrays


class Scorer:
    """Scores records with a trained network and its fitted transformer.

    Safe to call from several threads, as far as the project's loader and transformer are.

    Attributes:
        config: the resolved config.
        columns: the columns of the records that scoring reads.
        outputs: names of the network's outputs.
        folder: of the packaged model that it was loaded from; None if it was not.

    Example:
        >>> scorer = Scorer.load("artifacts/2026-11-23-10-15-00-1f0c")  # doctest: +SKIP
        >>> scorer.score([{"sepal_length": 5.1}])["species"].shape  # doctest: +SKIP
        (1, 3)
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        transformer_folder: Path,
        network: Network,
        input_specs: Mapping[str, ArraySpec],
        columns: list[ColumnSpec],
    ) -> None:
        self.config = config
        self.columns = columns
        self.outputs = _outputs(config)
        self.folder: Path | None = None
        self._transformer_folder = transformer_folder
        self._pipeline = pipeline = load_pipeline(config, RecordMode.SCORE, transformer_folder)
        self._network = network
        self._input_specs = dict(input_specs)
        is_uniform = all(None not in spec.shape for spec in self._input_specs.values())
        self._by_columns = pipeline.is_columnar and is_uniform

    @classmethod
    def of_network(
        cls,
        config: Mapping[str, Any],
        network: keras.Model,
        input_specs: Mapping[str, ArraySpec],
        transformer_folder: Path,
        columns: list[ColumnSpec],
    ) -> Scorer:
        """Score with a network that is in memory, and a transformer as it was saved.

        Args:
            config: the resolved config.
            network: dict-in, dict-out.
            input_specs: of the network's inputs.
            transformer_folder: where the fitted transformer was saved.
            columns: the columns that scoring reads.
        """
        in_memory = _in_memory(network, _outputs(config))
        return cls(config, transformer_folder, in_memory, input_specs, columns)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Scorer:
        """Load from an artifact folder, or from the packaged model inside one.

        A model whose code differs from that of a model loaded before, or from this version of the
        engine, runs in a process of its own.

        Args:
            folder: the folder.

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
        model = folder / artifacts.MODEL if (folder / artifacts.MODEL).is_dir() else folder
        data = model / artifacts.DATA
        try:
            config = json.loads((data / artifacts.DATA_CONFIG).read_text("utf-8"))
            signature = json.loads((data / artifacts.SIGNATURE).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ArtifactError(
                f"{folder}: no trained model here; expected an artifact folder of a finished "
                "training"
            ) from error
        if not model_code.enter(model / artifacts.CODE):
            return _ScorerElsewhere(model, config)
        input_specs = {
            spec["name"]: ArraySpec(tuple(spec["shape"]), spec["dtype"])
            for spec in signature["inputs"]
        }
        scorer = cls(
            config,
            data / artifacts.TRANSFORMER,
            load_network(data / artifacts.NETWORK, list(input_specs), signature["outputs"]),
            input_specs,
            [ColumnSpec(**column) for column in signature["columns"]],
        )
        scorer.folder = model
        return scorer

    def piece_size(self, batch_size: int = BATCH_SIZE) -> int:
        """How many records are best scored at once, the same whichever records they are.

        Components that work on columns take many batches as easily as one.

        Args:
            batch_size: records that go through the network at once.
        """
        return max(1, _PIECE // batch_size) * batch_size if self._by_columns else batch_size

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
        records = Records.read(records, text=text_columns(self.columns))
        if not len(records):
            raise RecordError(f"{records.name}: no records to score")
        size = self.piece_size(batch_size)
        pieces = [self._score_piece(piece, batch_size) for piece in records.pieces(size)]
        if len(pieces) == 1:
            return pieces[0]
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    def evaluate(self, records: Any) -> Evaluation:
        """Compute the losses and metrics of the config on records, as validation does in training.

        Args:
            records: whatever :meth:`Records.read` takes, with targets.

        Raises:
            RecordError: there are no records, or one cannot be loaded or fed to the network.
            ComponentError: there are no targets that fit the losses.

        Example:
            >>> Scorer.load(folder).evaluate("test.csv").metrics  # doctest: +SKIP
            {'loss': 0.0813, 'accuracy': 0.9667}
        """
        records = Records.read(records, text=text_columns(self.columns))
        pipeline = load_pipeline(self.config, RecordMode.VALIDATION, self._transformer_folder)
        return evaluate(self.config, pipeline, self._network, self._input_specs, records)

    def _score_piece(self, records: Records, batch_size: int) -> Arrays:
        records = as_specified(records, self.columns)
        inputs = _load_inputs(self._pipeline, records, self._input_specs)
        scores = self._network(inputs, batch_size)
        _check_finite(scores, records, "the network")
        scores = self._pipeline.postprocess(scores, records)
        _check_finite(scores, records, "postprocess")
        return scores


class _ScorerElsewhere(Scorer):
    """A scorer whose model runs in a process of its own."""

    def __init__(self, model: Path, config: Mapping[str, Any]) -> None:
        self.config = config
        self._process = ModelProcess(sys.path)
        try:
            columns, self.outputs = self._process.call("load", str(model.resolve()))
        except BaseException:
            self._process.close()
            raise
        self.columns = [ColumnSpec(**column) for column in columns]
        self.folder = model
        # It is told columns, and knows for itself what to make of them at once.
        self._by_columns = True
        weakref.finalize(self, self._process.close)

    def score(self, records: Any, batch_size: int = BATCH_SIZE) -> Arrays:
        records = Records.read(records, text=text_columns(self.columns))
        try:
            scores: Arrays = self._process.call("score", *_sent(records), batch_size)
        except BarrageError as error:
            if records.place(0) != "record 0":
                error.add_note(f"records are counted from {records.place(0)}")
            raise
        return scores

    def evaluate(self, records: Any) -> Evaluation:
        records = Records.read(records, text=text_columns(self.columns))
        return Evaluation(*self._process.call("evaluate", *_sent(records)))


def _sent(records: Records) -> tuple[dict[str, Any], int]:
    """Records as another process takes them: as columns, and how many they are."""
    return {name: records.cells(name) for name in records.columns}, len(records)


def _load_inputs(
    pipeline: Pipeline, records: Records, input_specs: Mapping[str, ArraySpec]
) -> Arrays:
    def conformed(x: Arrays, of: Records) -> Arrays:
        return conform_inputs(x, input_specs, of, pipeline.loader, pipeline.transformer)

    try:
        (x, *_) = pipeline.load_and_transform(records)
    except RecordError:
        if len(records) > 1:
            # What differs is named by how it differs from the first, which may be the odd one.
            first = Records.read([records[0]])
            conformed(pipeline.load_and_transform(first)[0], records[:1])
        raise
    return conformed(x, records)


def _in_memory(network: keras.Model, outputs: Sequence[str]) -> Network:
    """What a network gives, run as it is."""
    import keras

    def run(x: Arrays, batch_size: int) -> Arrays:
        scores = network(x, training=False)
        return {name: keras.ops.convert_to_numpy(scores[name]) for name in outputs}

    return run


def _outputs(config: Mapping[str, Any]) -> list[str]:
    return [output["name"] for output in config["model"]["outputs"]]


def _check_finite(scores: Arrays, records: Records, source: str) -> None:
    finite: Any
    for name, array in scores.items():
        if array.dtype == object:
            finite = np.array([_is_finite(cell) for cell in array.tolist()])
        elif array.dtype.kind == "f":
            finite = np.isfinite(array.reshape(len(array), -1)).all(axis=1)
        else:
            continue
        if not finite.all():
            raise RecordError(
                f"{records.place(int(np.argmin(finite)))}: expected finite scores, got NaN or "
                f"infinity from {source} for output {name!r}; look for inputs that are far "
                "from those it was trained on"
            )


def _is_finite(cell: Any) -> bool:
    if isinstance(cell, float):
        return math.isfinite(cell)
    if isinstance(cell, dict):
        return all(map(_is_finite, cell.values()))
    return not isinstance(cell, list | tuple) or all(map(_is_finite, cell))


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

    cells = [objects(array.tolist()) if array.ndim > 1 else array for array in scores.values()]
    frame = pd.DataFrame(dict(enumerate(cells)))
    frame.columns = _column_index(tuple(scores)).view()
    return frame


@cache
def _column_index(names: tuple[str, ...]) -> pd.Index:
    """Names as they are: pandas takes longer to make Arrow's strings of them than for the rest.

    A frame gets a view of it: pandas keeps what a caller sets on the index of columns, its name
    above all, in the index.
    """
    import pandas as pd

    return pd.Index(names, dtype=object)


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
    few = as_specified(records[:count], columns)
    inputs = _load_inputs(pipeline, few, input_specs)
    with keras.StatelessScope():  # a state of the network, or of Keras, is changed in here alone
        scores = _in_memory(network, _outputs(config))(inputs, count)
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
    columns: Sequence[ColumnSpec],
) -> None:
    """Write what :meth:`Scorer.load` reads, the transformer's own files apart.

    Args:
        folder: the ``data`` folder of the packaged model; the transformer has been saved in it.
        config: the resolved config.
        network: dict-in, dict-out, holding the weights to keep.
        input_specs: of the network's inputs, in its order.
        columns: the columns that scoring reads, as :func:`rehearse` found them.
    """
    outputs = _outputs(config)
    signature = {
        "columns": [asdict(column) for column in columns],
        "inputs": [
            {"name": name, "shape": list(spec.shape), "dtype": spec.dtype}
            for name, spec in input_specs.items()
        ],
        "outputs": outputs,
    }
    save_network(network, folder / artifacts.NETWORK, input_specs, outputs)
    artifacts.write_json(folder / artifacts.SIGNATURE, signature)
    artifacts.write_json(folder / artifacts.DATA_CONFIG, config)
