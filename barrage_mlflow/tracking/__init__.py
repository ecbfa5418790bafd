"""Everything that is written to MLflow, and what a packaged model must bring along.

MLflow itself is imported when a run is opened, not before.
"""

from barrage_mlflow.tracking.dependencies import project_code, requirements
from barrage_mlflow.tracking.environment import environment_tags
from barrage_mlflow.tracking.journal import Epoch, MetricJournal
from barrage_mlflow.tracking.opening import (
    attach_run,
    create_run,
    end_project_run,
    open_run,
    settle_run,
)
from barrage_mlflow.tracking.params import flatten_config
from barrage_mlflow.tracking.registry import (
    check_alias,
    check_registrable,
    find_holder,
    find_version,
    register_version,
    set_alias,
)
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
    "check_alias",
    "check_registrable",
    "create_run",
    "end_project_run",
    "environment_tags",
    "find_holder",
    "find_version",
    "flatten_config",
    "open_run",
    "project_code",
    "register_version",
    "requirements",
    "set_alias",
    "settle_run",
]
