"""How processes meet."""

import json
import signal
import subprocess
import sys
import threading
import time

from outside import environment, free_port

JOIN = """
import logging
from barrage_mlflow.distribution import group
from barrage_mlflow.training.stop import StopRequest

logging.basicConfig(format="%(message)s", level="INFO")
with StopRequest() as stop, stop.at_once():
    group.join()
"""


def test_a_process_says_for_whom_it_waits_and_is_ended_by_an_interrupt() -> None:
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": 1}}
    process = subprocess.Popen(
        [sys.executable, "-c", JOIN],
        env=environment(TF_CONFIG=json.dumps(task)),
        stderr=subprocess.PIPE,
        text=True,
    )
    late = threading.Timer(120, process.kill)
    late.start()
    with process:
        assert process.stderr is not None
        said = next((line for line in process.stderr if " waits, " in line), "")
        time.sleep(1)  # TensorFlow waits by now
        process.send_signal(signal.SIGINT)
    late.cancel()
    assert process.returncode == -signal.SIGINT
    members = ", ".join(addresses)
    assert said == f"process 1 of 2 waits, without end, until all have come: {members}\n"
