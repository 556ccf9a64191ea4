"""What happens at the edges: signals before anything has begun, files that are none, an mcpagg that would start itself."""

import fcntl
import json
import os
import random
import signal
import subprocess
import time

import bench as tools
import places
from lines import LineLog

HANDSHAKE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "host", "version": "1"}}
PAGE = os.sysconf("SC_PAGE_SIZE")


def test_a_signal_at_any_early_moment_leaves_nothing_behind(bench):
    """The servers end with nothing but SIGKILL; who dies of a raw signal after launching them leaves them, and the teardown says so."""
    servers = [bench.fake(f"s{number}", "--ignore-stdin-eof", "--ignore-sigterm", record=False) for number in range(3)]
    config = bench.config(*servers)
    moments = random.Random(7)
    codes = []
    for _ in range(25):
        process = subprocess.Popen(
            [places.mcpagg(), "--config", str(config), "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=bench.environment,
        )
        # The moment is the case that is tested, not a wait for something.
        time.sleep(moments.uniform(0.0, 0.03))
        process.terminate()
        codes.append(process.wait(timeout=tools.PATIENCE))
        process.stdin.close()
    # A signal may come before `main`; then nothing was launched yet.
    assert set(codes) <= {0, -15}, codes
    assert 0 in codes, codes


def test_a_flood_of_one_signal_costs_no_other(bench):
    bench.fake("alpha", record=False)
    host = bench.host(bench.config())
    host.tools_when(lambda names: "alpha__echo" in names)
    for _ in range(20_000):
        host.process.send_signal(signal.SIGHUP)
    host.process.send_signal(signal.SIGTERM)
    assert host.process.wait(timeout=tools.PATIENCE) == 0


def test_signals_are_heard_although_whoever_started_it_had_blocked_them(bench):
    bench.fake("alpha", record=False)
    blocked = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        host = bench.host(bench.config())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    host.tools_when(lambda names: "alpha__echo" in names)
    host.process.terminate()
    assert host.process.wait(timeout=tools.PATIENCE) == 0


def test_a_pipe_in_the_place_of_the_config_file_is_refused_and_the_next_file_is_read(bench):
    bench.fake("alpha")
    config = bench.config()
    good = config.read_text()
    host = bench.host(config)
    assert "alpha__echo" in host.tool_names()
    fifo = config.with_name("fifo")
    os.mkfifo(fifo)
    os.replace(fifo, config)
    host.err.wait_for(lambda line: b"not a regular file" in line, tools.PATIENCE)
    fresh = config.with_name("fresh")
    fresh.write_text(good.replace('"alpha"', '"beta"'))
    os.replace(fresh, config)
    assert "beta__echo" in host.tools_when(lambda names: "beta__echo" in names)


def test_an_mcpagg_that_is_one_of_its_own_servers_is_refused(bench):
    """A host's project file may be our config file too, and name us."""
    bench.fake("alpha")
    config = bench.config()
    text = config.read_text().replace(
        '"mcpServers": {', f'"mcpServers": {{ "self": {{ "command": "{places.mcpagg()}", "args": ["--config", "{config}"] }},', 1
    )
    assert '"self"' in text
    config.write_text(text)
    result = bench.run("--config", str(config), "list-tools")
    assert result.returncode == 0, result.stderr
    assert "alpha__echo" in result.stdout
    assert "self" in result.stderr
    status = bench.run("--config", str(config), "status")
    assert "would start itself without end" in status.stdout, status.stdout


def descriptors(process: int) -> int:
    return len(os.listdir(f"/proc/{process}/fd"))


def test_servers_that_come_and_go_leave_no_descriptor_behind(bench):
    """One that works, one that is not there and one that ends at once, all three made anew sixty times."""
    good = bench.fake("good", record=False)
    config = bench.config()

    def save(number: int) -> None:
        servers = {
            f"s{number}": good.entry,
            "missing": {"command": f"no-such-command-{number}"},
            "short": {**good.entry, "args": ["--exit-at-start", str(number)]},
        }
        fresh = config.with_name("fresh")
        fresh.write_text(json.dumps({"mcpServers": servers}))
        os.replace(fresh, config)

    save(1)
    host = bench.host(config)
    counts = []
    for number in range(1, 61):
        save(number)
        host.tools_when(lambda names, number=number: f"s{number}__echo" in names)
        counts.append(descriptors(host.process.pid))
    # Each launch has six for a while; what is still being ended, or started, at one look is a handful. A leak would be sixty times that.
    assert max(counts[30:]) <= max(counts[:10]) + 12, counts


def started(bench, *arguments: str, stdin: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    command = [places.mcpagg(), "--config", str(bench.config()), *arguments]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=bench.environment)


def say(process: subprocess.Popen[bytes], **message: object) -> None:
    process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
    process.stdin.flush()


def test_a_host_that_reads_no_more_is_gone_though_it_could_still_write(bench):
    """Or answers would be written to whatever gets the number of the closed descriptor next: a connection to another server."""
    bench.fake("alpha", record=False)
    process = started(bench)
    say(process, id=1, method="initialize", params=HANDSHAKE)
    assert b'"result"' in process.stdout.readline()
    say(process, method="notifications/initialized")
    say(process, id=2, method="tools/call", params={"name": "alpha__sleep", "arguments": {"ms": 60_000}})
    process.stdout.close()
    assert process.wait(timeout=tools.PATIENCE) == 0


def test_standard_input_that_somebody_makes_blocking_holds_nobody_up(bench):
    """Whoever shares it may do that at any time. The rest of a long line is read from it directly."""
    bench.fake("alpha", record=False)
    reader, writer = os.pipe()
    # A page has to be taken before the next one is written.
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PAGE)
    process = started(bench, stdin=reader)
    output = LineLog("what the host received")
    output.read_from(os.dup(process.stdout.fileno()))

    def write(**message) -> None:
        os.write(writer, json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def answer(id: int) -> dict:
        return json.loads(output.wait_for(lambda line: json.loads(line).get("id") == id, tools.PATIENCE)[1])["result"]

    write(id=1, method="initialize", params=HANDSHAKE)
    answer(1)
    write(method="notifications/initialized")
    os.set_blocking(reader, True)
    write(id=2, method="tools/call", params={"name": "alpha__sleep", "arguments": {"ms": 500, "text": "slept"}})
    call = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "alpha__echo", "arguments": {"text": "TEXT"}}}
    before, behind = json.dumps(call).encode().split(b"TEXT")
    # All that a read takes, and nothing behind it.
    pieces = [before.ljust(PAGE, b"x"), *[b"x" * PAGE] * 50, *[b"x" * (PAGE // 2)] * 3]
    for piece in pieces:
        os.write(writer, piece)
    assert answer(2)["content"][0]["text"] == "slept"
    os.write(writer, behind + b"\n")
    assert len(answer(3)["content"][0]["text"]) == sum(map(len, pieces)) - len(before)
    os.close(writer)
    os.close(reader)
    assert process.wait(timeout=tools.PATIENCE) == 0


def test_a_command_whose_output_nobody_takes_can_be_ended(bench):
    bench.fake("alpha", "--tools", "2000", record=False)
    process = started(bench, "list-tools", "--json")
    # It has begun to write, which is more than the pipe takes.
    assert process.stdout.read(1)
    process.terminate()
    assert process.wait(timeout=tools.PATIENCE) in (-15, 143)
