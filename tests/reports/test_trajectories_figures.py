"""The figure, the table and the sentences of trajectories, for what a network can bring."""

from odenet.instruments.trajectories import Trajectories


def block(size=1, pairs=1, turned=1, unresolved=0, explained=None):
    drawn = min(size, 2)
    place = [0.5, -0.5][:drawn]
    fields = [
        {"step": step, "t": 0.5 * step, "places": [place] * 3, "slopes": [[1.0] * drawn] * 3}
        for step in ((0, 1, 2) if size < 3 else ())
    ]
    return {
        "size": size,
        "times": [0.0, 0.5, 1.0, 1.5],
        "points": [0, 1, 2, 3],
        "plane": [[[0.1 * k + i] * drawn for i in range(3)] for k in range(4)],
        "explained": explained,
        "fields": fields,
        "crossings": {
            "nearness": 0.05 if size > 1 else 0.0,
            "in_step": [0, pairs, 0],
            "pairs": pairs,
            "all_pairs": 3,
        },
        "orientation": None
        if turned is None
        else {"in_step": [turned, 0, 0], "reversed_examples": turned, "unresolved": unresolved},
    }


def measured(*blocks, targets=(0, 1, 1)):
    return {
        "directory": "runs/made-up",
        "num_examples": 3,
        "targets": list(targets),
        "blocks": list(blocks),
    }


def test_line_plane_and_components_have_their_panels():
    figure = Trajectories.figure(
        measured(block(1), block(2), block(5, turned=None, explained=[0.75, 0.125]))
    )
    figure.canvas.draw()
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        "block 1: paths over depth",
        "1 of 3 pairs cross",
        "block 2: paths",
        "field of step 1, t = 0",
        "field of step 2, t = 0.5",
        "field of step 3, t = 1",
        "1 of 3 pairs cross",
        "block 3: paths, principal components",
        "1 of 3 pairs cross",
    ]
    assert figure.axes[-2].get_xlabel() == "component 1 (75%)"
    assert Trajectories.figure({}) is None


def test_values_are_coloured_from_low_to_high():
    figure = Trajectories.figure(measured(block(1), targets=(0.1, 0.9, 0.5)))
    colours = [line.get_color() for line in figure.axes[0].lines]
    assert len(set(colours)) == 3


def test_sentences_say_what_is_proved_and_what_is_not():
    line, determinants = Trajectories.sentences(measured(block(1)))
    assert line == (
        "block 1: 1 of 3 pairs of paths change their order; no ODE of this state has such paths"
    )
    assert "reverses orientation (determinant below 0)" in determinants
    line, determinants = Trajectories.sentences(measured(block(1, pairs=0, turned=0)))
    assert line.endswith("0 of 3 pairs of paths change their order; as with any ODE")
    assert "keeps orientation at all 3 examples, as every flow does" in determinants
    found = measured(block(5, unresolved=2, explained=[0.75, 0.125]))
    near, hidden, plane = Trajectories.sentences(found)
    assert "at less than 5.00% of their distance" in near
    assert "2 determinants are hidden by round-off" in hidden
    assert "explain 75.00% and 12.50% of the variance of the 5-dimensional state" in plane


def test_table_names_the_step_with_most_crossings():
    table = Trajectories.table(measured(block(2), block(40, pairs=0, turned=None)))
    assert list(table.columns[4].cells) == ["2", "–"]
    assert list(table.columns[5].cells) == ["1", "–"]
