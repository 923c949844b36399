"""The YAML of experiment files: a reader, and a writer whose output reads back equal.

The dialect is PyYAML's YAML 1.1, with floats such as `1e-3` and without dates. Ambiguous numbers
are refused: octal `010`, base-60 `10:30`, `1e999`.
"""

import math
import re
from typing import Any

import yaml

from odenet.errors import ConfigError

_MOST_LEVELS = 100
"""Limit of the nesting of a file; valid experiments nest fewer than 20 levels."""

_FLOAT = re.compile(
    r"""^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+]?[0-9]+)?
    |[-+]?(?:[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)
    |\.[0-9_]+(?:[eE][-+][0-9]+)?
    |[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*
    |[-+]?\.(?:inf|Inf|INF)
    |\.(?:nan|NaN|NAN))$""",
    re.VERBOSE,
)

_NOT_READ = {f"tag:yaml.org,2002:{tag}" for tag in ("timestamp", "value")}


class _Refused(yaml.MarkedYAMLError):
    """YAML that is valid but refused here; `problem` names the remedy."""


class _Loader(yaml.SafeLoader):
    """Inverse of `_Dumper`."""

    _level = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._level += 1
        if self._level > _MOST_LEVELS:
            raise _refused(
                f"lists and mappings are nested in one another more than {_MOST_LEVELS} deep; "
                f"close the brackets",
                self.peek_event().start_mark,  # pyright: ignore[reportOptionalMemberAccess]
            )
        try:
            return super().compose_node(parent, index)
        finally:
            self._level -= 1

    def construct_yaml_int(self, node: Any) -> int:
        text, value = node.value, super().construct_yaml_int(node)
        if ":" in text or re.match(r"[-+]?0_*[0-9]", text):
            base = "base-60" if ":" in text else "octal"
            raise _refused(f"YAML reads {text} as the {base} number {value}", node.start_mark, text)
        return value

    def construct_yaml_float(self, node: Any) -> float:
        text, value = node.value, super().construct_yaml_float(node)
        digits = re.split("[eE]", text)[0]
        if ":" in text:
            rule = f"YAML reads {text} as the base-60 number {value}"
        elif re.search("[0-9]", text) and math.isinf(value):
            rule = f"the number {text} is too large"
        elif value == 0 and re.search("[1-9]", digits):
            rule = f"the number {text} is too small"
        else:
            return value
        raise _refused(rule, node.start_mark, text)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        given = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = sorted({name for name in given if given.count(name) > 1} - {"<<"})
        if twice:
            raise _refused(f"the key {twice[0]} appears twice in one mapping", node.start_mark)
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                key.tag = "tag:yaml.org,2002:str"  # keys are names, also `no` and `1e5`
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes every text that `_Loader` or another YAML 1.1 reader would not read as text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _refused(rule: str, mark: Any, text: str | None = None) -> _Refused:
    fix = "" if text is None else f"; write the intended number, or '{text}' in quotes as text"
    return _Refused(problem=rule + fix, problem_mark=mark)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NOT_READ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
for _name in ("int", "float"):
    _Loader.add_constructor(
        f"tag:yaml.org,2002:{_name}", getattr(_Loader, f"construct_yaml_{_name}")
    )


def read(text: str, where: str) -> Any:
    """The value of a YAML text.

    Args:
        text: The text.
        where: Source of the text, for errors.

    Raises:
        ConfigError: if it is not YAML, or holds an ambiguous number; the message names line and
            column.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        several = mark is not None and "\n" in text.strip()
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark and several else ""
        verb = ":" if isinstance(error, _Refused) else " is not YAML:"
        raise ConfigError(f"{where}{place}{verb} {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{where} is not YAML: {first}") from error
    except RecursionError as error:
        raise ConfigError(f"{where}: the nesting is too deep") from error


def write(values: Any) -> str:
    """Plain values as YAML, which `read` reads back equal."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, width=100)
