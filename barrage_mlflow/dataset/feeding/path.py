"""Tells a person on which path records reach the network, and what would make it faster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from barrage_mlflow.dataset.components.pipeline import Pipeline
from barrage_mlflow.dataset.feeding.conform import ArraySpec
from barrage_mlflow.dataset.feeding.feeder import Feeder
from barrage_mlflow.dataset.records.records import Records

_FORMS = ("load_batch", "transform_batch")


def feeding_path(
    pipeline: Pipeline, specs: Mapping[str, ArraySpec], feeder: Feeder, records: Records
) -> list[str]:
    """Tell how train records will be fed, and what to change for more speed.

    Args:
        pipeline: in train mode.
        specs: what the network takes: input name → spec.
        feeder: as the config makes it.
        records: the train records.

    Returns:
        The path, then one line for each thing that would make it faster.

    Example:
        >>> from barrage_mlflow.dataset import IdentityTransformer, KeySelector, RecordMode
        >>> loader = KeySelector(RecordMode.TRAIN, {"x": "a"}, {"y": "b"})
        >>> pipeline = Pipeline(loader, IdentityTransformer(RecordMode.TRAIN, loader))
        >>> records = Records.read([{"a": 1, "b": 0}])
        >>> feeding_path(pipeline, {"x": ArraySpec((), "float32")}, Feeder(), records)
        ['by columns; made once and kept in memory']
    """
    streams = feeder.shuffle_window is not None and records.row_groups is not None
    is_open = any(None in spec.shape for spec in specs.values())
    by_columns = pipeline.is_columnar and not is_open
    form = "by columns" if by_columns else "by the record"
    if feeder.cache is not None:
        place = "in memory" if feeder.cache == "memory" else "on disk"
        path = f"{form}; made once and kept {place}"
    elif streams:
        path = f"{form}; read in windows of {feeder.shuffle_window:,} draws"
    elif by_columns:
        path = f"{form}; made once and kept in memory"
    else:
        path = f"{form}; made anew in every epoch"
    if pipeline.augmentors:
        path += "; then augmented in every epoch"
    if not by_columns or any(not augmentor.batchwise for augmentor in pipeline.augmentors):
        path += f"; {_place(feeder.workers)}"
    return [path, *_advice(pipeline, is_open, feeder)]


def _place(workers: int | None) -> str:
    if workers is None:
        return "in worker processes if it is slow"
    if not workers:
        return "on the training thread"
    return f"in {workers} worker process{'es' if workers > 1 else ''}"


def _advice(pipeline: Pipeline, is_open: bool, feeder: Feeder) -> Iterator[str]:
    lacking = dict(zip(_FORMS, pipeline.batch_forms, strict=True))
    missing = [f"{form} in {name}" for form, name in lacking.items() if name is not None]
    if missing:
        yield f"faster: define {' and '.join(missing)}, to work on whole columns"
        if feeder.cache is None and feeder.shuffle_window is None:
            yield 'or set dataset.cache to "memory", if what loader and transformer make fits there'
    elif is_open:
        yield "faster: give the network's inputs fixed shapes, so that records are kept as arrays"
    if feeder.workers == 0 and (missing or pipeline.augmentors):
        yield "or leave dataset.workers out, to have processes work ahead"
