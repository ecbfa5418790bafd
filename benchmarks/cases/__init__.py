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

_TRAINING = (mlp, memory, records, images, stream)
_SCORING = (score, one_record, serve, serve_many, serve_start, serve_memory)

CASES = {
    case.name: case
    for module in (*_TRAINING, *_SCORING, log_model, iris, latency)
    for case in module.CASES
}
BESIDE = {case.name: case for case in outage.CASES}
"""Measured by name alone, not by a whole run: docs/resuming.md tells of it."""
