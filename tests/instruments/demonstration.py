"""How far do the states of a network travel?"""

from typing import Any, ClassVar, Literal

import jax.numpy as jnp
from rich.table import Table

from odenet.analysis.field_path import field_paths
from odenet.experiment.loaded_run import Run
from odenet.instruments.base import Found, RunInstrument, normalized
from odenet.plotting import canvas
from odenet.plotting.canvas import Figure


class Demonstration(RunInstrument):
    """The distance between the first state and the last of every block."""

    needs: ClassVar[frozenset[str]] = frozenset({"distances"})
    alt: ClassVar[str] = "Distance that states travel in every block"
    caption: ClassVar[str] = "The mean over the examples."

    kind: Literal["demonstration"] = "demonstration"
    examples: int = 4
    """Examples that are followed."""
    scale: float = 1.0
    """What distances are multiplied by."""

    def measure(self, run: Run) -> dict[str, Any]:
        """Follow examples from the first state of every block to the last."""
        found = field_paths(run.network, normalized(run, self.chosen(run, self.examples)))
        travelled = [one.path[-1] - one.path[0] for one in found]
        norms = [jnp.linalg.norm(one.reshape(len(one), -1), axis=1) for one in travelled]
        return {"distances": [self.scale * float(jnp.mean(one)) for one in norms]}

    @staticmethod
    def table(found: Found) -> Table:
        """A row for every block."""
        table = Table("block", "distance")
        for number, distance in enumerate(found["distances"], start=1):
            table.add_row(str(number), f"{distance:.4g}")
        return table

    @staticmethod
    def sentences(found: Found) -> list[str]:
        """The sum over the blocks."""
        return [f"states travel {sum(found['distances']):.4g} in all"]

    @staticmethod
    @canvas.styled
    def figure(found: Found) -> Figure:
        """A bar for every block."""
        figure = canvas.new_figure(4.0, 3.0)
        figure.add_subplot().bar(range(len(found["distances"])), found["distances"])
        return figure
