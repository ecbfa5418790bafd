"""What is said in words, and the page of HTML."""

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from answers import outcome_of
from PIL import Image

from barrage_mlflow.dataset import Records
from barrage_mlflow.evaluation.evaluate import Evaluation
from barrage_mlflow.evaluation.html_page import write_page
from barrage_mlflow.evaluation.kept import Kept
from barrage_mlflow.evaluation.pages import Pages
from barrage_mlflow.evaluation.set_report import _folder_of, leading_figures
from barrage_mlflow.evaluation.weak_spots import weak_spots

SIZE = 400
RNG = np.random.default_rng(0)
PLACE = np.array(["Dream", "Biscoe", "Torgersen", "Dream"] * 100)
FRAME = pd.DataFrame({"place": PLACE, "coin": RNG.choice(["head", "tail"], SIZE)})
TRUTH, NOISE = RNG.normal(1000, 100, SIZE), RNG.normal(size=SIZE)
CODES = np.arange(SIZE) % 3
IS_CHINSTRAP = (CODES == 1) & (np.arange(SIZE) % 10 < 3)


def kept_of(outcome, frame=FRAME):
    kept = Kept(frame.columns, 3)
    kept.add(Records.read(frame), {"a": outcome})
    return kept


def test_the_groups_are_told_on_which_a_model_is_bad():
    off = np.where(PLACE == "Dream", 300.0, 0) + NOISE
    outcome = outcome_of("number", TRUTH, TRUTH + off)
    assert weak_spots(outcome, kept_of(outcome)) == (
        "- Where place is Dream (200 records): off by 299.9 on average, elsewhere by 0.7015; no "
        "better than the baseline"
    )
    series = replace(outcome, type="series", truth=TRUTH[:, None], answer=(TRUTH + off)[:, None])
    assert weak_spots(series, kept_of(series)) == weak_spots(outcome, kept_of(outcome))


def test_a_folder_has_a_name_that_a_file_system_takes():
    long = [_folder_of("ж" * 130 + end) for end in "ab"]
    assert max(len(name.encode()) for name in long) <= 255
    assert long[0] != long[1]
    assert _folder_of("price") == "price"


def test_steps_of_a_record_are_right_or_wrong_together():
    records, steps = 40, 10
    frame = pd.DataFrame({"place": ["Dream", "Biscoe"] * (records // 2)})
    rows, truth = np.repeat(np.arange(records), steps), np.zeros(records * steps, int)
    by_chance = (rows % 2 == 0) & (rows < 16) | (rows % 2 == 1) & (rows < 6)  # 8 and 3 of 20
    outcome = outcome_of("category", truth, by_chance.astype(int), rows=rows)
    assert weak_spots(outcome, kept_of(outcome, frame)) is None
    outcome = replace(outcome, answer=(rows % 2 == 0).astype(int))
    assert weak_spots(outcome, kept_of(outcome, frame)) == (
        "- Where place is Dream (20 records): 100% are answered wrongly; of the others 0%"
    )


def test_the_classes_are_told_that_are_taken_for_others():
    answer = np.where(IS_CHINSTRAP, 0, CODES)
    labels = ["Adelie", "Chinstrap", "Gentoo"]
    outcome = outcome_of("category", CODES, answer, labels=labels)
    assert weak_spots(outcome, kept_of(outcome)) == (
        "- Class Chinstrap (133 records): 30% are answered wrongly, mostly as Adelie; of the "
        "others 0%"
    )
    marks = np.eye(3, dtype=bool)
    tags = outcome_of("multi_category", marks[CODES], marks[np.where(PLACE == "Dream", 0, CODES)])
    assert weak_spots(tags, kept_of(tags)) == (
        "- Where place is Dream (200 records): 66% are answered wrongly; of the others 0%"
    )


def test_it_is_told_if_a_model_is_no_better_than_the_baseline():
    outcomes = [
        outcome_of("number", TRUTH, TRUTH + NOISE),
        replace(outcome_of("number", TRUTH, 2 * TRUTH), name="b"),
        outcome_of("category", CODES, CODES),  # without probabilities
    ]
    *table, gap, said = leading_figures(
        Evaluation({one.name + one.type: one for one in outcomes}, kept_of(outcomes[0]), SIZE, 0.5)
    )
    assert (gap, said) == ("", "bnumber: rmse is no better than the baseline's.")
    assert all(line.startswith("|") for line in table)


@pytest.mark.parametrize(
    "outcome",
    [
        outcome_of("number", TRUTH, TRUTH + NOISE),
        outcome_of("category", CODES, CODES),
        outcome_of("truth", CODES % 2, np.where(NOISE > 1, 1 - CODES % 2, CODES % 2)),
    ],
)
def test_nothing_is_told_of_a_model_that_is_as_good_on_all(outcome):
    assert weak_spots(outcome, kept_of(outcome)) is None


class Seen(HTMLParser):
    """The tags of a page, what they lead to, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.sources, self.text = set(), [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def test_a_page_holds_all_and_runs_nothing(tmp_path):
    Image.new("L", (2, 2)).save(tmp_path / "secret.png")
    odd = ["<script>alert(1)</script>", "![x](../secret.png)", "a|b", "`c`", "&lt; *d* \\", "_e_"]
    for name in ("validation", "test"):
        pages = Pages(tmp_path / name)
        pages.say(f"# On {name}")
        pages.add("An <i>odd</i> table", "data/odd", pd.DataFrame({"<b>": odd}))
        (tmp_path / name / "a b").mkdir()
        Image.new("L", (2, 2)).save(tmp_path / name / "a b/picture.png")
        pages.say("![A picture](a%20b/picture.png)")
        pages.write()
    reports = [tmp_path / name / "report.md" for name in ("validation", "test")]
    write_page(reports, tmp_path / "report.html", "How <good>")

    seen = Seen((tmp_path / "report.html").read_text("utf-8"))
    assert not seen.tags & {"script", "i", "b", "link"}
    pictures = [each for each in seen.sources if not each.startswith("#")]
    assert len(pictures) == 2
    assert all(each.startswith("data:image/png;base64,iVBOR") for each in pictures)
    assert [each for each in seen.sources if each.startswith("#")] == ["#validation", "#test"]
    for words in (*odd, "An <i>odd</i> table", "On validation", "On test", "How <good>"):
        assert words in seen.text
