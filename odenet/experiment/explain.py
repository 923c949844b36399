"""Explanation of a dotted key or a kind: values, range, default, and its parts."""

import dataclasses
import difflib
import re
from functools import lru_cache

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from odenet.errors import ConfigError
from odenet.experiment.catalogue import described, option_of, options_of, part_classes
from odenet.experiment.config import ExperimentConfig
from odenet.part.family import generation
from odenet.part.kinds import all_parts, kinds_of
from odenet.part.places import Place, option_names, places


@dataclasses.dataclass(frozen=True)
class Explained:
    """One meaning of a key.

    Attributes:
        key: The dotted key in an experiment.
        about: Its description.
        option: Values, range and default as in `option_of`; empty for a kind.
        of: Kinds of the part that have the option; empty if the part has no kinds.
        choices: Names and descriptions of the kinds of a part, or of the options of a kind; else
            empty.
    """

    key: str
    about: str
    option: dict[str, str]
    of: tuple[str, ...] = ()
    choices: tuple[tuple[str, str], ...] = ()


def explain_key(key: str) -> list[Explained]:
    """Explain an option, a part or a kind of an experiment.

    Args:
        key: A dotted key, such as `training.optimizer.warmup_steps`; the end of one, such as
            `warmup_steps`; or a kind, such as `diffrax` or `model.block.integrator.diffrax`. List
            positions may be left out.

    Returns:
        Its meanings, one for each different definition among the parts.

    Raises:
        ConfigError: if there is no such key; the message names the nearest keys.
    """
    words = [word for word in re.split(r"[.=\[\]]+", key) if word and not word.isdigit()]
    names = [word for word in words if word != "kind"]
    if found := _follow(names):
        return found
    for prefix in _prefixes(names[0]) if names else ():
        if found := _follow([*prefix, *names]):
            return found
    raise ConfigError(f"there is no option, part or kind {key!r}; {_alike(names)}")


def _prefixes(name: str) -> list[list[str]]:
    """Keys of the parts that have an option or a kind `name`; nearest first."""
    paths = [place.path.rpartition(".")[0] for place in _places(name, generation())]
    for part, kinds in part_classes().items():
        if any(name in kind.split(" | ") for kind in kinds):
            paths += [place.path for place in _places(part, generation())]
    return [[step for step in path.split(".") if not step.isdigit()] for path in paths]


@lru_cache(maxsize=1024)
def _places(name: str, generation: int) -> list[Place]:
    del generation
    return places(ExperimentConfig, name)


_Fields = list[tuple[type[BaseModel], FieldInfo]]


def _follow(names: list[str]) -> list[Explained]:
    """The meanings of a complete key; empty if there is no such key."""
    return _inside([ExperimentConfig], names, "", [])


def _inside(
    owners: list[type[BaseModel]], names: list[str], path: str, last: _Fields
) -> list[Explained]:
    """The meanings of the names `names` within `owners`; `last` are the fields before."""
    if not names:
        return _options(path, last)
    name, rest = names[0], names[1:]
    fields = [(one, one.model_fields[name]) for one in owners if name in one.model_fields]
    if fields:
        parts = [part for _, field in fields for part in all_parts(field.annotation)]
        if found := _inside(parts, rest, f"{path}.{name}".lstrip("."), fields):
            return found
    of_kind = list(dict.fromkeys(one for one in owners if name in kinds_of(one)))
    if of_kind and not rest:
        return [_kind(path, name, one) for one in of_kind]
    return _inside(of_kind, rest, path, []) if of_kind else []


def _kind(key: str, kind: str, owner: type[BaseModel]) -> Explained:
    inside = tuple((option["name"], option["description"]) for option in options_of(owner))
    return Explained(f"{key}.kind={kind}", described(owner), {}, choices=inside)


def _options(key: str, fields: _Fields) -> list[Explained]:
    """One meaning for each different definition of the option among its owners."""
    meanings: dict[str, list[type[BaseModel]]] = {}
    by_text = {}
    for owner, field in fields:
        option = option_of(key.rpartition(".")[2], field)
        text = repr(option)
        meanings.setdefault(text, []).append(owner)
        by_text[text] = option, field
    found = []
    for text, owners in meanings.items():
        option, field = by_text[text]
        parts = dict.fromkeys(all_parts(field.annotation))
        choices = [(" | ".join(map(str, kinds_of(part))), described(part)) for part in parts]
        if len(parts) == 1 and not choices[0][0]:
            only = next(iter(parts))
            choices = [(inner["name"], inner["description"]) for inner in options_of(only)]
        kinds = tuple(str(kind) for owner in dict.fromkeys(owners) for kind in kinds_of(owner))
        found.append(Explained(key, option["description"], option, kinds, tuple(choices)))
    return found


def _alike(names: list[str]) -> str:
    known = option_names(ExperimentConfig)
    for kinds in part_classes().values():
        known |= {kind for joined in kinds for kind in joined.split(" | ") if kind}
    wrong = next((name for name in names if name not in known), names[-1] if names else "")
    close = difflib.get_close_matches(wrong, sorted(known), n=3, cutoff=0.6)
    if not close:
        return "`odenet list` names the parts"
    keys = [explained.key for name in close for explained in explain_key(name)[:1]]
    return f"nearest: {', '.join(keys)}"
