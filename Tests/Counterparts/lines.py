"""A log of lines that one thread writes and tests wait on."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path


class LineLog:
    """Lines in the order they came. Waiting is for a condition over them, never for a while."""

    def __init__(self, name: str):
        self.name = name
        self.lines: list[bytes] = []
        self.ended = False
        self._changed = threading.Condition()

    def append(self, line: bytes) -> None:
        with self._changed:
            self.lines.append(line)
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def wait_for(self, wanted: Callable[[bytes], bool], timeout: float, start: int = 0) -> tuple[int, bytes]:
        """The first line from index `start` on that is `wanted`, with its index."""
        deadline = time.monotonic() + timeout
        position = start
        with self._changed:
            while True:
                while position < len(self.lines):
                    if wanted(self.lines[position]):
                        return position, self.lines[position]
                    position += 1
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    tail = b"\n".join(line[:300] for line in self.lines[-12:]).decode(errors="replace")
                    reason = "ended" if self.ended else f"said nothing of the kind in {timeout} s"
                    raise AssertionError(f"{self.name} {reason}; its last lines:\n{tail}")
                self._changed.wait(left)

    def text(self) -> str:
        return b"\n".join(list(self.lines)).decode(errors="replace")

    def read_from(self, descriptor: int) -> threading.Thread:
        """Starts the thread that reads the descriptor to its end and closes it."""

        def read() -> None:
            pending: list[bytes] = []
            try:
                while chunk := os.read(descriptor, 1 << 20):
                    first, *others = chunk.split(b"\n")
                    pending.append(first)
                    for piece in others:
                        self.append(b"".join(pending))
                        pending = [piece]
            except OSError:
                pass  # a terminal or pipe that went away under us is the end, too
            if any(pending):
                self.append(b"".join(pending))
            os.close(descriptor)
            self.end()

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread


class PipeLog(LineLog):
    """The log of a named pipe, for a program that appends to a file: each line is an event here, also across its restarts."""

    def __init__(self, name: str, path: Path):
        super().__init__(name)
        self.path = path
        self._closing = b"\0closing " + os.urandom(8).hex().encode()
        os.mkfifo(path)
        # Opened for both: opening does not wait for a writer, and the end of one writer is not the end of the pipe.
        self._keep = os.open(path, os.O_RDWR)
        self._thread = self.read_from(os.dup(self._keep))

    def append(self, line: bytes) -> None:
        if line == self._closing:
            self.end()
        elif line:
            super().append(line)

    def drain(self, timeout: float = 10) -> None:
        """Everything written before this call is in `lines` when it returns. Call it after the writers have ended."""
        if self.ended:
            return
        # On a line of its own, even if the last writer was killed in the middle of one.
        os.write(self._keep, b"\n" + self._closing + b"\n")
        with self._changed:
            assert self._changed.wait_for(lambda: self.ended, timeout), f"{self.name}: the reader is stuck"

    def close(self) -> None:
        self.drain()
        os.close(self._keep)
