"""The figure, the table and the sentences of stability, for what a network can bring."""

import pytest

from odenet.instruments.stability import Stability
from odenet.plotting.rows import evenly


def over(values):
    return {"largest": list(values), "mean": list(values)}


def block(num_steps=4, stable=True, scale=2.5, judged=True, grown=True, exact=True):
    axis = [-2.0, -1.0, 0.0]
    region = {
        "power": 1,
        "tau": None,
        "real": axis,
        "imaginary": [0.0, 1.0],
        "amplification": [[1.0, 0.0, 1.0], [1.4, 1.0, 1.4]],
        "axis_limit": 2.0,
    }
    return {
        "method": "euler",
        "equation": "h' = f(t, h)",
        "reason": None if judged else "steps are chosen by their error, which keeps them stable",
        "taus": [0.5] * num_steps,
        "exact": exact,
        "abscissa": over([-0.25] * num_steps),
        "log_norm": over([0.125] * num_steps),
        "products": [[[-0.5, None], [0.25, 0.0]]] * num_steps,
        "steps": {
            "amplification": [0.5] * num_steps,
            "stable": [stable] * num_steps,
            "critical_scale": scale,
            "critical_step": 2,
            "region": region,
        }
        if judged
        else None,
        "growth": {
            "largest": over([1.0 + k for k in range(num_steps + 1)]),
            "typical": over([1.0] * (num_steps + 1)),
            "smallest": None,
        }
        if grown
        else None,
    }


def measured(*blocks):
    return {"directory": "runs/made-up", "num_examples": 1, "blocks": list(blocks)}


def test_every_block_has_its_row_and_every_eigenvalue_its_mark():
    figure = Stability.figure(measured(block(), block(3, judged=False, grown=False)))
    figure.canvas.draw()
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:3] == [
        "block 1: τλ of every step",
        "Jacobian of the field",
        "growth of a perturbation ‖δy‖ / ‖δy₀‖",
    ]
    assert titles[3] == "block 2: τλ of every step"
    marks = figure.axes[0].collections[-1]
    # One of the two numbers of a step is not finite, and is left out.
    assert len(marks.get_offsets()) == 4
    assert any(text.get_text() == "not measured" for text in figure.axes[5].texts)
    assert Stability.figure({}) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "4 of 4 steps are inside the stability region of euler; all step sizes may be"),
        ({"scale": None}, "they are stable at every step size"),
        ({"stable": False, "scale": 1e-3}, "0 of 4 steps are inside"),
        ({"stable": False, "scale": 1e-3}, "step 3 is unstable at every smaller step size too"),
        ({"judged": False}, "its steps are not judged: steps are chosen by their error"),
        ({"exact": False}, "by Arnoldi's method, from below"),
        ({}, "a perturbation grows by up to 5"),
    ],
)
def test_sentences_say_what_was_found(options, said):
    assert any(said in line for line in Stability.sentences(measured(block(**options))))


def test_table_of_a_deep_block_keeps_both_ends():
    table = Stability.table(measured(block(1000)))
    steps = list(table.columns[1].cells)
    assert len(steps) == 24
    assert (steps[0], steps[-1]) == ("1", "1000")
    assert evenly(3, 10) == [0, 1, 2]
