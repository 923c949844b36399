"""Keys of before: read for one release, with a warning that names the new ones."""

import warnings


class OldKeyWarning(UserWarning):
    """A configuration has a key that the next release will not read."""


def warn_of_old_key(old: str, new: str) -> None:
    """Tell the user what to write in the place of a key.

    Args:
        old: The key, with its value.
        new: What is written now.
    """
    warnings.warn(
        f"{old} is an old spelling, which the next release will not read; write {new}",
        OldKeyWarning,
        stacklevel=3,
    )
