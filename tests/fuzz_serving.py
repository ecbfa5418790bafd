"""Sends bad requests to real servers of packaged models, and good ones in between.

    python tests/fuzz_serving.py --requests 10000
    python tests/fuzz_serving.py --requests 0 --good 100000
    python tests/fuzz_serving.py --models lists --only 4711

Each model is trained by ``barrage-mlflow train`` and served by ``mlflow models serve``. Whatever is
sent, the answer must be a score or a refusal that names what is wrong (``bad_requests`` has the
kinds and the rules), after each hundred a good request must be scored as the model scores offline,
and the process must be the one that was started. With ``--good`` its memory must be level.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from bad_requests import Answer, Model, judge, make_request, write
from outside import served
from serving_models import PROJECTS, train

_PATIENCE = 300
"""Seconds within which there must be an answer."""
_EVERY = 100
"""Bad requests between two good ones."""
_LEVEL = 1.03
"""How much more memory may be held after all good requests than after a tenth of them."""


class Session:
    """A served model that requests are sent to.

    Attributes:
        faults: what was wrong with its answers.
    """

    def __init__(self, model: Model, address: str, server: subprocess.Popen[bytes]) -> None:
        self._model = model
        self._address = address
        self._server = server
        self._outcomes: Counter[str] = Counter()
        self._first = sorted(self._processes())
        self.faults: list[str] = []
        self._check("at the start")

    def _processes(self) -> dict[int, int]:
        """The processes of the server, and the bytes that each holds in memory."""
        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,pgid=,rss="], check=True, capture_output=True, text=True
        )
        rows = (map(int, line.split()) for line in listed.stdout.splitlines())
        return {pid: rss * 1024 for pid, group, rss in rows if group == self._server.pid}

    def _send(self, body: bytes) -> Answer:
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._address}/invocations", body, kind)
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as response:
                return Answer(response.status, response.read())
        except HTTPError as error:
            return Answer(error.code, error.read())
        except OSError:
            return Answer(None)

    def _check(self, when: str) -> None:
        self.faults += [
            f"{when}: good {form} is not scored right"
            for form in self._model.formats
            if _scores(self._send(write(form, self._model.records))) != self._model.scores
        ]
        if self._server.poll() is not None or self._first != sorted(self._processes()):
            self.faults.append(f"{when}: the processes are no longer those of the start")

    def fuzz(self, seed: int, numbers: Sequence[int]) -> None:
        """Send bad requests of a seed, and good ones after each hundred."""
        for number in numbers:
            request = make_request(self._model, seed, number)
            answer = self._send(request.body)
            outcome, fault = judge(request, answer)
            self._outcomes[outcome] += 1
            if fault:
                sent, got = _cut(request.body), _cut(answer.body)
                self.faults.append(f"request {number}, {request.kind}: {fault}\n  {sent}\n  {got}")
            if (number + 1) % _EVERY == 0 or number == numbers[-1]:
                self._check(f"after request {number}")
        _print(f"{self._model.name}: {dict(self._outcomes)}")

    def good(self, count: int) -> None:
        """Send so many good requests of one record; the memory must be level."""
        bodies = [write("dataframe_split", [record]) for record in self._model.records]
        first = 0
        for number in range(count):
            place = number % len(bodies)
            answer = self._send(bodies[place])
            expected = self._model.scores[place]
            if _scores(answer) != [expected]:
                self.faults.append(f"expected {expected} for record {place}, got {answer}")
                return
            if number == count // 10:
                first = self._memory()
        last = self._memory()
        if count and last > first * _LEVEL:
            self.faults.append(f"the memory is not level: {first:,} bytes, then {last:,}")

    def _memory(self) -> int:
        """The bytes that the process that scores holds in memory."""
        return max(self._processes().values(), default=0)


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
        model = train(folder, name)
        with served(model.folder, folder) as (address, server):
            session = Session(model, address, server)
            session.fuzz(seed, range(requests) if only is None else [only])
            session.good(good)
        if b"Traceback (most recent call last)" in (folder / "server.log").read_bytes():
            session.faults.append("there is a traceback in the log")
        faults += [f"{name}: {fault}" for fault in session.faults]
    return faults


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--requests", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", nargs="+", choices=list(PROJECTS), default=list(PROJECTS))
    parser.add_argument("--good", type=int, default=0)
    parser.add_argument("--only", type=int)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-serving-")).resolve()
    found = run(folder, **vars(parser.parse_args()))
    _print(*found, f"{len(found)} faults")
    sys.exit(bool(found))
