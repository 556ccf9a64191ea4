"""A log of lines that one thread writes and tests wait on."""

import os
import re
import select
import threading
import time
from collections.abc import Callable
from pathlib import Path


class LineLog:
    """Lines in the order they came. Waiting is for a condition over them, never for a while."""

    def __init__(self, name: str):
        self.name = name
        self.ended = False
        self._lines: list[bytes] = []
        self._changed = threading.Condition()

    @property
    def lines(self) -> list[bytes]:
        return self._lines

    def append(self, line: bytes) -> None:
        with self._changed:
            self._lines.append(line)
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
                lines = self.lines
                while position < len(lines):
                    if wanted(lines[position]):
                        return position, lines[position]
                    position += 1
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    tail = b"\n".join(line[:300] for line in lines[-12:]).decode(errors="replace")
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
        os.mkfifo(path)
        # Opened for both: opening does not wait for a writer, and the end of one writer is not the end of the pipe.
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._pending: list[bytes] = []
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    @property
    def lines(self) -> list[bytes]:
        """With all that was written before this look: a program that says something after it has written it here has not said it too
        soon."""
        with self._changed:
            self._take()
            return self._lines

    def append(self, line: bytes) -> None:
        if line:
            super().append(line)

    def _follow(self) -> None:
        readable = select.poll()
        readable.register(self._pipe, select.POLLIN)
        while not self.ended:
            readable.poll()
            with self._changed:
                self._take()
        os.close(self._pipe)

    def _take(self) -> None:
        while not self.ended:
            try:
                first, *others = os.read(self._pipe, 1 << 20).split(b"\n")
            except BlockingIOError:
                return
            self._pending.append(first)
            for piece in others:
                self.append(b"".join(self._pending))
                self._pending = [piece]

    def close(self) -> None:
        """Everything written before this call is in `lines` when it returns. Call it after the writers have ended."""
        with self._changed:
            self._take()
            self.append(b"".join(self._pending))
            os.write(self._pipe, b"\n")  # for the thread to see it
            self.end()
        self._thread.join()


class ProcessLog(PipeLog):
    """A log that several processes write to, as two hosts have one each of a server that both find in their config file.

    Lines come in pieces that a named pipe takes at once, so those of two processes do not mix, and who is killed in the middle of a line
    harms nobody else's. A piece is the process id, then `+` if the next piece of that process belongs to it, or a space, then the text.
    """

    PIECE = re.compile(rb"(\d+)([+ ])(.*)", re.DOTALL)

    def __init__(self, name: str, path: Path):
        self.processes: list[bytes] = []  # who wrote which of the lines
        self.strange: list[bytes] = []  # what is no such piece
        self._begun: dict[bytes, list[bytes]] = {}
        super().__init__(name, path)

    def append(self, line: bytes) -> None:
        if not line:
            return
        piece = self.PIECE.fullmatch(line)
        if not piece:
            self.strange.append(line)
            return
        process, end, text = piece.groups()
        pieces = self._begun.setdefault(process, [])
        pieces.append(text)
        if end == b"+":
            return
        text = b"".join(self._begun.pop(process))
        if text:
            self.processes.append(process)
            super().append(text)

    def by_process(self) -> dict[bytes, list[bytes]]:
        """The lines of each process; the one that said something first comes first."""
        lines: dict[bytes, list[bytes]] = {}
        with self._changed:
            for process, line in zip(self.processes, self.lines, strict=True):
                lines.setdefault(process, []).append(line)
        return lines

    def forget(self, is_meant: Callable[[bytes], bool]) -> None:
        """Takes lines out: a test that has looked at them itself does not want them judged."""
        with self._changed:
            kept = [(process, line) for process, line in zip(self.processes, self.lines, strict=True) if not is_meant(line)]
            self.processes[:] = [process for process, _ in kept]
            self._lines[:] = [line for _, line in kept]
