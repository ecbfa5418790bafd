"""Runs one function of a case in this process: ``side.py MODULE:FUNCTION ARGUMENTS ANSWER``.

``ARGUMENTS`` is a JSON object; what the function returns is written to the file ``ANSWER``.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

# Worker processes that the function starts import this file again.
if __name__ == "__main__":
    name, arguments, answer = sys.argv[1:]
    module, _, function = name.partition(":")
    value = getattr(importlib.import_module(module), function)(**json.loads(arguments))
    Path(answer).write_text(json.dumps(value), "utf-8")
