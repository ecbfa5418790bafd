"""A worker process: it is sent a job, then tasks, and answers each with what the job makes of it.

``workers`` starts it. Messages go both ways over one socket; what is large in them (the arrays of
a batch) is received straight into the memory where it stays.
"""

from __future__ import annotations

import gc
import os
import pickle
import select
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from barrage_mlflow.errors import describe_error

_HEAD = struct.Struct("=QQ")
_SIZE = struct.Struct("=Q")
_APART = 1 << 16
"""Bytes from which a buffer goes by itself: below, another call costs more than a copy."""
_GRACE = 1.0
"""Seconds to end in good order once the one who sent the tasks is gone."""


@dataclass(frozen=True)
class Message:
    """A pickled value, its large buffers apart.

    Attributes:
        body: the pickle.
        buffers: what is not in it, of one byte an item.
    """

    body: bytes | memoryview
    buffers: Sequence[memoryview]

    def value(self) -> Any:
        """The value; its arrays are views of ``buffers``, nothing is copied.

        Raises:
            Exception: whatever unpickling raises.
        """
        return pickle.loads(self.body, buffers=self.buffers)


def pack(value: Any) -> Message:
    """The message that brings a value.

    Raises:
        Exception: whatever pickling raises.

    Example:
        >>> message = pack({"x": np.zeros(100_000, np.uint8), "y": np.zeros(2)})
        >>> [len(buffer) for buffer in message.buffers]
        [100000]
        >>> message.value()["y"]
        array([0., 0.])
    """
    buffers = []

    def within(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < _APART:
            return True
        buffers.append(raw)
        return False

    return Message(pickle.dumps(value, pickle.HIGHEST_PROTOCOL, buffer_callback=within), buffers)


def send(connection: socket.socket, message: Message) -> None:
    """Send a message.

    Raises:
        OSError: the other side is gone.
    """
    sizes = b"".join(_SIZE.pack(len(buffer)) for buffer in message.buffers)
    head = _HEAD.pack(len(message.body), len(message.buffers))
    connection.sendall(head + sizes + message.body)
    for buffer in message.buffers:
        connection.sendall(buffer)


def receive(connection: socket.socket) -> Message:
    """Wait for a message.

    Raises:
        EOFError: the other side is gone.
        OSError: likewise, in the midst of a message.

    Example:
        >>> here, there = socket.socketpair()
        >>> with here, there:
        ...     send(here, pack(["task", 1]))
        ...     receive(there).value()
        ['task', 1]
    """
    size, count = _HEAD.unpack(_exactly(connection, _HEAD.size))
    rest = _exactly(connection, count * _SIZE.size + size)
    sizes, body = rest[: count * _SIZE.size], rest[count * _SIZE.size :]
    return Message(body, [_exactly(connection, size) for (size,) in _SIZE.iter_unpack(sizes)])


def _exactly(connection: socket.socket, size: int) -> memoryview:
    received = np.empty(size, np.uint8).data  # other than a bytearray, not filled with zeros first
    rest = received
    while rest:
        # All in one call if it can be: after each, a thread queues for Python's lock again.
        count = connection.recv_into(rest, 0, socket.MSG_WAITALL)
        if not count:
            raise EOFError("the other side is gone")
        rest = rest[count:]
    return received


@dataclass(frozen=True)
class Failure:
    """In the place of a result: what a task, or taking in the job, raised.

    Attributes:
        error: its type, text and notes.
        trace: the traceback.
    """

    error: str
    trace: str


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
            result, None for the job, or a :class:`Failure`.
    """
    job: Any = None
    with suppress(EOFError, OSError):  # of the connection
        while True:
            message = receive(connection)
            try:
                if job is None:
                    job, result = message.value(), None
                    gc.freeze()  # all that is there stays; it need not be looked through again
                else:
                    result = job(message.value())
                answer = pack(result)
            except BaseException as error:  # sys.exit() too
                answer = pack(Failure(describe_error(error), traceback.format_exc()))
            del message
            sys.stdout.flush()
            sys.stderr.flush()
            send(connection, answer)
