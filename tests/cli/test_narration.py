"""What commands say while they work: a live line on a terminal, plain lines elsewhere."""

import io
import json
import re
import shutil

import pytest
from commands import Terminal, odenet
from rich.console import Console

from odenet.narration import doing, narrator, part, shown_on, silence
from odenet.training.callbacks import Info
from odenet.training.progress_bar import ProgressBar

METRICS = {"split": "train", "loss": 0.25, "accuracy": 0.981}


def terminal(**options):
    return Console(file=io.StringIO(), force_terminal=True, width=80, **options)


def said(console):
    return console.file.getvalue()


def test_nothing_is_said_where_nobody_listens(capsys):
    with doing("reading data"), part("network 1 of 2"):
        assert narrator() is None
    assert capsys.readouterr() == ("", "")


def test_plain_lines_name_every_activity_and_its_part_once():
    console = Console(file=io.StringIO(), width=80)
    with shown_on(console):
        with part("network 2 of 4 (euler)"), doing("reading [data]"), doing("evaluating"):
            pass
        with doing("writing the report"):
            pass
        silence()
        with doing("nothing more"):
            pass
    assert said(console).splitlines() == [
        "network 2 of 4 (euler): reading [data]",
        "network 2 of 4 (euler): evaluating",
        "writing the report",
    ]


def test_live_line_goes_back_to_the_activity_around_and_is_gone_at_an_error():
    console = terminal()

    def fail():
        with shown_on(console), doing("measuring"):
            with doing("reference solve"):
                pass
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    text = said(console)
    first, second = text.index("measuring ..."), text.index("reference solve ...")
    assert first < second < text.rindex("measuring ...")
    assert "\x1b[?25h" in text  # the cursor is back
    assert narrator() is None


def test_bar_names_its_numbers_and_what_is_done_meanwhile_within_80_columns():
    console = terminal()
    with shown_on(console), part("network 2 of 4 (continuous)"):
        bar = ProgressBar(console, "run")
        bar(Info("start", 0, 1200))
        bar(Info("log", 600, 1200, [METRICS | {"step": 600}]))
        bar(Info("evaluate", 600, 1200, [METRICS | {"step": 600, "split": "validation"}]))
        with doing("evaluating on validation"):
            pass
        bar(Info("end", 600, 1200))
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said(console))
    lines = [line.rstrip() for line in re.split(r"[\r\n]", plain)]
    assert any("step 600 of 1,200" in line and "left" in line for line in lines)
    metrics = "train loss 0.2500, accuracy 98.1%; validation loss 0.2500, accuracy 98.1%"
    assert metrics in lines
    assert any("evaluating on validation ..." in line for line in lines)
    assert any(line.startswith("network 2 of 4 (continuous)") for line in lines)
    assert max(map(len, lines)) <= 80


def test_bar_without_a_terminal_says_where_it_begins_and_ends():
    console = Console(file=io.StringIO(), width=80)
    with shown_on(console):
        bar = ProgressBar(console, "tiny")
        for info in (
            Info("start", 0, 8),
            Info("log", 4, 8, [METRICS | {"step": 4}]),
            Info("evaluate", 4, 8, [METRICS | {"step": 4, "split": "validation"}]),
            Info("end", 8, 8),
        ):
            bar(info)
    assert said(console).splitlines() == [
        "training tiny: steps 0 to 8",
        "step 8 of 8: train loss 0.2500, accuracy 98.1%; validation loss 0.2500, accuracy 98.1%",
    ]


def in_order(text, *phrases):
    places = [text.index(phrase) for phrase in phrases]
    return places == sorted(places)


@pytest.fixture(scope="module")
def compared(small_comparison, tmp_path_factory):
    path = shutil.copytree(small_comparison / "out", tmp_path_factory.mktemp("compare") / "out")
    return path, (small_comparison / "stderr").read_text()


def test_comparison_in_a_pipe_says_which_network_and_what_is_done(compared):
    _, lines = compared
    names = re.findall(r"network (\d) of 3 \((\w+)\): compiling the training step", lines)
    assert [number for number, _ in names] == ["1", "2", "3"]
    assert in_order(
        lines,
        "network 1 of 3 (euler): reading data (digits)",
        "network 1 of 3 (euler): building the network",
        "network 1 of 3 (euler): compiling the training step",
        "step 20 of 20: train loss",
        "network 1 of 3 (euler): evaluating on test",
        "network 1 of 3 (euler): reference solve",
        "network 2 of 3",
        "writing the report",
    )
    assert "\x1b" not in lines


def test_evaluation_says_what_it_does_and_json_and_errors_are_left_alone(compared):
    run = compared[0] / "networks" / "euler"
    done = odenet("eval", run)
    assert in_order(done.stderr, "reading data", "building the network", "evaluating on test")
    done = odenet("eval", run, "--json")
    assert done.stderr == ""
    assert json.loads(done.stdout)["solver_ok"] == 1


def test_instrument_on_a_terminal_shows_a_live_line_and_leaves_the_table(compared, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    run = compared[0] / "networks" / "euler"
    done = odenet("analyse", "trajectories", run, "--examples", "4", stream=Terminal)
    assert done.returncode == 0, done.stderr
    assert in_order(done.stderr, "measuring trajectories ...", "reading data (digits) ...")
    assert "writing the report ..." in done.stderr
    assert "report: " in done.stdout
    assert "..." not in done.stdout
