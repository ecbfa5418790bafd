"""What several processes would train otherwise than one is refused, all of it at once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from group_cases import CASES, UNSHAREABLE, frame

from barrage_mlflow.distribution.group import ALONE
from barrage_mlflow.errors import ConfigError
from barrage_mlflow.training.prepare import Plan, prepare, read_document
from barrage_mlflow.training.settled import settle_training
from barrage_mlflow.training.shareable import check_shareable

REFUSED = """\
$.solver.batch_size: expected a record for each of 4 processes, got 1; set a larger one, or fewer \
processes
$.solver.jit_compile: XLA compiles no step that processes share; leave it out, or train in one \
process instead of 4
$.dataset: validation holds 3 records for 4 processes; start fewer
$.model.outputs[0].loss: expected the mean over records as the loss of a batch, got 'sum'; set \
"reduction": "sum_over_batch_size" in its params
$.model.outputs[0].metrics[0]: Largest keeps what is no sum over records; leave it out, or \
train in one process instead of 4
$.model.outputs[1].loss: it joins the records of a batch, of which each process has only a share; \
take a loss of each record, or train in one process instead of 4
$.model.outputs[2].loss: its output has a mask, by which each share would count differently; leave \
the mask out, or train in one process instead of 4"""


def planned(config: dict[str, Any], folder: Path) -> Plan:
    train, validation = frame(), frame(3)
    for each in (train, validation):
        each["words"] = [[1, 2, 0]] * len(each)
        each["next"] = [[[0.5], [1.0], [0.0]]] * len(each)
    sources = {"train": train, "validation": validation}
    settled = settle_training(read_document(config), sources)
    return prepare(settled.config, settled.sets, folder / "transformer")


def group(count: int) -> Any:
    return SimpleNamespace(count=count)


def test_all_that_cannot_be_shared_is_refused_at_once(tmp_path: Path) -> None:
    plan = planned(UNSHAREABLE, tmp_path)
    check_shareable(plan, ALONE)
    with pytest.raises(ConfigError) as refused:
        check_shareable(plan, group(4))
    assert str(refused.value) == REFUSED


def test_what_can_be_shared_is_not_refused(tmp_path: Path) -> None:
    check_shareable(planned(CASES["dropout"], tmp_path), group(3))
