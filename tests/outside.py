"""Commands as a person runs them: in processes and folders of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import click
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
CPU = Path("/proc/cpuinfo")
SAME_BITS = CPU.exists() and "avx512_vnni" in CPU.read_text("utf-8").split()
"""Whether TensorFlow computes by oneDNN's functions by itself, and a record has the same bits alone
and in company; else it rounds the last rows of a batch otherwise."""
ROUNDING = 0 if SAME_BITS else 1e-5
"""How far apart, relative, scores of one record in batches of different sizes may be."""
BIN = Path(sys.executable).parent


def environment(**variables: str) -> dict[str, str]:
    """This process's variables without MLflow's, and with this environment's commands first."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("MLFLOW_")}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return {**kept, **quiet, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **variables}


def run(command: str | Sequence[Any], folder: Path, **variables: str) -> str:
    """Run a command, or a line of a shell, that must succeed; return all that it printed."""
    done = subprocess.run(
        command if isinstance(command, str) else [str(word) for word in command],
        shell=isinstance(command, str),
        cwd=folder,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def parse_command(program: str, *words: str) -> None:
    """Parse a command line of ours or of MLflow's as the command itself would, but do not run it.

    Raises:
        click.UsageError: there is no such option, or one lacks.
    """
    from mlflow.cli import cli

    from barrage_mlflow.cli import main

    command: click.Command | None = {"barrage-mlflow": main, "mlflow": cli}[program]
    while isinstance(command, click.Group):
        name, *words = words
        command = command.get_command(click.Context(command), name)
    assert command is not None, f"there is no command {name}"
    command.make_context(command.name, list(words))


def read_weights(path: Path) -> dict[str, bytes]:
    """The arrays of a file of weights, by name."""
    import h5py
    import numpy as np

    found: dict[str, bytes] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item).tobytes()

    with h5py.File(path) as file:
        file.visititems(collect)
    return found


@contextmanager
def serving(*arguments: Any, **named: Any) -> Iterator[str]:
    """Serve a model as ``served`` does; its address alone."""
    with served(*arguments, **named) as (address, _):
        yield address


@contextmanager
def served(
    model: str | Path, folder: Path, *options: str, prefix: Sequence[str] = (), **variables: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve a model by ``mlflow models serve`` until the block ends.

    Returns:
        Its address, and the process, whose group has all processes that it starts.
    """
    port = free_port()
    options = options or ("--env-manager", "local")
    command = [*prefix, BIN / "mlflow", "models", "serve", "-m", str(model), *options]
    address = f"http://127.0.0.1:{port}"
    with started([*command, "--port", str(port)], folder, f"{address}/ping", **variables) as server:
        yield address, server


@contextmanager
def started(
    command: Sequence[Any], folder: Path, url: str, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends, which begins once there is an answer at a URL."""
    log = folder / "server.log"
    with log.open("w") as file:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(**variables),
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        wait_for(lambda: server.poll() is not None or answers(url))
        assert server.poll() is None, log.read_text("utf-8")
        yield server
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def is_gone(pid: int) -> bool:
    """Whether no process has this number, not even a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def wait_for(condition: Any, seconds: float = 600) -> None:
    """Return as soon as a condition is true.

    Raises:
        TimeoutError: it is not true after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s")
        time.sleep(0.02)


def answers(url: str) -> bool:
    """Whether a server answers at a URL."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


def invoke(address: str, body: Any, content_type: str = "application/json") -> list[dict[str, Any]]:
    """Send a request to a served model; return the scores of its records."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{address}/invocations", data, {"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=60) as answer:
        scores: list[dict[str, Any]] = json.load(answer)["predictions"]
    return scores


def assert_scores_agree(
    scores: Sequence[Any], expected: Sequence[Any], apart: float = 1e-5
) -> None:
    """Fail unless scores have the same keys in one order and the same values, but for rounding."""
    import numpy as np

    assert [list(score) for score in scores] == [list(score) for score in expected]
    for score, other in zip(scores, expected, strict=True):
        for name, value in other.items():
            if isinstance(value, str):
                assert score[name] == value
            elif isinstance(value, dict):  # probabilities by class
                assert_scores_agree([score[name]], [value], apart)
            else:
                np.testing.assert_allclose(score[name], value, rtol=apart, atol=apart / 10)


def brought_along(lines: list[str]) -> set[str]:
    """The packages of requirement lines, with all that they need in turn."""
    waiting, brought = [Requirement(line) for line in lines], set()
    while waiting:
        requirement = waiting.pop()
        marker = requirement.marker
        if requirement.name in brought or (marker and not marker.evaluate({"extra": ""})):
            continue
        with suppress(metadata.PackageNotFoundError):
            found = metadata.distribution(requirement.name)
            brought |= {requirement.name, found.metadata["Name"]}
            waiting += [Requirement(line) for line in found.requires or ()]
    return brought
