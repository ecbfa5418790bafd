"""The whole recipe of a training, from the config to the packaged model."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from barrage_mlflow.config.output_names import output_names
from barrage_mlflow.config.paths import read_path, value_at
from barrage_mlflow.config.placeholders import placeholder_names
from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.components.reading import ask_kinds
from barrage_mlflow.dataset.features.loader import has_images
from barrage_mlflow.errors import hide_secrets
from barrage_mlflow.scoring.dependencies import project_code, requirements
from barrage_mlflow.scoring.network import Arrays, Network, Scored
from barrage_mlflow.scoring.package import package_model, save_model
from barrage_mlflow.scoring.process import ModelProcess
from barrage_mlflow.scoring.proof import prove
from barrage_mlflow.scoring.scorer import Scorer
from barrage_mlflow.scoring.scores import to_frame
from barrage_mlflow.training.appraisal import appraise
from barrage_mlflow.training.prepare import (
    Plan,
    infer,
    prepare,
    read_document,
    read_sets,
    resolve,
)
from barrage_mlflow.training.progress import progress_callback
from barrage_mlflow.training.stop import StopRequest
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.changes import begun_config
from barrage_mlflow.workspace.record import Dataset, now, read_record
from barrage_mlflow.workspace.workspace import Workspace

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from barrage_mlflow.config.document import Document
    from barrage_mlflow.services.checkpoint_file import Checkpoint
    from barrage_mlflow.tracking.publisher import Publisher

logger = logging.getLogger(__name__)

_EXAMPLE_RECORDS = 5
"""Records in the packaged model's input example, and in a rehearsal."""


@dataclass(frozen=True)
class TrainingResult:
    """What a finished training leaves.

    Attributes:
        artifact_dir: the artifact folder.
        run_id: the MLflow run; None if there is none yet, of a training that was offline.
        model_uri: the packaged model, for ``mlflow models serve -m`` and the like; None as long
            as MLflow has not got it.
        version_uri: its version in the registry, ``"models:/penguins/3"``; None if there is none.
        best_epoch: the epoch whose weights were packaged, counted from 1.
        metrics: every metric at that epoch.
    """

    artifact_dir: Path
    run_id: str | None
    model_uri: str | None
    best_epoch: int
    metrics: dict[str, float]
    version_uri: str | None = None


def train(
    config: str | os.PathLike[str] | Mapping[str, Any] | Document,
    records_train: Any,
    records_validation: Any,
    *,
    records_test: Any = None,
    artifact_dir: str | os.PathLike[str] | None = None,
    resume: bool = False,
    resume_anyway: bool = False,
    overrides: Mapping[str, Any] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: TextIO | None = None,
    publisher: Publisher | None = None,
    tags: Mapping[str, str] | None = None,
    **request: str | None,
) -> TrainingResult:
    """Train a network as a config says, and package the best of it, in an artifact folder.

    The arguments that are not here are those of :func:`barrage_mlflow.train`.

    Args:
        config: a JSON or YAML file, a dict, or what :func:`read_document` returned.
        records_train: whatever :meth:`Records.read` takes: a DataFrame, dicts or a file.
        records_validation: likewise.
        records_test: likewise; the packaged model is evaluated on them, and nothing depends on
            them.
        artifact_dir: the artifact folder; a new one if left out.
        resume: go on with the training in the artifact folder, if there is one.
        resume_anyway: do so also where the config, the code or the records have changed since.
        overrides: config values by dotted path.
        callbacks: further Keras callbacks.
        progress: where to show how far it is.
        publisher: writes to MLflow; None: nothing does.
        tags: tags of the MLflow run.
        request: what is asked of MLflow: ``experiment``, ``run_name``, ``register``, ``alias``.

    Raises:
        As :func:`barrage_mlflow.train`.

    Example:
        >>> train("config.json", "train.csv", "validation.csv").best_epoch  # doctest: +SKIP
        17
    """
    began = time.monotonic()
    folder = artifacts.default_folder() if artifact_dir is None else Path(artifact_dir)
    resume = resume or resume_anyway
    asked = {name: value for name, value in request.items() if value is not None}
    with StopRequest() as stop:
        with stop.at_once():
            document = read_document(config, overrides)
            sources = {"train": records_train, "validation": records_validation}
            if records_test is not None:
                sources["test"] = records_test
            home = document.folders[0]
            read = read_sets(sources, document.data["dataset"], home)
            inferred = (find_inferred(folder) if resume else {}) or infer(document, read)
            resolved = resolve(document, inferred)
            sets = ask_kinds(resolved, read, home)
            datasets, code = describe_sets(sets), project_code(resolved)
        with Workspace.open(folder) as work:
            changes = work.check_begun(resolved, code, datasets, resume, resume_anyway)
            if work.record.is_finished and not changes:
                _evaluate(work, resolved, sets, datasets)
                return _complete(work, asked, publisher)
            values = {**asked, "datasets": datasets, "tags": tags or {}, "inferred": [*inferred]}
            work.begin(document, resolved, code, changes, values)
            logger.info("artifacts in %s", folder)

            # They import Keras, which the faults of a config are not to wait for.
            from barrage_mlflow.services.report import report_callback
            from barrage_mlflow.services.training_state import kept_generators
            from barrage_mlflow.training.fit import fit

            following = publisher.following(work) if publisher else nullcontext()
            with following, work.attempt(), kept_generators(), ModelProcess() as process:
                if publisher:
                    logger.info("MLflow run %s of %s", work.record.run_id, work.record.tracking_uri)
                with stop.at_once():
                    checkpoint = _find_checkpoint(work)
                    plan = prepare(resolved, sets, work.transformer)
                    rehearse(plan)
                    work.update(network_params=_learnt_placeholders(plan))
                    _write_summary(plan.network, folder / artifacts.NETWORK_SUMMARY)
                best = resolved["services"]["best_checkpoint"]
                further = [*callbacks, report_callback(work.history, folder, best)]
                if progress:
                    further.append(progress_callback(progress))
                best_epoch, network = fit(plan, folder, work.history, further, checkpoint, stop)
                with stop.at_once():
                    scorer = package(plan, network, folder, process)
                    work.update(best_epoch=best_epoch)
                    facts = [f"The network has {network.count_params():,} parameters."]
                    _evaluate(work, resolved, plan.sets, datasets, scorer, began, facts)
            if publisher is None:
                logger.info("log it to MLflow with: barrage-mlflow sync %s", folder)
            return _result(work)


