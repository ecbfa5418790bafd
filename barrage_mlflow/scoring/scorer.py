"""Records in, scores out: the one scoring path behind ``predict``, the pyfunc and serving.

A :class:`Scorer` reads the ``model`` folder that training leaves in an artifact folder, which is
what MLflow gets. Nothing else passes from training to scoring.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from barrage_mlflow.config.output_names import output_names
from barrage_mlflow.dataset import RecordMode, Records
from barrage_mlflow.dataset.components.build import load_pipeline
from barrage_mlflow.dataset.components.pipeline import Pipeline
from barrage_mlflow.dataset.components.places import place_of
from barrage_mlflow.dataset.components.score_params import declared_params, fill_params
from barrage_mlflow.dataset.feeding.conform import ArraySpec, conform
from barrage_mlflow.dataset.records.column_kinds import Column, Schema
from barrage_mlflow.dataset.records.tables import UnfitError
from barrage_mlflow.errors import ArtifactError, BarrageError, RecordError
from barrage_mlflow.scoring import model_code
from barrage_mlflow.scoring.process import ModelProcess
from barrage_mlflow.scoring.saved_network import Arrays, Network, load_network
from barrage_mlflow.scoring.scores import check_finite
from barrage_mlflow.workspace import layout as artifacts

BATCH_SIZE = 256
"""Records that are scored at once: enough to fill the cores, few enough for images."""

_PIECE = 8192
"""Records that are loaded, transformed and postprocessed at once by components on columns."""


class Scorer:
    """Scores records with a trained network and its fitted transformer.

    Safe to call from several threads, as far as the project's loader and transformer are.

    Args:
        config: the resolved config.
        transformer_folder: where the fitted transformer was saved.
        network: scores arrays.
        input_specs: of the network's inputs.
        schema: what is known of the columns of records.
        reads: those that scoring reads.

    Attributes:
        config: the resolved config.
        schema: what is known of the columns of records.
        inputs: the same of those that scoring reads.
        outputs: names of the network's outputs.
        score_params: what a request may set of ``postprocess``, by name: the defaults.
        folder: of the packaged model that it was loaded from; None if it was not.
        network: scores arrays.
        input_specs: of the network's inputs.

    Example:
        >>> scorer = Scorer.load("artifacts/2026-11-23-10-15-00-1f0c")  # doctest: +SKIP
        >>> scorer.score([{"sepal_length": 5.1}])["species"].shape  # doctest: +SKIP
        (1, 3)
    """

    folder: Path | None = None

    def __init__(
        self,
        config: Mapping[str, Any],
        transformer_folder: Path,
        network: Network,
        input_specs: Mapping[str, ArraySpec],
        schema: Schema,
        reads: Sequence[str],
    ) -> None:
        self.config = config
        self.schema = schema
        self.inputs = schema.to_score(reads)
        self.outputs = output_names(config)
        self.network = network
        self.input_specs = dict(input_specs)
        self._transformer_folder = transformer_folder
        self._pipeline = self.load_pipeline(RecordMode.SCORE)
        self.score_params = declared_params(self._pipeline.transformer)
        is_uniform = all(None not in spec.shape for spec in self.input_specs.values())
        self._by_columns = self._pipeline.is_columnar and is_uniform

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Scorer:
        """Load from an artifact folder, or from the packaged model inside one.

        A model whose code differs from that of a model loaded before, or from this version of the
        engine, runs in a process of its own.

        Args:
            folder: the folder.

        Raises:
            ArtifactError: there is no trained model in the folder, or it is damaged.
            Exception: whatever loading the transformer raises, with the place as a note.

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
        config = artifacts.read_json(data / artifacts.DATA_CONFIG)
        signature = artifacts.read_json(data / artifacts.SIGNATURE)
        columns = artifacts.read_json(data / artifacts.COLUMNS)
        if config and signature and not model_code.adopt(model / artifacts.CODE):
            # Of an engine whose other files may differ.
            names = [name for name in signature["columns"] if isinstance(name, str)]  # once dicts
            return ProcessScorer(model, config, names)
        if config is None or signature is None or columns is None:
            raise ArtifactError(
                f"{folder}: no trained model here; expected an artifact folder of a finished "
                "training"
            )
        with artifacts.undamaged(data / artifacts.SIGNATURE):
            input_specs = {
                spec["name"]: ArraySpec(tuple(spec["shape"]), spec["dtype"])
                for spec in signature["inputs"]
            }
        with artifacts.undamaged(data / artifacts.COLUMNS):
            schema = Schema.from_json(columns)
        network = load_network(data / artifacts.NETWORK, [*input_specs], signature["outputs"])
        try:
            transformer, reads = data / artifacts.TRANSFORMER, signature["columns"]
            scorer = cls(config, transformer, network, input_specs, schema, reads)
        except Exception as error:
            if place_of(error):
                error.add_note(f"if its files are damaged, {artifacts.AGAIN}")
            raise
        scorer.folder = model
        return scorer

    def load_pipeline(self, mode: RecordMode) -> Pipeline:
        """Load the loader and the fitted transformer anew.

        Args:
            mode: what records are to be loaded for.
        """
        return load_pipeline(self.config, mode, self._transformer_folder)

    def piece_size(self, batch_size: int = BATCH_SIZE) -> int:
        """How many records are best scored at once, the same whichever records they are.

        Components that work on columns take many batches as easily as one.

        Args:
            batch_size: records that go through the network at once.
        """
        return max(1, _PIECE // batch_size) * batch_size if self._by_columns else batch_size

    def pieces(self, records: Records, batch_size: int = BATCH_SIZE) -> Iterator[Records]:
        """Records in pieces of that size; of records with files, no more than a batch at once."""
        return records.pieces(batch_size if records.has_files else self.piece_size(batch_size))

    def read(self, records: Any) -> Records:
        """Read records as the model knows their columns.

        Args:
            records: whatever :meth:`Records.read` takes: a DataFrame, dicts or a file.
        """
        return Records.read(records, schema=self.schema)

    def score(
        self, records: Any, batch_size: int = BATCH_SIZE, params: Mapping[str, Any] = {}
    ) -> Arrays:
        """Score records: load → transform → network → postprocess.

        Args:
            records: whatever :meth:`Records.read` takes: a DataFrame, dicts or a file.
            batch_size: records that go through the network at once.
            params: what to set of ``score_params``; the others have their defaults.

        Returns:
            One array ``(records, ...)`` for each output, in the order of the records.

        Raises:
            RecordError: a record cannot be loaded or fed to the network, or a param is unknown or
                of another type than its default.

        Example:
            >>> Scorer.load(folder).score("validation.csv")  # doctest: +SKIP
            {'species': array([[0.99, 0.01, 0.  ], ...], dtype=float32)}
        """
        filled = fill_params(self.score_params, params)
        records = Records.read(records, schema=self.inputs)
        if not len(records):
            raise RecordError(f"{records.name}: no records to score")
        records.check_names([n for n, one in self.inputs.columns.items() if not one.optional])
        parts = self.pieces(records, batch_size)
        pieces = [self._score_piece(piece, batch_size, filled) for piece in parts]
        if len(pieces) == 1:
            return pieces[0]
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    def _load(self, records: Records) -> Arrays:
        """What the network is fed of records."""
        data = self._pipeline.load_and_transform(records)
        return conform(data, self.input_specs, records, self._pipeline)[0]

    def _score_piece(self, records: Records, batch_size: int, params: Mapping[str, Any]) -> Arrays:
        try:
            inputs = self._load(records)
        except UnfitError:  # of which it is known what differs
            raise
        except RecordError:
            # What differs is named by how it differs from the first, which may be the odd one.
            if len(records) > 1:
                self._load(records[:1])
            raise
        scores, _ = self.network(inputs, batch_size)
        check_finite(scores, records, "the network")
        scores = self._pipeline.postprocess(scores, records, params)
        check_finite(scores, records, "postprocess")
        windows = self.inputs.windows
        # Which series a window is of; of rows that are records, the caller knows it.
        return {name: records[name] for name in (windows.group if windows else ())} | scores


class ProcessScorer(Scorer):
    """A scorer whose model runs in a process of its own.

    Args:
        model: the folder of the packaged model.
        config: the resolved config.
        reads: the columns that scoring reads; all that the model knows if empty.
    """

    def __init__(self, model: Path, config: Mapping[str, Any], reads: Sequence[str]) -> None:
        self.config = config
        self.folder = model
        # It is sent columns, and cuts them up for itself.
        self._by_columns = True
        self._process = ModelProcess()
        weakref.finalize(self, self._process.close)
        columns, self.outputs, self.score_params = self._process.call("load", str(model.resolve()))
        # Cells go to the model as they are read, and it brings them to its kinds.
        known = map(Column.from_json, columns)
        declared = Schema.from_config(config["dataset"])
        keys = declared.windows.keys if declared.windows else ()
        read = {one.name: replace(one, declared=one.name in keys) for one in known}
        self.schema = replace(declared, columns=read)
        self.inputs = self.schema.to_score(reads or self.schema.columns)

    def call(self, name: str, rows: Records, *arguments: Any) -> Any:
        """Call a function of the process with records.

        Args:
            name: of the function.
            rows: the records; of windows, the rows of their table. They are sent as columns.
            arguments: what else it takes.

        Raises:
            As :meth:`ModelProcess.call`.
        """
        cells = {column: rows.as_read(column) for column in rows.columns}
        try:
            return self._process.call(name, cells, len(rows), *arguments)
        except BarrageError as error:
            if len(rows) and rows.place(0) != "record 0":
                error.add_note(f"records are counted from {rows.place(0)}")
            raise

    def _score_piece(self, records: Records, batch_size: int, params: Mapping[str, Any]) -> Arrays:
        windows, rows = self.inputs.windows, records.as_rows()
        if windows and len(rows) < len(records) * windows.history:
            # Windows that overlap have rows in common, which there are one window.
            each = [self._score_piece(one, batch_size, params) for one in records.pieces(1)]
            return {name: np.concatenate([scores[name] for scores in each]) for name in each[0]}
        # Engines once took no params.
        scores: Arrays = self.call("score", rows, batch_size, *([params] if params else []))
        return scores
