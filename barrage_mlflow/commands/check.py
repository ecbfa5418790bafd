"""A training in small: all that one does, on the first records and for one batch of each kind.

It shows what every stage makes of every input, output and sample weight, and stops at the
first stage that breaks. The last is the proof of the packaged model.
"""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from barrage_mlflow.commands.check_report import Report
from barrage_mlflow.config import add_project_path
from barrage_mlflow.config.document import Document
from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.components.reading import ask_kinds
from barrage_mlflow.dataset.feeding.plan import make_feed_plan
from barrage_mlflow.dataset.records.formats import RecordSource
from barrage_mlflow.errors import BarrageError
from barrage_mlflow.scoring.dependencies import project_code
from barrage_mlflow.scoring.process import ModelProcess
from barrage_mlflow.training.packaging import package, rehearse
from barrage_mlflow.training.prepare import SCORE, build_feeder, infer, prepare, read_sets, resolve
from barrage_mlflow.training.stop import StopRequest
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.code_files import copy_code
from barrage_mlflow.workspace.history import History

_SEED = {"$.dataset.seed": 0}
"""For a config without one: two dry runs of it are to come out alike."""


def dry_run(
    document: Document,
    train: RecordSource,
    validation: RecordSource | None = None,
    records: int = 1000,
) -> tuple[str, Exception | None]:
    """Go through a training in small. Nothing is tracked, and nothing is left on disk.

    Args:
        document: a config without faults; it needs no seed.
        train: the train records, whatever :meth:`Records.read` takes.
        validation: the validation records; if left out, train records take their place.
        records: how many records of each to take, from the start; at least 1.

    Returns:
        The report, plain text of several lines: the records, a table of every input, output and
        sample weight at each stage that was reached, and a line for each batch; and the error
        that stopped it, None where all is well: a BarrageError, or what a component of the
        project's own has raised, with the place as a note.

    Raises:
        RecordError: records cannot be read, or there are none.

    Example:
        >>> from barrage_mlflow.config import read_config
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
        >>> records = [{"a": 1.5, "b": 2.5}, {"a": 2.5, "b": 0.5}]
        >>> report, error = dry_run(read_config(config), records)
        >>> error is None
        True
        >>> for line in report.splitlines()[3:9]:
        ...     print(line)
        columns
          a      number  numbers
          b      number  numbers
        <BLANKLINE>
                 loader              transformer         network
        inputs
    """
    given = {"train": train, **({} if validation is None else {"validation": validation})}
    sets = read_sets(given, document.data["dataset"], document.folders[0], records)
    heads = [_head(role, each) for role, each in sets.items()]
    if validation is None:
        sets["validation"] = sets["train"]
        heads.append("validation  none given: the train records take their place")
    report = Report(heads)
    try:
        with tempfile.TemporaryDirectory(prefix="barrage-") as folder:
            _run(document, sets, Path(folder), report)
    except Exception as error:
        return report.text(error), error
    return report.text(), None


def _head(role: str, records: Records) -> str:
    whole, sample = f"all {len(records)} records of {records.name}", f"a sample, {records.owner}"
    return f"{role:10}  {whole if records.cut_at is None else sample}"


def _run(document: Document, sets: Mapping[str, Records], folder: Path, report: Report) -> None:
    """Train one batch of an epoch, on this thread, and package and prove what it makes."""
    report("the imports of the config")
    add_project_path(document)
    config = resolve(document, {**infer(document, sets), **_SEED})

    from barrage_mlflow.services.training_state import kept_generators
    from barrage_mlflow.training.fit import fit

    size = config["solver"]["batch_size"]
    on_this_thread = {"workers": 0, "cache": None, "shuffle_window": None}
    one_batch = {"batch_size": min(size, len(sets["train"])), "steps": 1, "epochs": 1}
    small = {
        **config,
        "dataset": {**config["dataset"], **on_this_thread},
        "solver": {**config["solver"], **one_batch},
    }
    report("the loader")
    sets = ask_kinds(config, sets, document)
    (folder / artifacts.CHECKPOINTS).mkdir()
    transformer = folder / artifacts.FITTED_TRANSFORMER
    transformer.parent.mkdir(parents=True)
    copy_code(project_code(config), folder / artifacts.CODE)
    history = History(folder / artifacts.METRICS)
    with kept_generators(), ModelProcess() as process:
        plan = prepare(small, sets, transformer, report)
        scores, is_provable = rehearse(plan)
        report(SCORE, postprocess=(scores,))
        feeder = build_feeder(config, folder)
        feeding = make_feed_plan(plan.train, plan.specs, plan.sets["train"], size, feeder)
        report.feeding = str(feeding).splitlines()
        validated = plan.sets["validation"][:size]
        plan = replace(plan, sets={**plan.sets, "validation": validated})
        try:
            callbacks = [report.callback()]
            kept = fit(plan, folder, history, callbacks, None, StopRequest(), report)
            _, network = kept.restore()
        except Exception as error:
            _add_part(error)
            raise
        report.add_epoch(history.epochs()[0].metrics, one_batch["batch_size"], len(validated))
        if is_provable:
            report("the packaged model")
            package(plan, network, folder, process)


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
