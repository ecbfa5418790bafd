"""A network that is slow to answer, in front of a server of this machine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def slow_proxy(port: int, latency: float) -> Iterator[int]:
    """Pass connections on to a port of 127.0.0.1, late by half the latency each way.

    Bandwidth is not limited: what is sent at once arrives at once.

    Args:
        port: where the server listens.
        latency: seconds between a request and its answer, beside what the server takes.

    Yields:
        The port to connect to.
    """
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(
            _pass_on(reader, back, latency / 2), _pass_on(there, writer, latency / 2)
        )

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, name="slow proxy", daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float
) -> None:
    """Write what is read, its end too, each piece ``delay`` seconds after it came."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def write() -> None:
        while True:
            due, data = await waiting.get()
            await asyncio.sleep(due - loop.time())
            if not data:
                writer.close()
                return
            writer.write(data)
            await writer.drain()

    writing = asyncio.create_task(write())
    try:
        while data := await reader.read(65_536):
            waiting.put_nowait((loop.time() + delay, data))
    except ConnectionError:
        pass
    waiting.put_nowait((loop.time() + delay, b""))
    await asyncio.gather(writing, return_exceptions=True)
