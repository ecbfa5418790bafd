"""Sends bad requests to real servers of packaged models, and good ones in between.

    python tests/fuzz_serving.py --requests 10000
    python tests/fuzz_serving.py --requests 0 --good 100000
    python tests/fuzz_serving.py --models lists --only 4711

Each model is trained by ``barrage-mlflow train`` and served by ``mlflow models serve``. Whatever is
sent, the answer must be a score or a refusal that says what is wrong (``bad_requests`` has the
kinds and the rules), after each hundred a good request must be scored as the model scores offline,
and the process must be the one that was started. With ``--good`` its memory must be level.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bad_requests import large_requests, make_request
from serving_models import PROJECTS, Client, Server, Trained, train
from serving_requests import (
    FORMATS,
    LISTED,
    Answer,
    Model,
    Request,
    Verdict,
    good_request,
    judge,
)

EVERY = 100
"""Bad requests between two good ones."""
_LEVEL = 1.03
"""How much more memory may be held after all good requests than after a tenth of them."""


@dataclass
class Group:
    """Faults of one sort: how many of which kind of request, and the first of them."""

    kinds: Counter[str] = field(default_factory=Counter)
    first: str = ""


class Tally:
    """Counts what came of requests, and keeps the first fault of each kind."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.statuses: Counter[int | None] = Counter()
        self.listed: dict[str, Counter[int | None]] = defaultdict(Counter)
        self.nameless: Counter[str] = Counter()
        self.faults: dict[tuple[str, str], Group] = {}
        self.longest = 0

    def add(self, number: int | str, request: Request, answer: Answer, verdict: Verdict) -> None:
        """Count one."""
        if verdict.outcome in LISTED:
            self.listed[verdict.outcome][answer.status] += 1
            return
        self.outcomes[verdict.outcome] += 1
        self.statuses[answer.status] += 1
        if verdict.nameless:
            self.nameless[request.where or request.kind] += 1
        if verdict.outcome == "refused by the model":
            self.longest = max(self.longest, len(verdict.message))
        if verdict.fault:
            sent = _cut((b"".join(request.wire) or request.body).decode("utf-8", "replace"))
            got = _cut(verdict.message or answer.body.decode("utf-8", "replace"))
            group = self.faults.setdefault((request.where, verdict.fault), Group())
            group.kinds[request.kind] += 1
            group.first = group.first or f"request {number}: {sent}\n    {answer.status}: {got}"

    def lines(self, name: str) -> Iterator[str]:
        """What was counted, if anything was."""
        if not self.outcomes:
            return
        yield f"{name}: {_counted(self.outcomes)}; statuses: {_counted(self.statuses)}"
        for listed, statuses in sorted(self.listed.items()):
            yield f"    listed, {listed}: {_counted(statuses)} ({LISTED[listed].reason})"
        if self.nameless:
            yield f"    MLflow refuses without naming the column: {_counted(self.nameless)}"
        yield f"    longest message of the model: {self.longest:,} characters"

    def found(self, name: str) -> list[str]:
        """The faults, those of one sort together."""
        return [
            f"{name}: {where or 'request'}: {fault}: {_counted(group.kinds)}\n    {group.first}"
            for (where, fault), group in sorted(self.faults.items())
        ]


def _counted(counter: Counter[Any]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counter.most_common())


def _cut(text: str, most: int = 400) -> str:
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"


def say(*lines: str) -> None:
    """Print at once, so that a long run can be followed."""
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


