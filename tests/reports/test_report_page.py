"""The page: everything that was found stands on it, and it asks for nothing from outside."""

import os
from html.parser import HTMLParser

import pytest
from made_up_runs import comparison_values, write_comparison, write_run

from odenet.errors import RunDirectoryError
from odenet.reports import write_report

_FIGURES = {"solver", "matrix", "cost", "step_sizes", "curves"}
_VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """What a browser would load and show; fails on tags that do not close in order."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.addresses, self.ids, self.open = {}, [], [], []
        self.text, self.network, self.table = "", None, None
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        assert tag != "script"
        assert not any(name.startswith("on") for name in attrs)
        self.addresses += [attrs[name] for name in ("src", "href", "srcset") if name in attrs]
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag == "table":
            self.table = self.tables.setdefault(attrs["id"], [])
        elif tag == "tr":
            self.table.append({"network": attrs.get("data-network"), "values": [], "cells": []})
        elif tag == "data":
            self.table[-1]["values"].append(float(attrs["value"]))
        if tag in ("td", "th"):
            self.table[-1]["cells"].append("")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            assert "url(" not in data
            assert "@import" not in data
            return
        self.text += data
        if self.open[-1:] and {"td", "th"} & set(self.open):
            self.table[-1]["cells"][-1] += data.strip()


def page_of(directory):
    page = Page(write_report(directory).read_text())
    page.text = " ".join(page.text.split())
    page.directory = directory
    return page


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of the comparison, drawn once for all that only read it."""
    directory = tmp_path_factory.mktemp("page") / "comparison"
    return page_of(write_comparison(directory, comparison_values()))


def test_page_asks_for_nothing_from_outside(page):
    assert len(page.addresses) == 1 + len(_FIGURES)
    assert all(address.startswith("data:") for address in page.addresses)
    assert len(set(page.ids)) == len(page.ids)


def test_pairs_table_holds_the_numbers_of_the_comparison(page):
    rows = comparison_values()["rows"]
    found = [row for row in page.tables["pairs"] if row["network"]]
    names = ("accuracy", "loss", "parameters", "nfe", "solver_error", "step_seconds")
    names = (*names, "compile_seconds")
    assert len(found) == len(rows)
    for shown, row in zip(found, rows, strict=True):
        assert shown["network"] == row["trained_with"]
        assert shown["cells"][0] == row["evaluated_with"]
        assert shown["values"] == [row[name] for name in names if row[name] is not None]
        assert shown["cells"][-1] == ("yes" if row["solver_ok"] else "✗ failed")
    assert found[0]["cells"][1:-1] == [
        "98.11%", "0.05", "38,090", "8", "5.5e-02", "203 µs", "357 ms",
    ]  # fmt: skip


def test_trainings_table_has_every_network(page):
    found = [row for row in page.tables["trainings"] if row["network"]]
    assert [row["network"] for row in found] == ["steady", "brittle", "plain <&> $x$"]
    assert found[0]["values"] == [40, 0.00057, 1.07, 1177064, 0.98, 0.9625]


@pytest.mark.parametrize(
    "said",
    [
        "steady ✓ solver-independent Accuracy changes by up to 0.45 points under 3 finer solvers "
        "(allowed: 10 points), most under reference",
        "brittle ✗ depends on its solver Accuracy changes by up to 48.33 points under 2 finer",
        "plain <&> $x$ ○ not an ODE Its layers are not all Euler steps",
        "most under reference; the loss goes from 0.0554 to 0.5 (9 times) under rk4, the outputs "
        "differ by 2.00% from the reference solve. Warning: the loss disagrees with this verdict",
        "Is <this> an ODE?",
        "arXiv:2007.15386",
        "odenet compare 'experiments/made up.yaml'",
        "a49b6fc7d696",
        "made-up digits",
        "odenet 0.1.0",
        "seed: 0",
    ],
)
def test_comparison_page_says(page, said):
    assert said in page.text


def test_regression_page_shows_losses_and_no_verdict_on_accuracy(regression):
    page = page_of(regression)
    assert "steady ○ not judged" in page.text
    assert "plain <&> $x$ ○ not an ODE" in page.text
    assert "accuracy" not in page.tables["pairs"][0]["cells"]
    trainings = [row for row in page.tables["trainings"] if row["network"]]
    assert trainings[0]["values"][-2:] == [0.05, 0.0625]


def test_figures_stand_beside_the_page(page):
    files = {path.name: path.read_bytes() for path in (page.directory / "figures").iterdir()}
    assert set(files) == {f"{name}.{kind}" for name in _FIGURES for kind in ("png", "svg")}
    for name, content in files.items():
        assert len(content) > 5000
        assert content.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")


def test_second_report_changes_no_file(run):
    write_report(run)
    files = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    write_report(run)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == files
    assert run / "figures" / "curves.png" in files


def test_failed_write_keeps_the_earlier_page(run, monkeypatch):
    page = run / "report.html"
    page.write_text("earlier")

    def full(source, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunDirectoryError, match="No space left"):
        write_report(run)
    assert page.read_text() == "earlier"


def test_run_page_holds_the_results(run):
    page = page_of(run)
    cells = {row["cells"][0]: row["cells"][1] for row in page.tables["results"]}
    assert cells["test accuracy"] == "98.00%"
    assert cells["best validation accuracy"] == "96.25% at step 30"
    assert cells["peak memory"] == "1.1 MiB"
    assert "A <made-up> run." in page.text
    assert (run / "figures" / "curves.png").exists()


def test_incomplete_run_is_reported_as_such(tmp_path):
    page = page_of(write_run(tmp_path / "cut", complete=False))
    assert "This training is not complete: it reached step 40" in page.text
    assert "results" not in page.tables


def test_missing_directory_is_an_error(tmp_path):
    with pytest.raises(RunDirectoryError, match="there is no directory"):
        write_report(tmp_path / "nowhere")


def test_directory_without_a_run_is_an_error_and_stays_empty(tmp_path):
    with pytest.raises(RunDirectoryError, match=r"needs one of comparison\.json, results\.json"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unfinished_comparison_names_the_command_that_completes_it(comparison):
    (comparison / "comparison.json").unlink()
    with pytest.raises(RunDirectoryError, match="odenet resume"):
        write_report(comparison)


@pytest.mark.parametrize("damage", ["{", '{"rows": []}'])
def test_damaged_comparison_is_an_error_that_names_the_file(comparison, damage):
    (comparison / "comparison.json").write_text(damage)
    with pytest.raises(RunDirectoryError, match=r"comparison\.json"):
        write_report(comparison)
