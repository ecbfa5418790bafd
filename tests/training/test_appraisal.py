"""The time that a training lets its evaluation take."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from barrage_mlflow.training import appraisal


def test_each_set_has_its_share_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, given = [0.0], {}

    def write(*arguments: Any) -> None:
        _, _, folder, _, _, until, *_ = arguments
        given[folder.name] = until - now[0]
        now[0] = until

    replaced = {
        "time": SimpleNamespace(monotonic=lambda: now[0]),
        "evaluate": lambda *_: SimpleNamespace(metrics={}, figures={}),
        "_compare": lambda *_: ({}, []),
        "write_report": write,
        "card_of": lambda *_: "",
        "write_page": lambda *_: None,
    }
    for name, value in replaced.items():
        monkeypatch.setattr(appraisal, name, value)
    (tmp_path / "evaluation").mkdir()
    scorer: Any = SimpleNamespace(config={"services": {}})
    sets: Any = dict.fromkeys(["train", "validation", "test"])
    found = appraisal.appraise(scorer, sets, ["validation", "test"], tmp_path, began=0.0)
    assert dict(found) == {"validation": {}, "test": {}}
    assert given == {"validation": 1.5, "test": 1.5}
