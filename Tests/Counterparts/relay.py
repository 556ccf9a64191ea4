"""Stands between an SDK host and a server, and writes every line of both directions to a file as it passes.

Usage: relay.py RECORDING -- COMMAND [ARGUMENT...]

Each line of the recording is one message, as it came, after `> ` (from the host) or `< ` (to the host).
"""

import os
import signal
import subprocess
import sys
import threading

recording_path, separator, *command = sys.argv[1:]
assert separator == "--", __doc__

recording = open(recording_path, "ab", buffering=0)
writing = threading.Lock()
child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

# The host ends us with a signal if it must; the server is to learn of it the same way.
signal.signal(signal.SIGTERM, lambda *_: child.terminate())


def note(mark: bytes, line: bytes) -> None:
    with writing:
        recording.write(mark + line.rstrip(b"\n") + b"\n")


def to_host() -> None:
    for line in os.fdopen(child.stdout.fileno(), "rb", closefd=False):
        note(b"< ", line)
        try:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            return


def from_host() -> None:
    for line in sys.stdin.buffer:
        note(b"> ", line)
        try:
            child.stdin.write(line)
        except BrokenPipeError:
            return
    child.stdin.close()


threading.Thread(target=from_host, daemon=True).start()
to_host()
status = child.wait()
os._exit(status if status >= 0 else 128 - status)
