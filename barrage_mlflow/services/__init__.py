"""The services section of a config: what watches over a training, always on.

Best checkpoint, resume checkpoint, TensorBoard, report, early stopping on train and on
validation, and a stop on a loss that is no number.
"""

from barrage_mlflow.services.best import BestCheckpoint
from barrage_mlflow.services.build import build_callbacks
from barrage_mlflow.services.checkpoint import Checkpoint, find_checkpoint
from barrage_mlflow.services.curves import write_learning_curves
from barrage_mlflow.services.loss_guard import LossGuard
from barrage_mlflow.services.monitors import check_monitors
from barrage_mlflow.services.report import TrainingReport, read_report, rewrite_report
from barrage_mlflow.services.resume import ResumeCheckpoint

__all__ = [
    "BestCheckpoint",
    "Checkpoint",
    "LossGuard",
    "ResumeCheckpoint",
    "TrainingReport",
    "build_callbacks",
    "check_monitors",
    "find_checkpoint",
    "read_report",
    "rewrite_report",
    "write_learning_curves",
]
