"""What stands in for the values beside the weights of a checkpoint: nothing of them is made.

A checkpoint holds more than weights: the options of the training, its date, counters. A pickle
names the classes of these. The names below are known to be harmless beside weights, and even so
none is imported or called: each becomes a `Placeholder`.
"""

from collections.abc import Iterator


class Placeholder:
    """A value of a file that is not needed and was not made.

    Args:
        name: What the file calls its class or function.
    """

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}, not read>"


def _names() -> Iterator[str]:
    builtins = (
        "bool bytearray bytes complex dict float frozenset int list range set slice str tuple"
    )
    for name in builtins.split():
        yield from (f"builtins.{name}", f"__builtin__.{name}")
    yield from ("__builtin__.unicode", "__builtin__.long", "__builtin__.xrange", "_codecs.encode")
    yield from ("argparse.Namespace", "types.SimpleNamespace", "collections.Counter")
    yield from ("collections.deque", "decimal.Decimal", "fractions.Fraction", "uuid.UUID")
    yield from (f"datetime.{name}" for name in "date datetime time timedelta timezone".split())
    yield from ("time.struct_time", "zoneinfo.ZoneInfo._unpickle")
    for flavour in "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath".split():
        yield from (f"pathlib.{flavour}", f"pathlib._local.{flavour}")
    # The modules of NumPy moved in version 2.
    for core in ("numpy.core", "numpy._core"):
        yield from (f"{core}.multiarray.scalar", f"{core}.multiarray._reconstruct")
        yield f"{core}.numeric._frombuffer"
    yield from ("numpy.dtype", "numpy.ndarray", "numpy.bool_", "numpy.bool")
    yield from (f"numpy.{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64))
    yield from (f"numpy.float{bits}" for bits in (16, 32, 64))
    yield from ("torch.Size", "torch.device", "torch.torch_version.TorchVersion")
    yield from ("torch.serialization._get_layout", "torch.strided", "torch.sparse_coo")
    yield from ("torch.contiguous_format", "torch.channels_last", "torch.preserve_format")
    yield from (f"torch.{kind}" for kind in "bool int8 int16 int32 int64 half float double".split())
    yield from (f"torch.{kind}" for kind in "uint8 uint16 uint32 uint64 long short int".split())
    yield from (f"torch.{kind}" for kind in "float16 float32 float64 bfloat16".split())
    yield from (f"torch.{kind}" for kind in "complex64 complex128 cfloat cdouble".split())
    # Mappings of options, as the common trainers save them.
    yield from ("easydict.EasyDict", "addict.addict.Dict", "yacs.config.CfgNode")
    yield from ("munch.Munch", "munch.munch.Munch", "ml_collections.config_dict.ConfigDict")
    for lightning in ("pytorch_lightning", "lightning_fabric", "lightning.fabric"):
        yield f"{lightning}.utilities.data.AttributeDict"
        yield f"{lightning}.utilities.parsing.AttributeDict"


INERT = frozenset(_names())
"""Names in pickles that become placeholders, `module.name`."""
