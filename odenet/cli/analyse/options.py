"""Options that the instruments share."""

from enum import StrEnum
from typing import Annotated

import typer

from odenet.cli.evaluate import SplitName


class Moment(StrEnum):
    """The parameters to look at."""

    start = "start"
    last = "last"
    best = "best"


Examples = Annotated[SplitName, typer.Option("--split", help="Which examples.")]
At = Annotated[
    Moment,
    typer.Option("--at", help="The weights at the start, the last, or the best on validation."),
]
