"""In which way the records of a set reach the network: decided once, followed, and printed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from barrage_mlflow.dataset.components.pipeline import Pipeline
from barrage_mlflow.dataset.feeding.conform import ArraySpec
from barrage_mlflow.dataset.feeding.feeder import Cache, Feeder
from barrage_mlflow.dataset.records.records import Records

_BLOCK_BYTES = 1 << 20
_BLOCK_RECORDS = 1024
"""What a worker process makes at once, at most."""
_KEPT = {
    "resident": "made once and kept in memory",
    "memory": "made once and kept in memory",
    "disk": "made once and kept on disk",
}


@dataclass(frozen=True)
class Plan:
    """How the records of one set reach the network; ``str(plan)`` is for people.

    Attributes:
        form: whether the set is made whole columns at a time, ``"batch"``, or batch by batch,
            ``"record"``.
        kept: where what loader and transformer make is kept: ``"nowhere"``, in ``"memory"`` or on
            ``"disk"`` as ``dataset.cache`` asks, or ``"resident"``, in memory without being
            asked, since columns take no more room as arrays.
        workers: how many processes make records; 0 for the training thread.
        window: draws in a window, where row groups are read as they are drawn.
        is_varied: whether augmentors work on what is kept, or made, in every epoch.
        block: how many records are made at once.
        advice: what would make it faster, or take less memory.
    """

    form: Literal["batch", "record"]
    kept: Literal["nowhere", "resident", "memory", "disk"]
    workers: int
    window: int | None
    is_varied: bool
    block: int
    advice: tuple[str, ...]

    @property
    def is_streamed(self) -> bool:
        """Whether row groups are read anew in every epoch."""
        return self.window is not None and self.kept == "nowhere"

    def __str__(self) -> str:
        words = ["by columns" if self.form == "batch" else "by the record"]
        if self.is_streamed:
            words.append(f"read in windows of {self.window:,} draws")
        else:
            words.append(_KEPT.get(self.kept, "made anew in every epoch"))
        if self.is_varied:
            words.append("then augmented in every epoch")
        if self.workers:
            words.append(f"in {self.workers} worker process{'es' if self.workers > 1 else ''}")
        elif self.form == "record" or self.is_varied:
            words.append("on the training thread")
        return "\n".join(["; ".join(words), *self.advice])


def make_plan(
    pipeline: Pipeline,
    specs: Mapping[str, ArraySpec],
    records: Records,
    batch_size: int,
    feeder: Feeder | None = None,
) -> Plan:
    """Decide how a set reaches the network.

    Args:
        pipeline: loads, transforms and augments it.
        specs: what the network takes: input name → spec.
        records: the set.
        batch_size: records in a batch.
        feeder: what the config asks for; left out, nothing.

    Example:
        >>> from barrage_mlflow.dataset import IdentityTransformer, KeySelector, RecordMode
        >>> loader = KeySelector(RecordMode.TRAIN, {"x": "a"}, {"y": "b"})
        >>> pipeline = Pipeline(loader, IdentityTransformer(RecordMode.TRAIN, loader))
        >>> records = Records.read([{"a": 1, "b": 0}])
        >>> print(make_plan(pipeline, {"x": ArraySpec((), "float32")}, records, batch_size=32))
        by columns; made once and kept in memory
    """
    feeder = feeder or Feeder()
    workers, cache = feeder.workers, feeder.cache
    groups = records.row_groups
    window = None if groups is None else feeder.shuffle_window
    is_fixed = all(None not in spec.shape for spec in specs.values())
    by_columns = pipeline.is_columnar and is_fixed
    # Augmentors that work by the record do so in processes too.
    by_record = not by_columns or any(not one.batchwise for one in pipeline.augmentors)
    block = batch_size
    if workers and by_record and is_fixed:
        most = min(_BLOCK_RECORDS, _BLOCK_BYTES // _record_bytes(specs))
        block = max(1, most // batch_size) * batch_size
    return Plan(
        form="batch" if by_columns else "record",
        kept=cache or ("resident" if by_columns and window is None else "nowhere"),
        workers=workers if by_record else 0,
        window=window,
        is_varied=bool(pipeline.augmentors),
        block=block,
        advice=(
            *_faster(pipeline, is_fixed, workers if by_record else None, cache, window),
            *_smaller(max(groups or [0]), window if cache is None else None, _record_bytes(specs)),
        ),
    )


def _record_bytes(specs: Mapping[str, ArraySpec]) -> int:
    """What a record takes as the network's inputs, a dimension of any size counted as one."""
    sizes = [math.prod(size or 1 for size in spec.shape) for spec in specs.values()]
    return 4 * sum(sizes) or 1


def _faster(
    pipeline: Pipeline,
    is_fixed: bool,
    workers: int | None,
    cache: Cache | None,
    window: int | None,
) -> Iterator[str]:
    missing = pipeline.missing_forms
    if missing:
        yield f"faster: define {' and '.join(missing)}, to work on whole columns"
        if cache is None and window is None:
            yield 'or set dataset.cache to "memory", if what loader and transformer make fits there'
    elif not is_fixed:
        yield "faster: give the network's inputs fixed shapes, so that records are kept as arrays"
    if workers == 0:
        start = "or" if missing or not is_fixed else "if it is slow:"
        yield (
            f"{start} set dataset.workers, up to one for each core, to have processes make records "
            "ahead of the training"
        )


def _smaller(largest: int, window: int | None, record_bytes: int) -> Iterator[str]:
    if window is not None and largest > window:
        yield (
            f"smaller: the largest row group has {largest:,} records, more than the "
            f"{window:,} of dataset.shuffle_window, and is read whole: about "
            f"{largest * record_bytes / 1e6:,.0f} MB as the network's inputs; write the file in "
            f"smaller ones, frame.to_parquet(path, row_group_size={max(1, window // 4)})"
        )
