"""However mcpagg ends, nothing that it launched outlives it; and as long as it runs, nothing outlives the server it belongs to."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import bench as tools
import places
import processes
from soak import kills

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere process groups are ended, and no more is claimed")

NUMBER = "20261121"


@pytest.fixture
def offspring(bench, request):
    """Servers with offspring of their own, and a way to see all of it."""
    hopper = bench.directory / "hopper.sh"
    hopper.write_text(kills.HOPPER)
    # By this number those are found that have no environment.
    number = f"{os.getpid():08}{abs(hash(request.node.name)) % 10**10:010}{NUMBER}"

    class Offspring:
        def server(self, kind: str, key: str = "odd") -> tools.Server:
            server = tools.Server(key, kills.entry(kind, places.fake(), number, hopper))
            bench.servers.append(server)
            return server

        def living(self) -> list[int]:
            return kills.living(bench.mark, number)

        def wait(self, seconds: float = kills.LIMIT, but: tuple[int, ...] = ()) -> None:
            """Until nothing is left but these."""
            deadline = time.monotonic() + seconds
            while left := [pid for pid in self.living() if pid not in but]:
                if not processes.wait_for_end(left[0], max(0.0, deadline - time.monotonic())):
                    raise AssertionError("left behind:\n" + "\n".join(processes.describe(pid) for pid in left))

    yield Offspring()
    for pid in kills.living(bench.mark, number):
        kills.kill(pid)


def status(pid: int, key: str) -> str:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return line.split(":", 1)[1].strip()
    raise AssertionError(f"no {key} in the status of {pid}")


def children(pid: int) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1] == str(pid):
                    found.append(int(entry))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def guard_of(host) -> int:
    (guard,) = [pid for pid in children(host.process.pid) if kills.name(pid) == "mcp-guard"]
    return guard


# The ends

ENDS = {
    "SIGKILL": lambda host: host.process.kill(),
    "closed input": lambda host: host.process.stdin.close(),
    "SIGTERM": lambda host: host.process.terminate(),
    "SIGINT": lambda host: host.process.send_signal(signal.SIGINT),
    "SIGINT twice": lambda host: (host.process.send_signal(signal.SIGINT), host.process.send_signal(signal.SIGINT)),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", [kind for kind in kills.KINDS if kind != "headers"])
def test_nothing_outlives_mcpagg(bench, offspring, kind, end):
    bench.fake("alpha", record=False)
    offspring.server(kind)
    host = bench.host(bench.config(listWait="500ms"))
    assert "alpha__echo" in host.tool_names()
    ENDS[end](host)
    host.process.wait(timeout=tools.PATIENCE)
    offspring.wait()


@pytest.mark.parametrize("kind", ["daemon", "nameless daemon", "deaf daemon", "breeding daemon"])
def test_nothing_outlives_a_command_that_ends_by_itself(bench, offspring, kind):
    bench.fake("alpha", record=False)
    offspring.server(kind)
    done = bench.run("--config", str(bench.config()), "list-tools")
    assert done.returncode == 0, done.stderr
    # It has waited for them.
    assert offspring.living() == []


def test_nothing_outlives_mcpagg_while_a_program_prints_headers(bench, offspring):
    bench.fake("alpha", record=False)
    offspring.server("headers")
    host = bench.host(bench.config(listWait="200ms"))
    assert "alpha__echo" in host.tool_names()
    # Those of the program: itself, one in a session of its own, and one without an environment. And three of ours, and a server.
    deadline = time.monotonic() + tools.PATIENCE
    while len(offspring.living()) < 3 + 1 + 3 + 1:
        assert time.monotonic() < deadline, [processes.describe(pid) for pid in offspring.living()]
    host.process.kill()
    host.process.wait()
    offspring.wait()


def test_a_host_sees_the_end_of_the_output_although_others_outlive_mcpagg(bench, offspring):
    offspring.server("deaf daemon")
    host = bench.host(bench.config())
    host.tools_when(lambda names: "odd__echo" in names)
    guard = guard_of(host)
    ours = [guard, *children(guard)]
    # Held fast, so that they certainly outlive it.
    for pid in ours:
        os.kill(pid, signal.SIGSTOP)
    host.process.kill()
    for log in (host.out, host.err):
        deadline = time.monotonic() + tools.PATIENCE
        while not log.ended:
            assert time.monotonic() < deadline, f"somebody holds {log.name}"
    host.process.wait()
    assert set(ours) <= set(offspring.living())
    for pid in ours:
        os.kill(pid, signal.SIGCONT)
    offspring.wait()


# One server

def test_what_a_server_leaves_behind_is_gone_before_it_is_missed(bench, offspring):
    """A server that leaves the config takes everything of its own along, and nothing of another's."""
    kept = offspring.server("nameless daemon", "kept")
    offspring.server("nameless daemon", "odd")
    config = bench.config()
    host = bench.host(config)
    host.tools_when(lambda names: "odd__echo" in names and "kept__echo" in names)
    deadline = time.monotonic() + tools.PATIENCE
    while len(daemons := [pid for pid in offspring.living() if kills.name(pid) == "sleep"]) < 2:
        assert time.monotonic() < deadline
    before = len(offspring.living())
    fresh = config.with_name("fresh")
    fresh.write_text(bench.config_text(kept))
    fresh.rename(config)
    host.tools_when(lambda names: "odd__echo" not in names)
    while len(offspring.living()) > before - 3:  # its keeper, the server and the daemon
        assert time.monotonic() < deadline
    assert len([pid for pid in daemons if pid in offspring.living()]) == 1
    assert host.text("kept__echo", {"text": "undisturbed"}) == "undisturbed"


