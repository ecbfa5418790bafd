"""What a step costs in one process and in two, each on a core of its own, by the network's size.

    python benchmarks/scaling.py                      five rounds: some ten minutes
    python benchmarks/scaling.py --rounds 1 --weights 10000 1000000
    python benchmarks/scaling.py --write              also puts the tables into docs/scaling.md

A round trains dense networks in the engine's own loop: in one process on core 0, with the batch and
with half of it, then in two on cores 0 and 1, which also time the all-reduce by itself. They run in
a network of their own where Linux lets them, since TensorFlow listens on all addresses.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from functools import partial

import numpy as np
from harness import HERE, ROOT, in_turn
from run import machine
from scaling_process import BATCH

PAGE = ROOT / "docs" / "scaling.md"
MARKS = "<!-- benchmarks/scaling.py -->", "<!-- to here -->"
WEIGHTS = [10_000, 100_000, 1_000_000, 4_000_000, 10_000_000]
LARGE = 4096
SETUPS = {
    "8 GPUs in a machine, 200 GB/s, 10 µs": (8, 100, 200e6, 0.01),
    "16 machines with a GPU each, 25 Gbit/s, 50 µs": (16, 100, 25e6 / 8, 0.05),
    "16 machines with a core each, 25 Gbit/s, 50 µs": (16, 1, 25e6 / 8, 0.05),
}
"""How many, how many cores of this machine each is worth, bytes in a millisecond, its latency."""
INSIDE = "BARRAGE_BENCHMARK_INSIDE"


def start(cores: list[int], sizes: list[int]) -> list[list[float]]:
    """What the first of the processes on these cores measures."""
    addresses, running = [f"127.0.0.1:{27001 + core}" for core in cores], []
    for core in cores:
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": core}}
        given = {"TF_CONFIG": json.dumps(config), "TF_NUM_INTRAOP_THREADS": "1"}
        given |= {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, str(HERE / "scaling_process.py"), str(core), *map(str, sizes)]
        running.append(subprocess.Popen(command, env=os.environ | given, stdout=subprocess.PIPE))
    said = [process.communicate()[0] for process in running]
    return json.loads(said[0])  # type: ignore[no-any-return]


def ring(count: int, size: int, speed: float, latency: float) -> float:
    """Milliseconds of an all-reduce of float32, each process to its neighbour: calculated."""
    return 2 * (count - 1) / count * 4 * size / speed + 2 * (count - 1) * latency


def fit(sizes: list[int], taken: list[float]) -> tuple[float, float]:
    """Bytes in a millisecond and milliseconds of a hop that all-reduces of two come to."""
    parts = np.array([[ring(2, size, 1, 0), ring(2, size, np.inf, 1)] for size in sizes])
    # Each weighs the same, however long it takes.
    per_byte, latency = np.linalg.lstsq(parts / np.array(taken)[:, None], np.ones(len(sizes)))[0]
    return 1 / per_byte, latency


def gain(setup: str, size: int, one: float, half: float) -> str:
    """How many times as fast as one of them the setup takes steps of LARGE records: calculated."""
    count, worth, speed, latency = SETUPS[setup]
    record = max(0.0, one - half) / (BATCH / 2) / worth
    apart = max(0.0, one - record * worth * BATCH) / worth
    alone = apart + record * LARGE
    return f"{alone / (apart + record * LARGE / count + ring(count, size, speed, latency)):.2g}"


def tables(sizes: list[int], rounds: int) -> str:
    """Measure; what is measured and what is calculated from it, as Markdown."""
    sides = {"alone": partial(start, [0], sizes), "two": partial(start, [0, 1], [*sizes, 1])}
    found = {side: np.array(each) for side, each in in_turn(rounds, sides).items()}
    one, half = (np.median(found["alone"], axis=0)[:, part] for part in (0, 1))
    two, reduce = (np.median(found["two"], axis=0)[:, part] for part in (0, 1))
    ratios = found["alone"][:, :, 0] / found["two"][:, :-1, 0]
    lines = [
        "| weights | one process | two processes | times as fast | least–most | all-reduce "
        "| its share of the step |",
        "|---:|---:|---:|---:|---|---:|---:|",
    ]
    for place, size in enumerate(sizes):
        each, share = ratios[:, place], min(1, reduce[place] / two[place])
        lines.append(
            f"| {size:,} | {one[place]:.3g} ms | {two[place]:.3g} ms "
            f"| {statistics.median(each):.2f} | {each.min():.2f}–{each.max():.2f} "
            f"| {reduce[place]:.3g} ms | {share:.0%} |"
        )
    speed, latency = fit([*sizes, 1], [*reduce])
    lines += [
        f"\nAn all-reduce of one number takes {reduce[-1]:.2g} ms; all of them fit "
        f"{2 * latency:.2g} ms and {speed / 1000:,.0f} MB/s. Measured by "
        f"`python benchmarks/scaling.py` on {machine()['processor']}.",
        f"\nCalculated from these, **not measured**, for batches of {LARGE:,} records: how many "
        "times as fast as one of them.\n",
        "| | " + " | ".join(f"{size:,}" for size in sizes) + " |",
        "|---|" + "---:|" * len(sizes),
    ]
    for setup in SETUPS:
        cells = (gain(setup, *of) for of in zip(sizes, one, half, strict=True))
        lines.append(f"| {setup} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="the medians of these are shown")
    parser.add_argument("--weights", type=int, nargs="+", default=WEIGHTS)
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.relative_to(ROOT)} too")
    options = parser.parse_args()
    apart = ["unshare", "--map-root-user", "--net"]
    if INSIDE not in os.environ and not subprocess.run([*apart, "true"], check=False).returncode:
        inside = [*apart, "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable]
        os.execvpe("unshare", [*inside, *sys.argv], os.environ | {INSIDE: "1"})
    text = tables(options.weights, options.rounds)
    print(text)
    if options.write:
        before, rest = PAGE.read_text("utf-8").split(MARKS[0])
        after = rest.split(MARKS[1])[1]
        PAGE.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{after}", "utf-8")


if __name__ == "__main__":
    main()
