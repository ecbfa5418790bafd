"""The whole recipe of a training, from the config to the packaged model."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from barrage_mlflow.config.placeholders import placeholder_names
from barrage_mlflow.dataset import Records
from barrage_mlflow.distribution.group import ALONE, Group
from barrage_mlflow.errors import ArtifactError, GroupError
from barrage_mlflow.scoring.process import ModelProcess
from barrage_mlflow.scoring.scorer import Scorer
from barrage_mlflow.training.appraisal import appraise
from barrage_mlflow.training.packaging import package, rehearse
from barrage_mlflow.training.prepare import Plan, prepare, read_document
from barrage_mlflow.training.progress import progress_callback
from barrage_mlflow.training.settled import settle_training
from barrage_mlflow.training.shareable import check_shareable
from barrage_mlflow.training.stop import StopRequest
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.carried import pack, unpack
from barrage_mlflow.workspace.record import Dataset, now
from barrage_mlflow.workspace.workspace import Workspace

if TYPE_CHECKING:
    import keras

    from barrage_mlflow.config.document import Document
    from barrage_mlflow.services.checkpoint_file import Checkpoint
    from barrage_mlflow.tracking.publisher import Publisher

logger = logging.getLogger(__name__)

_OTHER = (
    "process {0} of {1} does not train what process 0 does:\n  {2}\n"
    "give all processes the same config, code and records"
)


@dataclass(frozen=True)
class TrainingResult:
    """What a finished training leaves.

    Attributes:
        artifact_dir: the artifact folder.
        run_id: the MLflow run; None if there is none yet, of a training that was offline.
        model_uri: the packaged model, for ``mlflow models serve -m`` and the like; None as long
            as MLflow has not got it.
        version_uri: its version in the registry, ``"models:/penguins/3"``; None if there is none.
        run_page: where MLflow's pages show the run: of a store in a file or database, where
            ``mlflow ui`` does; None if that is not known.
        best_epoch: the epoch whose weights were packaged, counted from 1.
        metrics: every metric at that epoch.
    """

    artifact_dir: Path
    run_id: str | None
    model_uri: str | None
    best_epoch: int
    metrics: dict[str, float]
    version_uri: str | None = None
    run_page: str | None = None


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
    packages: bool = True,
    fitted: Path | None = None,
    group: Group = ALONE,
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
        packages: False: the weights are left as they are; resumed with True, it goes on there.
        fitted: the folder of a transformer that was fitted to these records as the config says,
            which is taken; what is fitted goes there if it is not there yet.
        group: the processes of the training. The chief of several calls this, and the others
            :func:`follow`.
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
            settled = settle_training(document, sources, folder if resume else None)
            resolved, sets, datasets = settled.config, settled.sets, settled.datasets
        with Workspace.open(folder) as work:
            changes = work.check_resumable(resolved, settled.code, datasets, resume, resume_anyway)
            if changes and not group.is_chief:
                raise ArtifactError(
                    _OTHER.format(group.share.index, group.count, "\n  ".join(changes))
                )
            if work.record.is_finished and not changes and (work.is_packaged or not packages):
                group.tell(b"")
                if packages:
                    _evaluate(work, resolved, sets, datasets)
                return _tell(group, _complete(work, asked, publisher))
            known = {"datasets": datasets, "tags": tags or {}, "inferred": [*settled.inferred]}
            work.begin(document, resolved, settled.code, changes, {**asked, **known})
            logger.info("artifacts in %s", folder)

            # They import Keras, which the faults of a config are not to wait for.
            from barrage_mlflow.services.training_report import report_callback
            from barrage_mlflow.services.training_state import kept_generators
            from barrage_mlflow.training.fit import fit

            following = publisher.following(work) if publisher else nullcontext()
            proof: Any = ModelProcess() if packages else nullcontext()
            with following, work.attempt(), kept_generators(), proof as process:
                if publisher:
                    logger.info("MLflow run %s of %s", work.record.run_id, work.record.tracking_uri)
                with stop.at_once():
                    for place in (work.transformer.parent, folder / artifacts.CHECKPOINTS):
                        place.mkdir(parents=True, exist_ok=True)
                    checkpoint = _find_checkpoint(work)
                    if fitted and fitted.exists() and not work.transformer.exists():
                        _copy_whole(fitted, work.transformer)
                    plan = prepare(resolved, sets, work.transformer)
                    if fitted and not fitted.exists():
                        _copy_whole(work.transformer, fitted)
                    check_shareable(plan, group)
                    if group.is_chief:
                        rehearse(plan)
                        work.update(network_params=_learnt_placeholders(plan))
                        _write_summary(plan.network, folder / artifacts.NETWORK_SUMMARY)
                        if group.count > 1:
                            group.tell(pack(folder, checkpoint.path if checkpoint else None))
                best = resolved["services"]["best_checkpoint"]
                further = [*callbacks, report_callback(work.history, folder, best)]
                if progress:
                    further.append(progress_callback(progress))
                kept = fit(plan, folder, work.history, further, checkpoint, stop, group=group)
                if not group.is_chief:
                    return _told(group)
                with stop.at_once():
                    best_epoch, network = kept.restore()
                    scorer = package(plan, network, folder, process) if packages else None
                    work.update(best_epoch=best_epoch)
                    facts = [f"The network has {network.count_params():,} parameters."]
                    if scorer:
                        _evaluate(work, resolved, plan.sets, datasets, scorer, began, facts)
            if publisher is None:
                logger.info("log it to MLflow with: barrage-mlflow sync %s", folder)
            return _tell(group, _result(work))


def follow(
    group: Group, document: Document, records_train: Any, records_validation: Any
) -> TrainingResult:
    """Train along with the chief of a group, in a copy of its artifact folder that goes at the end.

    Args:
        group: the processes of the training, of which this one is not the chief.
        document: the config, which must be the chief's, as must code and records be.
        records_train: as :func:`train` takes them; this process reads them itself.
        records_validation: likewise.

    Raises:
        As :func:`train`.
    """
    with StopRequest() as stop, stop.at_once():
        begun = group.tell()
    if begun:
        with tempfile.TemporaryDirectory() as folder, _quiet():
            unpack(begun, Path(folder))
            try:
                return train(
                    document,
                    records_train,
                    records_validation,
                    artifact_dir=folder,
                    resume_anyway=True,
                    packages=False,
                    group=group,
                )
            except KeyboardInterrupt as interrupt:
                raise KeyboardInterrupt(*interrupt.args) from None  # without notes on the copy
    return _told(group)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep from the log what the chief says too."""
    log = logging.getLogger("barrage_mlflow")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _tell(group: Group, result: TrainingResult) -> TrainingResult:
    """Tell the other processes what came of the training; until then they wait."""
    with suppress(GroupError):  # it needs none of them any more
        group.tell(json.dumps(vars(result), default=str).encode())
    return result


def _told(group: Group) -> TrainingResult:
    told = json.loads(group.tell())
    return TrainingResult(**{**told, "artifact_dir": Path(told["artifact_dir"])})


def _learnt_placeholders(plan: Plan) -> Any:
    """What the transformer has learnt for placeholders, by name; what is no JSON as text."""
    names, learnt = placeholder_names(plan.config["model"]), plan.train.transformer.network_params
    used = {name: learnt[name] for name in names if name in learnt}
    return json.loads(json.dumps(used, default=str, skipkeys=True))


def _copy_whole(source: Path, target: Path) -> None:
    """Copy a folder, which has its name once it is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        half = shutil.copytree(source, Path(folder, target.name))
        with suppress(OSError):  # another process was faster
            half.rename(target)


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
        *(work.folder, record.run_id, record.model_uri, record.best_epoch, metrics),
        *(record.version_uri, record.run_page),
    )