def find_inferred(folder: Path) -> dict[str, Any]:
    """Take what was settled when a training was begun in a folder; nothing if none was.

    Args:
        folder: an artifact folder that is to be resumed.

    Example:
        >>> find_inferred(Path("nowhere"))
        {}
    """
    before, record = begun_config(folder), read_record(folder)
    if before is None or record is None:
        return {}
    paths = {"$.dataset.seed", *record.inferred}
    return {path: value_at(before, read_path(path)) for path in sorted(paths)}


def describe_sets(sets: Mapping[str, Records]) -> tuple[Dataset, ...]:
    """Describe sets of records for the run record, with a digest of their files or values.

    Args:
        sets: by name.

    Raises:
        RecordError: a file is damaged, or not there any more.

    Example:
        >>> [dataset.rows for dataset in describe_sets({"train": Records.read([{"a": 1}])})]
        [1]
    """
    return tuple(
        Dataset(name, each.digest(), hide_secrets(each.source), each.dtypes(), len(each))
        for name, each in sets.items()
    )


def rehearse(plan: Plan) -> tuple[Arrays, bool]:
    """Score a few records with the untrained network, to find now what would break at the end.

    The network is left as it is.

    Args:
        plan: what was prepared.

    Returns:
        The scores after ``postprocess``, arrays ``(records, ...)`` by output; and whether they are
        those of the network. An untrained one may give what a trained one does not and
        ``postprocess`` rightly refuses: then 0.5 takes the place of each of its scores.

    Raises:
        RecordError: a record cannot be loaded or fed to the network.
        ComponentError: a component broke its contract, or gives what JSON does not hold.
        Exception: whatever loader or transformer raise, with the place as a note.
    """
    import keras

    def untrained(x: Arrays, batch_size: int) -> Scored:
        with keras.StatelessScope():  # a state that the network changes is changed in here alone
            made = plan.network(x, training=False)
        names = output_names(plan.config)
        return {name: keras.ops.convert_to_numpy(made[name]) for name in names}, {}

    def mild(x: Arrays, batch_size: int) -> Scored:
        scores, masks = untrained(x, batch_size)
        return {name: np.full_like(array, 0.5) for name, array in scores.items()}, masks

    failures: list[Exception] = []
    for network in (untrained, mild):
        try:
            scores = _scorer(plan, network).score(plan.sets["train"][:_EXAMPLE_RECORDS])
            to_frame(scores)
            return scores, not failures
        except Exception as error:
            failures.append(error)
    failures[0].add_note("found before training, on records scored by the untrained network")
    raise failures[0]


def package(plan: Plan, network: keras.Model, folder: Path, process: ModelProcess) -> Scorer:
    """Make an MLflow model of a network, and prove that it scores elsewhere as it does here.

    Args:
        plan: what was prepared.
        network: with the weights to keep.
        folder: the artifact folder, which has the project's code and the transformer.
        process: a clean process.

    Returns:
        What scores as the packaged model does.

    Raises:
        ComponentError: the packaged model does not score elsewhere as it does here.
    """
    model = folder / artifacts.MODEL
    data = model / artifacts.DATA
    shutil.rmtree(data / artifacts.NETWORK, ignore_errors=True)
    saved = save_model(data, plan.config, network, plan.specs, plan.schema, plan.reads)
    scorer = _scorer(plan, saved)
    rows = plan.sets["validation"][:_EXAMPLE_RECORDS].as_rows()
    example = Records.read(rows, schema=scorer.inputs)

    def score() -> pd.DataFrame:
        return to_frame(scorer.score(example))

    scores = score()
    code = sorted((folder / artifacts.CODE).glob("*"))
    needs = requirements(code, has_images(plan.train.transformer.loader))
    package_model(model, example, scores, needs, code, scorer.score_params)
    files = [Path(records.source) for records in plan.sets.values() if records.source]
    homes = [path.parent for path in (*files, *project_code(plan.config))]
    dtypes = {layer.compute_dtype for layer in network.layers}
    prove(process, model, scores, score, [folder, Path.cwd(), *homes], dtypes)
    return scorer


