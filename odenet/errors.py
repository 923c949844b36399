"""Errors of users: each says the rule, the value that breaks it, and a remedy."""

import contextlib
from collections.abc import Iterator
from pathlib import Path


class OdenetError(Exception):
    """Base of every error that a user can cause or must hear of.

    Attributes:
        exit_code: Exit status of the command line: 2 for bad input, 1 for a run that broke.
        resume_from: The run directory that can be continued, if there is one.
        instead: The remedy where continuing would end in the same error, or None.
    """

    exit_code = 2
    resume_from: Path | None = None
    instead: str | None = None


class ConfigError(OdenetError, ValueError):
    """An experiment file, override or argument breaks a rule."""


class PluginError(ConfigError):
    """A file or package with parts from outside is missing, does not run, or defines no part."""


class StateTypeError(OdenetError, TypeError):
    """A state, or the derivative that a field gives for it, has a type that no step can carry."""


class DerivativeError(OdenetError, TypeError):
    """A derivative is asked for that an integrator does not have, such as forward mode."""


@contextlib.contextmanager
def located(place: str) -> Iterator[None]:
    """While this is open, a `ConfigError` begins with `place`: which part breaks the rule."""
    try:
        yield
    except ConfigError as error:
        raise type(error)(f"{place}: {error}") from error


class DataError(OdenetError, ValueError):
    """Data files are missing, damaged, or do not fit the request."""


class RunDirectoryError(OdenetError, RuntimeError):
    """A run directory exists already, is in use, is missing, or holds too little."""


class CheckpointError(OdenetError, RuntimeError):
    """No checkpoint can be read, or one does not fit the model."""


class RunFailure(OdenetError, RuntimeError):  # noqa: N818 - what failed is the run
    """A run broke while it trained; its checkpoints and metrics are kept."""

    exit_code = 1


class NonFiniteLoss(RunFailure):
    """The loss became infinite or not a number."""


class SolverFailure(RunFailure):
    """A solver did not reach the end of its interval."""
