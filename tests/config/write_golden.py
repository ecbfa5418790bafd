"""Writes what is expected of the golden configs anew, from what the engine finds in them.

::

    python tests/config/write_golden.py && git diff tests/config/golden
"""

import json
import os
import sys
from pathlib import Path

from barrage_mlflow.config import find_faults, find_warnings, read_config, resolve_config
from barrage_mlflow.errors import ConfigError

GOLDEN = Path(__file__).resolve().parent / "golden"


def write(folder):
    """Writes ``faults.txt``, or ``resolved.json`` and ``warnings.txt`` where there are any."""
    os.chdir(folder)
    (config,) = Path().glob("config.*")
    for name in ("faults.txt", "resolved.json", "warnings.txt"):
        Path(name).unlink(missing_ok=True)
    try:
        document = read_config(config)
        faults, warnings = find_faults(document), find_warnings(document)
    except ConfigError as error:
        faults, warnings = error.faults, []
    for name, found in (("faults.txt", faults), ("warnings.txt", [] if faults else warnings)):
        if found:
            Path(name).write_text("".join(f"{fault}\n" for fault in found), "utf-8")
    if not faults:
        Path("resolved.json").write_text(json.dumps(resolve_config(document), indent=2) + "\n")


if __name__ == "__main__":
    sys.path.insert(0, str(GOLDEN))
    for config in sorted(GOLDEN.glob("*/config.*")):
        write(config.parent)
