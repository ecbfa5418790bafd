"""The card of a model: what it is, how good, what it does badly, and how to call it."""

from __future__ import annotations

from collections.abc import Sequence

from barrage_mlflow.evaluation.evaluate import Evaluation
from barrage_mlflow.evaluation.pages import plain, show
from barrage_mlflow.evaluation.set_report import FIRST, leading_figures
from barrage_mlflow.evaluation.weak_spots import weak_spots
from barrage_mlflow.scoring.scorer import Scorer
from barrage_mlflow.workspace.layout import MODEL_URI

_COLUMNS = 30
"""Columns that are named, at most."""


def card_of(scorer: Scorer, evaluation: Evaluation, name: str, facts: Sequence[str] = ()) -> str:
    """Write the card of a model, in Markdown.

    Args:
        scorer: the model.
        evaluation: how good it is on a set.
        name: of the set.
        facts: sentences on how it was made.

    Returns:
        The card; ``MODEL_URI`` stands where it is to have the model's URI.
    """
    outcomes = evaluation.outcomes.values()
    answers = [plain(outcome.name) for outcome in outcomes]
    columns = [plain(str(column)) for column in scorer.inputs.columns]
    more = f" and {len(columns) - _COLUMNS} more" if len(columns) > _COLUMNS else ""
    spots: list[str] = []
    for answer, outcome in zip(answers, outcomes, strict=True):
        found = weak_spots(outcome, evaluation.kept) if outcome.type and len(outcome) else None
        spots += [f"{answer}:", "", found, ""] if found else []
    lines = [
        f"On {plain(name)}: {plain(headline(evaluation))}.",
        "",
        f"Predicts {', '.join(answers)} from {', '.join(columns[:_COLUMNS])}{more}.",
        *(line for fact in facts for line in ("", fact)),
        "",
        f"**How good it is**, on {show(evaluation.records)} records of {plain(name)}",
        "",
        *leading_figures(evaluation),
        "",
        "**What it does badly**",
        "",
        *(spots or ["No group of these records stands out.", ""]),
        "**How to call it**",
        "",
        "```sh",
        f"mlflow models serve -m {MODEL_URI} --env-manager local",
        f"barrage-mlflow predict records.csv {MODEL_URI} -o scores.csv",
        "```",
        "",
    ]
    return "\n".join(lines)


def headline(evaluation: Evaluation) -> str:
    """The figure of each answer that everybody knows, beside the baseline's.

    Example:
        >>> headline(evaluate(scorer, "test.csv"))  # doctest: +SKIP
        'species accuracy 0.9903 (baseline 0.4466); body_mass_g mae 236.3 (baseline 619)'
    """
    said = []
    for answer, figures in evaluation.figures.items():
        known = [metric for metric in (*FIRST, *figures) if metric in figures]
        each = [(metric, figures[metric]) for metric in known[:1]]
        said += [f"{answer} {m} {show(f.value)} (baseline {show(f.baseline)})" for m, f in each]
    return "; ".join(said)
