"""A self-contained HTML page: it needs no network, no script and no other file."""

import base64
import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from odenet.analysis.compare import TRAINED
from odenet.experiment.directory import CONFIG
from odenet.plotting import wording
from odenet.plotting.canvas import Figure, png, svg
from odenet.reports.contents import ComparisonContents, RunContents
from odenet.reports.summary import best_validation, run_summary


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        name: Name of the figure's file, and its anchor on the page.
        svg: The figure as an SVG file.
        png: The figure as a PNG file.
        inches: Width and height in inches.
        alt: Alternative text, for screen readers.
        caption: How to read the figure.
    """

    name: str
    svg: bytes
    png: bytes
    inches: tuple[float, float]
    alt: str
    caption: str

    @property
    def uri(self) -> str:
        """The SVG as a data URI."""
        # An image, not inline SVG: identifiers of several SVGs would clash on one page.
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode()

    @property
    def width(self) -> int:
        """Width on the page in CSS pixels."""
        return round(96 * self.inches[0])

    @property
    def height(self) -> int:
        """Height on the page in CSS pixels."""
        return round(96 * self.inches[1])


def picture_of(name: str, figure: Figure, alt: str, caption: str) -> Picture:
    """Render a figure for a page.

    Args:
        name: Name of the figure's file, and its anchor on the page.
        figure: The figure.
        alt: Alternative text, for screen readers.
        caption: How to read the figure.
    """
    width, height = figure.get_size_inches()
    inches = (float(width), float(height))
    return Picture(name, svg(figure), png(figure), inches, alt, caption)


def comparison_page(contents: ComparisonContents, pictures: Mapping[str, Picture]) -> str:
    """The page of a comparison.

    Args:
        contents: Contents of the run directory.
        pictures: Figures by name: `solver` (if depth is time in a network), `matrix`, and others.
    """
    comparison = contents.comparison
    rows: list[dict[str, Any]] = comparison["rows"]
    has_accuracy = any(row["accuracy"] is not None for row in rows)
    trained = {row["trained_with"]: row for row in rows if row["evaluated_with"] == TRAINED}
    groups = [
        (name, [row for row in rows if row["trained_with"] == name])
        for name in comparison["networks"]
    ]
    metric = "accuracy" if has_accuracy else "loss"
    environment = _environment()
    environment.filters["score"] = wording.percent if has_accuracy else wording.decimal
    return environment.get_template("comparison.html.j2").render(
        title=comparison["experiment"],
        description=contents.config.get("description", ""),
        cards=[
            _card(verdict, trained.get(verdict["network"])) for verdict in comparison["verdicts"]
        ],
        judged=has_accuracy,
        metric=metric,
        has_accuracy=has_accuracy,
        groups=groups,
        as_trained=TRAINED,
        trainings=[
            (name, run | {"test": run["test"].get(metric), "best": best_validation(run)})
            for name, run in comparison["networks"].items()
        ],
        solver=pictures.get("solver"),
        matrix=pictures["matrix"],
        figures=[picture for name, picture in pictures.items() if name not in ("solver", "matrix")],
        again=f"odenet compare {shlex.quote(str(contents.path / CONFIG))}",
        provenance=_provenance(list(contents.runs.values()), comparison),
        config_text=contents.config_text,
    )


def run_page(contents: RunContents, pictures: Mapping[str, Picture]) -> str:
    """The page of one training, complete or not.

    Args:
        contents: Contents of the run directory.
        pictures: Figures by name.
    """
    notice = ""
    if contents.results is None:
        step = max((record["step"] for record in contents.metrics), default=0)
        reason = contents.status.get("reason", "it is still running, or was killed")
        notice = (
            f"This training is not complete: it reached step {step:,} ({reason}). "
            f"Continue it with: odenet resume {contents.path}"
        )
    return (
        _environment()
        .get_template("run.html.j2")
        .render(
            title=contents.config.get("name", contents.path.name),
            description=contents.config.get("description", ""),
            notice=notice,
            results=[] if contents.results is None else run_summary(contents.results),
            figures=list(pictures.values()),
            again=f"odenet run {shlex.quote(str(contents.path / CONFIG))}",
            provenance=_provenance([contents], {}),
            config_text=contents.config_text,
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("odenet.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for say in (
        wording.percent, wording.decimal, wording.count, wording.error, wording.seconds,
        wording.size,
    ):  # fmt: skip
        environment.filters[say.__name__] = say
    return environment


def _card(verdict: Mapping[str, Any], trained: Mapping[str, Any] | None) -> dict[str, Any]:
    said = []
    if trained is not None:
        accuracy, loss = trained["accuracy"], wording.decimal(trained["loss"])
        said = [f"loss {loss}" if accuracy is None else f"accuracy {wording.percent(accuracy)}"]
        if trained["solver_error"] is not None:
            said.append(f"solver error {wording.error(trained['solver_error'])}")
        said.append(f"{wording.count(trained['nfe'])} field evaluations")
    return {
        "network": verdict["network"],
        "tone": wording.verdict_tone(verdict),
        "mark": wording.verdict_mark(verdict),
        "verdict": wording.verdict_name(verdict, trained),
        "reason": wording.verdict_reason(verdict, trained),
        "warning": wording.verdict_warning(verdict),
        "trained": said,
    }


def _provenance(
    runs: Sequence[RunContents], comparison: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Command, code version, device and data; values that differ between networks are all given."""

    def told(key: str) -> str:
        values = [run.provenance.get(key) for run in runs]
        return "; ".join(dict.fromkeys(str(value) for value in values if value is not None))

    commands = [shlex.join(run.provenance.get("command", [])) for run in runs]
    versions = comparison.get("versions") or next(
        (run.provenance["versions"] for run in runs if "versions" in run.provenance), {}
    )
    facts = [
        ("Written by", "; ".join(dict.fromkeys(filter(None, commands)))),
        ("Git commit", told("git_commit") or "none: not run from a git working tree"),
        ("Device", told("device") or str(comparison.get("device", ""))),
        ("Number of devices", told("num_devices")),
        ("Data", told("data_source")),
        ("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]
    if "criterion" in comparison:
        facts.append(("Criterion", comparison["criterion"]))
    return [(name, value) for name, value in facts if value]


def instruments_page(
    contents: RunContents, measured: Sequence[Mapping[str, Any]], reasons: Mapping[str, str]
) -> str:
    """The page of all instruments on one run.

    Args:
        contents: Contents of the run directory.
        measured: For every instrument that applies: `name`, `question`, `table`, `sentences`,
            `picture` and `provenance`.
        reasons: Why the other instruments did not measure, by name.
    """
    return (
        _environment()
        .get_template("instruments.html.j2")
        .render(
            title=f"{contents.config.get('name', contents.path.name)}: instruments",
            description=contents.config.get("description", ""),
            measured=measured,
            reasons=reasons,
            again=f"odenet analyse all {shlex.quote(str(contents.path))}",
            provenance=_provenance([contents], {}),
            config_text=contents.config_text,
        )
    )
