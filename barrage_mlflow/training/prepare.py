"""What a training makes before its first epoch, and a dry run with it."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from barrage_mlflow.config import add_project_path, resolve_config
from barrage_mlflow.config.document import Document
from barrage_mlflow.config.features import LOADER, lacks_features
from barrage_mlflow.config.monitors import check_monitors
from barrage_mlflow.config.overrides import settle
from barrage_mlflow.config.paths import show_path
from barrage_mlflow.config.project_source import SourceReader
from barrage_mlflow.config.resolve import check_config
from barrage_mlflow.dataset import DataRecord, RecordMode, Records, build_loader, build_transformer
from barrage_mlflow.dataset.components.build import fit_and_save, load_pipeline
from barrage_mlflow.dataset.components.pipeline import Pipeline
from barrage_mlflow.dataset.components.reading import SAMPLE, columns_read, settle_columns
from barrage_mlflow.dataset.features.infer import infer_columns
from barrage_mlflow.dataset.feeding.conform import ArraySpec, conform
from barrage_mlflow.dataset.feeding.feeder import Feeder
from barrage_mlflow.dataset.records.column_kinds import Schema
from barrage_mlflow.errors import ConfigError, RecordError, TrainingError
from barrage_mlflow.scoring.tensorflow_alone import load_tensorflow

if TYPE_CHECKING:
    import keras

    from barrage_mlflow.model.objective import Objective

Config = Mapping[str, Any]
Made: TypeAlias = tuple[Mapping[str, Any], ...] | list[DataRecord]
"""Arrays ``(batch, ...)`` or :class:`ArraySpec` s by name; or each record's arrays ``(...)``."""

Watch: TypeAlias = Callable[..., None]
"""Called with the stage that begins, such as ``"the network"``, and with what is known by then:

``columns=`` that loading reads; and of the first train records, by the name of its maker,
``loader=``, ``transformer=``, ``network=`` (inputs, outputs and sample weights, as far as they are
there) or ``postprocess=`` (the scores)."""

logger = logging.getLogger(__name__)

SCORE = "the score batch"
_SEEDS = 2**31
_OBJECTIVE = "losses, metrics, monitors and optimizer"


@dataclass(frozen=True)
class Plan:
    """All that is made before the first epoch.

    Attributes:
        config: the resolved config, which has a seed.
        sets: the records, ``"train"`` and ``"validation"``.
        transformer: the folder that the fitted transformer is saved in.
        train: loads, transforms and augments train records.
        validation: loads and transforms validation records.
        network: dict-in, dict-out, compiled, with its first weights.
        objective: its losses and metrics.
        specs: of the network's inputs.
        schema: what is known of the columns of records.
        reads: those that scoring reads.
    """

    config: Config
    sets: Mapping[str, Records]
    transformer: Path
    train: Pipeline
    validation: Pipeline
    network: keras.Model
    objective: Objective
    specs: Mapping[str, ArraySpec]
    schema: Schema
    reads: list[str]


def unwatched(stage: str, **made: Any) -> None:
    """A watch that looks at nothing.

    Example:
        >>> unwatched("the network")
    """


def read_document(config: Any, overrides: Mapping[str, Any] | None = None) -> Document:
    """Read a config, and find every fault that shows without TensorFlow, which takes long to load.

    Args:
        config: a JSON or YAML file, or a dict; a document that was read before is taken as it is.
        overrides: values by dotted path.

    Raises:
        ConfigError: with every fault.

    Example:
        >>> read_document("config.json", {"solver.epochs": 3})  # doctest: +SKIP
    """
    if isinstance(config, Document):
        return config
    document, faults, warnings = check_config(config, overrides)
    if faults:
        raise ConfigError(faults)
    add_project_path(document)
    for warning in warnings:
        logger.warning("%s", warning)
    return document


def infer(document: Document, sets: Mapping[str, Records]) -> dict[str, Any]:
    """Settle what a config leaves to the training, so that every run can be repeated.

    Args:
        document: a config without faults.
        sets: the records; features are found by looking at ``"train"``.

    Returns:
        By path, as :func:`show_path` writes it: a seed, which is drawn; features, and the
        declarations of their columns.

    Example:
        >>> list(infer(Document({"dataset": {}}), {}))
        ['$.dataset.seed']
    """
    dataset: dict[str, Any] = document.data["dataset"]
    inferred: dict[str, Any] = {}
    if dataset.get("seed") is None:
        inferred[show_path(("dataset", "seed"))] = secrets.randbelow(_SEEDS)
    if lacks_features(document.data, SourceReader(document.folders)):
        params = dataset["loader"]["params"]
        targets = params.get("targets", {})
        guesses = infer_columns(sets["train"], targets)
        others = {*targets, *(params.get("sample_weights") or {}).values()}
        features = {n: g.spec for n, g in guesses.items() if g.spec and n not in others}
        inferred[show_path((*LOADER, "params", "features"))] = features
        for name, guess in guesses.items():
            if guess.column is not None and name not in dataset.get("columns", {}):
                inferred[show_path(("dataset", "columns", name))] = guess.column
    return inferred


