"""`${dotted.key}` in an experiment file: the value at that key.

This module alone imports OmegaConf.
"""

import re
from collections.abc import Iterator
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from odenet.errors import ConfigError

_OPENING = re.compile(r"(\\*)\$\{")
_KEY = re.compile(r"\$\{\s*\.*[A-Za-z0-9_][\w.\[\]+-]*\s*\}")
_ENVIRONMENT = re.compile(r"\$\{\s*oc\.env\s*:\s*[A-Za-z_][A-Za-z0-9_]*\s*(,[^{}$]*)?\}")


def escaped(values: Any) -> Any:
    r"""Values with every `${` in texts escaped as `\${`; `resolve` inverts this."""
    if isinstance(values, str):
        return _OPENING.sub(lambda found: found[1] * 2 + "\\${", values)
    if isinstance(values, dict):
        return {key: escaped(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [escaped(value) for value in values]
    return values


def resolve(values: dict[str, Any], where: str, environment: bool = False) -> dict[str, Any]:
    r"""Replace `${dotted.key}` by the value at that key, and `\${` by `${`.

    Args:
        values: A nested mapping.
        where: Source of the values, for errors.
        environment: Whether `${oc.env:NAME}` may refer to environment variables. By default it is
            refused, since the file would then not determine the run.

    Raises:
        ConfigError: if `${` begins another construct, or names a missing key.
    """
    texts = list(_texts(values, ""))
    if not any("${" in text for _, text in texts):
        return values
    for key, text in texts:
        _check(text, f"{where}: {key}", environment)
    try:
        plain = OmegaConf.to_container(OmegaConf.create(values), resolve=True)
    except OmegaConfBaseException as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        key = f" {error.full_key}:" if getattr(error, "full_key", None) else ""
        raise ConfigError(
            f"{where}:{key} {first[:1].lower()}{first[1:]} in this file; a dollar sign before a "
            f"brace is written \\${{"
        ) from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _check(text: str, key: str, environment: bool) -> None:
    for found in _OPENING.finditer(text):
        if len(found[1]) % 2:
            continue
        rest = text[found.end(1) :]
        shown = rest[: rest.find("}") + 1] or rest
        if _ENVIRONMENT.match(rest):
            if not environment:
                raise ConfigError(
                    f"{key}: {shown} refers to an environment variable, whose value is not in the "
                    f"file; write the value, or allow it with --env (in Python environment=True)"
                )
        elif not _KEY.match(rest):
            raise ConfigError(
                f"{key}: {shown} is no interpolation, which is ${{dotted.key}} of this file; a "
                f"dollar sign before a brace is written \\${{"
            )


def _texts(values: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(values, str):
        yield key, values
    elif isinstance(values, dict):
        for name, value in values.items():
            yield from _texts(value, f"{key}.{name}" if key else str(name))
    elif isinstance(values, (list, tuple)):
        for index, value in enumerate(values):
            yield from _texts(value, f"{key}.{index}")
