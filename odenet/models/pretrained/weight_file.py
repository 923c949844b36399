"""Reader of weight files of all known formats, detected by their first bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from odenet.errors import CheckpointError
from odenet.models.pretrained.flax_file import is_msgpack_map, parse_flax_sets
from odenet.models.pretrained.safetensors_file import parse_safetensors
from odenet.models.pretrained.torch_file import (
    PICKLE_MAGIC,
    ZIP_MAGIC,
    Arrays,
    parse_torch_sets,
)
from odenet.models.pretrained.weight_sets import PARALLEL, chosen


@dataclass(frozen=True)
class WeightFile:
    """The contents of a weight file.

    Args:
        sets: Its sets of named arrays, by their dotted keys in the file; `""` is the file itself.
        origin: Layout of the arrays. `torch` and `safetensors` have kernels OIHW and matrices
            (out, in); `flax` has HWIO and (in, out), as we have.
    """

    sets: Mapping[str, Arrays]
    origin: Literal["torch", "safetensors", "flax"]

    def choose(self, name: str | None = None) -> Arrays:
        """The set of a name, or the only set.

        Args:
            name: Name of a set, or a prefix of names within one, such as `module.encoder_q`. With a
                prefix, the result holds only the arrays with that prefix, which is removed.

        Raises:
            CheckpointError: if there is no such set, or there are several and none is chosen; the
                message lists the sets.
        """
        if name is not None and name not in self.sets:
            prefix = f"{name}."
            found = [
                {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
                for arrays in self.sets.values()
            ]
            found = [arrays for arrays in found if arrays]
            if len(found) == 1:
                return found[0]
        return chosen(self.sets, name)


def read_weight_file(path: Path) -> WeightFile:
    """Read a weight file.

    Args:
        path: A file of PyTorch (`.pt`, `.pth`, `.th`), of safetensors or of Flax (`.msgpack`); the
            suffix is not used.

    Raises:
        CheckpointError: if the file is missing, damaged, or holds no named arrays.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"weights must be readable; {path}: {error.strerror}") from error
    # A safetensors file begins with 8 bytes, the length of its header, and a brace.
    if content[8:9] != b"{":
        if content.startswith((ZIP_MAGIC, PICKLE_MAGIC)):
            return WeightFile(parse_torch_sets(content, path), "torch")
        if is_msgpack_map(content):
            return WeightFile(parse_flax_sets(content, path), "flax")
    return WeightFile({"": parse_safetensors(content, path)}, "safetensors")


def read_weights(path: Path, which: str | None = None) -> Arrays:
    """The arrays by name in a weight file.

    The prefix `module.` of PyTorch's wrapper for several devices is removed if all names have it.

    Args:
        path: As in `read_weight_file`.
        which: Name of a set, if there are several.

    Raises:
        CheckpointError: as in `read_weight_file` and `WeightFile.choose`.
    """
    arrays = read_weight_file(path).choose(which)
    if all(name.startswith(PARALLEL) for name in arrays):
        return {name.removeprefix(PARALLEL): array for name, array in arrays.items()}
    return arrays
