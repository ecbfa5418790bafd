"""Everything that is written to MLflow, and what a packaged model must bring along.

MLflow itself is imported when its store is opened, not before.
"""

from barrage_mlflow.tracking.checkpoints import fetch_training
from barrage_mlflow.tracking.dependencies import project_code, requirements
from barrage_mlflow.tracking.environment import environment_tags
from barrage_mlflow.tracking.publisher import Publisher
from barrage_mlflow.tracking.registry import (
    check_alias,
    check_registrable,
    find_holder,
    find_version,
    set_alias,
)
from barrage_mlflow.tracking.runs import end_project_run, settle_run
from barrage_mlflow.tracking.store import Store

__all__ = [
    "Publisher",
    "Store",
    "check_alias",
    "check_registrable",
    "end_project_run",
    "environment_tags",
    "fetch_training",
    "find_holder",
    "find_version",
    "project_code",
    "requirements",
    "set_alias",
    "settle_run",
]
