"""The components of the cases that work by the record."""

from __future__ import annotations

from barrage_mlflow.dataset import DataRecord, Record
from penguins import PenguinLoader, PenguinTransformer


class OneBirdLoader(PenguinLoader):
    """The penguins' loader without its batch form."""

    def load(self, record: Record) -> DataRecord:
        """Load one record."""
        return super().load(record)


class OneBirdTransformer(PenguinTransformer):
    """The penguins' transformer without its batch form."""

    def transform(self, data_record: DataRecord) -> DataRecord:
        """Transform one record."""
        return super().transform(data_record)
