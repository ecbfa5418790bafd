"""What the processes of a training tell each other, be it nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from loopback import isolated
from outside import run

SCRIPT = """
import json, os, subprocess, sys

if len(sys.argv) == 1:
    both = [subprocess.Popen([sys.executable, __file__, str(n)]) for n in range(2)]
    sys.exit(any([each.wait() for each in both]))
index = int(sys.argv[1])
addresses = ["127.0.0.1:7101", "127.0.0.1:7102"]
task = {"type": "worker", "index": index}
os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
from barrage_mlflow.distribution.group import join

group = join()
assert group.tell(b"words" if group.is_chief else b"") == b"words"
assert group.tell(b"") == b""  # as the chief of a finished training does
assert group.tell(b"more" if group.is_chief else b"", 4) == b"more"
"""


@pytest.mark.slow
def test_nothing_can_be_told(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT, "utf-8")
    run(isolated([sys.executable, "script.py"]), tmp_path)
