"""Figures and sentences of gradient flow, for what a network can bring."""

import pytest
from matplotlib.text import Text

from odenet.instruments.gradient_flow import GradientFlow
from odenet.reports.figures import flow_history_figure


def block(points, sets, first=1.0, factor=0.5, plain=False):
    norms = [first * factor ** (points - 1 - i) for i in range(points)]
    steps = points - 1
    return {
        "states": {"mean": [0.0] * points, "std": [1.0] * points},
        "responses": None if plain else {"mean": [0.0] * steps, "std": [0.5] * steps},
        "gradients": {"mean": [0.0] * points, "std": norms, "norm": norms},
        "weights": {"norm": [1.0] * sets, "rms": [0.25] * sets},
        "others": None,
        "taus": None if plain else {"value": [1.0] * steps, "gradient": [0.1] * steps},
        "factors": {
            "largest": [1.5] * steps,
            "mean": [1.0] * steps,
            "smallest": [0.1] * steps,
            "branch": None if plain else [0.9] * steps,
        },
    }


def verdict(name):
    return {"verdict": name, "rule": "change over depth", "reason": "it falls", "threshold": 2.0}


def measured(*blocks, name="vanishing", identity=None):
    return {
        "directory": "runs/made-up",
        "blocks": list(blocks),
        "verdict": verdict(name),
        "weights_verdict": verdict("not judged: there is one layer"),
        "identity": list(identity or [None] * len(blocks)),
    }


def ends(axes):
    return [
        (line.get_xdata()[0], line.get_xdata()[-1], len(line.get_xdata())) for line in axes.lines
    ]


def test_layers_of_all_blocks_stand_one_after_the_other():
    figure = GradientFlow.figure(measured(block(5, 2), block(3, 1, plain=True)))
    states, weights, _, _ = figure.axes
    assert ends(states)[:2] == [(0, 4, 5), (5, 7, 3)]
    # Two sets of weights of two steps each, then one of two: in the middle of their steps.
    assert ends(weights)[:2] == [(1.5, 3.5, 2), (6.5, 6.5, 1)]
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:2] == [
        "gradient of the states: vanishing",
        "gradient of the weights: not judged",
    ]


def test_figure_survives_numbers_that_are_missing_and_states_too_large_for_singular_values():
    one = block(4, 3)
    one["gradients"]["norm"] = [None, 0.0, 1e-30, 1.0]
    one["factors"] |= {"smallest": None, "mean": None}
    two = block(3, 2)
    two["factors"] = None
    figure = GradientFlow.figure(measured(one, two))
    figure.canvas.draw()
    assert any("1e-" in text.get_text() for text in figure.findobj(Text))


def test_nothing_measured_is_no_figure():
    assert GradientFlow.figure({}) is None
    assert flow_history_figure([]) is None


@pytest.mark.parametrize(("number", "shown"), [(1, [0]), (3, [0, 1, 2]), (11, [0, 2, 4, 6, 8, 10])])
def test_history_shows_first_and_last_and_some_between(number, shown):
    records = [{"step": step, "blocks": [block(4, 3)]} for step in range(number)]
    figure = flow_history_figure(records)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [f"step {s}" for s in shown]
    assert all(len(axes.lines) == len(shown) for axes in figure.axes)


def test_sentences_say_what_the_identity_term_bounds_and_what_it_does_not():
    bounds = [
        {"branch": 0.25, "layer": 1, "decades": -0.5},
        {"branch": 1.75, "layer": 0, "decades": None},
        None,
    ]
    found = measured(block(3, 2), block(3, 2), block(3, 2, plain=True), identity=bounds)
    states, weights, bounded, unbounded = GradientFlow.sentences(found)
    assert states == (
        "gradient of the states: vanishing, by the rule `change over depth`: it falls"
    )
    assert weights.startswith("gradient of the weights: not judged: there is one layer")
    assert "0.25 in layer 2" in bounded
    assert "bounds the decrease of the gradient over the block by 0.50" in bounded
    assert "1.75 in layer 1" in unbounded
    assert "does not bound the decrease of the gradient" in unbounded


def test_table_of_a_deep_block_keeps_both_ends():
    table = GradientFlow.table(measured(block(1001, 1000)))
    layers = list(table.columns[1].cells)
    assert len(layers) == 24
    assert (layers[0], layers[-1]) == ("1000", "0")