def resolve(document: Document, inferred: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in a config without faults; the project's modules that it names are imported.

    Args:
        document: the config.
        inferred: what :func:`infer` found, now or when the training began; taken where the
            config has nothing.

    Raises:
        ConfigError: they lack what the config names.
        TrainingError: TensorFlow is set to make graphs, not to compute.

    Example:
        >>> resolve(read_document("config.json"), {"$.dataset.seed": 7})  # doctest: +SKIP
    """
    load_tensorflow(with_keras=True)
    import tensorflow as tf

    if not tf.executing_eagerly():
        raise TrainingError(
            "TensorFlow makes a graph here instead of computing: train outside of tf.function and "
            "tf.Graph, and without tf.compat.v1.disable_eager_execution()"
        )
    return resolve_config(settle(document, inferred), run_code=True)


def read_sets(
    sources: Mapping[str, Any], dataset: Config, folder: str = "", limit: int | None = None
) -> dict[str, Records]:
    """Read sets of records.

    Args:
        sources: by name, whatever :meth:`Records.read` takes. The kinds of columns are learnt of
            the first, and the others are read as it is.
        dataset: the config's section, which may declare kinds.
        folder: of the config, from which roots are named; where one works if left out.
        limit: how many records of each to take: of Parquet the first, else spread evenly over what
            kinds are learnt of; all if left out.

    Raises:
        RecordError: one cannot be read, or is empty.

    Example:
        >>> read_sets({"train": [{"a": 1}]}, {})["train"].name
        'train'
    """
    sets: dict[str, Records] = {}
    schema = Schema.from_config(dataset, folder)
    for role, source in sources.items():
        is_named = isinstance(source, str | os.PathLike | Records)
        records = Records.read(source, None if is_named else role, limit, schema)
        if limit and records.cut_at and records.row_groups() is None:
            # A file may be sorted by its target.
            whole = records.whole()
            records = whole.take(np.linspace(0, len(whole) - 1, limit).astype(int))
        if not len(records):
            raise RecordError(f"{records.name or role} holds no records; give at least one")
        sets[role], schema = records, records.schema
    first = next(iter(sets.values()))
    for column in first.schema.columns.values():
        if column.word:
            logger.warning(
                "%s: column '%s' holds text, in which %r is a word as any other; where it "
                'means a missing value, set dataset.missing_values: ["%s"]',
                *(first.name, column.name, column.word, column.word),
            )
    return sets


def prepare(
    config: Config, sets: Mapping[str, Records], transformer: Path, watch: Watch = unwatched
) -> Plan:
    """Make what is needed before the first epoch, and find now what would break later.

    Args:
        config: a resolved config that has a seed.
        sets: the records, ``"train"`` and ``"validation"``, as :func:`ask_kinds` gives them.
        transformer: the folder of the fitted transformer; fitted and saved if it is not there.
        watch: called at each stage.

    Raises:
        ConfigError: outputs, monitors or placeholders of the config do not fit the network.
        ImportPathError: a component is not to be found.
        ComponentError: a component does not take its params or breaks its contract, or the
            transformer comes back from disk as another.
        RecordError: a record cannot be loaded or fed to the network.
        Exception: whatever a component raises, with the stage as a note.

    Example:
        >>> plan = prepare(config, sets, Path("transformer"))  # doctest: +SKIP
        >>> plan.network.count_params()  # doctest: +SKIP
        339
    """
    import keras

    from barrage_mlflow.model import build_network
    from barrage_mlflow.model.network import array_specs
    from barrage_mlflow.model.objective import Objective
    from barrage_mlflow.solver import build_optimizer
    from barrage_mlflow.training.steps import build_variables

    keras.utils.set_random_seed(config["dataset"]["seed"])
    solver = config["solver"]
    watch("the loader")
    loader = build_loader(config, RecordMode.TRAIN)
    records = sets["train"]
    sample = records[: solver["batch_size"]]
    watch("the transformer")
    unfitted = build_transformer(config, RecordMode.TRAIN, loader)
    watch("the loader")
    loaded = Pipeline(loader, unfitted).load(sample)
    trains = columns_read(loader, records[:SAMPLE])
    watch("the loader", columns=[records.column(name) for name in trains])
    schema, reads = settle_columns(build_loader(config, RecordMode.SCORE), records)
    sets = {role: Records.read(each, schema=schema) for role, each in sets.items()}
    records = sets["train"]
    sample = records[: solver["batch_size"]]
    # What would break at the end of the first epoch breaks now.
    sets["validation"].check([name for name in trains if name in sets["validation"].columns])

    watch("the transformer", loader=loaded)
    if not transformer.exists():
        fit_and_save(config, records, transformer)
    train = load_pipeline(config, RecordMode.TRAIN, transformer)
    validation = load_pipeline(config, RecordMode.VALIDATION, transformer)
    example = train.load_and_transform(sample)

    watch("the network", transformer=example)
    network_params = train.transformer.network_params
    network = build_network(config, network_params, example)
    specs, outputs = array_specs(network.input), array_specs(network.output)
    watch("the network", network=(specs, outputs))
    inputs, y, *w = conform(example, specs, sample, train)

    watch(_OBJECTIVE)
    objective = Objective(config, network, network_params)
    objective.check_targets(y, *w)
    # TensorFlow itself answers a label out of range with a page that names nothing.
    conform(example, specs, sample, train, objective.ranges)
    check_monitors(config, objective.monitors())
    y, weights = objective.conform(y, *w)
    if weights:
        given = {name: weights[name] for name in w[0]}
        watch(_OBJECTIVE, network=(specs, outputs, given))
    objective.compile(network, build_optimizer(config), solver.get("jit_compile", False))
    build_variables(network, (inputs, y, weights) if weights else (inputs, y))

    watch(SCORE)
    return Plan(
        config, sets, transformer, train, validation, network, objective, specs, schema, reads
    )


def build_feeder(config: Config, folder: Path) -> Feeder:
    """Make what feeds the network, as the config asks.

    Args:
        config: a resolved config.
        folder: where a cache on disk goes, as long as the training lasts.

    Example:
        >>> build_feeder({"dataset": {"workers": 0}}, Path("cache")).workers
        0
    """
    dataset = config["dataset"]
    return Feeder(
        dataset.get("workers", 0), dataset.get("cache"), dataset.get("shuffle_window"), folder
    )
