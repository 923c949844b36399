"""The figures: what stands where, for every case that a comparison can bring."""

import itertools
import random

import pytest
from made_up_runs import comparison_values, regression_values, row, verdict
from matplotlib.text import Text

from odenet.analysis.compare import REFERENCE_NAME, TRAINED
from odenet.plotting.canvas import colour_of, legible
from odenet.plotting.labels import Label, levels, scale
from odenet.reports.figures import (
    cost_figure,
    curves_figure,
    matrix_figure,
    solver_figure,
    step_sizes_figure,
)


def texts(figure):
    return [t.get_text().strip() for t in figure.findobj(Text)]


def drawn(figure):
    """Texts on the paper; matplotlib keeps labels of ticks beyond the axes and draws them not."""
    beyond = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if not low <= tick.get_loc() <= high:
                    beyond |= {tick.label1, tick.label2}
    return [
        text
        for text in figure.findobj(Text)
        if text.get_text().strip() and text.get_visible() and text not in beyond
    ]


def overlapping(figure):
    """Pairs of level texts whose boxes on the paper overlap."""
    figure.canvas.draw()
    boxes = [(t.get_text(), t.get_window_extent()) for t in drawn(figure) if not t.get_rotation()]
    return [
        (a, b)
        for (a, x), (b, y) in itertools.combinations(boxes, 2)
        if min(x.x1, y.x1) - max(x.x0, y.x0) > 1 and min(x.y1, y.y1) - max(x.y0, y.y0) > 2
    ]


def outside(figure):
    """Texts that reach over the edge of the paper."""
    width, height = figure.canvas.get_width_height()
    boxes = [(t.get_text(), t.get_window_extent()) for t in drawn(figure)]
    return [t for t, b in boxes if b.x0 < 0 or b.y0 < 0 or b.x1 > width or b.y1 > height]


def many(networks, evaluations):
    draw = random.Random(networks * 100 + evaluations)
    values = comparison_values() | {"rows": [], "verdicts": [], "networks": {}}
    for number in range(networks):
        name = f"network_{number}_with_a_name_that_is_long"
        ways = [f"solver_of_some_length_with_controller_1e-{i}" for i in range(evaluations - 2)]
        values["rows"].append(row(name, TRAINED, 0.97, 0.05))
        values["rows"] += [
            row(name, way, 0.96, 10 ** -draw.uniform(0, 7), nfe=draw.randint(1, 300))
            for way in ways
        ]
        values["rows"].append(row(name, REFERENCE_NAME, 0.97, 0.0))
        values["verdicts"].append(verdict(name, "solver-independent", 0.01, ways[0], ways))
        values["networks"][name] = {"taus": [[0.1 * draw.random() for _ in range(8)]]}
    return values


def test_picture_says_every_verdict_and_names_every_evaluation():
    said = texts(solver_figure(comparison_values()))
    assert "✓  steady: solver-independent, by accuracy; loss disagrees" in said
    assert "✗  brittle: depends on its solver" in said
    assert not any("plain" in each for each in said)
    for name in (TRAINED, "coarse", "rk4", REFERENCE_NAME):
        # "as trained" stands in the key once more.
        assert said.count(name) == 2 + (name == TRAINED)
    assert said.count("tsit5 (solve failed)") == 1


def test_picture_puts_coarse_left_exact_right_and_not_finite_leftmost():
    axes = solver_figure(comparison_values()).axes[0]
    places = {t.get_text().strip(): t.get_position()[0] for t in axes.texts}
    order = sorted(places, key=lambda name: places[name])
    assert order == ["coarse", TRAINED, "rk4", "tsit5", REFERENCE_NAME]
    assert places["rk4"] == pytest.approx(4.125, abs=1e-3)
    names = [label.get_text() for label in axes.get_xticklabels()]
    ticks = dict(zip(axes.get_xticks(), names, strict=True))
    assert ticks[places["coarse"]] == "not finite"
    assert ticks[places[REFERENCE_NAME]] == "0: reference"
    assert ticks[4.0] == "10⁻⁴"


def test_picture_bands_the_threshold_around_the_trained_accuracy():
    axes = solver_figure(comparison_values()).axes[1]
    band = axes.patches[0].get_bbox()
    assert (band.y0, band.y1) == pytest.approx((0.8844, 1.0844))
    low, high = axes.get_ylim()
    assert low < 0.1033
    assert high > 0.9844


