"""The config: a whole recipe as data.

Read it, override it, find every fault of it, fill its defaults in, and build the components
that its import blocks name. Importing this package imports neither TensorFlow, Keras, MLflow nor
pandas; Keras and the project's own code are loaded by name when a config asks for them.
"""

from barrage_mlflow.config.document import Document
from barrage_mlflow.config.import_blocks import build_import
from barrage_mlflow.config.import_strings import load_import
from barrage_mlflow.config.overrides import apply_overrides
from barrage_mlflow.config.placeholders import fill_placeholders, placeholder_names
from barrage_mlflow.config.project import add_project_path, code_modules
from barrage_mlflow.config.read import read_config
from barrage_mlflow.config.resolve import find_faults, find_warnings, resolve_config
from barrage_mlflow.config.schema import schema

__all__ = [
    "Document",
    "add_project_path",
    "apply_overrides",
    "build_import",
    "code_modules",
    "fill_placeholders",
    "find_faults",
    "find_warnings",
    "load_import",
    "placeholder_names",
    "read_config",
    "resolve_config",
    "schema",
]
