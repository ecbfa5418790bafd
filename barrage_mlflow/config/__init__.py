"""The config: a whole recipe as data.

Read it, override it, find every fault of it, fill its defaults in, and build the components
that its import blocks name. Importing this package imports neither TensorFlow, Keras, MLflow nor
pandas; Keras and the project's own code are loaded by name when a config asks for them. Here are
the names that projects use.
"""

from barrage_mlflow.config.project import add_project_path as add_project_path
from barrage_mlflow.config.read import read_config as read_config
from barrage_mlflow.config.resolve import find_faults as find_faults
from barrage_mlflow.config.resolve import find_warnings as find_warnings
from barrage_mlflow.config.resolve import resolve_config as resolve_config
