"""The figure of training loss and test error: what is drawn on which axis."""

import pytest

from odenet.reports.figures import loss_and_error_figure
from odenet.reports.figures.loss_and_error import mean_losses


def records():
    losses = {5: 4.0, 10: 2.0, 15: 1.0, 20: 0.5}
    train = [{"step": step, "split": "train", "loss": loss} for step, loss in losses.items()]
    watched = [
        {"step": 10, "split": "test", "accuracy": 0.25, "loss": 9.0},
        {"step": 10, "split": "validation", "accuracy": 1.0, "loss": 9.0},
        {"step": 20, "split": "test", "accuracy": 0.75, "loss": 9.0},
    ]
    return train + watched


def test_losses_are_averaged_since_the_evaluation_before():
    assert mean_losses(records(), [10, 20]) == [(10, 3.0), (20, 0.75)]
    assert mean_losses(records(), [20]) == [(20, 1.875)]


def test_loss_is_dashed_on_the_left_and_error_solid_on_the_right():
    figure = loss_and_error_figure({"one": records(), "other": records()})
    assert figure is not None
    left, right = figure.axes
    for axes, values, style in ((left, [3.0, 0.75], "--"), (right, [0.75, 0.25], "-")):
        assert len(axes.lines) == 2
        for line in axes.lines:
            assert list(line.get_xdata()) == [10, 20]
            assert list(line.get_ydata()) == pytest.approx(values)
            assert line.get_linestyle() == style
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "other"]
    assert (left.get_ylabel(), right.get_ylabel()) == (
        "training loss (dashed)",
        "test error (solid)",
    )


def test_without_a_watched_test_split_there_is_no_figure():
    plain = [record for record in records() if record["split"] != "test"]
    assert loss_and_error_figure({"one": plain}) is None
    values = [{"step": 1, "split": "test", "loss": 1.0}]
    assert loss_and_error_figure({"regression": values}) is None
