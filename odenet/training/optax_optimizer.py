"""Any optimiser of optax, by the name of its function."""

import difflib
import functools
import inspect
import types
from typing import Any, Literal, Union, get_args, get_origin

import optax
import optax.contrib
from pydantic import Field, model_validator

from odenet.part.explain import nearest
from odenet.training.optimizer import OptimizerConfig, Schedule

_OWN = {
    "learning_rate": "learning_rate and schedule of the optimiser",
    "weight_decay": "weight_decay of the optimiser, and of its groups step_sizes and biases",
    "mask": "the groups step_sizes and biases, which have a weight_decay of their own",
    "weight_decay_mask": "the groups step_sizes and biases",
}
"""Arguments set by the options that every optimiser has, with the names of these options."""

_NEED_MORE = {"lbfgs", "contrib.dpsgd", "contrib.momo", "contrib.momo_adam", "contrib.sophia"}
"""Optimisers that use the value of the loss, its Hessian or the gradient of every example."""

_NEED_ALL = {"contrib.galore"}
"""Optimisers that fail on a part of the parameters, such as the group of the biases."""


class OptaxConfig(OptimizerConfig):
    """Any optimiser of optax: `name: lion` is `optax.lion`, its arguments are `options`.

    `contrib.muon` orthogonalises updates of matrices; weights stacked over layers have three axes
    and are updated by its Adam, as biases are.
    """

    kind: Literal["optax"] = "optax"
    name: str
    """Name of the function in optax, such as `lion`, `adabelief`, `lamb` or `contrib.muon`."""
    options: dict[str, bool | int | float | str | None] = Field(default={})
    """Its arguments by name, except the learning rate and weight decay, which have options of their
    own; a missing argument has optax's default."""

    @model_validator(mode="after")
    def _optax_has_it(self):
        arguments = _arguments(self.name)
        for option, value in self.options.items():
            if option in _OWN and option in arguments:
                raise ValueError(f"options.{option} is set by {_OWN[option]}; set it there")
            if option not in arguments:
                allowed = [name for name in arguments if name not in _OWN]
                raise ValueError(
                    f"optax.{self.name} has no argument {option}; {nearest(option, allowed)}"
                )
            _check(self.name, arguments[option], value)
        missing = [
            name
            for name, argument in arguments.items()
            if (argument.default is inspect.Parameter.empty or name == "key")
            and name != "learning_rate"
            and name not in self.options
        ]
        if missing:
            raise ValueError(
                f"optax.{self.name} needs the argument {missing[0]}; set options.{missing[0]}"
            )
        return self

    def transform(self, rate: Schedule, weight_decay: float) -> optax.GradientTransformation:
        """The optimiser of one group, with optax's own weight decay if it has one, else L2."""
        options: dict[str, Any] = dict(self.options)
        before = []
        if "weight_decay" in _arguments(self.name):
            options["weight_decay"] = weight_decay
        elif weight_decay:
            before = [optax.add_decayed_weights(weight_decay)]
        return optax.chain(*before, _function(self.name)(rate, **options))


def _arguments(name: str) -> dict[str, inspect.Parameter]:
    """The arguments of an optimiser of optax.

    Raises:
        ValueError: if optax has no such optimiser; the message names the nearest.
    """
    names = optimisers()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        shown = (
            f"nearest: {', '.join(close)}" if close else f"such as {', '.join(sorted(names)[:8])}"
        )
        raise ValueError(f"optax has no optimiser {name!r}; {shown}")
    return names[name]


def optimisers() -> dict[str, dict[str, inspect.Parameter]]:
    """Every function of optax that makes an optimiser from a learning rate, and its arguments.

    Excluded are functions without a learning-rate schedule, functions that need more than gradients
    at every step, and functions that only scale a gradient.
    """
    return {
        name: arguments
        for name, arguments in _signatures().items()
        if "Callable" in str(getattr(arguments.get("learning_rate"), "annotation", ""))
    }


@functools.cache
def _signatures() -> dict[str, dict[str, inspect.Parameter]]:
    names = [*dir(optax), *(f"contrib.{name}" for name in dir(optax.contrib))]
    found = {}
    for name in names:
        if name.rpartition(".")[2].startswith(("_", "scale_", "schedule_")) or (
            name in _NEED_MORE | _NEED_ALL
        ):
            continue
        if inspect.isfunction(_function(name)):
            found[name] = dict(inspect.signature(_function(name)).parameters)
    return found


def _function(name: str) -> Any:
    return functools.reduce(getattr, name.split("."), optax)


def _check(name: str, argument: inspect.Parameter, value: Any) -> None:
    """Refuse a value whose type does not match an argument's annotation or default."""
    kinds = _kinds(argument.annotation)
    number = bool(kinds & {int, float}) or type(argument.default) in (int, float)
    if Any in kinds:
        return
    if value is None:
        fits = type(None) in kinds or argument.default is None
    elif isinstance(value, bool):
        fits = isinstance(argument.default, bool) or kinds <= {bool}
    elif isinstance(value, str):
        fits = str in kinds or not kinds
    else:
        fits = number or not kinds
    if not fits:
        raise ValueError(
            f"optax.{name} takes {argument.name} of another type; got {value!r}"
            + (f", its default is {argument.default!r}" if argument.default is not None else "")
        )


def _kinds(annotation: Any) -> set[Any]:
    """The plain types in an annotation; empty without an annotation."""
    if get_origin(annotation) in (Union, types.UnionType):
        return {kind for inner in get_args(annotation) for kind in _kinds(inner)}
    if isinstance(annotation, str):
        return set()
    return set() if annotation is inspect.Parameter.empty else {annotation}
