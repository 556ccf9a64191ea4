"""mcpagg on a terminal: a person reads and writes there, while its standard output goes elsewhere."""

import fcntl
import os
import pty
import subprocess
import termios

import bench as tools
import places
from lines import LineLog


class Person:
    """Runs a command with standard input and error on a terminal of its own, and standard output on a pipe."""

    def __init__(self, bench, *arguments: str):
        controller, terminal = pty.openpty()
        self.screen = LineLog("the terminal")
        self.process = subprocess.Popen(
            [places.mcpagg(), *arguments],
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=terminal,
            # What is looked for in what is shown has no colours in between.
            env={**bench.environment, "NO_COLOR": "1"},
            cwd=bench.directory,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(terminal)
        self._keyboard = os.dup(controller)
        self._reader = self.screen.read_from(controller)
        self._position = 0

    def sees(self, text: str) -> str:
        """Waits until this is shown, below what was seen before; its line."""
        position, line = self.screen.wait_for(lambda line: text.encode() in line, tools.PATIENCE, self._position)
        self._position = position + 1
        return line.decode()

    def types(self, keys: str) -> None:
        os.write(self._keyboard, keys.encode())

    def answers(self, *exchanges: tuple[str, str]) -> None:
        """Waits for each text, and then types the line that belongs to it."""
        for text, line in exchanges:
            self.sees(text)
            self.types(line + "\n")

    def end(self) -> tuple[int, str]:
        """Waits for the end; the exit code, and what went to standard output."""
        output, _ = self.process.communicate(timeout=tools.PATIENCE)
        os.close(self._keyboard)
        self._reader.join(tools.PATIENCE)
        return self.process.returncode, output.decode()
