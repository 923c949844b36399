"""Placeholders for the values of a checkpoint that are not weights.

A checkpoint also holds options of the training, dates and counters. A pickle names the classes of
these values. The names below are known to be harmless. None of them is imported or called: each
value becomes a `Placeholder`.
"""

from collections.abc import Iterator


class Placeholder:
    """A value of a file that is not needed and not constructed.

    Args:
        name: Name of its class or function in the file.
    """

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}, not read>"


def _of(module: str, names: str) -> Iterator[str]:
    return (f"{module}.{name}" for name in names.split())


def _names() -> Iterator[str]:
    for module in ("builtins", "__builtin__"):
        yield from _of(module, "bool bytearray bytes complex dict float frozenset int list")
        yield from _of(module, "long range set slice str tuple unicode xrange")
    yield from _of("collections", "Counter deque")
    yield from _of("datetime", "date datetime time timedelta timezone")
    for module in ("pathlib", "pathlib._local"):
        yield from _of(module, "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath")
    yield from ("_codecs.encode", "argparse.Namespace", "types.SimpleNamespace")
    yield from ("decimal.Decimal", "fractions.Fraction", "uuid.UUID", "time.struct_time")
    # The modules of NumPy moved in version 2.
    for core in ("numpy.core", "numpy._core"):
        yield from _of(core, "multiarray.scalar multiarray._reconstruct numeric._frombuffer")
    yield from _of("numpy", "dtype ndarray bool bool_ float16 float32 float64")
    yield from _of("numpy", "int8 int16 int32 int64 uint8 uint16 uint32 uint64")
    yield from _of("torch", "Size device torch_version.TorchVersion serialization._get_layout")
    yield from _of("torch", "strided sparse_coo contiguous_format channels_last preserve_format")
    yield from _of("torch", "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 short int long")
    yield from _of("torch", "half float double float16 float32 float64 bfloat16")
    yield from _of("torch", "complex64 complex128 cfloat cdouble")
    # Mappings of options in the checkpoints of common training frameworks.
    yield from ("easydict.EasyDict", "addict.addict.Dict", "yacs.config.CfgNode")
    yield from ("munch.Munch", "munch.munch.Munch", "ml_collections.config_dict.ConfigDict")
    for lightning in ("pytorch_lightning", "lightning_fabric", "lightning.fabric"):
        yield from _of(f"{lightning}.utilities", "data.AttributeDict parsing.AttributeDict")


INERT = frozenset(_names())
"""Names in pickles that become placeholders, `module.name`."""
