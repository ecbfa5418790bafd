"""Outcomes of what was observed: in the data's own units where they can be, piece by piece."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from barrage_mlflow.dataset.records.values import objects
from barrage_mlflow.evaluation import collect
from barrage_mlflow.evaluation.collect import Outcomes, type_of
from barrage_mlflow.evaluation.observe import About, Observed
from barrage_mlflow.evaluation.outcome import Outcome

CE = "sparse_categorical_crossentropy"
BCE = "binary_crossentropy"
ABOUT = About("", CE, False, [])


def observed(
    about, scores, targets, answers=None, truths=None, weights=None, pasts=None, masks=None
):
    """What came of records; of one output where no dicts are given."""
    if isinstance(about, About):
        named = [
            None if each is None else {"a": each}
            for each in (answers, truths, weights, pasts, masks)
        ]
        return observed({"a": about}, {"a": scores}, {"a": targets}, *named)
    return Observed(
        answers=answers or {},
        truths=truths or {},
        scores={name: np.array(each, "float32") for name, each in scores.items()},
        targets={name: np.array(each) for name, each in targets.items()},
        weights={name: np.array(each, "float32") for name, each in (weights or {}).items()},
        masks={name: np.array(each) for name, each in (masks or {}).items()},
        pasts=pasts or {},
        about={name: tuple(each) for name, each in about.items()},
    )


def outcome_of(*pieces):
    """What comes of pieces of the one output ``a``."""
    taken = Outcomes()
    for piece in pieces:
        taken.add(piece)
    return taken.all()["a"]


def expected(kind, truth, answer, weight=None, rows=None, probability=None, **more):
    truth, size = np.array(truth), len(truth)
    if probability is not None:
        probability = np.array(probability, "float32")
    weight = np.ones(size) if weight is None else np.array(weight, float)
    rows = np.arange(size) if rows is None else np.array(rows)
    more = {"labels": [], **more}
    return Outcome("a", kind, truth, np.array(answer), weight, rows, probability, **more)


def check(found, wanted):
    """Hold an outcome against another: values, dtypes and all."""
    for name, value in vars(wanted).items():
        got = getattr(found, name)
        if isinstance(value, np.ndarray):
            assert got.dtype == value.dtype, name
            np.testing.assert_allclose(got, value, 1e-6, err_msg=name)
        else:
            assert got == value, name


P = [[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.1, 0.4, 0.5], [0.4, 0.3, 0.3]]
CODES, LABELS = [0, 1, 1, 2], ["cat", "cow", "dog"]
TRUE = objects(["cat", "cow", "cow", "dog"])
TOLD = objects(["cat", "cow", "cow", "cat"])  # the third is not what is most probable


def test_a_category_is_judged_by_its_answer():
    known = ABOUT._replace(labels=LABELS)
    wanted = expected("category", CODES, [0, 1, 1, 0], probability=P, labels=LABELS)
    check(outcome_of(observed(known, P, CODES, TOLD, TRUE)), wanted)
    # Labels are learnt where there are none: of codes and what is true.
    check(outcome_of(observed(ABOUT, P, CODES, TOLD, TRUE)), wanted)
    one_hot = np.eye(3, dtype="float32")[CODES]
    dense = ABOUT._replace(loss="categorical_crossentropy")
    check(outcome_of(observed(dense, P, one_hot, TOLD, TRUE)), wanted)
    # By its codes, where the names of classes are known but the answer does without them.
    codes = observed(known, P, CODES, np.array([0, 1, 1, 0]), np.array(CODES))
    check(outcome_of(codes), wanted)
    logits = observed(known._replace(has_logits=True), np.log(P) + 5, CODES, TOLD, TRUE)
    check(outcome_of(logits), wanted)
    # One label for two classes is that of the first of them.
    pets = observed(ABOUT, P, CODES, objects(["pet", "cow", "cow", "pet"]), objects(["pet"] * 4))
    assert outcome_of(pets).labels == ["pet", "pet", "pet"]


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        (np.array(P), np.array(CODES)),  # vectors
        (objects([{"is": "cat"}] * 4), TRUE),
        (objects(["Katze"] * 4), TRUE),
        (TOLD, np.eye(3)[CODES]),
        (None, None),
    ],
)
def test_a_category_that_is_answered_in_no_label_is_judged_by_the_network(answer, truth):
    found = outcome_of(observed(ABOUT, P, CODES, answer, truth))
    wanted = expected("category", CODES, [0, 1, 2, 0], probability=P, in_own_units=False)
    check(replace(found, labels=[]), wanted)


def test_scores_that_are_no_probabilities():
    p = [[3.0, -1.0], [0.25, 0.75]]
    wanted = expected("category", [0, 0], [0, 1], in_own_units=False)
    check(outcome_of(observed(ABOUT, p, [0, 0])), wanted)
    # One piece tells of all.
    pieces = observed(ABOUT, p[1:], [0]), observed(ABOUT, p[:1], [0])
    check(outcome_of(*pieces), replace(wanted, answer=np.array([1, 0])))


@pytest.mark.parametrize(
    ("no", "yes", "labels"),
    [(False, True, [False, True]), (0, 1, []), ("no", "yes", []), (0.0, 1.0, [])],
)
def test_truth_values(no, yes, labels):
    about = About("truth" if labels else "", BCE, False, labels)
    p, truth = [[0.1], [0.6], [0.4], [0.9]], [0.0, 1.0, 1.0, 0.0]
    truths = objects([no, yes, yes, no])
    answers = np.array([no, no, yes, yes], None if no != "no" else object)  # from 0.7 on, but one
    wanted = expected("truth", [0, 1, 1, 0], [0, 0, 1, 1], probability=[0.1, 0.6, 0.4, 0.9])
    wanted = replace(wanted, labels=[no, yes])
    check(outcome_of(observed(about, p, truth, answers, truths)), wanted)
    logits = -np.log(1 / np.array(p) - 1)
    about = about._replace(has_logits=True)
    check(outcome_of(observed(about, logits, truth, answers, truths)), wanted)


def test_several_labels():
    about = About("multi_category", BCE, False, LABELS)
    p, target = [[0.6, 0.6, 0.1], [0.1, 0.1, 0.1]], [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    answers, truths = [["cat"], []], objects([["cat"], ["dog"]])
    wanted = expected(
        *("multi_category", np.array(target) > 0.5, [[True, False, False], [False] * 3]),
        probability=p,
        labels=LABELS,
    )
    check(outcome_of(observed(about, p, target, objects(answers), truths)), wanted)
    # Lists of one length were stacked.
    stacked = np.array([["cat", "dog"], ["cow", "dog"]], object)
    told = [[True, False, True], [False, True, True]]
    found = outcome_of(observed(about, p, target, stacked, truths))
    check(found, replace(wanted, answer=np.array(told)))
    wanted = replace(wanted, answer=np.array(p) > 0.5, in_own_units=False)
    for other in (np.array(p), objects(["cat, dog", "cow"]), objects([[{}], [[]]]), np.arange(2)):
        check(outcome_of(observed(about, p, target, other, truths)), wanted)
    unnamed = observed(About("", BCE, False, []), p, target, objects(answers), truths)
    check(outcome_of(unnamed), replace(wanted, labels=[]))


def test_numbers():
    about, scores, target = About("", "mse", False, []), [[0.5], [-0.5], [0.25]], [1.0, -1.0, 0.0]
    truths, answers = np.array([30.0, 10.0, math.nan]), np.array([25.0, 15.0, 22.5])
    wanted = expected("number", [30.0, 10.0], [25.0, 15.0])
    check(outcome_of(observed(about, scores, target, answers, truths)), wanted)
    columns = answers[:, np.newaxis], objects([30, [10], None])
    check(outcome_of(observed(about, scores, target, *columns)), wanted)
    text = objects(["25 kg", "15 kg", "22 kg"])
    wanted = expected("number", [1.0, -1.0, 0.0], [0.5, -0.5, 0.25], in_own_units=False)
    check(outcome_of(observed(about, scores, target, text, truths)), wanted)
    check(outcome_of(observed(about, scores, target)), wanted)


def test_series():
    about, target = About("series", "mse", False, []), [[0.1, 0.2], [0.3, 0.4], [0.0, 0.0]]
    scores, past = np.array(target) + 1, objects([[1, 2, 3], [4, None, 6], [7, 8, 9]])
    past = np.array(past.tolist(), object)
    answers, gap = (
        np.array([[11.0, 12.0], [13.0, 14.0], [15.0, 16.0]]),
        objects([[1, 2], None, [3, None]]),
    )
    kept = {"rows": [0, 2], "past": np.array([[1.0, 2, 3], [7, 8, 9]]), "season": 1}
    wanted = expected("series", [[1.0, 2], [3, math.nan]], [[11.0, 12], [15, 16]], **kept)
    check(outcome_of(observed(about, scores, target, answers, gap, pasts=past)), wanted)
    truths = objects([[1, 2], [3, 4], [5, 6]])
    wanted = expected(
        *("series", [[1.0, 2], [3, 4], [5, 6]], answers),
        past=np.array([[1, 2, 3], [4, math.nan, 6], [7, 8, 9]]),
        season=1,
    )
    check(outcome_of(observed(about, scores, target, answers, truths, pasts=past)), wanted)


def test_records_without_a_target_or_weight_are_dropped():
    p, codes, weight = P + P[:2], [*CODES, 0, -1], [[1], [0], [0.5], [1], [1], [1]]
    truth, told = objects([*TRUE, None, "cow"]), objects([*TOLD, "cat", "cow"])
    truth[0] = math.nan
    found = outcome_of(
        observed(ABOUT, p, codes, told, truth, weight), observed(ABOUT, P, CODES, TOLD, TRUE)
    )
    wanted = expected(
        *("category", [1, 2, *CODES], [1, 0, 0, 1, 1, 0], [0.5, 1, 1, 1, 1, 1]),
        rows=[2, 3, 6, 7, 8, 9],
        probability=[*P[2:], *P],
        labels=LABELS,
    )
    check(found, wanted)


def test_nothing_is_kept_of_what_no_type_is_defined_for():
    number = About("", "mse", False, [])
    for shape in ((2, 3), (2, 2, 2)):  # another shape than the scores', and an image
        found = outcome_of(observed(number, np.zeros((2, 2, 2)), np.zeros(shape)))
        wanted = expected("", np.empty((2, 0)), np.empty((2, 0)), in_own_units=False)
        check(found, wanted)


def test_records_that_the_transformer_refused_keep_their_numbers():
    piece = observed(About("", "mse", False, []), [[0.0], [1.0]], [0.0, 1.0])
    taken = Outcomes()
    for left_out, why in (((), ""), ((0, 2), "an owl"), ((1,), "a cow")):
        taken.add(piece._replace(left_out=left_out, why=why))
    nothing = Observed({}, {}, {}, {}, {}, {}, {}, {}, left_out=[0], why="a cow")
    assert taken.add(nothing) == {}
    assert (taken.count, taken.left_out, taken.why) == (10, 4, "an owl")
    assert taken.all()["a"].rows.tolist() == [0, 1, 3, 5, 6, 8]


def test_joined_pieces_are_as_one():
    known = ABOUT._replace(labels=LABELS)
    number = About("", "mse", False, [])

    def piece(start, stop):
        some = slice(start, stop)
        names = {"a": known, "body_mass": number, "body": number}
        mass = np.arange(4.0)
        return observed(
            names,
            {"a": P[some], "body_mass": mass[some, None] + 1, "body": mass[some, None] + 2},
            {"a": CODES[some], "body_mass": mass[some], "body": mass[some]},
            {"a": TOLD[some], "body_mass_g": mass[some] * 10, "more": mass[some]},
            {"a": TRUE[some], "body_mass_g": mass[some] * 10 + 1},
        )

    def taken(*bounds):
        every = Outcomes()
        parts = [every.add(piece(*each)) for each in pairwise(bounds)]
        return every, parts

    whole, (alone,) = taken(0, 4)
    pieces, parts = taken(0, 1, 3, 4)
    assert whole.count == pieces.count == 4
    assert [*whole.all()] == [*pieces.all()] == ["a", "body_mass_g", "body"]
    for name, outcome in whole.all().items():
        check(pieces.all()[name], outcome)
        check(alone[name.removesuffix("_g")], outcome)
        assert outcome.share == 1
    for name in alone:
        assert [part[name].rows.tolist() for part in parts] == [[0], [1, 2], [3]]
    check(whole.all()["a"], expected("category", CODES, [0, 1, 1, 0], probability=P, labels=LABELS))
    mass = np.arange(4.0)
    wanted = expected("number", mass * 10 + 1, mass * 10)
    check(whole.all()["body_mass_g"], replace(wanted, name="body_mass_g"))
    wanted = expected("number", mass, mass + 2, in_own_units=False)
    check(whole.all()["body"], replace(wanted, name="body"))


def test_pieces_that_differ_in_what_they_tell():
    told = observed(ABOUT, P, CODES, TOLD, TRUE)
    other = observed(ABOUT, P[:1], [0], objects(["cow"]), objects(["cat"]))
    found = outcome_of(other, told)  # that a cow is class 1 is not known yet
    assert (found.in_own_units, found.labels) == (True, LABELS)
    number = About("", "mse", False, [])
    parts = [
        observed(number, [[1.0]], [2.0], np.array([each]), np.array([3.0])) for each in (4.0, "x")
    ]
    assert not outcome_of(*parts).in_own_units
    nothing = observed(number, [[1.0]], [2.0], np.array([1.0]), np.array([math.nan]))
    assert outcome_of(nothing, parts[0]).in_own_units


def test_of_many_records_a_sample_is_kept(monkeypatch):
    monkeypatch.setattr(collect, "KEPT", 3000)
    number, size = About("", "mse", False, []), 1000

    def taken():
        every = Outcomes()
        for start in range(0, 16 * size, size):
            mass = np.arange(start, start + size, dtype=float)
            every.add(observed(number, mass[:, None], mass, mass, mass))
        return every

    every = taken()
    kept = every.all()["a"]
    assert (every.count, kept.share) == (16 * size, 0.125)
    assert abs(len(kept) - 2 * size) < 150
    assert kept.rows.tolist() == kept.truth.tolist()  # float32 is exact up to here
    by_piece = np.bincount(kept.rows // size, minlength=16)
    assert by_piece.min() > 85
    assert by_piece.max() < 165
    check(taken().all()["a"], kept)


def test_an_output_of_many_values_thins_no_other(monkeypatch):
    monkeypatch.setattr(collect, "KEPT_VALUES", 16 * 1100)
    calls = []
    largest = collect._largest
    monkeypatch.setattr(collect, "_largest", lambda one: calls.append(one) or largest(one))
    number, size, pieces = About("", "mse", False, []), 40, 100
    taken = Outcomes()
    for _ in range(pieces):
        taken.add(
            observed(
                {"wide": ABOUT, "narrow": number},
                {"wide": np.full((size, 16), 1 / 16), "narrow": np.zeros((size, 1))},
                {"wide": np.zeros(size, int), "narrow": np.zeros(size)},
            )
        )
    found = taken.all()
    assert (found["wide"].share, found["narrow"].share) == (0.25, 1)
    assert len(found["wide"]) == pytest.approx(1000, rel=0.1)
    assert len(found["narrow"]) == pieces * size
    assert len(calls) < 4 * pieces  # once for each piece and output, and where they are thinned


@pytest.mark.parametrize(
    ("about", "score", "target", "kind"),
    [
        (("truth", "mse"), (3, 1), (3,), "truth"),
        (("", "BinaryCrossentropy"), (3, 1), (3, 1), "truth"),
        (("", "BinaryFocalCrossentropy"), (3,), (3,), "truth"),
        (("", "my_cross_entropy"), (3, 4), (3,), "category"),
        (("", "mse"), (3, 4), (3, 1), ""),
        (("", "categorical_crossentropy"), (3, 4), (3, 4), "category"),
        (("", "bce"), (3, 4), (3, 4), "multi_category"),
        (("", "mae"), (3,), (3, 1), "number"),
        (("", "mae"), (3, 4), (3, 4), "series"),
        (("", "mae"), (3, 4), (3, 2), ""),
        (("", CE), (3, 4, 2), (3, 4), ""),
    ],
)
def test_types(about, score, target, kind):
    assert type_of(About(*about, False, []), np.zeros(score), np.zeros(target)) == kind


def test_labels_are_whole_numbers():
    about = About("", "my_loss", False, [])
    kinds = [type_of(about, np.zeros((3, 4)), np.zeros(3, dtype)) for dtype in (int, float)]
    assert kinds == ["category", ""]


def test_the_past_of_a_series_is_none_of_its_steps():
    about, past = About("", "mse", False, []), {"a": np.zeros((2, 5))}
    piece = observed(about, np.zeros((2, 3, 1)), np.ones((2, 3)), pasts=past["a"])
    found = outcome_of(piece)
    assert (found.type, len(found), found.past) == ("number", 6, None)


def test_each_step_of_an_output_counts_by_itself():
    steps = np.array([P[:2], P[2:]])
    piece = observed(
        ABOUT, steps, [[0, 1], [1, 2]], masks=[[True, True], [True, False]], weights=[1.0, 2.0]
    )
    once = expected("category", [0, 1, 1], [0, 1, 2], [1, 1, 2], [0, 0, 1], P[:3])
    check(outcome_of(piece), replace(once, in_own_units=False, labels=[0, 1, 2][:0]))
