"""The instruments whose findings a run directory can hold, and how each is shown."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from odenet.errors import RunDirectoryError
from odenet.experiment.directory import read_json
from odenet.experiment.subject import instrument_file
from odenet.reports.convergence import convergence_sentences, convergence_tables
from odenet.reports.effective_depth import depth_sentences, depth_table
from odenet.reports.figures import (
    convergence_figure,
    effective_depth_figure,
    gradient_audit_figure,
    gradient_flow_figure,
    stability_figure,
    trajectories_figure,
)
from odenet.reports.figures.canvas import Figure
from odenet.reports.flow import flow_sentences, flow_table
from odenet.reports.gradient_audit import audit_sentences, audit_table
from odenet.reports.stability import stability_sentences, stability_table
from odenet.reports.trajectories import trajectories_sentences, trajectories_table

Found = Mapping[str, Any]
"""What the file of an instrument holds."""


@dataclasses.dataclass(frozen=True)
class Instrument:
    """How what one instrument found is shown.

    Attributes:
        name: Its name as a command, `odenet analyse NAME`.
        needs: What its file must hold to be drawn.
        table: From what it found to a table for the terminal.
        sentences: What follows from it in words, one line each.
        figure: From what it found to its figure.
        alt: What the figure shows, for those who cannot see it.
        caption: How to read it.
    """

    name: str
    needs: frozenset[str]
    table: Callable[[Found], RenderableType]
    sentences: Callable[[Found], Sequence[str]]
    figure: Callable[[Found], Figure | None]
    alt: str
    caption: str

    @property
    def key(self) -> str:
        """Names its figure."""
        return self.name.replace("-", "_")

    def read(self, directory: Path) -> dict[str, Any]:
        """What the instrument found in a run, empty where it was not used.

        Raises:
            RunDirectoryError: if its file does not hold what is drawn.
        """
        path = directory / instrument_file(self.name)
        found = read_json(path) if path.exists() else {}
        if found and not self.needs <= set(found):
            raise RunDirectoryError(
                f"{path} must hold {', '.join(sorted(self.needs))}; write it again with: odenet "
                f"analyse {self.name} {path.parent}"
            )
        return found


INSTRUMENTS = {
    instrument.name: instrument
    for instrument in (
        Instrument(
            "gradient-flow",
            frozenset({"blocks", "verdict", "weights_verdict"}),
            flow_table,
            flow_sentences,
            gradient_flow_figure,
            "Norms of the gradient at every layer, singular values of the factors between the "
            "layers, and the spread of activations",
            "A gradient travels from the right to the left, from the loss to the inputs, and every "
            "layer multiplies it by a factor. Inside the band it counts as healthy. The singular "
            "values are all that the factor of a layer could do to any gradient; the crosses are "
            "what it did to this one. Values near 0 are possible with an identity term as without.",
        ),
        Instrument(
            "convergence",
            frozenset({"halvings", "costs", "criticality", "reference"}),
            convergence_tables,
            convergence_sentences,
            convergence_figure,
            "Error of the outputs when steps are halved, accuracy over the step size, and error "
            "of every solver against field evaluations and time",
            "The weights are the trained ones everywhere; only the steps and the solver change. A "
            "network is an ODE at a step size if its accuracy there is that of a near-exact solve, "
            "the band. Error against cost: lower and further left is better.",
        ),
        Instrument(
            "gradient-audit",
            frozenset({"gradients", "differences", "own"}),
            audit_table,
            audit_sentences,
            gradient_audit_figure,
            "Error, time and memory of every way to differentiate the network",
            "The exact gradient is that of the steps as they were taken, in double precision. What "
            "stores or recomputes states is exact to round-off; an adjoint equation is solved "
            "backwards and carries the error of that solve.",
        ),
        Instrument(
            "effective-depth",
            frozenset({"blocks", "scores", "threshold"}),
            depth_table,
            depth_sentences,
            effective_depth_figure,
            "Step sizes and contributions of the layers, scores without each of them, and scores "
            "with fewer and fewer of them",
            "A layer is left out by setting its step size to 0. Two neighbours are merged into one "
            "layer with the sum of their step sizes and the mean of their weights. At the lower "
            "right, layers go in the order of what each costs alone.",
        ),
        Instrument(
            "stability",
            frozenset({"blocks", "num_examples"}),
            stability_table,
            stability_sentences,
            stability_figure,
            "Eigenvalues of every layer in the stability region of the method, the largest real "
            "part and the logarithmic norm over depth, and the growth of perturbations",
            "Left: eigenvalues of df/dh at the start of every step, times the step size; inside "
            "the green region the method keeps them from growing. Middle: above 0 the field itself "
            "lets a perturbation grow, in the long run (the largest Re λ) or at once (μ₂). Right: "
            "what became of perturbations of the block's first state. Of several examples, the "
            "largest is drawn; of random directions, and of those that shrink most, the mean.",
        ),
        Instrument(
            "trajectories",
            frozenset({"blocks", "targets", "num_examples"}),
            trajectories_table,
            trajectories_sentences,
            trajectories_figure,
            "Paths of examples through the depth of every block, with the field that they follow, "
            "and the number of pairs that cross in every step",
            "Colours are classes, or values from low to high. Of a state of one number, the paths "
            "are drawn over depth; of two numbers, in their plane, from the small dots to the "
            "large ones, with the field at three depths; larger states by their two principal "
            "components, in which paths may seem to cross that do not. Below: pairs of paths that "
            "cross in all their dimensions, which in one dimension no ODE allows.",
        ),
    )
}
"""By name."""
