"""Splits records into the sets that the other commands take."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from barrage_mlflow.commands.check_report import aligned
from barrage_mlflow.dataset.features.infer import date_formats
from barrage_mlflow.dataset.records.cells import CellError, to_kind
from barrage_mlflow.dataset.records.column_kinds import Column
from barrage_mlflow.dataset.records.files import endings, no_records
from barrage_mlflow.dataset.records.raw import RawRecords
from barrage_mlflow.dataset.records.values import lacks, objects
from barrage_mlflow.dataset.types import Array
from barrage_mlflow.errors import ArtifactError, RecordError
from barrage_mlflow.files import written_whole

logger = logging.getLogger(__name__)

_SETS = ("train", "validation", "test")
_ORDERED = "write dates as 2026-03-01 or 2026-03-01T08:30 in every record, or name another column"
_TRIED = 1000
"""Cells of which it is found out how dates are written."""
_SHOWN = 10
"""Classes of which the counts are shown."""


def split(
    data: str | os.PathLike[str],
    *,
    validation: float,
    test: float = 0.0,
    stratify: str | None = None,
    group: str | None = None,
    time: str | None = None,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    force: bool = False,
    report: Callable[[str], object] = logger.info,
) -> dict[str, Path]:
    r"""Split a file of records into a train, a validation and a test set.

    Each record is passed on as it is written, in the order of the file, to a file of the same
    format and compression. The same data and seed give the same sets.

    Args:
        data: the path or URL of a CSV, JSON, JSON Lines or Parquet file (plain or compressed) or
            Parquet folder; or a folder with a folder of images for each class, of which the
            sets are CSV files with ``path`` and ``label``, stratified by label unless ``group`` or
            ``time`` is given.
        validation: share of the records, above 0 and below 1.
        test: the same of the test set; 0 for none.
        stratify: give every set the same share of each value of this column, to one record.
        group: keep the records of each value of this column in one set; the shares are as near
            as that allows.
        time: validate on records that are later in this column than those of train, and test on
            the last; records of one moment are in one set.
        seed: of the random order.
        folder: where to write; left out, the folder that ``data`` is in.
        force: write over files that are there.
        report: called with what to show of the sets.

    Returns:
        The file of each set.

    Raises:
        RecordError: the records cannot be read, or not be split so.
        ArtifactError: a file is there already, or would be part of ``data``.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "birds.csv")
        ...     size = path.write_text("id\n" + "".join(f"{n:03}\n" for n in range(20)))
        ...     sets = split(path, validation=0.2)
        ...     sets["train"].name, sets["validation"].read_text().split()
        ('train.csv', ['id', '001', '009', '014', '015'])
    """
    by = {"stratify": stratify, "group": group, "time": time}
    by = {how: column for how, column in by.items() if column is not None}
    if len(by) > 1:
        raise RecordError(f"expected one of stratify, group and time, got {', '.join(by)}")
    if not (validation > 0 and test >= 0 and validation + test < 1):
        raise RecordError(
            f"expected shares above 0 that leave records to train on, got {validation:g} for "
            f"validation and {test:g} for test; give such as 0.15"
        )
    records = RawRecords(os.fspath(data))
    how, column = next(iter(by.items()), ("stratify", "label" if records.images else None))
    paths = _free_paths(records, folder, _SETS if test else _SETS[:2], force)
    if others := records.others:
        logger.warning("%s: %d files are left out, as no images in a class's folder", data, others)
    keys, classes = _read_keys(records, how, column)
    held = [round(len(keys) * share) for share in ([validation, test] if test else [validation])]
    divide = {"stratify": _by_class, "group": _by_group, "time": _by_time}[how]
    sets = divide(keys, [len(keys) - sum(held), *held], np.random.default_rng(seed))
    counts = np.bincount(sets, minlength=len(paths))
    if not counts.all():
        raise RecordError(
            f"{data}: of {len(keys)} records, {_SETS[counts.argmin()]} gets none; give other "
            f"shares, or more records{'' if how == 'stratify' else f' that differ in {column!r}'}"
        )
    with ExitStack() as stack:
        records.write(sets, [stack.enter_context(written_whole(path)) for path in paths.values()])
    report("\n".join(_set_table(paths, counts)))
    if how == "stratify" and column is not None:
        report("\n".join(_class_table(column, classes, keys, sets, [*paths])))
    if how != "time":
        report(f"seed {seed}: the same data and seed give the same sets")
    return paths


def _free_paths(
    records: RawRecords, folder: str | os.PathLike[str] | None, names: Sequence[str], force: bool
) -> dict[str, Path]:
    """The files to write, of which none is there or part of the data."""
    data = records.source
    ending = {"images": ".csv", "parquet": ".parquet"}.get(records.kind) or "".join(endings(data))
    beside = "." if "://" in data else os.path.normpath(f"{data}/..")
    paths = {name: Path(folder or beside, name + ending) for name in names}
    for path in paths.values():
        if Path(data).resolve() in (path.resolve(), *path.resolve().parents):
            raise ArtifactError(f"{path} would change {data}; name another folder")
        if path.exists() and not force:
            raise ArtifactError(f"{path} is there already; name another folder, or use --force")
    return paths


def _read_keys(records: RawRecords, how: str, column: str | None) -> tuple[Array, list[Any]]:
    """What each record is divided by: its moment, or the place of its class among those found."""
    cells, classes = records.cells(column), dict[Any, int]()
    if how == "time":
        keys = _moments(list(cells), str(column), records.source)
    else:
        found = (None if column is None else _class(cell) for cell in cells)
        keys = np.fromiter((classes.setdefault(each, len(classes)) for each in found), np.int64)
    if not len(keys):
        raise no_records(records.source)
    return keys, list(classes)


def _class(cell: Any) -> Any:
    """A cell as a class; what is missing is one too."""
    if lacks(cell, is_text=True):
        return None
    return cell if isinstance(cell, str | int | float) else str(cell)


def _moments(cells: list[Any], name: str, data: str) -> Array:
    """A column ``(records,)`` as numbers if all cells are such, else as dates with times."""
    faults = []
    ways = [("whole", ""), ("number", "")]
    ways += [("datetime", written) for written in date_formats(cells[:_TRIED]) or [""]]
    for kind, written in ways:
        try:  # of a shape, so that none may lack
            return to_kind(objects(cells), Column(name, kind, format=written, shape=()))
        except CellError as error:
            faults.append(error)
    fault = max(reversed(faults), key=lambda fault: fault.row)  # of the kind that fits most
    raise RecordError(f"{data}, record {fault.row}, column '{name}': {fault.message}; {_ORDERED}")


def _by_class(keys: Array, sizes: Sequence[int], rng: np.random.Generator) -> Array:
    """Of each class to each set its share, rounded up or down, in random order.

    What rounding owes a set goes over to the next class, so that sizes are exact.
    """
    parts, rests = np.divmod(np.outer(np.bincount(keys), sizes), len(keys))
    owed = np.zeros(len(sizes), np.int64)
    for number in rng.permutation(len(parts)):
        part, rest = parts[number], rests[number]
        owed += rest
        # A set whose share of the class is whole gets no record more.
        first = np.argsort(np.where(rest > 0, -owed, len(keys)), kind="stable")
        more = first[: rest.sum() // len(keys)]
        part[more] += 1
        owed[more] -= len(keys)
    order = rng.permutation(len(keys))
    order = order[np.argsort(keys[order], kind="stable")]
    sets = np.repeat(np.tile(np.arange(len(sizes)), len(parts)), parts.ravel())
    return sets[np.argsort(order)]


def _by_group(keys: Array, sizes: Sequence[int], rng: np.random.Generator) -> Array:
    """To each set but the first, in random order, groups that it has room for; one at least."""
    counts = np.bincount(keys)
    chosen = np.zeros(len(counts), np.int64)
    for number in range(1, len(sizes)):
        room = max(sizes[number], counts[chosen == 0].min(initial=len(keys)))
        for group in rng.permutation(len(counts)):
            if not chosen[group] and counts[group] <= room:
                chosen[group] = number
                room -= counts[group]
    return chosen[keys]


def _by_time(moments: Array, sizes: Sequence[int], rng: np.random.Generator) -> Array:
    """The last records to the last set, and so on; a set begins where a new moment does."""
    order = np.argsort(moments, kind="stable")
    starts = np.flatnonzero(np.diff(moments[order])) + 1
    sets = np.zeros(len(order), np.int64)
    end = len(order)
    for number in range(len(sizes) - 1, 0, -1):
        usable = starts[number - 1 :]
        usable = usable[usable < end]
        if len(usable):
            start = usable[np.abs(usable - (end - sizes[number])).argmin()]
            sets[order[start:end]], end = number, start
    return sets


def _set_table(paths: Mapping[str, Path], counts: Array) -> list[str]:
    rows = [
        [name, str(count), f"{count / counts.sum():.3f}", str(path)]
        for (name, path), count in zip(paths.items(), counts, strict=True)
    ]
    return aligned([["set", "records", "share", "file"], *rows])


def _class_table(
    column: str, classes: Iterable[Any], keys: Array, sets: Array, names: Sequence[str]
) -> list[str]:
    """The records of each class by set; a warning tells of a set that lacks one."""
    spelt = ("(missing)" if each is None else str(each) for each in classes)
    shown = [each.encode("utf-8", "replace").decode() for each in spelt]  # else none could print it
    counts = np.zeros((len(shown), len(names)), np.int64)
    np.add.at(counts, (keys, sets), 1)
    lacking = np.argwhere(counts == 0)
    if len(lacking) > _SHOWN:
        logger.warning(
            "%s has %d values, and of %d a set has none; to stratify by is a column of classes",
            column, len(shown), len({*lacking[:, 0]}),
        )  # fmt: skip
    else:
        for number, place in lacking:
            logger.warning("%s has no record with %s %r", names[place], column, shown[number])
    largest = np.argsort(-counts.sum(axis=1), kind="stable")[:_SHOWN]
    return aligned([[column, *names], *([shown[n], *map(str, counts[n])] for n in largest)])
