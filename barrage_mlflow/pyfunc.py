"""The address that every packaged model names as its loader; it stays here for good."""

from barrage_mlflow.scoring.pyfunc import _load_pyfunc

__all__ = ["_load_pyfunc"]
