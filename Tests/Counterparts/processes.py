"""Finding processes by a mark in their environment, and waiting for their end without asking again and again."""

import os
import select
import subprocess
import sys
import time

# Every program a test starts carries this variable with a value of that test; children inherit it, grandchildren too.
MARK = "MCPAGG_TEST_MARK"


def marked(value: str) -> list[int]:
    """The living processes that carry the mark, wherever in the tree they are by now."""
    wanted = f"{MARK}={value}"
    if sys.platform == "linux":
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    environ = file.read().split(b"\0")
                if wanted.encode() in environ and not is_zombie(int(entry)):
                    found.append(int(entry))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # ended between the listing and the look, or somebody else's
        return found
    listing = subprocess.run(["ps", "axeww", "-o", "pid=,command="], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in listing.splitlines() if wanted in line.split() and int(line.split()[0]) != os.getpid()]


def is_zombie(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0] == b"Z"


def is_readable(descriptor: int, timeout: float) -> bool:
    """Whether there is something to read, or the end, within these seconds. (`select` knows no descriptors beyond 1023.)"""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(1000 * timeout))


def wait_for_end(pid: int, timeout: float) -> bool:
    """True once the process has ended, false if it still lives after `timeout` seconds. It need not be a child of ours."""
    if hasattr(os, "pidfd_open"):
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            return is_readable(descriptor, timeout)
        finally:
            os.close(descriptor)
    queue = select.kqueue()
    try:
        exit_event = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD | select.KQ_EV_ONESHOT, select.KQ_NOTE_EXIT)
        return bool(queue.control([exit_event], 1, timeout))
    except ProcessLookupError:
        return True
    finally:
        queue.close()


def survivors(value: str, patience: float) -> list[str]:
    """Waits until all marked processes have ended; describes those that have not within `patience` seconds altogether."""
    deadline = time.monotonic() + patience
    left = [pid for pid in marked(value) if not wait_for_end(pid, max(0.0, deadline - time.monotonic()))]
    return [describe(pid) for pid in left]


def describe(pid: int) -> str:
    """For a message: what the process is and where it hangs. Small Linux images have no ps, so there it is read from /proc."""
    if sys.platform != "linux":
        columns = "pid=,ppid=,pgid=,stat=,command="
        return subprocess.run(["ps", "-o", columns, "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read().replace(b"\0", b" ").decode(errors="replace")
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, parent, group = file.read().rpartition(b")")[2].split()[:3]
    except (FileNotFoundError, ProcessLookupError):
        return f"{pid} (ended meanwhile)"
    return f"{pid}, parent {parent.decode()}, group {group.decode()}, state {state.decode()}: {command}"


def resident_bytes(pid: int) -> int:
    """Without pages of files, where the system tells them apart: those come and go with what runs, and none of them is ever lost."""
    if sys.platform == "linux":
        with open(f"/proc/{pid}/status") as file:
            sizes = dict(line.split(":", 1) for line in file)
        return sum(int(sizes[kind].split()[0]) * 1024 for kind in ("RssAnon", "RssShmem"))
    output = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout
    return int(output) * 1024
