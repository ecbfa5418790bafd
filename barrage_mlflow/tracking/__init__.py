"""Everything that is written to MLflow, and what a packaged model must bring along.

MLflow itself is imported when a run is opened, not before.
"""

from barrage_mlflow.tracking.dependencies import project_code, requirements
from barrage_mlflow.tracking.environment import environment_tags
from barrage_mlflow.tracking.journal import Epoch, MetricJournal
from barrage_mlflow.tracking.names import legal_name
from barrage_mlflow.tracking.opening import (
    attach_run,
    check_registrable,
    create_run,
    end_project_run,
    open_run,
    settle_run,
)
from barrage_mlflow.tracking.params import flatten_config
from barrage_mlflow.tracking.registry import register_version
from barrage_mlflow.tracking.run import ERROR_TAG, Status, TrackedRun
from barrage_mlflow.tracking.stored import StoredRun

__all__ = [
    "ERROR_TAG",
    "Epoch",
    "MetricJournal",
    "Status",
    "StoredRun",
    "TrackedRun",
    "attach_run",
    "check_registrable",
    "create_run",
    "end_project_run",
    "environment_tags",
    "flatten_config",
    "legal_name",
    "open_run",
    "project_code",
    "register_version",
    "requirements",
    "settle_run",
]
