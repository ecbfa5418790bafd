"""The wire between processes: pickled values, whose arrays are not copied on the way.

Large arrays go by themselves, and are received straight into the memory where they stay.
"""

from __future__ import annotations

import pickle
import socket
import struct
from typing import Any, TypeAlias

import numpy as np

Message: TypeAlias = list[bytes | memoryview]
"""A pickled value, and then its large buffers, of one byte an item."""

_HEAD = struct.Struct("=QQ")
_APART = 1 << 16
"""Bytes from which a buffer goes by itself: below, another call costs more than a copy."""


def pack(value: Any) -> Message:
    """The message that brings a value.

    Raises:
        Exception: whatever pickling raises.

    Example:
        >>> message = pack({"x": np.zeros(100_000, np.uint8), "y": np.zeros(2)})
        >>> [len(buffer) for buffer in message[1:]]
        [100000]
        >>> unpack(message)["y"]
        array([0., 0.])
    """
    buffers = []

    def within(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < _APART:
            return True
        buffers.append(raw)
        return False

    pickled = pickle.dumps(value, pickle.HIGHEST_PROTOCOL, buffer_callback=within)
    return [pickled, *buffers]


def unpack(message: Message) -> Any:
    """The value; its arrays are views of the message, nothing is copied.

    Raises:
        Exception: whatever unpickling raises.
    """
    return pickle.loads(message[0], buffers=message[1:])


def send(connection: socket.socket, message: Message) -> None:
    """Send a message.

    Raises:
        OSError: the other side is gone.
    """
    pickled, *buffers = message
    sizes = struct.pack(f"={len(buffers)}Q", *map(len, buffers))
    connection.sendall(b"".join([_HEAD.pack(len(sizes), len(pickled)), sizes, pickled]))
    for buffer in buffers:
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
        ...     unpack(receive(there))
        ['task', 1]
    """
    start, size = _HEAD.unpack(_exactly(connection, _HEAD.size))
    rest = _exactly(connection, start + size)
    sizes = rest[:start].cast("Q")
    return [rest[start:], *(_exactly(connection, size) for size in sizes)]


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