class Session:
    """A served model that requests are sent to."""

    def __init__(self, server: Server, trained: Trained) -> None:
        self._server = server
        self._client = Client(server.port)
        self._trained = trained
        self._tally = Tally()
        name, project = trained.project.name, trained.project
        self._model = Model(name, project.columns, trained.records, FORMATS, project.many)
        self.faults: list[str] = []
        taken = tuple(form for form in FORMATS if self._takes(form))
        self._model = replace(self._model, formats=taken)
        self._checks = 0
        say(f"{name}: takes good records as {', '.join(taken)}")
        for form in project.must_take:
            if form not in taken:
                self._add_fault(f"takes no good records as {form}")

    def _takes(self, form: str) -> bool:
        answer = self._client.ask(good_request(self._model, form, self._trained.records))
        return _scores(answer) == self._trained.scores

    def check(self, when: str) -> bool:
        """Ask for good scores; tell whether the server is still the one that was started."""
        forms = self._model.formats or FORMATS[:1]
        form = forms[self._checks % len(forms)]
        self._checks += 1
        if not self._takes(form):
            self._add_fault(f"{when}: a good request as {form} is not scored right")
        if fault := self._server.fault():
            self._add_fault(f"{when}: {fault}")
        return not fault

    def _add_fault(self, fault: str) -> None:
        self.faults.append(f"{self._model.name}: {fault}")

    def send(self, number: int | str, request: Request) -> None:
        """Send a request and judge the answer."""
        answer = self._client.ask(request)
        self._tally.add(number, request, answer, judge(request, answer))

    def fuzz(self, count: int, seed: int) -> None:
        """Send so many bad requests, and a good one after each hundred."""
        name = self._model.name
        before = self._server.memory()
        for number in range(count):
            self.send(number, make_request(self._model, seed, number))
            if ((number + 1) % EVERY == 0 or number + 1 == count) and not self.check(
                f"after request {number}"
            ):
                return
            if number + 1 in (count // 10, count):
                after = self._server.memory()
                say(f"{name}: {_mega(before)} before, {_mega(after)} after {number + 1:,} requests")

    def large(self, seed: int) -> None:
        """Send bodies of 200 MB, and a good request after each."""
        for request in large_requests(self._model, seed):
            began = time.monotonic()
            self.send("of the large ones", request)
            seconds = time.monotonic() - began
            self.check(f"after {request.kind}")
            held = _mega(self._server.memory())
            say(f"{self._model.name}: {request.kind}: {seconds:.1f} s, {held} held after it")

    def only(self, number: int, seed: int) -> None:
        """Send one request of a seed, and show all of it."""
        request = make_request(self._model, seed, number)
        answer = self._client.ask(request)
        verdict = judge(request, answer)
        say(repr(request), repr(answer), repr(verdict))
        self._tally.add(number, request, answer, verdict)

    def good(self, count: int, connections: int) -> None:
        """Send so many good requests of one record; the memory must be level."""
        tenth = count // 10
        self._send_good(tenth, connections)
        first = self._server.memory()
        self._send_good(count - tenth, connections)
        last = self._server.memory()
        held = f"{_mega(first)} after {tenth:,} good requests, {_mega(last)} after {count:,}"
        say(f"{self._model.name}: {held}")
        if last > first * _LEVEL:
            self._add_fault(f"the memory is not level: {held}")
        self.check("after the good requests")

    def _send_good(self, count: int, connections: int) -> None:
        records, scores = self._trained.records, self._trained.alone
        requests = [good_request(self._model, "dataframe_split", [record]) for record in records]

        def send(client: Client, times: int) -> None:
            for number in range(times):
                place = number % len(records)
                answer = client.ask(requests[place])
                if _scores(answer) != [scores[place]]:
                    self._add_fault(f"expected {scores[place]} for record {place}, got {answer}")
                    return

        clients = [Client(self._server.port) for _ in range(connections)]
        threads = [
            threading.Thread(target=send, args=(client, count // connections)) for client in clients
        ]
        for thread in threads:
            thread.start()
        for thread, client in zip(threads, clients, strict=True):
            thread.join()
            client.close()

    def end(self) -> None:
        """Say what was counted, and look for tracebacks that nothing listed accounts for."""
        say(*self._tally.lines(self._model.name))
        self.faults += self._tally.found(self._model.name)
        allowed = sum(
            count
            for name, statuses in self._tally.listed.items()
            for status, count in statuses.items()
            if status == 500 or name == "body cut off"
        )
        logged = self._server.tracebacks()
        if logged > allowed:
            self._add_fault(f"{logged} tracebacks in the log, not {allowed}")
        self._client.close()


def _scores(answer: Answer) -> Any:
    """The scores of an answer, or what came in their place."""
    return json.loads(answer.body)["predictions"] if answer.status == 200 else answer


def _mega(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


def run(
    folder: Path,
    requests: int,
    seed: int,
    models: Sequence[str] = tuple(PROJECTS),
    good: int = 0,
    connections: int = 4,
    large: bool = False,
    only: int | None = None,
) -> list[str]:
    """Send so many requests in all; tell every fault that was found.

    Args:
        folder: where to train and serve.
        requests: bad ones, shared out among the models.
        seed: of the bad ones.
        models: which of them.
        good: good ones to each model, after the bad ones.
        connections: over which the good ones are sent at once.
        large: whether to send bodies of 200 MB.
        only: the one bad request to send.
    """
    faults: list[str] = []
    for place, name in enumerate(models):
        trained = train(folder, name)
        with Server(folder, trained) as server:
            session = Session(server, trained)
            if only is None:
                session.fuzz(requests // len(models) + (place < requests % len(models)), seed)
            else:
                session.only(only, seed)
            if large:
                session.large(seed)
            if good:
                session.good(good, connections)
            session.end()
            faults += session.faults
    say(f"{len(faults)} faults")
    return faults


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", nargs="+", choices=list(PROJECTS), default=list(PROJECTS))
    parser.add_argument("--good", type=int, default=0)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--only", type=int)
    parser.add_argument("--folder", type=Path)
    options = vars(parser.parse_args())
    place = options.pop("folder") or Path(tempfile.mkdtemp(prefix="fuzz-serving-"))
    place.mkdir(exist_ok=True)
    found = run(place.resolve(), **options)
    say(*found)
    sys.exit(bool(found))
