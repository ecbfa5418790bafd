"""Records → batches: read, load, transform, augment, order, conform.

Importing it imports neither TensorFlow nor MLflow, and pandas only once records are read. The
short names of a config's loaders and transformers (``"KeySelector"``) are looked up here.
"""

from barrage_mlflow.dataset.components.augmentors import Augmentor
from barrage_mlflow.dataset.components.build import (
    build_augmentors,
    build_loader,
    build_transformer,
    fit_and_save,
    load_pipeline,
)
from barrage_mlflow.dataset.components.loader import KeySelector, RecordLoader
from barrage_mlflow.dataset.components.pipeline import Pipeline
from barrage_mlflow.dataset.components.places import place_of
from barrage_mlflow.dataset.components.reading import columns_read, describe_columns
from barrage_mlflow.dataset.components.transformer import IdentityTransformer, RecordTransformer
from barrage_mlflow.dataset.feeding.batches import Batches
from barrage_mlflow.dataset.feeding.blocks import Blocks, read_ahead
from barrage_mlflow.dataset.feeding.conform import (
    ArraySpec,
    conform,
    show_shape,
)
from barrage_mlflow.dataset.feeding.feeder import Feeder
from barrage_mlflow.dataset.feeding.plan import FeedPlan, make_feed_plan
from barrage_mlflow.dataset.records.column_specs import (
    ColumnSpec,
    as_specified,
    text_columns,
)
from barrage_mlflow.dataset.records.columns import native
from barrage_mlflow.dataset.records.parts import Part, Parts
from barrage_mlflow.dataset.records.records import Records, RecordSource
from barrage_mlflow.dataset.records.row_groups import row_groups
from barrage_mlflow.dataset.types import (
    DataRecord,
    Record,
    RecordMode,
    RecordScore,
    cut,
    length,
)

__all__ = [
    "ArraySpec",
    "Augmentor",
    "Batches",
    "Blocks",
    "ColumnSpec",
    "DataRecord",
    "FeedPlan",
    "Feeder",
    "IdentityTransformer",
    "KeySelector",
    "Part",
    "Parts",
    "Pipeline",
    "Record",
    "RecordLoader",
    "RecordMode",
    "RecordScore",
    "RecordSource",
    "RecordTransformer",
    "Records",
    "as_specified",
    "build_augmentors",
    "build_loader",
    "build_transformer",
    "columns_read",
    "conform",
    "cut",
    "describe_columns",
    "fit_and_save",
    "length",
    "load_pipeline",
    "make_feed_plan",
    "native",
    "place_of",
    "read_ahead",
    "row_groups",
    "show_shape",
    "text_columns",
]
