"""Records → batches: read, load, transform, augment, order, conform.

Importing it imports neither TensorFlow nor MLflow, and pandas only once records are read. Here are
the names that projects use, and the short names of a config (``"KeySelector"``).
"""

from barrage_mlflow.dataset.components.build import build_loader as build_loader
from barrage_mlflow.dataset.components.build import build_transformer as build_transformer
from barrage_mlflow.dataset.components.loader import KeySelector as KeySelector
from barrage_mlflow.dataset.components.loader import RecordLoader as RecordLoader
from barrage_mlflow.dataset.components.transformer import IdentityTransformer as IdentityTransformer
from barrage_mlflow.dataset.components.transformer import RecordTransformer as RecordTransformer
from barrage_mlflow.dataset.features.loader import FeatureLoader as FeatureLoader
from barrage_mlflow.dataset.features.transformer import FeatureTransformer as FeatureTransformer
from barrage_mlflow.dataset.records.records import Records as Records
from barrage_mlflow.dataset.types import DataRecord as DataRecord
from barrage_mlflow.dataset.types import Record as Record
from barrage_mlflow.dataset.types import RecordMode as RecordMode
from barrage_mlflow.dataset.types import RecordScore as RecordScore
