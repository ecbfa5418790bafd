"""Sends requests to a model server and times its answers, at little cost to the server.

The client shares the machine with the server, so requests are bytes before the clock runs and an
answer is read and checked after it has stopped.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle, takewhile
from typing import Any

from harness import CaseError

_PATIENCE = 120
"""Seconds that an answer may take: a server whose workers still load lets its callers wait."""
_PIECE = 65_536
_SHOWN = 2_000
"""Bytes that are shown of an answer that is a fault."""
_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)


@dataclass(frozen=True)
class Request:
    """A request to ``/invocations``.

    Attributes:
        data: all its bytes.
        rows: how many predictions its answer must hold.
    """

    data: bytes
    rows: int


@dataclass(frozen=True)
class Load:
    """What came of a load.

    Attributes:
        latencies: seconds from each request to the last byte of its answer.
        seconds: from the first request to the last answer.
    """

    latencies: list[float]
    seconds: float


def split_request(columns: Sequence[str], rows: Sequence[Sequence[float]]) -> Request:
    r"""A request of rows as ``dataframe_split``.

    Args:
        columns: their names.
        rows: one value a column.

    Example:
        >>> split_request(["a"], [[0.5]]).data.partition(b"\r\n\r\n")[2]
        b'{"dataframe_split": {"columns": ["a"], "data": [[0.5]]}}'
    """
    body = json.dumps({"dataframe_split": {"columns": columns, "data": rows}}).encode()
    head = (
        "POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return Request(head.encode() + body, len(rows))


class Connection:
    """A keep-alive connection to a server on this machine.

    Args:
        port: where it listens.

    Raises:
        OSError: nobody listens there.
    """

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        # Else the last piece of a long request waits until the server has acknowledged the rest.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = Request(b"", 0)
        self._sent = 0.0

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *raised: object) -> None:
        self.socket.close()

    def send(self, request: Request) -> None:
        """Send a request."""
        self._request = request
        self._sent = time.perf_counter()
        self.socket.sendall(request.data)

    def receive(self) -> tuple[float, list[Any]]:
        """Receive its answer.

        Returns:
            Seconds since the request was sent, and the predictions.

        Raises:
            OSError: the server closed the connection, or took too long.
            CaseError: it answered with a fault, or with another number of predictions.
        """
        answer = bytearray()
        head = length = 0
        while not head or len(answer) < head + length:
            piece = self.socket.recv(_PIECE)
            if not piece:
                raise ConnectionResetError("the server closed the connection")
            answer += piece
            if not head and (end := answer.find(_END_OF_HEAD)) >= 0:
                head = end + len(_END_OF_HEAD)
                found = _LENGTH.search(answer, 0, head)
                length = int(found[1]) if found else 0
        seconds = time.perf_counter() - self._sent
        body = bytes(answer[head:])
        if not answer.startswith(b"HTTP/1.1 200 "):
            status = answer.partition(b"\r\n")[0]
            raise CaseError(f"{status.decode()}\n{body[:_SHOWN].decode(errors='replace')}")
        predictions: list[Any] = json.loads(body)["predictions"]
        if len(predictions) != self._request.rows:
            raise CaseError(f"expected {self._request.rows} predictions, got {len(predictions)}")
        return seconds, predictions


def ask(port: int, request: Request) -> list[Any]:
    """Send one request on a connection of its own; return the predictions.

    Raises:
        OSError: the server cannot be reached.
        CaseError: it answered with a fault.
    """
    with Connection(port) as connection:
        connection.send(request)
        return connection.receive()[1]


def load(port: int, requests: Iterable[Request], connections: int = 1) -> Load:
    """Send requests until there are no more, each connection one after another.

    Args:
        port: where the server listens.
        requests: sent in this order; taken one by one, as they can be sent.
        connections: how many are open at a time; each is new.

    Raises:
        CaseError: the server answered with a fault, or not at all.
    """
    waiting = iter(requests)
    latencies: list[float] = []
    with ExitStack() as stack, selectors.DefaultSelector() as selector:

        def send_next(connection: Connection) -> bool:
            request = next(waiting, None)
            if request is not None:
                connection.send(request)
            return request is not None

        try:
            opened = [stack.enter_context(Connection(port)) for _ in range(connections)]
            began = time.perf_counter()
            for connection in opened:
                if send_next(connection):
                    selector.register(connection.socket, selectors.EVENT_READ, connection)
            while selector.get_map():
                for key, _ in selector.select():
                    latencies.append(key.data.receive()[0])
                    if not send_next(key.data):
                        selector.unregister(key.fileobj)
        except OSError as error:
            raise CaseError(f"the server broke off: {error}") from error
    return Load(latencies, time.perf_counter() - began)


def for_seconds(requests: Sequence[Request], seconds: float) -> Iterator[Request]:
    """Requests over and over again, until so many seconds are over."""
    end = time.perf_counter() + seconds
    return takewhile(lambda _: time.perf_counter() < end, cycle(requests))
