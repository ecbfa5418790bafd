"""The cases, a module for each group: all that ``run.py`` measures, in its order."""

from cases import commands, features, records, scoring, served, tracked, training

CASES = {
    **training.CASES,
    **records.CASES,
    **features.CASES,
    **scoring.CASES,
    **served.CASES,
    **commands.CASES,
    **tracked.CASES,
}
