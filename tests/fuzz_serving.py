"""Sends bad requests to real servers of packaged models, and good ones in between.

    python tests/fuzz_serving.py --requests 10000
    python tests/fuzz_serving.py --requests 0 --good 100000
    python tests/fuzz_serving.py --models lists --only 4711

Each model is trained by ``barrage-mlflow train`` and served by ``mlflow models serve``. Whatever is
sent, the answer must be a score or a refusal that names what is wrong (``bad_requests`` has the
kinds, ``request_parts`` the rules), after each hundred a good request must be scored as the model
scores offline, and the process must be the one that was started. With ``--good`` its memory must be
level.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bad_requests import make_request
from request_parts import Answer, good_request, judge
from serving_models import PROJECTS, Server, Trained, train

_EVERY = 100
"""Bad requests between two good ones."""
_LEVEL = 1.03
"""How much more memory may be held after all good requests than after a tenth of them."""


class Session:
    """A served model that requests are sent to.

    Attributes:
        faults: what was wrong with its answers.
    """

    def __init__(self, server: Server, trained: Trained) -> None:
        self._server = server
        self._trained = trained
        self._outcomes: Counter[str] = Counter()
        self.faults: list[str] = []
        self._model = trained.model
        self._check("at the start")

    def _takes(self, form: str) -> bool:
        request = good_request(form, self._trained.model.records)
        return _scores(self._server.send(request.wire)) == self._trained.scores

    def _check(self, when: str) -> None:
        self.faults += [
            f"{when}: good {form} is not scored right"
            for form in self._model.formats
            if not self._takes(form)
        ]
        if not self._server.is_unharmed():
            self.faults.append(f"{when}: the processes are no longer those of the start")

    def fuzz(self, seed: int, numbers: Sequence[int]) -> None:
        """Send bad requests of a seed, and good ones after each hundred."""
        for number in numbers:
            request = make_request(self._model, seed, number)
            answer = self._server.send(request.wire)
            outcome, fault = judge(request, answer)
            self._outcomes[outcome] += 1
            if fault:
                sent, got = _cut(request.wire), _cut(answer.body)
                self.faults.append(f"request {number}, {request.kind}: {fault}\n  {sent}\n  {got}")
            if (number + 1) % _EVERY == 0 or number == numbers[-1]:
                self._check(f"after request {number}")
        if self._server.tracebacks():
            self.faults.append(f"{self._server.tracebacks()} tracebacks in the log")
        _print(f"{self._model.name}: {dict(self._outcomes)}")

    def good(self, count: int) -> None:
        """Send so many good requests of one record; the memory must be level."""
        records, scores = self._trained.model.records, self._trained.alone
        wires = [good_request("dataframe_split", [record]).wire for record in records]
        first = 0
        for number in range(count):
            place = number % len(wires)
            answer = self._server.send(wires[place])
            if _scores(answer) != [scores[place]]:
                self.faults.append(f"expected {scores[place]} for record {place}, got {answer}")
                return
            if number == count // 10:
                first = self._server.memory()
        last = self._server.memory()
        if count and last > first * _LEVEL:
            self.faults.append(f"the memory is not level: {first:,} bytes, then {last:,}")


def _scores(answer: Answer) -> Any:
    """The scores of an answer, or what came in their place."""
    return json.loads(answer.body)["predictions"] if answer.status == 200 else answer


def _cut(data: bytes, most: int = 800) -> str:
    text = data.decode("utf-8", "replace")
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"


def _print(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def run(
    folder: Path,
    requests: int,
    seed: int,
    models: Sequence[str] = tuple(PROJECTS),
    good: int = 0,
    only: int | None = None,
) -> list[str]:
    """Send so many requests to each model; return every fault that was found.

    Args:
        folder: where to train and serve.
        requests: bad ones.
        seed: of the bad ones.
        models: which of them.
        good: good ones, after the bad ones.
        only: the one bad request to send.
    """
    faults: list[str] = []
    for name in models:
        trained = train(folder, name)
        with Server(folder, trained) as server:
            session = Session(server, trained)
            session.fuzz(seed, range(requests) if only is None else [only])
            session.good(good)
            faults += [f"{name}: {fault}" for fault in session.faults]
    return faults


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--requests", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", nargs="+", choices=list(PROJECTS), default=list(PROJECTS))
    parser.add_argument("--good", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--folder", type=Path)
    options = vars(parser.parse_args())
    place = options.pop("folder") or Path(tempfile.mkdtemp(prefix="fuzz-serving-"))
    place.mkdir(exist_ok=True)
    found = run(place.resolve(), **options)
    _print(*found, f"{len(found)} faults")
    sys.exit(bool(found))
