"""Scores a file of any size: part by part, so that memory does not grow with it."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from barrage_mlflow import __version__
from barrage_mlflow.commands.resumable_file import ResumableFile
from barrage_mlflow.dataset.components.score_params import fill_params
from barrage_mlflow.dataset.feeding.blocks import read_ahead
from barrage_mlflow.dataset.records.parts import Part, Parts
from barrage_mlflow.errors import ComponentError, RecordError
from barrage_mlflow.scoring.scorer import BATCH_SIZE, Scorer
from barrage_mlflow.scoring.writers import Columns, check_target, encode_rows, make_file
from barrage_mlflow.training.progress import Display, follow_scoring
from barrage_mlflow.training.stop import StopRequest
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.code_files import digest_files

Params = Mapping[str, Any]


@dataclass(frozen=True)
class FileScores:
    """What came of scoring a file.

    Attributes:
        records: how many scores are in the output.
        resumed: how many of them an earlier process made.
        seconds: what this one took.

    Example:
        >>> FileScores(1000, 400, 2.5).records
        1000
    """

    records: int
    resumed: int
    seconds: float


def score_file(
    scorer: Scorer,
    records: Parts | str | os.PathLike[str],
    output: str | os.PathLike[str],
    keep: Sequence[str] = (),
    batch_size: int = BATCH_SIZE,
    progress: TextIO | None = None,
    params: Mapping[str, Any] = {},
) -> FileScores:
    """Score the records of a file of any size, into a file.

    The output has its name once it is whole. Killed and called again, it goes on where it was and
    comes to the same file, unless records, model, params or options are others than they were.

    Args:
        scorer: the model.
        records: the file, or :class:`Parts` with the columns to keep and roots of files.
        output: the file to write: .csv, .jsonl, .json or .parquet.
        keep: columns of the records that come first in each row, as the file has them.
        batch_size: records that go through the network at once.
        progress: where to show how far it is, ``sys.stderr``.
        params: the transformer's ``score_params`` that are to have another value.

    Raises:
        RecordError: a record cannot be read or scored, a column to keep is not there or has the
            name of an output, or a param is unknown or of another type than its default.
        ArtifactError: the output cannot be written, or another process writes it.
        Exception: whatever loader and transformer raise, with the place as a note.

    Example:
        >>> score_file(Scorer.load(folder), "records.parquet", "scores.csv")  # doctest: +SKIP
        FileScores(records=2000000, resumed=0, seconds=3.1)
    """
    begun = time.monotonic()
    target = Path(output)
    check_target(target)
    parts = records if isinstance(records, Parts) else Parts(records, keep)
    params = fill_params(scorer.score_params, params)
    about = {
        "the records": parts.identity(),
        "the model": _identity(scorer),
        "the params": params,
        "the options": [parts.keep, batch_size, parts.roots],
        "the version of barrage-mlflow": __version__,
    }
    names: list[str] | None = None
    with ResumableFile.open(target, about) as file:
        resumed = file.done
        with Display(progress) as display, StopRequest() as stop:
            pieces = _scored(scorer, parts, batch_size, params, stop, resumed)
            for rows, done in follow_scoring(pieces, display):
                names = names or [*rows]
                if [*rows] != names:
                    raise ComponentError(
                        f"expected the outputs of the records before, {names}, got {[*rows]}"
                    )
                file.append(encode_rows(rows, target.suffix, first=not file.done), done)
            if display.is_live:
                display.show(f"writing {target}")
            with stop.at_once():
                file.finish(partial(make_file, suffix=target.suffix))
    return FileScores(file.done, resumed, time.monotonic() - begun)


def predict(
    records: str | os.PathLike[str],
    model: str | os.PathLike[str],
    output: str | os.PathLike[str] | None,
    keep: Sequence[str],
    batch_size: int,
    param: Sequence[str],
    write: Callable[[bytes], object],
    progress: TextIO | None,
    roots: Sequence[str] = (),
) -> FileScores | None:
    """Score the records of a file with any model, into a file or as JSON Lines.

    Args:
        records: the file.
        model: an artifact folder, or any MLflow model URI.
        output: the file to write; None: JSON Lines go to ``write``.
        keep: columns of the records that come first in each row.
        batch_size: records that go through the network at once.
        param: the transformer's ``score_params`` that are to have another value, each as
            ``"NAME=VALUE"``.
        write: called with whole lines.
        progress: where to show how far it is.
        roots: of columns in which strings are paths of files: each a folder, or
            ``"COLUMN=FOLDER"``.

    Returns:
        What came of it, where a file was written.

    Raises:
        As :func:`score_file`.
    """
    # Before TensorFlow is loaded, which takes seconds: names are soon mistyped.
    if output is not None:
        check_target(Path(output))
    parts = Parts(records, keep, roots)
    from barrage_mlflow.pyfunc import load_scorer

    scorer = load_scorer(model)
    params = _read_params(param, scorer.score_params)
    if output is not None:
        return score_file(scorer, parts, output, (), batch_size, progress, params)
    with Display(progress) as display, StopRequest() as stop:
        for rows, _ in follow_scoring(_scored(scorer, parts, batch_size, params, stop), display):
            write(encode_rows(rows, ".jsonl"))
    return None


def _read_params(texts: Sequence[str], declared: Params) -> dict[str, Any]:
    """Params as they are typed: a string where the default is one, else JSON."""
    params: dict[str, Any] = {}
    for name, equals, value in (text.partition("=") for text in texts):
        if not equals:
            raise RecordError(f"expected --param NAME=VALUE, got {name!r}; write {name}=VALUE")
        params[name] = value
        with suppress(ValueError):
            params[name] = value if isinstance(declared.get(name), str) else json.loads(value)
    return params


def _scored(
    scorer: Scorer, parts: Parts, batch: int, params: Params, request: StopRequest, done: int = 0
) -> Iterator[tuple[Columns, int, float | None]]:
    """Score the records behind the first ``done``; end between two pieces if that is requested.

    Returns:
        Of each piece the rows, how many records are scored with it, and the share of the file.
    """
    size = scorer.piece_size(batch)
    share: float | None = 0.0
    # Whole batches in each part, so that they are those of a file that is scored at once.
    with closing(read_ahead(parts.read(scorer.inputs, batch, done))) as ahead:
        for part in ahead:
            count, before = len(part.records), share
            for start in range(max(0, done - part.first), count, size):
                stop = min(start + size, count)
                scores = scorer.score(part.records[start:stop], batch, params)
                if before is not None and part.share is not None:
                    share = before + (part.share - before) * stop / count
                yield _rows(part, start, stop, scores), part.first + stop, share
                request.check()
            share = part.share


def _rows(part: Part, start: int, stop: int, scores: Columns) -> Columns:
    kept = {name: column[start:stop] for name, column in part.kept.items()}
    for name in kept:
        if name in scores:
            raise RecordError(
                f"{part.records.name}: the column '{name}' cannot be kept, since an output of the "
                "model has that name; rename the column, or leave it out"
            )
    return {**kept, **scores}


def _identity(scorer: Scorer) -> Any:
    """A fingerprint of a packaged model: its data and code, wherever it lies."""
    if scorer.folder is None:
        return uuid.uuid4().hex
    return [digest_files(scorer.folder / name) for name in (artifacts.DATA, artifacts.CODE)]
