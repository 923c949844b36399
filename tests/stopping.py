"""A run that is asked to stop on its way."""

import signal

from odenet.training.callbacks import Callback


class SignalAt(Callback):
    """Sends this process a signal once a step is logged, as an operator would.

    Args:
        step: The first step at which it is sent.
        signum: Which signal; None for none.
    """

    when = frozenset({"log"})

    def __init__(self, step, signum=signal.SIGTERM):
        self.step, self.signum = step, signum

    def __call__(self, info):
        if info.step >= self.step and self.signum is not None:
            # A second signal would be obeyed at once, and end the tests.
            signum, self.signum = self.signum, None
            signal.raise_signal(signum)
