"""A training in small: all that one does, on the first records and for one batch of each kind.

It shows what every stage makes of every input, output and sample weight, and stops at the
first stage that breaks.
"""

from __future__ import annotations

import tempfile
import textwrap
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barrage_mlflow.commands.shape_table import ShapeTable, show_made
from barrage_mlflow.config import Document, add_project_path
from barrage_mlflow.dataset import Records, RecordSource, make_feed_plan
from barrage_mlflow.dataset.types import PARTS
from barrage_mlflow.errors import BarrageError
from barrage_mlflow.training.prepare import Made, Watch, build_feeder, prepare, read_sets, resolve
from barrage_mlflow.training.progress import format_logs
from barrage_mlflow.workspace import folder as artifacts
from barrage_mlflow.workspace.history import History

if TYPE_CHECKING:
    import keras

RECORDS = 1000
"""Records that are read of each file, unless another number is asked for."""

_SEED = 0
"""For a config without one: two dry runs of it are to come out alike."""

_WIDTH = 80


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
    config: Document | Mapping[str, Any],
    train: RecordSource,
    validation: RecordSource | None = None,
    records: int = RECORDS,
) -> DryRun:
    """Go through a training in small. Nothing is tracked, and nothing is left on disk.

    Args:
        config: one without faults; it needs no seed.
        train: the train records, whatever :meth:`Records.read` takes.
        validation: the validation records; if left out, train records take their place.
        records: how many records of each to take, from the start; at least 1.

    Returns:
        The report, and the error if one stopped it: a BarrageError, or what a component of the
        project's own has raised, with the place as a note.

    Raises:
        RecordError: records cannot be read, or there are none.

    Example:
        >>> network = {
        ...     "import": "barrage_mlflow.model.sequential_from_config",
        ...     "params": {"layers": [{"import": "Dense", "params": {"units": 1, "name": "y"}}]},
        ... }
        >>> params = {"inputs": {"x": ["a"]}, "outputs": {"y": "b"}}
        >>> config = {
        ...     "dataset": {"loader": {"import": "KeySelector", "params": params}},
        ...     "model": {
        ...         "network": network, "outputs": [{"name": "y", "loss": {"import": "mse"}}]
        ...     },
        ...     "solver": {},
        ...     "services": {},
        ... }
        >>> result = dry_run(config, [{"a": 1.5, "b": 2.5}, {"a": 2.5, "b": 0.5}])
        >>> result.error is None
        True
        >>> for line in result.report.splitlines()[:6]:
        ...     print(line)
        train       all 2 records of train
        validation  none given: the train records take their place
        <BLANKLINE>
                 loader              transformer         network
        inputs
          x      (batch, 1) float64  (batch, 1) float64  (batch, 1) float32
    """
    sets = read_sets({"train": train}, records)
    report = _Report()
    report.add_set("train", sets["train"])
    if validation is None:
        sets["validation"] = sets["train"]
        report.heads.append("validation  none given: the train records take their place")
    else:
        sets |= read_sets({"validation": validation}, records)
        report.add_set("validation", sets["validation"])
    try:
        with tempfile.TemporaryDirectory(prefix="barrage-") as folder:
            _run(config, sets, Path(folder), report)
    except Exception as error:
        return DryRun(report.text(error), error)
    return DryRun(report.text(), None)


def _run(
    given: Document | Mapping[str, Any],
    sets: Mapping[str, Records],
    folder: Path,
    report: _Report,
) -> None:
    """Train one batch of an epoch, on this thread and with nothing kept."""
    report.reach("the imports of the config")
    if isinstance(given, Document):
        add_project_path(given)
    config = resolve(given)

    from barrage_mlflow.training.epochs import train_epochs

    size = config["solver"]["batch_size"]
    on_this_thread = {"workers": 0, "cache": None, "shuffle_window": None}
    one_batch = {"batch_size": min(size, len(sets["train"])), "steps": 1, "epochs": 1}
    small = {
        **config,
        "dataset": {"seed": _SEED, **config["dataset"], **on_this_thread},
        "solver": {**config["solver"], **one_batch},
    }
    (folder / artifacts.CHECKPOINTS).mkdir()
    plan = prepare(small, sets, folder / artifacts.TRANSFORMER, report)
    feeder = build_feeder(config, folder)
    feeding = make_feed_plan(plan.train, plan.specs, sets["train"], size, feeder)
    report.feeding = str(feeding).splitlines()
    validated = sets["validation"][:size]
    plan = replace(plan, sets={**sets, "validation": validated})
    history = History(folder / artifacts.METRICS)
    try:
        train_epochs(plan, folder, history, [report.callback()], watch=report)
    except Exception as error:
        _add_part(error)
        raise
    report.add_epoch(history.epochs()[0].metrics, one_batch["batch_size"], len(validated))