def test_what_a_crashed_server_leaves_behind_does_not_meet_its_successor(bench, offspring):
    offspring.server("nameless daemon")
    host = bench.host(bench.config())
    host.tools_when(lambda names: "odd__echo" in names)
    deadline = time.monotonic() + tools.PATIENCE

    def daemons() -> list[int]:
        return [pid for pid in offspring.living() if kills.name(pid) == "sleep"]

    while not (first := daemons()):
        assert time.monotonic() < deadline
    for _ in range(3):
        assert host.call("odd__crash", {})["isError"] is True
        for pid in first:
            assert processes.wait_for_end(pid, kills.LIMIT)
        while not (first := daemons()) or host.call("odd__echo", {"text": "x"}).get("isError"):
            assert time.monotonic() < deadline
    assert len(daemons()) == 1


# The guard

def test_the_guard_is_no_burden_and_cannot_be_hit_by_mistake(bench):
    bench.fake("alpha", record=False)
    host = bench.host(bench.config())
    host.tools_when(lambda names: "alpha__echo" in names)
    guard = guard_of(host)
    (keeper,) = children(guard)
    (server,) = children(keeper)
    for pid in (guard, keeper):
        # Whoever ends all processes with our name by force is to find only us.
        assert kills.name(pid) == "mcp-guard"
        command = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0")
        assert command.startswith(b"mcp-guard") and b"mcpagg" not in command, command
        assert os.getsid(pid) == guard != os.getsid(host.process.pid)
        descriptors = {os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")}
        ours = {os.readlink(f"/proc/{host.process.pid}/fd/{number}") for number in os.listdir(f"/proc/{host.process.pid}/fd")}
        # The one pipe they may share is that by which we see its end.
        assert len(descriptors & ours - {"/dev/null"}) <= (1 if pid == guard else 0), descriptors & ours
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        assert status(pid, "Threads") == "1"
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        own = int(next(line.split()[1] for line in rollup.splitlines() if line.startswith("Private_Dirty:")))
        assert own < 512, f"{own} KiB of its own"
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1):
            os.kill(pid, number)
    switches = [(status(pid, "voluntary_ctxt_switches"), pid) for pid in (guard, keeper)]
    for number in range(200):
        assert host.text("alpha__echo", {"text": f"{number}"}) == f"{number}"
    assert switches == [(status(pid, "voluntary_ctxt_switches"), pid) for pid in (guard, keeper)], "calls pass by them"
    assert children(keeper) == [server]


def test_without_its_guard_mcpagg_goes_on_and_says_so_once(bench, offspring):
    offspring.server("daemon")
    bench.fake("alpha")
    config = bench.config()
    host = bench.host(config)
    host.tools_when(lambda names: "alpha__echo" in names and "odd__echo" in names)
    first = guard_of(host)
    os.kill(first, signal.SIGKILL)
    host.err.wait_for(lambda line: b"'mcp-guard' was killed" in line, tools.PATIENCE)
    assert host.text("alpha__echo", {"text": "still there"}) == "still there"
    # It was waited for.
    assert not Path(f"/proc/{first}").exists()
    bench.fake("beta")
    fresh = config.with_name("fresh")
    fresh.write_text(bench.config_text())
    fresh.rename(config)
    host.tools_when(lambda names: "beta__echo" in names)
    assert guard_of(host) != first
    assert host.err.text().count("'mcp-guard' was killed") == 1, host.err.text()
    host.process.kill()
    host.process.wait()
    offspring.wait()


