"""Params of ``postprocess``: what may be declared, what a request may set, who gets them."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from component_parts import RECORDS, SCORE, Scaled
from contract import check_transformer

from barrage_mlflow.dataset import IdentityTransformer
from barrage_mlflow.dataset.components.pipeline import Pipeline
from barrage_mlflow.dataset.components.score_params import declared_params, fill_params
from barrage_mlflow.errors import ComponentError, RecordError

DECLARED = {"threshold": 0.5, "top": 3, "word": "yes", "strict": True}


class ByRecord(IdentityTransformer):
    score_params: ClassVar = {"threshold": 0.5, "word": "yes"}

    def postprocess(self, score, threshold, word):
        return {"y": word if score["y"][0] >= threshold else "no"}


class ByBatch(ByRecord):
    def postprocess_batch(self, scores, threshold, word):
        return {"y": np.where(scores["y"][:, 0] >= threshold, word, "no").astype(object)}


class OfItsOwn(ByRecord):
    """Its defaults are a property."""

    @property
    def score_params(self):
        return {"threshold": np.float32(0.5), "word": "yes"}


def test_what_is_not_set_has_its_default_and_numbers_may_be_whole() -> None:
    assert fill_params(DECLARED, {}) == DECLARED
    given = {"threshold": 1, "top": np.int64(5), "word": "", "strict": False}
    filled = fill_params(DECLARED, given)
    assert filled == {"threshold": 1.0, "top": 5, "word": "", "strict": False}
    assert [type(value) for value in filled.values()] == [float, int, str, bool]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"treshold": 1}, "unknown param 'treshold'; did you mean 'threshold'?"),
        ({"z": 1}, "unknown param 'z'; known params: 'threshold', 'top', 'word', 'strict'"),
        ({"threshold": "high"}, "param 'threshold': expected a number, got 'high' (str)"),
        ({"threshold": None}, "param 'threshold': expected a number, got a missing value"),
        ({"threshold": True}, "param 'threshold': expected a number, got True (bool)"),
        ({"threshold": np.inf}, "param 'threshold': expected a number, got inf"),
        ({"top": 2.0}, "param 'top': expected a whole number, got 2.0"),
        ({"word": 1}, "param 'word': expected a string, got 1 (int)"),
        ({"strict": 1}, "param 'strict': expected true or false, got 1 (int)"),
    ],
)
def test_what_is_unknown_or_of_another_type_is_refused(given: Any, message: str) -> None:
    with pytest.raises(RecordError, match=r"param") as error:
        fill_params(DECLARED, given)
    assert str(error.value) == message


def test_a_model_without_params_takes_none() -> None:
    with pytest.raises(RecordError, match=r"^unknown param 'threshold'; this model takes none$"):
        fill_params({}, {"threshold": 0.5})


@pytest.mark.parametrize("make", [ByRecord, ByBatch, OfItsOwn])
def test_postprocess_gets_all_of_them_in_both_forms(make: Any, tmp_path: Any) -> None:
    scores = {"y": np.array([[0.4], [0.5]])}
    check_transformer(Scaled, make, RECORDS, tmp_path, scores)
    loader = Scaled(SCORE)
    pipeline = Pipeline(loader, make(SCORE, loader))
    declared = declared_params(pipeline.transformer)
    assert declared == {"threshold": 0.5, "word": "yes"}
    for given, expected in ({}, ["no", "yes"]), ({"threshold": 0.1, "word": "y"}, ["y", "y"]):
        made = pipeline.postprocess(scores, RECORDS, fill_params(declared, given))
        assert made["y"].tolist() == expected


@pytest.mark.parametrize("params", [["threshold"], {"threshold": None}, {"x": [1]}])
def test_what_is_declared_is_a_dict_of_plain_values(params: Any) -> None:
    named = type("Odd", (IdentityTransformer,), {"score_params": params})(SCORE, Scaled(SCORE))
    with pytest.raises(ComponentError, match=r"Odd\.score_params: expected a dict of names and"):
        declared_params(named)
