"""The cases, one module each or a group: all that ``run.py`` measures, in its order."""

from cases import images, iris, latency, memory, mlp, outage, records, score, stream

CASES = {
    case.name: case
    for module in (mlp, memory, records, images, stream, score, iris, latency)
    for case in module.CASES
}
BESIDE = {case.name: case for case in outage.CASES}
"""Measured by name alone, not by a whole run: docs/resuming.md tells of it."""
