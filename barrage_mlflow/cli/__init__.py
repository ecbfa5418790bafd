"""The command line: each command reads its arguments, calls one function and prints."""

from barrage_mlflow.cli import configs, models, trainings
from barrage_mlflow.cli.group import explain_error as explain_error
from barrage_mlflow.cli.group import main as main

__all__ = ["configs", "explain_error", "main", "models", "trainings"]
