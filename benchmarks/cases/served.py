"""How soon, how often and with how much memory a served model answers."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import cycle, islice, takewhile
from typing import Any

from harness import Bench, Goal, Row, in_turn
from serving import Models, Server, body, load, packaged

CONNECTIONS = 8


def latencies(
    bench: Bench, servers: Mapping[str, Server], requests: Sequence[bytes], warm: int, count: int
) -> dict[str, list[float]]:
    """Milliseconds of each request, by side; servers are loaded in turn, on one connection each.

    Args:
        bench: knows the number of slices.
        servers: by side.
        requests: sent over and over again.
        warm: how many to send before that, to each server.
        count: how many make a slice.
    """

    def slice_of(server: Server, count: int) -> list[float]:
        return [1e3 * each for each in load(server.port, islice(cycle(requests), count))]

    for server in servers.values():
        slice_of(server, warm)
    sides = {side: (lambda s=server: slice_of(s, count)) for side, server in servers.items()}
    taken = in_turn(bench.size(20, 2), sides)
    return {side: [each for part in parts for each in part] for side, parts in taken.items()}


def serve_all(models: Models, stack: ExitStack, workers: int = 1) -> dict[str, Server]:
    """Serve all the models side by side."""
    return {name: stack.enter_context(models.served(name, workers)) for name in models.uris}


def measure_latency(bench: Bench) -> list[Row]:
    """Load the servers of every round with one row at a time, then with many."""
    one_row, many_rows = [], []
    with packaged(bench) as models:
        for _ in range(bench.rounds):
            with ExitStack() as stack:
                servers = serve_all(models, stack)
                one, many = models.one(), [body(models.rows)]
                sizes = bench.size(100, 2), bench.size(50, 2)
                one_row.append(latencies(bench, servers, one, *sizes))
                sizes = bench.size(5, 1), bench.size(5, 1)
                many_rows.append(latencies(bench, servers, many, *sizes))

    def row(name: str, taken: list[dict[str, list[float]]], figure: Any, bound: float) -> Row:
        ours, keras = ([figure(each[side]) for each in taken] for side in ("ours", "keras"))
        return Row(f"serve, {name}", "Keras flavor", "ms", ours, keras, Goal(bound, at_most=True))

    def p99(times: list[float]) -> float:
        return statistics.quantiles(times, n=100)[-1]

    return [
        row("p50", one_row, statistics.median, 0.16),
        row("p99", one_row, p99, 0.25),
        row("1,000 rows", many_rows, statistics.median, 0.4),
    ]


def measure_rate(bench: Bench) -> list[Row]:
    """Measure both sides in every round, slice by slice in turn."""
    seconds = bench.size(4.0, 0.5)
    rates: dict[str, list[float]] = {"ours": [], "keras": []}

    def for_seconds(requests: Sequence[bytes]) -> Iterator[bytes]:
        end = time.perf_counter() + seconds
        return takewhile(lambda _: time.perf_counter() < end, cycle(requests))

    with packaged(bench) as models:

        def slice_of(server: Server) -> int:
            # Each slice has new connections, which the workers share out among them anew.
            return len(load(server.port, for_seconds(models.one()), CONNECTIONS))

        for _ in range(bench.rounds):
            with ExitStack() as stack:
                servers = serve_all(models, stack, workers=2)
                sides = {name: (lambda s=server: slice_of(s)) for name, server in servers.items()}
                in_turn(1, sides)
                for name, counts in in_turn(bench.size(10, 1), sides).items():
                    rates[name].append(sum(counts) / seconds / len(counts))
    return [Row("serve_many", "Keras flavor", "requests/s", *rates.values(), Goal(8.0))]


def measure_start(bench: Bench) -> list[Row]:
    """Measure some starts of each side in every round."""
    with packaged(bench) as models:

        def seconds(name: str) -> float:
            with models.served(name) as server:
                return server.seconds

        sides = {name: (lambda name=name: seconds(name)) for name in models.uris}
        if not bench.short:
            in_turn(1, sides)  # what is loaded first comes from the disk
        taken = in_turn(bench.size(4, 1) * bench.rounds, sides)
    goal = Goal(1.0, at_most=True)
    return [Row("serve_start", "Keras flavor", "s", taken["ours"], taken["keras"], goal)]


def measure_memory(bench: Bench) -> list[Row]:
    """Measure the memory of one server as it answers."""
    count = bench.size(10_000, 50)
    with packaged(bench) as models, models.served("ours") as server:
        levels = []
        for _ in range(10):
            load(server.port, islice(cycle(models.one()), count), CONNECTIONS)
            levels.append(server.memory())
    note = "one server; after each tenth: " + ", ".join(f"{level:.0f}" for level in levels)
    goal = Goal(1.05, at_most=True)
    return [Row("serve_memory", "after 10,000", "MB", levels[-1:], levels[:1], goal, note)]


CASES = {
    "serve": measure_latency,
    "serve_many": measure_rate,
    "serve_start": measure_start,
    "serve_memory": measure_memory,
}
