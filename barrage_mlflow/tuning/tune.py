"""The recipe of a search: trials by several processes, until there are as many as are wanted."""

from __future__ import annotations

import logging
import math
import re
import shutil
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

from barrage_mlflow.errors import TuningError
from barrage_mlflow.training.stop import StopRequest
from barrage_mlflow.tuning.crew import Crew
from barrage_mlflow.tuning.study import ERROR, RUN, THREADS, Study
from barrage_mlflow.tuning.worker import Ending, Job, Task, folder_of
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.record import read_record

logger = logging.getLogger(__name__)

_DEATHS = 4
"""Times that the process of a trial may die at one epoch before the trial has failed."""
_ALIKE = 10
"""Trials in a row that fail for one reason end the search."""
_ANEW = "mend that, and search in another folder"
_GOES_ON = "the same command goes on, with the trials that are half done first"
_DIED = f"its process ended {_DEATHS} times at one epoch; is there too little memory?"
_LOOK = 1.0
"""Seconds between two looks at what has become of the trials."""


def run_trials(
    job: Job,
    study: Study,
    jobs: int,
    stop: StopRequest,
    seconds: float | None = None,
    watch: Callable[[], object] = lambda: None,
) -> None:
    """Train trials until there are as many as are wanted, and package the best one.

    Trials of the same search that are under way elsewhere are waited for, and the best one is
    packaged where it was trained.

    Args:
        job: what each process is to know.
        study: keeps the trials.
        jobs: processes at once.
        stop: looked at each second.
        seconds: after which no trial is begun any more; all are if left out.
        watch: called whenever a trial has ended, and each second.

    Raises:
        TuningError: too many trials in a row failed, none came to its end, or one cannot go on for
            want of MLflow or the disk.
        KeyboardInterrupt: a stop was requested; the trials go on when the search does.
    """
    until = math.inf if seconds is None else time.monotonic() + seconds
    waiting, deaths, told = study.begun(), Counter[tuple[int, int]](), list[str]()
    errors: deque[str | None] = deque(maxlen=_ALIKE)
    with Crew(job, jobs, study.report) as crew:
        while True:
            while crew.busy < jobs and (waiting or time.monotonic() < until):
                number = waiting.pop(0) if waiting else study.next()
                if number is None:
                    break
                crew.give(Task(number, study.draw(number)))
            others = study.elsewhere() if not crew.busy and time.monotonic() < until else []
            if others not in ([], told):
                logger.info("waiting for trials elsewhere: %s", ", ".join(others))
                told = others
            if not crew.busy and not others:
                best = study.best()
                if best is None:
                    raise TuningError(_no_best(study))
                _keep_best(job, study)
                if not study.is_own(best):
                    return
                crew.give(Task(best.number, study.draw(best.number), is_best=True))
            for task, ending in crew.ended(_LOOK):
                if ending is None:
                    place = task.number, study.epochs(task.number)
                    deaths[place] += 1
                    if deaths[place] < _DEATHS:
                        if not task.is_best:  # which is found anew
                            waiting.insert(0, task.number)
                        continue
                    ending = Ending(error=_DIED)
                if ending.error and (task.is_best or not ending.is_over):
                    what = " could not be packaged" if task.is_best else ""
                    raise TuningError(f"trial {task.number}{what}: {ending.error}\n{_GOES_ON}")
                if task.is_best:
                    return
                record = read_record(folder_of(job.folder, task.number))
                notes = {ERROR: ending.error, RUN: record and record.run_id, THREADS: job.threads}
                study.tell(task.number, ending.value, notes)
                errors.append(ending.error)
                _check_failures(errors)
                _keep_best(job, study)
            watch()
            try:
                stop.check()
            except KeyboardInterrupt as interrupt:
                interrupt.add_note(_GOES_ON)
                raise


def _no_best(study: Study) -> str:
    errors = [error for trial in study.trials() if (error := trial.user_attrs.get(ERROR))]
    if not errors:
        return "no trial came to its end in time; the same command goes on"
    return f"no trial came to its end: {errors[-1]}; {_ANEW}"


def _check_failures(errors: Sequence[str | None]) -> None:
    """End a search in which all trials fail alike."""
    reasons = {re.sub(r"\d+", "", error or "") for error in errors}
    if len(errors) == _ALIKE and len(reasons) == 1 and "" not in reasons:
        raise TuningError(f"{_ALIKE} trials in a row failed for one reason: {errors[-1]}; {_ANEW}")


def _keep_best(job: Job, study: Study) -> None:
    """Delete the weights of trials that have ended, but for the best one's."""
    best = study.best()
    for trial in study.ended():
        if best is None or trial.number != best.number:
            checkpoints = folder_of(job.folder, trial.number) / artifacts.CHECKPOINTS
            shutil.rmtree(checkpoints, ignore_errors=True)
