"""The pages of the documentation, and their blocks of code."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
OWN_PART = ROOT / "docs" / "own_part.md"
"""Run as a whole by `test_own_part.py`."""


def blocks_of(path, language):
    """The code of all blocks in this language."""
    fence = rf"^```{language}\n(.*?)^```"
    return re.findall(fence, path.read_text(), re.DOTALL | re.MULTILINE)
