"""Kills processes that train on Ray at random moments, and compares with a training left alone.

    python tests/chaos_ray.py --kills 30
    python tests/chaos_ray.py --kills 0

It needs the extra ``ray``. What is left alone is ``barrage-mlflow train --processes 2``, without
Ray. Each training on Ray, on which any of its processes are killed with -9, must leave the same to
the last bit: weights, optimizer, best weights, report, metrics in MLflow.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click
import psutil
import ray
from chaos import AT_MOST, FOREVER, Chaos
from outside import environment, wait_for

from barrage_mlflow.ray import train_on_ray

THREADS = {"TF_NUM_INTRAOP_THREADS": "1"}
"""The last bits depend on it, and ``train_on_ray`` gives each process one core."""


class ChaosOnRay(Chaos):
    """Kills processes of trainings on Ray, in place of commands."""

    def start(self, name: str, out: str, run_id: str | None = None) -> subprocess.Popen[bytes]:
        """Start two processes without Ray."""
        files = [f"{name}.json", "train.csv", "validation.csv", "--artifact-dir", out]
        with (self.folder / f"{out}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "barrage_mlflow", "train", *files, "--processes", "2"],
                cwd=self.folder,
                env=environment(MLFLOW_TRACKING_URI=self.uri, **THREADS),
                stdout=log,
                stderr=log,
            )

    def disturbed(
        self, name: str, number: int, parts: Sequence[float]
    ) -> tuple[str, list[str], str]:
        """Train on Ray, and kill meanwhile."""
        out, kills, is_over = f"{name}-{number}", list[str](), threading.Event()
        (self.folder / f"{out}.log").touch()
        arguments = (out, parts, kills, is_over)
        killer = threading.Thread(target=self.keep_killing, args=arguments, daemon=True)
        killer.start()
        try:
            files = (f"{name}.json", "train.csv", "validation.csv")
            result = train_on_ray(*files, storage=out, max_failures=AT_MOST)
        except Exception as error:
            return out, kills, f"{type(error).__name__}: {error}"
        finally:
            is_over.set()
            killer.join()
        is_there = result.artifact_dir == self.folder / out and result.run_id
        return out, kills, "" if is_there else str(result)

    def undisturbed(self, name: str) -> list[str]:
        """Find what differs if Ray's processes are left alone."""
        expected, parts = self.whole(name)
        out, _, wrong = self.disturbed(name, 0, parts)
        outcome = {} if wrong else self.outcome(out)
        wrong = wrong or ", ".join(key for key in expected if outcome[key] != expected[key])
        click.echo(f"{out}: left alone; {wrong or 'the same'}")
        return [wrong] * bool(wrong)

    def keep_killing(
        self, out: str, parts: Sequence[float], kills: list[str], is_over: threading.Event
    ) -> None:
        """Kill one of the processes, and again one of those that come after."""
        before: set[int] = set()
        while self.done.total() < self.kills and len(kills) < AT_MOST and not is_over.is_set():
            alive = workers() - before
            if len(alive) < 2:
                is_over.wait(0.1)
                continue
            part = self.chance.randrange(len(self.epochs(out)), len(parts))
            wait_for(lambda part=part: is_over.is_set() or len(self.epochs(out)) >= part, FOREVER)
            if is_over.wait(self.chance.random() * parts[min(part, len(parts) - 1)]):
                return
            rank, pid = self.chance.choice([*enumerate(sorted(alive))])
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()
                kills.append(f"{rank} in epoch {len(self.epochs(out)) + 1}")
                self.done["SIGKILL"] += 1
            before |= alive


def workers() -> set[int]:
    """The processes of a training on a Ray that this process has started."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "RayTrainWorker" in "".join(process.cmdline()):
                found.add(process.pid)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--records", type=int, default=4_000)
    parser.add_argument("--config", action="append", choices=["records", "columns"])
    options = vars(parser.parse_args())
    names = options.pop("config") or ("records", "columns")
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    began = time.monotonic()
    chaos = ChaosOnRay(folder, **options)
    os.chdir(folder)
    os.environ["MLFLOW_TRACKING_URI"] = chaos.uri
    ray.init(
        address="local",
        num_cpus=3,
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
        object_store_memory=200 * 2**20,
    )
    if chaos.kills:
        found = chaos.run(names)
    else:
        found = [fault for name in names for fault in chaos.undisturbed(name)]
    click.echo(f"{time.monotonic() - began:.0f} s, in {folder}")
    click.echo("\n".join(found), err=True)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