def _scorer(plan: Plan, network: Network) -> Scorer:
    return Scorer(plan.config, plan.transformer, network, plan.specs, plan.schema, plan.reads)


def _learnt_placeholders(plan: Plan) -> Any:
    """What the transformer has learnt for placeholders, by name; what is no JSON as text."""
    names, learnt = placeholder_names(plan.config["model"]), plan.train.transformer.network_params
    used = {name: learnt[name] for name in names if name in learnt}
    return json.loads(json.dumps(used, default=str, skipkeys=True))


def _write_summary(network: keras.Model, path: Path) -> None:
    # A wider one would be cut off, at the width of a terminal or of what has none.
    network.summary(80, print_fn=lambda text, **_: path.write_text(text, "utf-8"))


def _find_checkpoint(work: Workspace) -> Checkpoint | None:
    """Find what to go on from, and clear away what was made after it."""
    from barrage_mlflow.services.checkpoint_file import find_checkpoint

    checkpoint = find_checkpoint(work.folder, work.history)
    if checkpoint is None:
        # A training that was killed before its first checkpoint may have left half of it.
        shutil.rmtree(work.transformer, ignore_errors=True)
        return None
    place = f"epoch {checkpoint.epochs + 1}, batch {checkpoint.batch + 1}"
    logger.info("going on at %s, from %s", place, checkpoint.path)
    work.update(tags={**work.record.tags, "barrage.resumed_at": place})
    return checkpoint


def _evaluate(
    work: Workspace,
    config: Mapping[str, Any],
    sets: Mapping[str, Records],
    datasets: Sequence[Dataset],
    scorer: Scorer | None = None,
    began: float = math.inf,
    facts: Sequence[str] = (),
) -> None:
    """Evaluate on what the packaged model was not evaluated on: the test set may be another one.

    Killed meanwhile, a training has finished all the same; when it is resumed, it goes on here.
    """
    before = {dataset.name: dataset for dataset in work.record.datasets}
    for dataset in datasets[1:]:
        if before.get(dataset.name) != dataset:  # what was found is of another one
            others = [each for each in work.record.datasets if each.name != dataset.name]
            found = {n: each for n, each in work.record.evaluation.items() if n != dataset.name}
            work.update(datasets=(*others, dataset), evaluation=found, published=False)
    names = [each.name for each in datasets[1:] if each.name not in work.record.evaluation]
    if names and config["services"].get("evaluation", True):
        model = scorer or Scorer.load(work.folder)
        said = [_describe(work), *facts]
        for name, metrics in appraise(model, sets, names, work.folder, began, said):
            found = {**work.record.evaluation, name: {"at": now(), "metrics": metrics}}
            work.update(evaluation=found, published=False)


def _describe(work: Workspace) -> str:
    """What the report says of how the model was made."""
    train = work.record.datasets[0]
    files = [path for path in (work.folder / artifacts.MODEL).rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 2**20
    return (
        f"Trained on {train.rows:,} records{f' of {Path(train.source).name}' * bool(train.source)};"
        f" the weights are those of epoch {work.record.best_epoch}; the packaged model is "
        f"{size:.1f} MiB."
    )


def _complete(
    work: Workspace, asked: Mapping[str, str | None], publisher: Publisher | None
) -> TrainingResult:
    """Leave a finished training as it is; publish and register what MLflow lacks of it."""
    record = work.record
    register = asked.get("register", record.register)
    # Another model does not take the alias of the one before along.
    alias = asked.get("alias", record.alias if register == record.register else None)
    if (register, alias) != (record.register, record.alias):
        work.update(register=register, alias=alias, version_uri=None, published=False)
    if record.status != "FINISHED":
        # It was killed while it was published.
        work.update(status="FINISHED", error=None, ended=now(), published=False)
    if publisher and not work.record.published:
        publisher.publish(work)
    logger.info("%s has finished; nothing is left to train", work.folder)
    return _result(work)


def _result(work: Workspace) -> TrainingResult:
    record = work.record
    assert record.best_epoch is not None
    metrics = work.history.epochs()[record.best_epoch - 1].metrics
    return TrainingResult(
        work.folder, record.run_id, record.model_uri, record.best_epoch, metrics, record.version_uri
    )
