"""The terminal: the same numbers as in the file, on lines that fit."""

import pytest
from made_up_runs import RESULTS, comparison_values, regression_values
from rich.console import Console

from odenet.reports import comparison_tables, run_table
from odenet.reports.summary import run_summary


def printed(renderables, width):
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as capture:
        for each in renderables:
            console.print(each)
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [80, 100, 140])
def test_lines_fit_and_numbers_stay_whole(width):
    lines = printed(comparison_tables(comparison_values()), width)
    assert max(map(len, lines)) <= width
    (line,) = [line for line in lines if "51.22%" in line]
    assert line.split() == [
        "rk4", "51.22%", "0.05", "8", "2.6e-04", "203", "µs", "357", "ms", "yes",
    ]  # fmt: skip


def test_every_pair_has_a_line_under_its_network():
    text = "\n".join(printed(comparison_tables(comparison_values()), 100))
    blocks = text.split("trained with ")[1:]
    assert [block.split()[0] for block in blocks] == ["steady", "brittle", "plain"]
    assert [block.count("203 µs") for block in blocks] == [5, 5, 1]
    assert "✗ no" in next(line for line in text.splitlines() if "10.33%" in line)


def test_long_names_give_way_and_keep_both_ends():
    values = comparison_values()
    values["rows"][2]["evaluated_with"] = "tsit5_with_a_controller_that_is_named_at_length_1e-3"
    (line,) = [line for line in printed(comparison_tables(values), 80) if "97.89%" in line]
    assert line.startswith("tsit5_")
    assert "…" in line
    assert "_1e-3 " in line


def test_verdicts_stand_last_with_their_numbers():
    lines = printed(comparison_tables(comparison_values()), 140)[-5:]
    text = " ".join(" ".join(lines).split())
    assert "✓ steady: solver-independent; accuracy changes by up to 0.45 points" in text
    assert "✗ brittle: depends on its solver; accuracy changes by up to 48.33 points" in text
    assert "○ plain <&> $x$: not an ODE" in text


def test_verdict_says_what_loss_and_outputs_do_and_warns_where_they_disagree():
    values = comparison_values()
    values["verdicts"][0] |= {
        "loss": 0.0013, "furthest_loss": 0.0286, "loss_under": "rk4", "solver_error": 0.512,
        "disagreements": ["loss", "outputs"],
    }  # fmt: skip
    text = " ".join(" ".join(printed(comparison_tables(values), 140)).split())
    sentence = (
        "steady: solver-independent; accuracy changes by up to 0.45 points under 3 finer solvers "
        "(allowed: 10 points), most under reference; the loss goes from 0.0013 to 0.0286 (22 "
        "times) under rk4, the outputs differ by 51.20% from the reference solve; warning: the "
        "loss and the outputs disagree with this verdict"
    )
    assert sentence in text
    assert text.count("warning") == 1


def test_regression_has_no_accuracy_column():
    lines = printed(comparison_tables(regression_values()), 100)
    assert not any("accuracy" in line for line in lines if "NFE" in line)
    assert any("steady: not judged" in line for line in lines)


def test_run_table_holds_the_results():
    text = " ".join(" ".join(printed([run_table(RESULTS)], 80)).split())
    for said in ("test accuracy 98.00%", "parameters 38,090", "time of a training step 570 µs"):
        assert said in text


def test_changes_of_depth_are_told_with_what_a_step_would_have_done():
    level = {
        "step": 1200, "split": "validation", "loss_before": 0.5, "loss_after": 0.625,
        "loss_after_one_step": 0.4375, "jump": 0.125,
        "stages": [{"num_steps": [4, 8], "num_layers": [4, 8]}, {}],
    }  # fmt: skip
    (told,) = [q for q in run_summary(RESULTS | {"levels": [level]}) if "depth" in q.name]
    assert told.value == 0.125
    assert told.name == "validation loss as depth changes, step 1,200"
    assert told.text == "0.5 -> 0.625 (4 to 8); a step: 0.4375"
