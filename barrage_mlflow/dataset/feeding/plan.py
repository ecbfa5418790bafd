"""In which way the records of a set reach the network: decided once, followed, and printed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from barrage_mlflow.dataset.components.pipeline import Pipeline
from barrage_mlflow.dataset.feeding.conform import ArraySpec
from barrage_mlflow.dataset.feeding.feeder import Cache, Feeder
from barrage_mlflow.dataset.records.records import Records

_BLOCK_BYTES = 1 << 22
"""What is made, or picked from a cache, at once, at most."""
_BLOCK_RECORDS = 256
"""What a worker process makes at once, at most: few enough to stay in the processor's cache."""


@dataclass(frozen=True)
class FeedPlan:
    """How the records of one set reach the network; ``str(plan)`` is for people.

    Attributes:
        form: whether components make whole columns at a time, or one record after the other.
        cache: where what loader and transformer make is kept, in ``"memory"`` or on ``"disk"``:
            as ``dataset.cache`` asks, or in memory without being asked where columns take no
            more room as arrays. None where it is made anew in every epoch.
        workers: how many processes make records; 0 for the training thread.
        window: draws in a window, where row groups are read as they are drawn.
        is_varied: whether augmentors work on what is cached, or made, in every epoch.
        block: how many records are made, or picked from the cache, at once.
        reads_windows: whether whole windows of row groups are blocks.
        advice: what would make it faster, or take less memory.
    """

    form: Literal["columns", "record"]
    cache: Cache | None
    workers: int
    window: int | None
    is_varied: bool
    block: int
    reads_windows: bool
    advice: tuple[str, ...]

    @property
    def is_streamed(self) -> bool:
        """Whether row groups are read anew in every epoch."""
        return self.window is not None and self.cache is None

    def __str__(self) -> str:
        words = ["by columns" if self.form == "columns" else "by the record"]
        if self.is_streamed:
            words.append(f"read in windows of {self.window:,} draws")
        elif self.cache is None:
            words.append("made anew in every epoch")
        else:
            words.append(
                f"made once and kept {'on' if self.cache == 'disk' else 'in'} {self.cache}"
            )
        if self.is_varied:
            words.append("then augmented in every epoch")
        if self.workers:
            words.append(f"in {self.workers} worker process{'es' if self.workers > 1 else ''}")
        elif self.form == "record" or self.is_varied:
            words.append("on the training thread")
        return "\n".join(["; ".join(words), *self.advice])


def make_feed_plan(
    pipeline: Pipeline,
    specs: Mapping[str, ArraySpec],
    records: Records,
    batch_size: int,
    feeder: Feeder,
) -> FeedPlan:
    """Decide how a set reaches the network.

    Args:
        pipeline: loads, transforms and augments it.
        specs: what the network takes: input name → spec.
        records: the set.
        batch_size: records in a batch.
        feeder: what the config asks for.

    Example:
        >>> from barrage_mlflow.dataset import IdentityTransformer, KeySelector, RecordMode
        >>> loader = KeySelector(RecordMode.TRAIN, {"x": "a"}, {"y": "b"})
        >>> pipeline = Pipeline(loader, IdentityTransformer(RecordMode.TRAIN, loader))
        >>> records = Records.read([{"a": 1, "b": 0}])
        >>> print(make_feed_plan(pipeline, {"x": ArraySpec((), "float32")}, records, 32, Feeder()))
        by columns; made once and kept in memory
    """
    groups = records.row_groups()
    window = None if groups is None else feeder.shuffle_window
    is_fixed = all(None not in spec.shape for spec in specs.values())
    by_columns = pipeline.is_columnar and is_fixed
    # Augmentors that work by the record do so in processes too.
    by_record = not by_columns or any(not one.batchwise for one in pipeline.augmentors)
    workers = feeder.workers if by_record else 0
    cache = feeder.cache or ("memory" if by_columns and window is None else None)
    record_bytes = _record_bytes(specs)
    most = _BLOCK_BYTES // record_bytes
    if workers:
        most = min(most, _BLOCK_RECORDS)
    elif not cache or pipeline.augmentors or records.has_files:
        most = batch_size
    advice = _faster(pipeline, is_fixed, by_record and not workers, feeder.cache or window)
    if groups and window is not None and feeder.cache is None and max(groups) > window:
        largest = max(groups)
        advice.append(
            f"smaller: the largest row group has {largest:,} records, more than the "
            f"{window:,} of dataset.shuffle_window, and is read whole: about "
            f"{largest * record_bytes / 1e6:,.0f} MB as the network's inputs; write the file in "
            f"smaller ones, frame.to_parquet(path, row_group_size={max(1, window // 4)})"
        )
    return FeedPlan(
        form="columns" if by_columns else "record",
        cache=cache,
        workers=workers,
        window=window,
        is_varied=bool(pipeline.augmentors),
        # In whole batches, so that few are joined of two blocks.
        block=max(1, most // batch_size) * batch_size if is_fixed else batch_size,
        # Of cells that are files, no more are read at once than are made.
        reads_windows=not (window is None or cache or workers or records.has_files) and by_columns,
        advice=tuple(advice),
    )


def _record_bytes(specs: Mapping[str, ArraySpec]) -> int:
    """What a record takes as the network's inputs, a dimension of any size counted as one."""
    sizes = [math.prod(size or 1 for size in spec.shape) for spec in specs.values()]
    return 4 * sum(sizes) or 1


def _faster(
    pipeline: Pipeline, is_fixed: bool, lacks_workers: bool, is_cached_or_streamed: object
) -> list[str]:
    """What would make records sooner."""
    advice = []
    missing = pipeline.missing_forms
    if missing:
        advice.append(f"faster: define {' and '.join(missing)}, to work on whole columns")
        if not is_cached_or_streamed:
            advice.append(
                'or set dataset.cache to "memory", if what loader and transformer make fits there'
            )
    elif not is_fixed:
        advice.append(
            "faster: give the network's inputs fixed shapes, so that records are kept as arrays"
        )
    if lacks_workers:
        advice.append(
            f"{'or' if advice else 'if it is slow:'} set dataset.workers, up to one for each core, "
            "to have processes make records ahead of the training"
        )
    return advice
