"""What an evaluation comes to, as MLflow has it: metrics with model and dataset, and tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barrage_mlflow.errors import TrackingError
from barrage_mlflow.tracking.datasets import DIGEST_LIMIT
from barrage_mlflow.tracking.limits import TAG_LIMIT, batches, legal_name
from barrage_mlflow.tracking.store import Store
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.record import RunRecord, now

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

TABLES_TAG = "mlflow.loggedArtifacts"
"""Where MLflow's page looks for the tables that it compares between runs."""
_TABLES = f"{artifacts.EVALUATION}/"


def evaluation_metrics(record: RunRecord, model_id: str | None) -> list[Metric]:
    """The metrics of the sets that a training's model was evaluated on, as ``<set>_<metric>``.

    Args:
        record: of a training that has finished.
        model_id: of the logged model.
    """
    from mlflow.entities import Metric

    digests = {dataset.name: dataset.digest[:DIGEST_LIMIT] for dataset in record.datasets}
    return [
        Metric(
            legal_name(f"{each}_{name}"),
            value,
            found["at"],
            record.best_epoch or 0,
            model_id,
            dataset_name=each,
            dataset_digest=digests.get(each),
            run_id=record.run_id,
        )
        for each, found in record.evaluation.items()
        for name, value in found["metrics"].items()
    ]


def tables_tag(files: Iterable[str], before: str = "") -> str:
    """The value of the tag that names the tables among files of evaluations, as many as fit.

    Args:
        files: their paths among the artifacts.
        before: what the tag was, whose tables stay.

    Example:
        >>> tables_tag(["evaluation/test/report.md", "evaluation/test/price/worst.json"])
        '[{"path": "evaluation/test/price/worst.json", "type": "table"}]'
    """
    named: list[Any] = []
    with suppress(ValueError):  # by something else, or cut off
        named = json.loads(before or "[]")
    paths = [path for path in files if path.startswith(_TABLES) and path.endswith(".json")]
    for path in sorted(paths, key=lambda path: (not path.endswith("/metrics.json"), path)):
        longer = [*named, {"path": path, "type": "table"}]
        if longer[-1] not in named and len(json.dumps(longer)) <= TAG_LIMIT:
            named = longer
    return json.dumps(named)


def find_run(run_id: str, name: str) -> tuple[Store, Run]:
    """Find the run that an evaluation is to be added to.

    Args:
        run_id: the run.
        name: of the set.

    Raises:
        TrackingError: MLflow cannot be reached, has no such run, or it has figures of that name.
    """
    store = Store()
    run = store.read_run(run_id)
    if any(each.startswith(f"{legal_name(name)}_") for each in run.data.metrics):
        raise TrackingError(
            f"run {run_id} has figures that begin with {name}_ already: call the set by another "
            "name (--name)"
        )
    return store, run


def log_evaluation(
    store: Store, run: Run, name: str, metrics: Mapping[str, float], files: Mapping[str, Path]
) -> None:
    """Add the evaluation of a set to a run.

    Args:
        store: where the run is.
        run: the run.
        name: of the set.
        metrics: by name.
        files: of the report, by their paths in it.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    from mlflow.entities import Metric

    run_id, home = run.info.run_id, f"{artifacts.EVALUATION}/{name}"
    named = {legal_name(f"{legal_name(name)}_{key}"): each for key, each in metrics.items()}
    found = [Metric(key, each, now(), 0) for key, each in named.items()]
    for batch in batches(found, lambda metric: metric.key):
        store.call("write metrics", store.client.log_batch, run_id, metrics=batch)
    sent = {f"{home}/{path}": each for path, each in files.items()}
    store.send(partial(store.client.log_artifact, run_id), sent)
    tag = tables_tag(sent, run.data.tags.get(TABLES_TAG, ""))
    store.call("write tags", store.client.set_tag, run_id, TABLES_TAG, tag)
