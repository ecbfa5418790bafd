"""The proof that a packaged model scores elsewhere as it does here, before its run is finished."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barrage_mlflow.errors import BarrageError, ComponentError
from barrage_mlflow.scoring.process import ModelProcess

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

_ROUNDING = {"float16": 2**-7, "bfloat16": 2**-4}
"""How far scores may be apart of a network that computes in such numbers: eight of their steps."""
_FULL_ROUNDING = 1e-5
"""Likewise of one that computes in none of these."""


def prove(
    process: ModelProcess,
    model: Path,
    expected: pd.DataFrame,
    again: Callable[[], pd.DataFrame],
    homes: Iterable[Path],
    dtypes: Iterable[str] = (),
) -> bool:
    """Have a clean process score a model's input example, from a copy in another folder.

    Of a model that draws at random when it scores, only the form of the answer can be proved.

    Args:
        process: a fresh one.
        model: the folder of the MLflow model.
        expected: what the training process answers to the example.
        again: answers once more, which shows whether the answer is the same each time.
        homes: folders of the training; the model must open no file that was in them before.
        dtypes: what the network computes in; half precision allows for more rounding.

    Returns:
        Whether the model gives the same answer each time.

    Raises:
        ComponentError: it cannot be loaded, a score differs, or it needs a file that is not in
            the package.

    Example:
        >>> with ModelProcess() as process:  # doctest: +SKIP
        ...     prove(process, model, scores, lambda: to_frame(scorer.score(example)), [Path.cwd()])
    """
    began = time.time()
    with tempfile.TemporaryDirectory() as elsewhere:
        # Where the project looks for its own files, they are not.
        copy = Path(elsewhere, "model").resolve()
        shutil.copytree(model, copy)
        try:
            scores, opened = process.call("predict", str(copy))
        except BarrageError as error:
            raise ComponentError(
                f"the packaged model cannot score its input example in a clean process: {error}"
            ) from error
    # Opened files are named without links.
    own = [copy, *(Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix))]
    needed = _files_within(opened, homes, own, began)
    if needed:
        raise ComponentError(
            f"the packaged model reads {needed[0]}, which other machines have not: have the "
            "transformer write what it needs in save(), and read it in load()"
        )
    once = _as_json(expected)
    rounding = max([_FULL_ROUNDING, *(_ROUNDING.get(dtype, 0) for dtype in dtypes)])
    difference = first_difference(scores, once, rounding)
    draws = bool(difference and first_difference(_as_json(again()), once, rounding))
    if draws:
        logger.warning(
            "the model draws at random when it scores, so its numbers could not be proved, "
            "only their form"
        )
        difference = first_difference(_form(scores), _form(once))
    if difference:
        raise ComponentError(
            f"the packaged model scores its input example otherwise in a clean process: "
            f"{difference}; see that the transformer's save() writes, and its load() reads, all "
            "that scoring uses"
        )
    return not draws


def first_difference(
    scores: Any, expected: Any, rounding: float = _FULL_ROUNDING, place: str = ""
) -> str:
    """Where scores differ first, beyond rounding; empty if they do not.

    Args:
        scores: JSON values.
        expected: likewise.
        rounding: how far numbers may be apart, relatively; a tenth of it near 0.
        place: of both, for the message.

    Example:
        >>> first_difference([{"mass": 3.5}], [{"mass": 3.0}])
        "record 0, 'mass': 3.5, expected 3.0"
        >>> first_difference([{"mass": 3.0000001}], [{"mass": 3.0}])
        ''
    """
    if isinstance(scores, dict) and isinstance(expected, dict) and scores.keys() == expected.keys():
        pairs = [(f"{place}, {key!r}", scores[key], expected[key]) for key in expected]
    elif isinstance(scores, list) and isinstance(expected, list) and len(scores) == len(expected):
        named = [f"{place}[{i}]" if place else f"record {i}" for i in range(len(expected))]
        pairs = list(zip(named, scores, expected, strict=True))
    else:
        is_same = _same(scores, expected, rounding)
        return "" if is_same else f"{place}: {scores!r}, expected {expected!r}"
    return next(filter(None, (first_difference(s, e, rounding, name) for name, s, e in pairs)), "")


def _as_json(scores: pd.DataFrame) -> Any:
    """Scores as a client would read them."""
    return json.loads(json.dumps(scores.to_dict("records")))


def _form(scores: Any) -> Any:
    """The same with the name of its type in each value's place."""
    if isinstance(scores, dict):
        return {key: _form(value) for key, value in scores.items()}
    if isinstance(scores, list):
        return [_form(value) for value in scores]
    return type(scores).__name__


def _same(score: Any, expected: Any, rounding: float) -> bool:
    if isinstance(score, float) and isinstance(expected, float):
        return math.isclose(score, expected, rel_tol=rounding, abs_tol=rounding / 10)
    return type(score) is type(expected) and bool(score == expected)


def _files_within(
    opened: Iterable[str], homes: Iterable[Path], own: Sequence[Path], began: float
) -> list[str]:
    """Those files that lie in one of the homes, hidden ones and the model's own left out.

    Its own are also those that it made after the proof began, as in a temporary folder.
    """
    general = (Path(Path.cwd().anchor), Path.home())
    within = [home for home in map(Path.resolve, homes) if home not in general]
    return [
        path
        for path in opened
        for home in within
        if Path(path).is_relative_to(home)
        and not any(part.startswith(".") for part in Path(path).relative_to(home).parts)
        and not any(Path(path).is_relative_to(folder) for folder in own)
        and os.access(path, os.R_OK)
        and Path(path).stat().st_ctime < began
    ]
