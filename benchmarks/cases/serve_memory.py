"""Whether a model server grows as it answers."""

from __future__ import annotations

from itertools import cycle, islice

from harness import Bench, Case, Goal, Row
from load_client import load
from model_server import model_server
from served_models import served_models

CONNECTIONS = 8
PARTS = 10
"""The memory is read after each; the first is what the last is held against."""


def measure(bench: Bench) -> list[Row]:
    """Measure the memory of one server as it answers."""
    count = bench.size(10_000, 50)
    with served_models(bench) as models, model_server(models.uris["ours"], models.folder) as server:
        requests = cycle(models.one())
        server.wait(next(requests))
        read = []
        for _ in range(PARTS):
            load(server.port, islice(requests, count), CONNECTIONS)
            read.append(server.memory())
    note = "one server; after each tenth: " + ", ".join(f"{level:.0f}" for level in read)
    first, last = read[0], read[-1]
    goal = Goal(1.05, at_most=True)
    return [Row("serve_memory", "after 10,000", "MB", [last], [first], goal, note)]


CASES = [
    Case(
        "serve_memory",
        """\
The resident memory of the process of `serve` that answers with our model, after 100,000 requests of
one row on 8 connections, against that after the first 10,000. One server, once.""",
        measure,
    )
]
