"""The trials of a search, kept in Optuna's storage, which the process of the search alone opens."""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import optuna
from matplotlib import pyplot
from optuna.exceptions import StorageInternalError
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial
from optuna.visualization import matplotlib as plots

from barrage_mlflow.config.document import Document
from barrage_mlflow.config.schema import filled
from barrage_mlflow.errors import TuningError
from barrage_mlflow.files import written_whole
from barrage_mlflow.tuning.search_file import Range, Search, values_at, with_values

NAME = "search"
PRUNED, ERROR, OWNER, RUN, THREADS = "pruned", "error", "owner", "run", "threads"
"""What is noted of a trial: the epoch after which the pruner ended it, why it failed, where it is
trained, its MLflow run, and on how many threads."""
_WAIT = 60
"""Seconds to wait for another search that writes to the same file."""


@contextmanager
def answering(source: Path | str, errors: type[Exception] = StorageInternalError) -> Iterator[None]:
    """Have it said in our words if a storage does not answer.

    Args:
        source: of the storage: a file of SQLite, or the URL of any database.
        errors: what it raises then; Optuna's own of storages if left out.

    Raises:
        TuningError: it does not.
    """
    try:
        yield
    except errors as error:
        why = str(error.__cause__ or error).splitlines()[0]
        raise TuningError(
            f"the storage {source} cannot be used: {why}; once it can, the same command goes on"
        ) from error


