"""Learning curves: a picture of the training report."""

import math

import numpy as np
import pytest

from barrage_mlflow.services import TrainingReport, write_learning_curves


def read_png(path):
    from matplotlib.image import imread

    return imread(path)


def rows(epochs, *metrics):
    return [
        {f"{prefix}{name}": 1 / epoch for name in metrics for prefix in ("", "val_")}
        | {"learning_rate": 10.0**-epoch}
        for epoch in range(1, epochs + 1)
    ]


@pytest.mark.parametrize(
    ("metrics", "size"),
    [
        (1, (2, 1)),
        (2, (3, 1)),
        (3, (2, 2)),
        (4, (3, 2)),
        (7, (3, 3)),
    ],
)
def test_a_panel_each(tmp_path, metrics, size):
    write_learning_curves(rows(3, *[f"m{n}" for n in range(metrics)]), tmp_path / "curves.png")

    picture = read_png(tmp_path / "curves.png")
    height, width = picture.shape[:2]
    assert (round(width / 4.4 / 144), round(height / 3.1 / 144)) == size


def test_panels_that_are_left_over_are_blank(tmp_path):
    write_learning_curves(rows(3, "a", "b", "c", "d"), tmp_path / "curves.png")

    picture = read_png(tmp_path / "curves.png")
    height, width = picture.shape[:2]
    assert np.all(picture[height // 2 :, width * 2 // 3 + 20 :, :3] == 1.0)


def test_from_the_report_as_a_file(tmp_path):
    report = TrainingReport(tmp_path / "report.csv")
    report.on_train_begin()
    for epoch in range(40):
        report.on_epoch_end(epoch, {"loss": 1.0, "val_loss": 2.0, "learning_rate": 1e-3})

    write_learning_curves(tmp_path / "report.csv", tmp_path / "a.png")
    write_learning_curves(str(tmp_path / "report.csv"), tmp_path / "b.png")

    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_values_that_are_no_numbers_and_odd_names(tmp_path):
    odd = [
        {"loss": math.nan, "val_loss": math.inf, "$x_{$": 1.0, "learning_rate": 0.0},
        {"loss": 1.0, "val_loss": -math.inf, "$x_{$": 2.0},
    ]

    write_learning_curves(odd, tmp_path / "curves.png")

    assert read_png(tmp_path / "curves.png").std() > 0


def test_no_epochs_no_picture(tmp_path):
    write_learning_curves([], tmp_path / "curves.png")

    assert list(tmp_path.iterdir()) == []


def test_pyplot_and_its_settings_are_left_alone(tmp_path):
    import matplotlib
    from matplotlib import pyplot

    before = dict(matplotlib.rcParams), pyplot.get_fignums()

    write_learning_curves(rows(3, "loss"), tmp_path / "curves.png")

    assert (dict(matplotlib.rcParams), pyplot.get_fignums()) == before
