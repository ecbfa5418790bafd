"""The cases, one module each or a group: all that ``run.py`` measures, in its order."""

from cases import (
    images,
    iris,
    latency,
    log_model,
    memory,
    mlp,
    one_record,
    outage,
    records,
    score,
    serve,
    serve_many,
    serve_memory,
    serve_start,
    stream,
)

_TABLE = (mlp, memory, records, images, stream, score, iris, latency)
_SERVING = (one_record, serve, serve_many, serve_start, serve_memory, log_model)

CASES = {case.name: case for module in _TABLE for case in module.CASES}
BESIDE = {case.name: case for module in (*_SERVING, outage) for case in module.CASES}
"""Measured by name alone, not by a whole run; docs/resuming.md tells of the outages."""
