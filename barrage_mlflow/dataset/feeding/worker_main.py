"""A worker process: it is sent a job, then tasks, and answers each with what the job makes of it.

``workers`` starts it.
"""

from __future__ import annotations

import gc
import os
import select
import socket
import sys
import threading
import time
import traceback
from contextlib import suppress
from typing import Any

from barrage_mlflow.dataset.feeding.wire import pack, receive, send, unpack
from barrage_mlflow.errors import describe_error

_GARBAGE = 100_000
"""How many more objects there may be before those are looked for that hold each other."""
_GRACE = 1.0
"""Seconds to end in good order once the one who sent the tasks is gone."""


def main(descriptor: int) -> None:
    """Work until the other side of the socket is closed.

    Args:
        descriptor: of the socket.
    """
    with socket.socket(fileno=descriptor) as connection:
        threading.Thread(target=_watch, args=(descriptor,), daemon=True).start()
        serve(connection)


def _watch(descriptor: int) -> None:
    """End the process, whatever the job is at, soon after the other side is gone."""
    poll = select.poll()
    poll.register(descriptor, 0)  # for no event but that one, which always comes
    poll.poll()
    time.sleep(_GRACE)
    os._exit(0)


def serve(connection: socket.socket) -> None:
    """Answer the job, and then each task, until the other side is gone.

    Args:
        connection: the first message is the job, all others are tasks. Each is answered with a
            pair: the result (None for the job), and None; or None, and what was raised instead,
            as its text and its traceback.
    """
    job: Any = None
    with suppress(EOFError, OSError):  # of the connection
        while True:
            message = receive(connection)
            try:
                if job is None:
                    job, result = unpack(message), None
                    gc.freeze()  # all that is there stays; it need not be looked through again
                    # What is made of records holds no cycles, and is soon gone.
                    gc.set_threshold(_GARBAGE)
                else:
                    result = job(unpack(message))
                answer = pack((result, None))
            except BaseException as error:  # sys.exit() too
                answer = pack((None, (describe_error(error), traceback.format_exc())))
            del message
            for stream in filter(None, (sys.stdout, sys.stderr)):  # None: it is closed
                stream.flush()
            send(connection, answer)
