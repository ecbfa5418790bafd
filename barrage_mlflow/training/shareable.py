"""Finds what a group of processes would train otherwise than one process alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barrage_mlflow.distribution.group import Group
from barrage_mlflow.errors import ConfigError, Fault

if TYPE_CHECKING:
    from barrage_mlflow.training.prepare import Plan

_MEANS = ("sum_over_batch_size", "mean")
"""Reductions of a loss whose value for a batch is the mean of those for its records."""


def check_shareable(plan: Plan, group: Group) -> None:
    """Refuse what cannot be the same when each process has a share of a batch.

    Args:
        plan: what was prepared.
        group: the processes of the training.

    Raises:
        ConfigError: with everything that cannot.

    Example:
        >>> check_shareable(plan, Group())  # doctest: +SKIP
    """
    if group.count == 1:
        return
    solver, faults = plan.config["solver"], []
    alone = f"or train in one process instead of {group.count}"
    size = solver["batch_size"]
    if size < group.count:
        message = f"expected a record for each of {group.count} processes, got {size}"
        faults.append(Fault("$.solver.batch_size", message, "set a larger one, or fewer processes"))
    if solver.get("jit_compile"):
        message = "XLA compiles no step that processes share"
        faults.append(Fault("$.solver.jit_compile", message, f"leave it out, {alone}"))
    for role, records in plan.sets.items():
        if len(records) < group.count:
            message = f"{role} holds {len(records)} records for {group.count} processes"
            faults.append(Fault("$.dataset", message, "start fewer"))
    for output in plan.objective.outputs.values():
        path, reduction = f"{output.path}.loss", getattr(output.loss, "reduction", None)
        if output.joins_records:
            message = "it joins the records of a batch, of which each process has only a share"
            faults.append(Fault(path, message, f"take a loss of each record, {alone}"))
        elif reduction not in _MEANS:
            message = f"expected the mean over records as the loss of a batch, got {reduction!r}"
            faults.append(Fault(path, message, f'set "reduction": "{_MEANS[0]}" in its params'))
        tensor = plan.network.output[output.name]
        if getattr(tensor, "_keras_mask", None) is not None:
            message = "its output has a mask, by which each share would count differently"
            faults.append(Fault(path, message, f"leave the mask out, {alone}"))
        for place, metric in enumerate(output.metrics.values()):
            if any(variable.aggregation != "sum" for variable in metric.variables):
                message = f"{type(metric).__name__} keeps what is no sum over records"
                faults.append(
                    Fault(f"{output.path}.metrics[{place}]", message, f"leave it out, {alone}")
                )
    if faults:
        raise ConfigError(faults)
