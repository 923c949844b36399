"""What a compiled program needs, by XLA's own analysis."""

from typing import Any


def peak_bytes(compiled: Any) -> int:
    """Bytes of arguments, results and temporaries; what is donated counts once."""
    analysis = compiled.memory_analysis()
    parts = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
    return int(sum(getattr(analysis, part) for part in parts) - analysis.alias_size_in_bytes)
