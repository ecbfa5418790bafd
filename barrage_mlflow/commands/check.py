"""A training in small: all that one does, on the first records and for one batch of each kind.

It shows what every stage makes of every input, output and sample weight, and stops at the
first stage that breaks.
"""

from __future__ import annotations

import os
import tempfile
import textwrap
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barrage_mlflow.commands.shape_table import ShapeTable, show_array, show_data
from barrage_mlflow.dataset import (
    ArraySpec,
    Blocks,
    DataRecord,
    Pipeline,
    RecordMode,
    Records,
    RecordSource,
    build_loader,
    build_transformer,
    conform_inputs,
    conform_targets,
    length,
    load_pipeline,
    make_plan,
    place_of,
)
from barrage_mlflow.dataset.types import PARTS
from barrage_mlflow.errors import BarrageError, RecordError
from barrage_mlflow.scoring.scorer import rehearse
from barrage_mlflow.training.progress import format_logs
from barrage_mlflow.workspace import folder as artifacts

if TYPE_CHECKING:
    import keras

    from barrage_mlflow.model import Objective

RECORDS = 1000
"""Records that are read of each file, if nobody says otherwise."""

_SEED = 0
"""For a config without one: two dry runs of it shall say the same."""

_WIDTH = 80

_TRAIN = "the train batch"
_VALIDATION = "the validation batch"
_SERVICES = "services and learning rate reducer"

_INPUTS, _OUTPUTS, _WEIGHTS = PARTS


@dataclass(frozen=True)
class DryRun:
    """What a dry run has shown.

    Attributes:
        report: plain text of several lines: the records, a table of every input, output and
            sample weight at each stage that was reached, and a line for each batch.
        error: what stopped it; None where all is well.
    """

    report: str
    error: Exception | None


def dry_run(
    config: Mapping[str, Any],
    train: RecordSource,
    validation: RecordSource | None = None,
    records: int = RECORDS,
) -> DryRun:
    """Go through a training in small. Nothing is tracked, and nothing is left on disk.

    Args:
        config: a resolved config; it need hold no seed.
        train: the train records, whatever :meth:`Records.read` takes.
        validation: the validation records; if left out, train records stand in for them.
        records: how many records of each to take, from the start; at least 1.

    Returns:
        The report, and the error if one stopped it: a BarrageError, or what a component of the
        project's own has raised, with the place as a note.

    Example:
        >>> from barrage_mlflow.config import resolve_config
        >>> network = {
        ...     "import": "barrage_mlflow.model.sequential_from_config",
        ...     "params": {"layers": [{"import": "Dense", "params": {"units": 1, "name": "y"}}]},
        ... }
        >>> params = {"inputs": {"x": ["a"]}, "outputs": {"y": "b"}}
        >>> config = resolve_config({
        ...     "dataset": {"loader": {"import": "KeySelector", "params": params}},
        ...     "model": {
        ...         "network": network, "outputs": [{"name": "y", "loss": {"import": "mse"}}]
        ...     },
        ...     "solver": {},
        ...     "services": {},
        ... })
        >>> result = dry_run(config, [{"a": 1.5, "b": 2.5}, {"a": 2.5, "b": 0.5}])
        >>> result.error is None
        True
        >>> for line in result.report.splitlines()[:6]:
        ...     print(line)
        train       all 2 records of train
        validation  none given: the train records stand in
        <BLANKLINE>
                 loader              transformer         network
        inputs
          x      (batch, 1) float64  (batch, 1) float64  (batch, 1) float32
    """
    config = {**config, "dataset": {"seed": _SEED, **config["dataset"]}}
    attempt = _Attempt(config, records)
    try:
        with tempfile.TemporaryDirectory(prefix="barrage-") as folder:
            attempt.run(train, validation, Path(folder))
    except Exception as error:
        return DryRun(attempt.report(stopped=True), error)
    return DryRun(attempt.report(), None)


class _OneBatch:
    """Train batches whose epoch is a single batch."""

    steps = 1

    def __init__(self, data: DataRecord) -> None:
        self._data = data
        self.batch_size = length(data)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[DataRecord]:
        yield self._data


@dataclass(frozen=True)
class _Built:
    """What the batches are tried on."""

    transformer: Path
    train: Pipeline
    validation: Pipeline
    network: keras.Model
    specs: Mapping[str, ArraySpec]
    objective: Objective


