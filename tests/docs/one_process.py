"""Commands of `odenet` in one process, which imports jax only once.

`serve(address)` runs the commands that scripts send to a socket; in the script, a command is
`python one_process.py ADDRESS WORDS`.
"""

import contextlib
import io
import os
import sys
import traceback
from multiprocessing.connection import Client, Listener

KEY = b"one process"


def outcome(main, folder, words):
    """Exit code and the two streams of a command."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    sys.argv = ["odenet", *words]
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
            code = 1
    return code, out.getvalue(), err.getvalue()


def serve(address):
    """Run one command after the other, for ever."""
    from odenet.cli.main import main

    with Listener(address, authkey=KEY) as listener:
        while True:
            with listener.accept() as client:
                client.send(outcome(main, *client.recv()))


def send(address, words):
    """Let the other process run a command in the folder of this one."""
    with Client(address, authkey=KEY) as server:
        server.send((os.getcwd(), words))
        return server.recv()


if __name__ == "__main__":
    _, address, *words = sys.argv
    code, out, err = send(address, words)
    sys.stdout.write(out)
    sys.stderr.write(err)
    sys.exit(code)
