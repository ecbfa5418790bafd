"""What each command does, one file each; :mod:`barrage_mlflow.cli` reads their arguments."""