def test_picture_fills_only_the_solvers_that_are_tests():
    axes = solver_figure(comparison_values()).axes[1]
    filled = {line.get_ydata()[0] for line in axes.lines
              if line.get_marker() == "o" and line.get_markerfacecolor() != "white"}  # fmt: skip
    assert filled == {0.5122, 0.5011}
    crosses = [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "x"]
    assert crosses == [0.1033]


def test_picture_shows_losses_where_there_are_no_accuracies():
    figure = solver_figure(regression_values())
    assert "○  steady: not judged" in texts(figure)
    assert figure.axes[0].get_ylabel() == "test loss"
    assert not figure.axes[0].patches
    assert "coarse (no finite loss)" in texts(figure)


def test_picture_is_left_out_where_no_depth_is_time():
    values = comparison_values()
    values["rows"] = values["rows"][-1:]
    values["networks"] = {"plain <&> $x$": values["networks"]["plain <&> $x$"]}
    assert solver_figure(values) is None


@pytest.mark.parametrize(("networks", "evaluations"), [(1, 3), (3, 9), (8, 15)])
def test_no_text_overlaps_or_leaves_the_paper(networks, evaluations):
    values = many(networks, evaluations)
    for draw in (solver_figure, matrix_figure, cost_figure):
        figure = draw(values)
        assert overlapping(figure) == []
        assert outside(figure) == []


def test_matrix_marks_failed_solves_and_missing_pairs():
    said = texts(matrix_figure(comparison_values()))
    assert "98.11%" in said
    assert "✗ 10.33%" in said
    # The plain network has one evaluation of five.
    assert said.count("–") == 4


def test_curves_draw_every_network_in_its_colour_and_leave_out_what_is_not_finite():
    records = [{"step": s, "split": "train", "loss": 1 / s} for s in (1, 2, 3)]
    records.append({"step": 4, "split": "train", "loss": None})
    figure = curves_figure({"one": records, "two": records[:1]})
    lines = figure.axes[0].lines
    assert [line.get_color() for line in lines] == [colour_of(0), colour_of(1)]
    assert list(lines[0].get_xdata()) == [1, 2, 3]
    assert len(figure.axes) == 2


def test_curves_are_left_out_without_records():
    assert curves_figure({"one": []}) is None


def test_step_sizes_name_networks_that_share_a_line_together():
    figure = step_sizes_figure({"a": [[0.5, 0.5]], "b": [[0.7, 0.2]], "c": [[0.5, 0.5]], "d": []})
    said = texts(figure)
    assert "a, c  (horizon 1)" in said
    assert "b  (horizon 0.9)" in said
    assert len(figure.axes[0].lines) == 2
    assert step_sizes_figure({"d": []}) is None


def test_step_sizes_below_zero_stay_in_sight():
    axes = step_sizes_figure({"a": [[0.5, -0.25]]}).axes[0]
    assert axes.get_ylim()[0] < -0.25


def test_cost_leaves_failed_solves_out():
    axes = cost_figure(comparison_values()).axes[0]
    shown = [y for line in axes.lines for y in line.get_ydata()]
    assert 0.5122 in shown
    assert 0.1033 not in shown


def test_levels_let_no_leader_cross_a_name():
    draw = random.Random(0)
    for _ in range(200):
        labels = [Label(draw.uniform(0, 7), draw.uniform(0.3, 3)) for _ in range(12)]
        chosen = levels(labels, 1.0)
        for (a, p), (b, q) in itertools.permutations(zip(labels, chosen, strict=True), 2):
            if a.x < b.x < a.x + a.width:
                assert p > q


def test_scale_keeps_every_name_in_the_room():
    labels = [Label(1.0, 2.0), Label(5.0, 3.0), Label(6.0, 1.0)]
    inches = scale(labels, 0.0, 9.0)
    assert max(label.x * inches + label.width for label in labels) == pytest.approx(9.0)


def test_names_keep_both_ends_and_signs_that_can_be_drawn():
    long = legible("a" * 40 + "1e-3" + "b" * 40 + "_1e-5")
    assert len(long) == 44
    assert long.endswith("_1e-5")
    assert legible("深さ τ") == "?? τ"
