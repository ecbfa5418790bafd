"""Runs a command in a network of its own, which nothing outside reaches.

The processes of one training listen on all addresses of a machine; here there is but loopback.
"""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import socket
import struct
import subprocess
import sys

_UP = 0x1
"""IFF_UP, a flag of a network interface."""
_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914
_FLAGS = "16sh22x"
"""A ``struct ifreq``: a name and flags."""


def isolated(command: list[str]) -> list[str]:
    """The command that runs this one in a network of its own, in the same process.

    Where the machine does not allow that, it is the same command.

    Example:
        >>> isolated(["true"])[-1]
        'true'
    """
    return [*_prefix(), *command]


@functools.cache
def _prefix() -> tuple[str, ...]:
    prefix = ("unshare", "-rn", sys.executable, "-I", __file__)
    if not shutil.which("unshare"):
        return ()
    tried = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    return () if tried.returncode else prefix


def _bring_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack(_FLAGS, b"lo", 0)
        _, flags = struct.unpack(_FLAGS, fcntl.ioctl(any_socket, _GET_FLAGS, request))
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack(_FLAGS, b"lo", flags | _UP))


if __name__ == "__main__":
    _bring_up()
    os.execvp(sys.argv[1], sys.argv[1:])
