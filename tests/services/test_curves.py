"""Learning curves: a picture of the history."""

import math

import numpy as np
import pytest
from loops import history_of
from matplotlib.image import imread

from barrage_mlflow.services.curves import write_learning_curves


def draw(folder, epochs):
    history = history_of(folder)
    for number, metrics in enumerate(epochs, 1):
        history.add(number, metrics)
    write_learning_curves(history, folder / "curves.png")
    return imread(folder / "curves.png")


def falling(epochs, *metrics):
    return [
        {f"{prefix}{name}": 1 / epoch for name in metrics for prefix in ("", "val_")}
        | {"learning_rate": 10.0**-epoch}
        for epoch in range(1, epochs + 1)
    ]


@pytest.mark.parametrize(
    ("metrics", "size"), [(1, (2, 1)), (2, (3, 1)), (3, (2, 2)), (4, (3, 2)), (7, (3, 3))]
)
def test_a_panel_each(tmp_path, metrics, size):
    picture = draw(tmp_path, falling(40 if metrics == 1 else 3, *[f"m{n}" for n in range(metrics)]))

    height, width = picture.shape[:2]
    assert (round(width / 4.4 / 144), round(height / 3.1 / 144)) == size
    if metrics == 4:  # the panel that is left over is blank
        assert np.all(picture[height // 2 :, width * 2 // 3 + 20 :, :3] == 1.0)


@pytest.mark.parametrize(("mode", "step"), [("min", 2), ("max", 3)])
def test_the_best_epoch_is_marked(tmp_path, mode, step):
    epochs = [{"val_loss": loss} for loss in (2.0, 1.0, 3.0, 1.0, 3.0)]
    plain = draw(tmp_path, epochs)
    write_learning_curves(
        history_of(tmp_path), tmp_path / "best.png", {"monitor": "val_loss", "mode": mode}
    )
    marked = imread(tmp_path / "best.png")

    changed = (plain != marked).any(axis=2).sum(axis=0)  # also where the legend has moved
    columns = np.flatnonzero(changed > 0.3 * len(plain))
    left, right = 0.68 * 144, (4.4 - 0.14) * 144  # the axes, with a margin of 5 % of the epochs
    place = left + (right - left) * (0.05 + (step - 1) / 4) / 1.1
    assert abs(columns.mean() - place) < 3


def test_values_that_are_no_numbers_and_odd_names(tmp_path):
    odd = [
        {"loss": math.nan, "val_loss": math.inf, "$x_{$": 1.0, "learning_rate": 0.0},
        {"loss": 1.0, "val_loss": -math.inf, "$x_{$": 2.0},
    ]

    assert draw(tmp_path, odd).std() > 0


def test_no_epochs_no_picture(tmp_path):
    write_learning_curves(history_of(tmp_path), tmp_path / "curves.png")

    assert list(tmp_path.iterdir()) == []
