"""A command in a process of its own that starts at once: a fork of one that has imported jax."""

import multiprocessing
import os
import sys
from unittest import mock

from compilation import environment

from odenet.cli.main import main

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__, "odenet.experiment.run", "odenet.reports"])


def start(*words):
    """Start a command whose streams nobody reads."""
    process = CONTEXT.Process(target=_run, args=words)
    with mock.patch.dict(os.environ, environment()):
        process.start()
    return process


def _run(*words):
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    sys.argv = ["odenet", *map(str, words)]
    main()
