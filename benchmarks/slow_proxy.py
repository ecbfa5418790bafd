"""A network that is slow to answer, in front of a server of this machine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CHUNK = 65_536


@contextmanager
def slow_proxy(port: int, latency: float) -> Iterator[int]:
    """Pass connections on to a port of 127.0.0.1, late by half the latency each way.

    Bandwidth is not limited: what is sent at once arrives at once. To open a connection takes
    the latency once.

    Args:
        port: where the server listens.
        latency: seconds between a request and its answer, beside what the server takes.

    Yields:
        The port to connect to.
    """
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(latency)
        there, back = await asyncio.open_connection("127.0.0.1", port)
        ways = [(reader, back), (there, writer)]
        try:
            await asyncio.gather(*(_pass_on(*way, latency / 2) for way in ways))
        except asyncio.CancelledError:
            pass  # the proxy ends; asyncio would print what is left to it
        finally:
            for _, end in ways:
                end.close()

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, name="slow proxy")
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float
) -> None:
    """Write what is read, its end too, each piece ``delay`` seconds after it came."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def read() -> None:
        data = b"some"
        while data:
            with suppress(ConnectionError):
                data = b""
                data = await reader.read(_CHUNK)
            waiting.put_nowait((loop.time() + delay, data))

    reading = asyncio.create_task(read())
    try:
        data = b"some"
        while data:
            due, data = await waiting.get()
            await asyncio.sleep(due - loop.time())
            if data:
                writer.write(data)
                await writer.drain()
            else:
                writer.write_eof()
    except OSError:
        writer.close()  # whoever was to read it has gone
    finally:
        reading.cancel()