class Study:
    """The trials of a search.

    Args:
        source: where they are kept: a file of SQLite, or the URL of any database.
        name: of the search there.
        owner: who trains here: machine and folder.
        search: what is varied.
        document: the config that is varied.

    Raises:
        TuningError: the storage cannot be opened.

    Example:
        >>> source = Path("study.db")  # doctest: +SKIP
        >>> Study(source, "search", "here", search, document).trials()  # doctest: +SKIP
        []
    """

    def __init__(
        self, source: Path | str, name: str, owner: str, search: Search, document: Document
    ) -> None:
        self.search, self.document, self.owner = search, document, owner
        url, options = source, dict[str, Any]()
        if isinstance(url, Path):  # a URL would not take every path
            connect = partial(sqlite3.connect, url, _WAIT, check_same_thread=False)
            url, options = f"sqlite:///{url.name}", {"creator": connect}
        elif url.startswith("sqlite"):
            options = {"connect_args": {"timeout": _WAIT}}
        with answering(source, Exception):
            self._storage = optuna.storages.RDBStorage(url, engine_kwargs=options)
            self._study = optuna.create_study(
                study_name=name,
                storage=self._storage,
                load_if_exists=True,
                direction=search.data["direction"],
                pruner=_pruner(search, filled(document.data)["solver"]["epochs"]),
            )
            self._id = self._storage.get_study_id_from_name(name)

    @property
    def run_id(self) -> str | None:
        """The run of the search in MLflow, as the first one that came has noted it."""
        return self._study.user_attrs.get(RUN)

    def note_run(self, run_id: str) -> None:
        """Note the run of the search."""
        self._study.set_user_attr(RUN, run_id)

    def trials(self) -> Sequence[FrozenTrial]:
        """All trials that count, by number."""
        every = self._study.get_trials(deepcopy=False)
        return [trial for trial in every if trial.number < self.search.data["trials"]]

    def ended(self) -> list[FrozenTrial]:
        """Those that have ended, however that was."""
        return [trial for trial in self.trials() if trial.state.is_finished()]

    def running(self) -> list[FrozenTrial]:
        """Those that are under way, here or elsewhere."""
        return [trial for trial in self.trials() if trial.state.name == "RUNNING"]

    def begun(self) -> list[int]:
        """Trials that were begun here and have not ended."""
        return [trial.number for trial in self.running() if self.is_own(trial)]

    def elsewhere(self) -> list[str]:
        """Trials that are under way elsewhere, each with where."""
        others = [trial for trial in self.running() if not self.is_own(trial)]
        return [f"{trial.number} in {trial.user_attrs.get(OWNER)}" for trial in others]

    def is_own(self, trial: FrozenTrial) -> bool:
        """Whether a trial is trained here."""
        return bool(trial.user_attrs.get(OWNER) == self.owner)

    def next(self) -> int | None:
        """Begin another trial; None if there are as many as are wanted."""
        begun = len(self._study.get_trials(deepcopy=False))
        if begun >= self.search.data["trials"]:
            return None
        # At once with its owner: one without would be waited for in vain, if this process died.
        template = create_trial(
            state=TrialState.RUNNING,
            user_attrs={OWNER: self.owner},
            system_attrs={} if begun else {"fixed_params": self._as_it_is()},
        )
        trial_id = self._storage.create_new_trial(self._id, template)
        number = int(self._storage.get_trial(trial_id).number)
        return number if number < self.search.data["trials"] else None  # others were faster

    def draw(self, number: int) -> dict[str, Any]:
        """Draw the values of a trial; those that it has already stay as they are.

        Returns:
            By dotted path.
        """
        # Opened anew: a study keeps what it has read of other trials.
        study = optuna.load_study(
            study_name=self._study.study_name, storage=self._storage, pruner=self._study.pruner
        )
        study.get_trials(deepcopy=False)  # the trial was made past Optuna's cache
        trial_id = self._id_of(number)
        trial = Trial(study, trial_id)
        study.sampler = self._sampler(str(number))
        if not self._storage.get_trial(trial_id).state.is_finished():
            # Optuna draws values together when it lacks the first one: after a kill, another one.
            trial.relative_params  # noqa: B018
        values: dict[str, Any] = {}
        for path, asked in self.search.space.items():
            if self.search.is_asked(path, with_values(self.document, values).data):
                study.sampler = self._sampler(f"{number}/{path}")
                values[path] = _suggest(trial, path, asked)
        return values

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Take down the metric after an epoch, counted from 0; whether the trial ends there."""
        trial_id = self._id_of(number)
        self._storage.set_trial_intermediate_value(trial_id, epoch, value)
        is_pruned = self._study.pruner.prune(self._study, self._storage.get_trial(trial_id))
        if is_pruned:
            self._storage.set_trial_user_attr(trial_id, PRUNED, epoch)
        return is_pruned

    def epochs(self, number: int) -> int:
        """How many epochs a trial has had."""
        return len(self._storage.get_trial(self._id_of(number)).intermediate_values)

    def tell(self, number: int, value: float | None, notes: Mapping[str, Any]) -> None:
        """End a trial: with a metric, or failed without one; and note something of it."""
        trial_id = self._id_of(number)
        for name, note in notes.items():
            self._storage.set_trial_user_attr(trial_id, name, note)
        trial = self._storage.get_trial(trial_id)
        # Killed once it was to end, it may have gone on, since others had ended meanwhile.
        is_pruned = trial.last_step is not None and trial.last_step == trial.user_attrs.get(PRUNED)
        state = TrialState.PRUNED if is_pruned else TrialState.COMPLETE
        state = TrialState.FAIL if value is None else state
        self._study.tell(number, value if state == TrialState.COMPLETE else None, state)

    def best(self) -> FrozenTrial | None:
        """The best trial that is complete; None if none is."""
        done = [trial for trial in self.trials() if trial.state.name == "COMPLETE"]
        sign = -1 if self.search.data["direction"] == "maximize" else 1
        return min(done, key=lambda trial: sign * float(trial.value or 0), default=None)

    def write_pictures(self, folder: Path) -> None:
        """Write Optuna's pictures of the search, those that can be drawn.

        Raises:
            OSError: they cannot be written.
        """
        pictures: dict[str, Callable[..., Any]] = {
            "history": plots.plot_optimization_history,
            "importance": plots.plot_param_importances,
            "slices": plots.plot_slice,
            "parallel_coordinates": plots.plot_parallel_coordinate,
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, draw in pictures.items():
                with suppress(ValueError, RuntimeError):  # too few trials, or one value alone
                    axes = draw(self._study, target_name=self.search.metric)
                    figure = np.ravel(axes)[0].figure
                    pyplot.close(figure)
                    figure.set_size_inches(max(8.0, 3.5 * len(self.search.space)), 5)
                    with written_whole(folder / f"{name}.png") as file:  # none of its names cut
                        figure.savefig(file, format="png", dpi=110, bbox_inches="tight")

    def _id_of(self, number: int) -> int:
        return int(self._storage.get_trial_id_from_study_id_trial_number(self._id, number))

    def _as_it_is(self) -> dict[str, Any]:
        """The values that the config has, as far as they are within the space."""
        return {
            path: _plain(value)
            for path, asked in self.search.space.items()
            for value in values_at(self.document.data, path)
            if asked.holds(value)
        }

    def _sampler(self, what: str) -> BaseSampler:
        """What draws by the seed, by what it draws, and by other trials alone."""
        seed = crc32(f"{self.search.data['seed']}/{what}".encode())
        if self.search.data["sampler"] == "random":
            return RandomSampler(seed)
        return TPESampler(seed=seed, constant_liar=True, n_startup_trials=10)


def _pruner(search: Search, epochs: int) -> optuna.pruners.BasePruner:
    asked = search.space.get("solver.epochs")
    epochs = max(epochs, *asked.corners()) if asked else epochs
    if search.data["pruner"] == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=3)
    if search.data["pruner"] == "hyperband":
        return optuna.pruners.HyperbandPruner(max_resource=epochs)
    return optuna.pruners.NopPruner()


def _suggest(trial: Trial, path: str, asked: Range) -> Any:
    if asked.values:
        names = [*map(_plain, asked.values)]
        return asked.values[names.index(trial.suggest_categorical(path, names))]
    if asked.is_whole:
        step = int(asked.step or 1)
        return trial.suggest_int(path, int(asked.low), int(asked.high), step=step, log=asked.log)
    return trial.suggest_float(path, asked.low, asked.high, step=asked.step, log=asked.log)


def _plain(value: Any) -> Any:
    """A value as Optuna takes it for a choice: lists and objects as text."""
    return value if isinstance(value, str | int | float | bool | None) else json.dumps(value)
