"""docs/bring-your-own.md, followed to the letter with data of one's own."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from outside import ROOT, invoke
from pages import run_blocks, served_page

PAGE = (ROOT / "docs" / "bring-your-own.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
Random = np.random.Generator


def houses(folder: Path, random: Random) -> None:
    area = random.uniform(30, 200, 150).round(1)
    frame = pd.DataFrame({"area": area, "rooms": (area // 25).astype(int)})
    frame["district"] = random.choice(["north", "south", None], 150)
    frame["built"] = [f"{year}-05-01" for year in random.integers(1900, 2026, 150)]
    frame["rooms"] = frame["rooms"].mask(random.random(150) < 0.1)
    frame.assign(price=(area * 3000).round()).to_csv(folder / "houses.csv", index=False)


def photos(folder: Path, random: Random) -> None:
    for number in range(80):
        path = folder / "photos" / ("cat", "dog")[number % 2] / f"{number // 2}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 128, (12, 12, 3)) + 127 * (number % 2)
        PIL.Image.fromarray(pixels.astype(np.uint8)).save(path)


def messages(folder: Path, random: Random) -> None:
    words = {"delivery": ["parcel", "late", "come"], "bill": ["invoice", "pay", "twice"]}
    rows = [
        {"text": " ".join(random.choice([*words[topic], "the", "has", "not"], 8)), "topic": topic}
        for topic in [*words] * 60
    ]
    pd.DataFrame(rows).to_csv(folder / "messages.csv", index=False)


def machines(folder: Path, random: Random) -> None:
    rows = [
        {"load": random.normal(worn, 0.5, random.integers(5, 12)).round(3).tolist()}
        | {"state": "worn" if worn else "well"}
        for worn in (0, 1) * 60
    ]
    (folder / "machines.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")


def shops(folder: Path, random: Random) -> None:
    rows = [
        {"day": f"{pd.Timestamp('2026-01-01') + pd.Timedelta(days=day):%Y-%m-%d}", "shop": shop}
        | {"sales": round(level * (2 + np.sin(day * 2 * np.pi / 7)) + random.normal(), 2)}
        for day in range(90)
        for shop, level in (("north", 20), ("south", 300))
    ]
    pd.DataFrame(rows).to_csv(folder / "shops.csv", index=False)


def records_of(path: Path, folder: Path) -> list[dict[str, Any]]:
    """The records of a set as a client sends them."""
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    frame = pd.read_csv(path)
    if "path" in frame:
        files = [(folder / "photos" / name).read_bytes() for name in frame["path"]]
        frame["path"] = [base64.b64encode(file).decode() for file in files]
    records: list[dict[str, Any]] = json.loads(frame.to_json(orient="records"))
    return records


def test_each_section_has_its_data():
    assert [*SECTIONS] == [
        "Your table",
        "Your images",
        "Your texts",
        "Your series",
        "Your forecast",
    ]


@pytest.mark.nightly(part="docs")
@pytest.mark.parametrize(
    ("section", "make", "sets"),
    [
        ("Your table", houses, "houses"),
        ("Your images", photos, "pets"),
        ("Your texts", messages, "messages"),
        ("Your series", machines, "machines"),
        ("Your forecast", shops, "shops"),
    ],
)
def test_the_server_answers_what_predict_gives(
    section: str, make: Callable[[Path, Random], None], sets: str, tmp_path: Path
):
    make(tmp_path, np.random.default_rng(0))
    run_blocks(SECTIONS[section], tmp_path)
    lines = (tmp_path / sets / "scores.jsonl").read_text().splitlines()
    scores = [json.loads(line) for line in lines]
    (validation,) = (tmp_path / sets).glob("validation.*")
    with served_page(SECTIONS[section], tmp_path) as (address, answer):
        assert [list(score) for score in answer] == [list(scores[0])]
        records = records_of(validation, tmp_path)
        assert invoke(address, {"dataframe_records": records}) == scores
