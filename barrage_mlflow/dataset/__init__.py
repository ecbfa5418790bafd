"""Records → batches: read, load, transform, augment, order, conform.

Importing it imports neither TensorFlow nor MLflow, and pandas only once records are read. The
short names of a config's loaders and transformers (``"KeySelector"``) are looked up here.
"""

from .augmentors import Augmentor
from .build import build_augmentors, build_loader, build_transformer
from .conform import ArraySpec, conform_inputs, conform_targets
from .feeding import TrainBatches, ValidationBatches
from .loader import KeySelector, RecordLoader, columns_read
from .order import epoch_rows, sample_counts
from .pipeline import Pipeline
from .records import Records, RecordSource
from .transformer import IdentityTransformer, RecordTransformer, fit_transformer
from .types import DataRecord, Record, RecordMode, RecordScore

__all__ = [
    "ArraySpec",
    "Augmentor",
    "DataRecord",
    "IdentityTransformer",
    "KeySelector",
    "Pipeline",
    "Record",
    "RecordLoader",
    "RecordMode",
    "RecordScore",
    "RecordSource",
    "RecordTransformer",
    "Records",
    "TrainBatches",
    "ValidationBatches",
    "build_augmentors",
    "build_loader",
    "build_transformer",
    "columns_read",
    "conform_inputs",
    "conform_targets",
    "epoch_rows",
    "fit_transformer",
    "sample_counts",
]
