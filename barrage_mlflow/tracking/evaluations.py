"""What an evaluation comes to, as MLflow has it: metrics with model and dataset, and tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from barrage_mlflow.tracking.datasets import DIGEST_LIMIT
from barrage_mlflow.tracking.limits import legal_name
from barrage_mlflow.tracking.store import Store, files_in
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.record import RunRecord, now

if TYPE_CHECKING:
    from mlflow.entities import Metric

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
            record.ended or now(),
            record.best_epoch or 0,
            model_id,
            dataset_name=each,
            dataset_digest=digests.get(each),
            run_id=record.run_id,
        )
        for each, metrics in record.evaluation.items()
        for name, value in metrics.items()
    ]


def tables_tag(files: Iterable[str], before: str = "") -> str:
    """The value of the tag that names the tables among files of evaluations.

    Args:
        files: their paths among the artifacts.
        before: what the tag was, whose tables stay.

    Example:
        >>> tables_tag(["evaluation/test/report.md", "evaluation/test/price/worst.json"])
        '[{"path": "evaluation/test/price/worst.json", "type": "table"}]'
    """
    known = json.loads(before or "[]")
    paths = [path for path in files if path.startswith(_TABLES) and path.endswith(".json")]
    new = [{"path": path, "type": "table"} for path in sorted(paths)]
    return json.dumps(known + [each for each in new if each not in known])


def log_evaluation(run_id: str, name: str, metrics: Mapping[str, float], folder: Path) -> None:
    """Add the evaluation of a set to a run.

    Args:
        run_id: the run.
        name: of the set.
        metrics: by name.
        folder: with the report.

    Raises:
        TrackingError: MLflow cannot be reached, or has no such run.
    """
    from mlflow.entities import Metric

    store, home = Store(), f"{artifacts.EVALUATION}/{name}"
    run = store.read_run(run_id)
    found = [Metric(legal_name(f"{name}_{key}"), each, now(), 0) for key, each in metrics.items()]
    store.call("write metrics", store.client.log_batch, run_id, metrics=found)
    files = {f"{home}/{path}": each for path, each in files_in(folder, "**/*").items()}
    store.send(partial(store.client.log_artifact, run_id), files)
    tag = tables_tag(files, run.data.tags.get(TABLES_TAG, ""))
    store.call("write tags", store.client.set_tag, run_id, TABLES_TAG, tag)
