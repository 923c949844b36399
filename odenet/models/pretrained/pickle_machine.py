"""A restricted stack machine for pickles of plain values.

Python's unpickler calls the functions that a pickle names, and trusts the sizes in it. This machine
implements the opcodes of PyTorch's checkpoints, and calls only functions that its caller passes.
Other objects become a `Placeholder`: they are not constructed, so no code of the file runs.
"""

import io
import pickletools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from odenet.errors import CheckpointError
from odenet.models.pretrained.inert import INERT, Placeholder

_PUSHED_AS_READ = {
    "BINBYTES",
    "BINBYTES8",
    "BINFLOAT",
    "BININT",
    "BININT1",
    "BININT2",
    "BINSTRING",
    "BINUNICODE",
    "BYTEARRAY8",
    "LONG1",
    "LONG4",
    "SHORT_BINBYTES",
    "SHORT_BINSTRING",
    "SHORT_BINUNICODE",
}
_IGNORED = {"PROTO", "FRAME"}
_CONSTANTS: Mapping[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_SET": lambda: Placeholder("set"),
    "EMPTY_TUPLE": tuple,
    "NEWFALSE": lambda: False,
    "NEWTRUE": lambda: True,
    "NONE": lambda: None,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Function:
    """A function that a pickle may call, by its name in the pickle."""

    def __init__(self, name: str):
        self.name = name


class PickleMachine:
    """A stack machine for pickles of dicts, lists, tuples, numbers, strings and bytes.

    Sets and objects with a name of `INERT` become placeholders. Keys must be plain values or
    placeholders: the hash of deeply nested tuples overflows the C stack. Time and memory are linear
    in the length of the pickle.

    Args:
        functions: The functions that a pickle may call, by `module.name` as in the pickle.
        values: The values that a pickle may name without calling them, by `module.name`.
        persistent: Returns the value of a persistent identifier.

    References: `pickletools` of the Python standard library defines the opcodes.
    """

    def __init__(
        self,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        values: Mapping[str, Any] | None = None,
        persistent: Callable[[Any], Any] | None = None,
    ):
        self._functions = {
            "collections.OrderedDict": _ordered_dict,
            "collections.defaultdict": _default_dict,
            **(functions or {}),
        }
        self._values = values or {}
        self._persistent = persistent
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._actions: Mapping[str, Callable[[Any], None]] = {
            "ADDITEMS": self._additems,
            "APPEND": self._append,
            "APPENDS": self._appends,
            "BINGET": self._binget,
            "BINPERSID": self._binpersid,
            "BINPUT": self._binput,
            "BUILD": self._build,
            "FROZENSET": self._frozenset,
            "GLOBAL": self._global,
            "LONG_BINGET": self._binget,
            "LONG_BINPUT": self._binput,
            "MARK": self._mark,
            "MEMOIZE": self._memoize,
            "NEWOBJ": self._newobj,
            "NEWOBJ_EX": self._newobj_ex,
            "REDUCE": self._reduce,
            "SETITEM": self._setitem,
            "SETITEMS": self._setitems,
            "STACK_GLOBAL": self._stack_global,
            "TUPLE": self._tuple,
        }

    def load(self, stream: io.BytesIO) -> Any:
        """The value of the pickle at the position of `stream`; moves the position to its end.

        Raises:
            CheckpointError: if the pickle is damaged, or uses a name or opcode that is not allowed.
        """
        self._stack, self._marks, self._memo = [], [], {}
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                if opcode.name == "STOP":
                    return self._stack.pop()
                self._run(opcode.name, argument)
        except CheckpointError:
            raise
        # A damaged pickle may raise nearly any exception: too few values, a value of a wrong type.
        except Exception as error:
            raise CheckpointError(
                f"the file must hold an intact pickle; got {type(error).__name__}: {error}"
            ) from error
        raise CheckpointError("the file must hold an intact pickle; it ends without its STOP byte")

    def _run(self, name: str, argument: Any) -> None:
        if name in _PUSHED_AS_READ:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
        elif name in _TUPLES:
            self._stack.append(tuple(self._take(_TUPLES[name])))
        elif name in self._actions:
            self._actions[name](argument)
        elif name not in _IGNORED:
            raise CheckpointError(
                f"the pickle of a state dict must not hold the opcode {name}; do not use this file"
            )

    def _take(self, count: int) -> list[Any]:
        """Pop the last `count` values, in the order of pushing."""
        start = len(self._stack) - count
        if start < (self._marks[-1] if self._marks else 0):
            raise IndexError("too few values on the stack")
        taken = self._stack[start:]
        del self._stack[start:]
        return taken

    def _since_mark(self) -> list[Any]:
        taken = self._take(len(self._stack) - self._marks[-1])
        self._marks.pop()
        return taken

    def _mark(self, _: None) -> None:
        self._marks.append(len(self._stack))

    def _tuple(self, _: None) -> None:
        self._stack.append(tuple(self._since_mark()))

    def _append(self, _: None) -> None:
        self._extend(self._take(1))

    def _appends(self, _: None) -> None:
        self._extend(self._since_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, Placeholder):
            return
        if not isinstance(target, list):
            raise TypeError(f"append to a {type(target).__name__}")
        target.extend(items)

    def _additems(self, _: None) -> None:
        self._since_mark()
        if not isinstance(self._stack[-1], Placeholder):
            raise TypeError(f"add to a {type(self._stack[-1]).__name__}")

    def _frozenset(self, _: None) -> None:
        self._since_mark()
        self._stack.append(Placeholder("frozenset"))

    def _setitem(self, _: None) -> None:
        self._update(self._take(2))

    def _setitems(self, _: None) -> None:
        self._update(self._since_mark())

    def _update(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, Placeholder):
            return
        if not isinstance(target, dict):
            raise TypeError(f"set an item of a {type(target).__name__}")
        target.update(_pairs(zip(items[::2], items[1::2], strict=True)))

    def _binput(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _memoize(self, _: None) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _binget(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._stack.append(self._named(f"{module}.{name}"))

    def _stack_global(self, _: None) -> None:
        module, name = self._take(2)
        self._stack.append(self._named(f"{module}.{name}"))

    def _named(self, name: str) -> Any:
        if name in self._functions:
            return _Function(name)
        if name in self._values:
            return self._values[name]
        if name in INERT:
            return Placeholder(name)
        raise CheckpointError(
            f"a checkpoint may hold only tensors and plain values; got a pickle that names "
            f"{name!r}, which was not run; if you trust the file, save only its state dict: "
            f"torch.save(model.state_dict(), FILE); otherwise do not use it"
        )

    def _reduce(self, _: None) -> None:
        function, arguments = self._take(2)
        self._stack.append(self.call(function, arguments))

    def call(self, function: Any, arguments: Any) -> Any:
        """Execute a call of a pickle, if its function is allowed.

        Args:
            function: The value of the function's name: a `_Function` or a placeholder.
            arguments: A tuple.

        Returns:
            The result; a placeholder for a call of a placeholder.

        Raises:
            TypeError: if `function` may not be called, or `arguments` is not a tuple.
        """
        if not isinstance(arguments, tuple):
            raise TypeError("call without a tuple of arguments")
        if isinstance(function, Placeholder):
            return Placeholder(function.name)
        if not isinstance(function, _Function):
            raise TypeError("call of a value that is not a function")
        return self._functions[function.name](*arguments)

    def _newobj(self, _: None) -> None:
        self._new(*self._take(2))

    def _newobj_ex(self, _: None) -> None:
        self._new(*self._take(3)[:2])

    def _new(self, kind: Any, arguments: Any) -> None:
        if not isinstance(kind, Placeholder):
            raise TypeError("an object of a value that is not a class")
        self._stack.append(self.call(kind, arguments))

    def _build(self, _: None) -> None:
        """Ignore attributes, such as the versions of modules in a state dict."""
        target, _ = self._take(2)
        if not isinstance(target, (dict, Placeholder)):
            raise TypeError(f"attributes of a {type(target).__name__}")
        self._stack.append(target)

    def _binpersid(self, _: None) -> None:
        if self._persistent is None:
            raise TypeError("persistent identifier in a pickle without storages")
        self._stack.append(self._persistent(self._take(1)[0]))


def _ordered_dict(pairs: list[Any] | None = None) -> dict[Any, Any]:
    """A dict; pickles of Python 2 pass a list of pairs."""
    if pairs is None:
        return {}
    made = _pairs(pairs)
    pairs.clear()  # otherwise a short pickle could build many dicts from one long list
    return made


def _default_dict(*_: Any) -> dict[Any, Any]:
    """A dict without its default factory."""
    return {}


_KEYS = (str, int, float, bytes, type(None), Placeholder)


def _pairs(pairs: Iterable[Any]) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for key, value in pairs:
        if not isinstance(key, _KEYS):
            raise TypeError(f"a key that is a {type(key).__name__}")
        made[key] = value
    return made