class _Attempt:
    """One dry run: its stages in their order, and what has been seen so far."""

    def __init__(self, config: Mapping[str, Any], limit: int) -> None:
        self._config = config
        self._limit = limit
        self._batch_size: int = config["solver"]["batch_size"]
        self._stage = ""
        self._heads: list[str] = []
        self._table = ShapeTable(("loader", "transformer", "network"))
        self._scores = ShapeTable(("postprocess",))
        self._batches: list[str] = []
        self._feeding: list[str] = []

    def report(self, stopped: bool = False) -> str:
        """Write what has been seen so far."""
        parts = [self._heads, self._table.lines(), self._scores.lines(), self._batches]
        parts.append([f"stopped at {self._stage}"] if stopped else self._feeding)
        return "\n\n".join("\n".join(part) for part in parts if part)

    def run(self, train: RecordSource, validation: RecordSource | None, folder: Path) -> None:
        """Go through every stage; whatever breaks is raised."""
        train_records = self._read(train, "train")
        validation_records = None
        if validation is None:
            self._heads.append("validation  none given: the train records stand in")
        else:
            validation_records = self._read(validation, "validation")
        # Not before the records are read: it takes seconds, and a path is soon mistyped.
        import keras

        keras.utils.set_random_seed(self._config["dataset"]["seed"])
        built = self._build(train_records, folder)
        self._train(built, train_records, validation_records)
        self._score(built, train_records)

    def _read(self, source: RecordSource, role: str) -> Records:
        self._stage = f"the {role} records"
        name = None if isinstance(source, str | os.PathLike | Records) else role
        records = Records.read(source, name, self._limit)
        if not len(records):
            raise RecordError(f"{records.name} holds no records; give at least one")
        extent = f"all {len(records)} records of {records.name}"
        self._heads.append(f"{role:10}  {extent if records.cut_at is None else records.owner}")
        return records

    def _build(self, records: Records, folder: Path) -> _Built:
        from barrage_mlflow.model import Objective, build_network, input_specs
        from barrage_mlflow.training.prepare import build_objective, fit_pipelines

        sample = records[: self._batch_size]
        self._stage = "the loader"
        loader = build_loader(self._config, RecordMode.TRAIN)
        self._stage = "the transformer"
        unfitted = build_transformer(self._config, RecordMode.TRAIN, loader)
        self._stage = "the loader"
        self._fill("loader", show_data(Pipeline(loader, unfitted).load(sample)))

        self._stage = "the transformer"
        fitted = folder / artifacts.TRANSFORMER
        try:
            train, validation = fit_pipelines(self._config, records, fitted)
        except Exception as error:
            _add_hint(error, records)
            raise
        example = train.load_and_transform(sample)
        self._fill("transformer", show_data(example))

        self._stage = "the network"
        network_params = train.transformer.network_params
        network = build_network(self._config, network_params, example)
        specs = input_specs(network)
        inputs = {name: show_array(spec.shape, spec.dtype) for name, spec in specs.items()}
        outputs = {
            name: show_array(tensor.shape[1:], tensor.dtype)
            for name, tensor in network.output.items()
        }
        self._table.fill("network", _INPUTS, inputs)
        self._table.fill("network", _OUTPUTS, outputs)
        fed = self._feed(example, specs, sample, train)

        self._stage = "losses, metrics, monitors and optimizer"
        try:
            objective = build_objective(self._config, network, network_params, example)
        except Exception:
            self._mark_names(network, fed)
            self._mark_misfits(lambda: Objective(self._config, network, network_params), fed)
            raise
        if len(fed) > 2:
            _, weights = objective.conform(*fed[1:])
            given = {name: weights[name] for name in fed[2]} if weights else {}
            self._table.fill("network", _WEIGHTS, *show_data((given,)))
        return _Built(fitted, train, validation, network, specs, objective)

    def _train(self, built: _Built, train: Records, validation: Records | None) -> None:
        """One train step, then one validation step, in the loop of a training."""
        import keras

        from barrage_mlflow.training.loop import fit
        from barrage_mlflow.training.prepare import build_feeder, build_services, train_batches

        self._stage = _SERVICES
        folder = built.transformer.parent
        (folder / artifacts.CHECKPOINTS).mkdir()
        services = build_services(self._config, folder)

        self._stage = _TRAIN
        network, specs = built.network, built.specs
        feeder = build_feeder(self._config, folder)
        plan = make_plan(built.train, specs, train, self._batch_size, feeder)
        for line in str(plan).splitlines():
            head = "feeding  " if not self._feeding else " " * 9
            self._feeding += textwrap.wrap(
                line, _WIDTH, initial_indent=head, subsequent_indent=" " * 11
            )
        batches = train_batches(self._config, train, built.train, specs)
        fed = Blocks(batches.epoch(0)).take(self._batch_size) or ()

        def validate() -> Iterator[DataRecord]:
            # A generator, since it is to begin when the train step is done.
            nonlocal fed
            self._stage = _VALIDATION
            records = (train if validation is None else validation)[: self._batch_size]
            data = built.validation.load_and_transform(records)
            fed = self._feed(data, specs, records, built.validation)
            yield fed

        def note(batch: str) -> None:
            results = network.get_metrics_result().items()
            words = format_logs({name: float(value) for name, value in results}).split("  ")
            self._say(batch, len(next(iter(fed[0].values()))), words)

        def end_epoch(epoch: int, logs: Any) -> None:
            note("validation batch")
            self._stage = _SERVICES

        watcher = keras.callbacks.LambdaCallback(
            on_train_begin=lambda logs: setattr(self, "_stage", _SERVICES),
            on_epoch_begin=lambda epoch, logs: setattr(self, "_stage", _TRAIN),
            on_test_begin=lambda logs: note("train batch"),
            on_epoch_end=end_epoch,
        )
        callbacks = [watcher, *services]
        try:
            fit(network, _OneBatch(fed), validate(), 1, callbacks, built.objective)
        except Exception as error:
            if not isinstance(error, BarrageError):
                _add_part(error, [*services, network.optimizer])
            if self._stage != _SERVICES:
                self._mark_misfits(lambda: built.objective, fed)
            if self._stage == _VALIDATION and validation is not None:
                _add_hint(error, train)
            raise

    def _score(self, built: _Built, records: Records) -> None:
        self._stage = "the score batch"
        sample = records[: self._batch_size]
        pipeline = load_pipeline(self._config, RecordMode.SCORE, built.transformer)
        self._feed(pipeline.load_and_transform(sample), built.specs, sample, pipeline)
        rehearsal = rehearse(
            self._config, built.network, built.specs, built.transformer, records, self._batch_size
        )
        self._scores.fill("postprocess", "scores", *show_data((rehearsal.scores,)))
        self._say("score batch", len(sample), list(rehearsal.scores))

    def _fill(self, stage: str, parts: list[dict[str, str]]) -> None:
        for place, group in enumerate(PARTS):
            self._table.fill(stage, group, parts[place] if place < len(parts) else {})

    def _say(self, batch: str, size: int, words: Sequence[str]) -> None:
        """Add what came of a batch, in lines of a terminal's width."""
        line = f"{batch:16}  {size} records:"
        for word in words:
            if len(line) + 2 + len(word) > _WIDTH:
                self._batches.append(line)
                line = " " * 16
            line += f"  {word}"
        self._batches.append(line)

    def _feed(
        self,
        data: DataRecord,
        specs: Mapping[str, ArraySpec],
        records: Records,
        pipeline: Pipeline,
    ) -> DataRecord:
        """Conform a batch one array at a time, so that the one that does not fit is marked."""
        made_of = (records, pipeline.loader, pipeline.transformer)
        x, y, w = (*data, {}, {})[:3]
        for name in x.keys() ^ specs.keys():
            self._table.mark(_INPUTS, name)
        if x.keys() != specs.keys():
            conform_inputs(x, specs, *made_of)  # raises
        fed: tuple[dict[str, Any], ...] = ({}, {}, {})
        for name, array in x.items():
            with self._marking(_INPUTS, name):
                fed[0].update(conform_inputs({name: array}, {name: specs[name]}, *made_of))
        for name, array in y.items():
            with self._marking(_OUTPUTS, name):
                fed[1].update(conform_targets({name: array}, None, *made_of)[0])
        for name, array in w.items():
            with self._marking(_WEIGHTS, name):
                fed[2].update(conform_targets({}, {name: array}, *made_of)[1] or {})
        return fed[: len(data)]

    @contextmanager
    def _marking(self, group: str, name: str) -> Iterator[None]:
        try:
            yield
        except Exception:
            self._table.mark(group, name)
            raise

    def _mark_names(self, network: keras.Model, fed: DataRecord) -> None:
        """Mark the outputs that config, network and loader do not agree on."""
        named = {output["name"] for output in self._config["model"]["outputs"]}
        for name in (named ^ network.output.keys()) | (named ^ fed[1].keys()):
            self._table.mark(_OUTPUTS, name)
        for weights in fed[2:]:
            for name in weights.keys() - named:
                self._table.mark(_WEIGHTS, name)

    def _mark_misfits(self, make: Callable[[], Objective], fed: DataRecord) -> None:
        """Mark the outputs and weights that do not fit, each tried by itself."""
        try:
            objective = make()
        except Exception:
            return  # no output's fault
        weights = fed[2] if len(fed) > 2 else {}
        for name in objective.losses.keys() & fed[1].keys():
            y = fed[1][name]
            if not _passes(objective.check_output, name, y):
                self._table.mark(_OUTPUTS, name)
            elif not _passes(objective.check_output, name, y, weights.get(name)):
                self._table.mark(_WEIGHTS, name)


def _passes(check: Callable[..., object], *args: Any) -> bool:
    try:
        check(*args)
    except Exception:
        return False
    return True


def _add_part(error: Exception, parts: Sequence[Any]) -> None:
    """Say which of these an error came through: Keras finds many a bad param late."""
    passed = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
    for part in parts:
        if any(owner is part for owner in passed):
            error.add_note(f"in {type(part).__name__}; look at its params in the config")


def _add_hint(error: Exception, records: Records) -> None:
    """Say that fit may have seen too little, where that can be why something broke."""
    place = place_of(error)
    in_loading = place is not None and place.stage == "load"
    if records.cut_at is not None and not in_loading:
        error.add_note(
            f"fit saw {records.owner} alone; if it needs more of them, try --records N "
            f"with N above {records.cut_at}"
        )