def _add_part(error: Exception) -> None:
    """Name the callback or optimizer that an error came through.

    Keras finds many a bad param late.
    """
    import keras

    if isinstance(error, BarrageError):
        return
    passed = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
    wanted = (keras.callbacks.Callback, keras.optimizers.Optimizer)
    passing = (keras.callbacks.CallbackList, keras.callbacks.LambdaCallback)
    parts = [part for part in passed if isinstance(part, wanted) and not isinstance(part, passing)]
    if parts:
        error.add_note(f"in {type(parts[-1]).__name__}; look at its params in the config")


class _Report(Watch):
    """What has been seen so far of a dry run.

    Attributes:
        heads: a line for each set of records.
        feeding: how train records will be fed, and what would make it faster.
    """

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.feeding: list[str] = []
        self._stage = ""
        self._table = ShapeTable(("loader", "transformer", "network"))
        self._scores = ShapeTable(("postprocess",))
        self._batches: list[str] = []
        self._score_batch: list[str] = []

    def add_set(self, role: str, records: Records) -> None:
        whole = f"all {len(records)} records of {records.name}"
        self.heads.append(f"{role:10}  {whole if records.cut_at is None else records.owner}")

    def reach(self, stage: str) -> None:
        self._stage = stage

    def see(self, maker: str, made: Made) -> None:
        parts = show_made(made)
        if maker == "postprocess":
            scores = made[0]
            assert isinstance(scores, Mapping)
            self._scores.fill(maker, "scores", parts[0])
            size = len(next(iter(scores.values())))
            self._score_batch = _batch_lines("score batch", size, list(scores))
            return
        if maker != "network":
            parts = [*parts, {}, {}][: len(PARTS)]
        for group, cells in zip(PARTS, parts, strict=False):
            self._table.fill(maker, group, cells)

    def callback(self) -> keras.callbacks.Callback:
        """Follows the loop from stage to stage."""
        import keras

        from barrage_mlflow.training.epochs import SERVICES, TRAIN, VALIDATION

        return keras.callbacks.LambdaCallback(
            on_train_begin=lambda logs: self.reach(SERVICES),
            on_epoch_begin=lambda epoch, logs: self.reach(TRAIN),
            on_test_begin=lambda logs: self.reach(VALIDATION),
            # Without logs where the validation broke off.
            on_test_end=lambda logs: self.reach(SERVICES if logs else VALIDATION),
        )

    def add_epoch(self, metrics: Mapping[str, float], trained: int, validated: int) -> None:
        """Add what came of one batch of training and one of validation."""
        logs = {name: value for name, value in metrics.items() if name != "learning_rate"}
        for name, size, is_of_it in (
            ("train batch", trained, lambda metric: not metric.startswith("val_")),
            ("validation batch", validated, lambda metric: metric.startswith("val_")),
        ):
            of_it = {m.removeprefix("val_"): value for m, value in logs.items() if is_of_it(m)}
            self._batches += _batch_lines(name, size, format_logs(of_it).split("  "))

    def text(self, error: Exception | None = None) -> str:
        """Write all of it; where an error stopped it, with the rows marked that it names."""
        message = "" if error is None else str(error)
        parts = [self.heads, self._table.lines(message), self._scores.lines()]
        parts.append([*self._batches, *self._score_batch])
        if error is not None:
            parts.append([f"stopped at {self._stage}"])
        else:
            parts.append(_feeding_lines(self.feeding))
        return "\n\n".join("\n".join(part) for part in parts if part)


def _batch_lines(name: str, size: int, words: Sequence[str]) -> list[str]:
    """Write what came of a batch, in lines of a terminal's width."""
    lines, line = [], f"{name:16}  {size} records:"
    for word in words:
        if len(line) + 2 + len(word) > _WIDTH:
            lines.append(line)
            line = " " * 16
        line += f"  {word}"
    return [*lines, line]


def _feeding_lines(feeding: Sequence[str]) -> list[str]:
    heads = ["feeding  ", *[" " * 9] * len(feeding)]
    return [
        wrapped
        for head, line in zip(heads, feeding, strict=False)
        for wrapped in textwrap.wrap(line, _WIDTH, initial_indent=head, subsequent_indent=" " * 11)
    ]