def test_a_server_whose_keeper_is_killed_is_ended_and_started_again(bench, offspring):
    offspring.server("nameless daemon")
    bench.fake("alpha", record=False)
    host = bench.host(bench.config())
    host.tools_when(lambda names: "alpha__echo" in names and "odd__echo" in names)
    before = offspring.living()
    keepers = children(guard_of(host))
    (keeper,) = [pid for pid in keepers if any(kills.name(child) == "sleep" for child in children(pid))]
    lost = children(keeper)
    os.kill(keeper, signal.SIGKILL)
    for pid in lost:
        assert processes.wait_for_end(pid, kills.LIMIT)
    deadline = time.monotonic() + tools.PATIENCE
    while host.call("odd__echo", {"text": "x"}).get("isError"):
        assert time.monotonic() < deadline
    assert host.text("alpha__echo", {"text": "beside it"}) == "beside it"
    assert set(before) - set(lost) - {keeper} <= set(offspring.living())


def test_servers_end_even_if_all_who_watch_over_them_are_killed_with_mcpagg(bench, offspring):
    """Of what they started nothing is claimed then."""
    offspring.server("stubborn")
    host = bench.host(bench.config())
    host.tools_when(lambda names: "odd__echo" in names)
    guard = guard_of(host)
    (keeper,) = children(guard)
    (server,) = children(keeper)
    for pid in (guard, keeper, host.process.pid):
        os.kill(pid, signal.SIGKILL)
    assert processes.wait_for_end(server, kills.LIMIT)


def test_launches_and_crashes_leave_neither_zombies_nor_descriptors(bench, offspring):
    offspring.server("dying")
    bench.fake("alpha", record=False)
    host = bench.host(bench.config(listWait="200ms"))
    host.tools_when(lambda names: "alpha__echo" in names)
    guard = guard_of(host)

    def descriptors(pid: int) -> int:
        return len(os.listdir(f"/proc/{pid}/fd"))

    counts = []
    config = bench.directory / "mcp.json"
    for number in range(40):
        bench.servers[-1].entry = {"command": places.fake(), "args": ["--tools", f"{number + 1}"]}
        fresh = config.with_name("fresh")
        fresh.write_text(bench.config_text(listWait="200ms"))
        fresh.rename(config)
        host.tools_when(lambda names, number=number: f"alpha__tool_{number}" in names)
        assert host.call("alpha__crash", {})["isError"] is True
        counts.append((descriptors(host.process.pid), descriptors(guard)))
    host.tools_when(lambda names: "alpha__echo" in names)
    deadline = time.monotonic() + tools.PATIENCE
    while host.call("alpha__echo", {"text": "end"}).get("isError"):
        assert time.monotonic() < deadline
    # Of a launch there are up to seven for a while, and one that is being ended meets one that is started.
    assert max(ours for ours, _ in counts) <= counts[0][0] + 21, counts
    assert {theirs for _, theirs in counts} == {5}, counts
    family = [host.process.pid, guard, *children(guard)]
    deadline = time.monotonic() + tools.PATIENCE
    while zombies := [child for pid in family for child in children(pid) if status_or_none(child) == "Z"]:
        assert time.monotonic() < deadline, zombies
    # Ours, and the keepers of two servers; one is dying all the time, and may be between two lives.
    assert len(children(host.process.pid)) == 1
    assert len(children(guard)) <= 4


def status_or_none(pid: int) -> str | None:
    try:
        return status(pid, "State")[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


# What a server is given

def test_a_server_is_given_three_descriptors_and_no_settings_of_ours(bench):
    """Not even those that were forced on us: a host may ignore signals, and may leave descriptors open for us."""
    report = bench.directory / "report"
    script = 'exec 2>/dev/null; ls /proc/$$/fd > "$1.new"; cat /proc/self/status >> "$1.new"; mv "$1.new" "$1"; exec "$0"'
    server = tools.Server("alpha", {"command": "sh", "args": ["-c", script, places.fake(), str(report)]})
    bench.servers.append(server)
    leaked = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    wrapper = 'trap "" INT HUP PIPE CHLD USR1; exec "$0" "$@"'
    command = ["sh", "-c", wrapper, places.mcpagg(), "--config", str(bench.config())]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=bench.environment, cwd=bench.directory, pass_fds=[leaked]
    )
    try:
        deadline = time.monotonic() + tools.PATIENCE
        while not report.exists():
            assert time.monotonic() < deadline
        lines = report.read_text().splitlines()
        # A shell keeps one above 9 for itself while it redirects.
        assert [int(line) for line in lines if line.isdigit() and int(line) < 10] == [0, 1, 2]
        masks = {line.split(":")[0]: int(line.split(":")[1], 16) for line in lines if line.startswith("Sig") and not line.startswith("SigQ")}
        # The first two real-time signals belong to the C library, which lets nobody set them.
        others = ~(0b11 << 31)
        assert masks["SigIgn"] & others == 0 and masks["SigBlk"] & others == 0, masks
    finally:
        os.close(leaked)
        process.stdin.close()
        process.wait(timeout=tools.PATIENCE)
        process.stdout.close()
