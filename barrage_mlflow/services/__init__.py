"""The services section of a config: what watches over a training, always on.

Best checkpoint, resume checkpoint, TensorBoard, report, early stopping on train and on
validation.
"""

from barrage_mlflow.services.best import BestCheckpoint
from barrage_mlflow.services.build import build_callbacks, check_monitors
from barrage_mlflow.services.checkpoint import ResumeCheckpoint
from barrage_mlflow.services.checkpoint_file import Checkpoint, find_checkpoint
from barrage_mlflow.services.curves import write_learning_curves
from barrage_mlflow.services.report import report_callback, write_report

__all__ = [
    "BestCheckpoint",
    "Checkpoint",
    "ResumeCheckpoint",
    "build_callbacks",
    "check_monitors",
    "find_checkpoint",
    "report_callback",
    "write_learning_curves",
    "write_report",
]
