"""What a call costs through mcpagg, more than over a kept-alive HTTP/1.1 connection to the same server.

Usage: http_latency.py MCPAGG [--calls N] [--json FILE]

One C program, compiled for the run, is the server of all. Directly, it is called over a bare socket; through mcpagg, by a line on a pipe.
Another C program, which does nothing but turn lines into requests and answers into lines, shows what any process in between costs.
They take turns, call by call, so that whatever else the machine does falls on all. Each figure is of N turns after a warm-up.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WARM_UP = 300
# Until the server has been found, initialized and listed.
PATIENCE = 20.0
VERSION = "2026-07-28"
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
}


def compiled(directory: Path, name: str) -> Path:
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("clang") or shutil.which("gcc")
    if compiler is None:
        sys.exit("error: there is no C compiler\n  hint: install one (package gcc or clang), or name it in CC")
    program = directory / name
    subprocess.run([compiler, "-O2", "-pthread", "-o", program, Path(__file__).with_name(f"{name}.c")], check=True)
    return program


def request(method: str, id: int, params: dict | None, stateless: bool) -> bytes:
    if stateless:
        params = {**(params or {}), "_meta": ENVELOPE}
    message = {"jsonrpc": "2.0", "id": id, "method": method, **({} if params is None else {"params": params})}
    return json.dumps(message, separators=(",", ":")).encode()


def call(id: int, stateless: bool) -> bytes:
    return request("tools/call", id, {"name": "echo", "arguments": {"text": "x" * 64}}, stateless)


def head(port: int, stateless: bool) -> str:
    """The request of a call up to the value of Content-Length."""
    own = f"MCP-Protocol-Version: {VERSION}\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n"
    session = "MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: 00112233445566778899aabbccddeeff\r\n"
    return (
        f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Accept: application/json, text/event-stream\r\n{own if stateless else session}Content-Length: "
    )


class Direct:
    """The least a client of HTTP/1.1 does: one write, reads until the answer is whole."""

    def __init__(self, port: int, stateless: bool):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.head = head(port, stateless).encode()

    def call(self, line: bytes) -> bytes:
        self.socket.sendall(b"%b%d\r\n\r\n%b" % (self.head, len(line), line))
        answer = self.socket.recv(65536)
        while not (answer.endswith(b"0\r\n\r\n") or answer.endswith(b"}")):
            more = self.socket.recv(65536)
            assert more, "the server has gone"
            answer += more
        return answer

    def end(self) -> None:
        self.socket.close()


class Through:
    """The least a host does with a program on pipes: one write, reads until the line is whole."""

    def __init__(self, *command: str | Path):
        without = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "bufsize": 0}
        self.process = subprocess.Popen(command, env=without, **pipes)
        self.into, self.out = self.process.stdin.fileno(), self.process.stdout.fileno()

    def call(self, line: bytes) -> bytes:
        os.write(self.into, line + b"\n")
        answer = os.read(self.out, 65536)
        while not answer.endswith(b"\n"):
            more = os.read(self.out, 65536)
            assert more, f"{self.process.args[0]} has gone"
            answer += more
        return answer

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()

    def begin(self, stateless: bool) -> None:
        if not stateless:
            params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}}
            self.call(request("initialize", 1, params, False))
            os.write(self.into, b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        deadline = time.monotonic() + PATIENCE
        while b'"echo"' not in (answer := self.call(request("tools/list", 2, None, stateless))):
            assert time.monotonic() < deadline, f"the server did not come: {answer.decode()}"


def measure(mcpagg: str, kind: str, stateless: bool, calls: int, directory: Path) -> dict[str, float]:
    server = subprocess.Popen([directory / "http_server", kind], stdout=subprocess.PIPE)
    port = int(server.stdout.readline())
    config = directory / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"fast": {"url": f"http://127.0.0.1:{port}/mcp", "prefix": ""}}}))
    through = Through(mcpagg, "--config", config)
    relay = Through(directory / "http_relay", str(port), head(port, stateless))
    ways = {"direct": Direct(port, stateless), "relay": relay, "mcpagg": through}
    order = list(ways)
    times: dict[str, list[int]] = {name: [] for name in ways}
    try:
        through.begin(stateless)
        for number in range(WARM_UP + calls):
            line = call(1000 + number, stateless)
            # Who is first changes, so that none always finds what another has warmed.
            order.append(order.pop(0))
            for name in order:
                begun = time.perf_counter_ns()
                answer = ways[name].call(line)
                took = time.perf_counter_ns() - begun
                assert b'"answered"' in answer and b'"id":%d,' % (1000 + number) in answer, answer
                if number >= WARM_UP:
                    times[name].append(took)
    finally:
        for way in ways.values():
            way.end()
        server.kill()
        server.wait()
        server.stdout.close()
    figures = {}
    for name, taken in times.items():
        cuts = statistics.quantiles(taken, n=100)
        figures[f"{name}_p50_us"], figures[f"{name}_p99_us"] = cuts[49] / 1000, cuts[98] / 1000
    for cut in ("p50", "p99"):
        for other in ("direct", "relay"):
            figures[f"added_to_{other}_{cut}_us"] = figures[f"mcpagg_{cut}_us"] - figures[f"{other}_{cut}_us"]
            figures[f"ratio_to_{other}_{cut}"] = figures[f"mcpagg_{cut}_us"] / figures[f"{other}_{cut}_us"]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mcpagg")
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    options = parser.parse_args()
    found = {}
    print(f"Latency of one call in µs, median and 99th percentile of {options.calls} turns.")
    columns = ("directly", "C relay", "mcpagg", "added to direct", "ratio to direct", "added to relay", "ratio to relay")
    print(" " * 17 + "".join(f"{column:>17}" for column in columns))
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for program in ("http_server", "http_relay"):
            compiled(directory, program)
        for era, stateless in (("handshake", False), ("stateless", True)):
            for kind in ("json", "sse"):
                figures = found[f"{era}, {kind}"] = measure(options.mcpagg, kind, stateless, options.calls, directory)
                cells = [f"{figures[f'{way}_p50_us']:.0f} {figures[f'{way}_p99_us']:5.0f}" for way in ("direct", "relay", "mcpagg")]
                for other in ("direct", "relay"):
                    cells.append(" ".join(f"{figures[f'added_to_{other}_{cut}_us']:5.0f}" for cut in ("p50", "p99")))
                    cells.append(" ".join(f"{figures[f'ratio_to_{other}_{cut}']:5.2f}" for cut in ("p50", "p99")))
                print(f"{f'{era}, {kind}':17}" + "".join(f"{cell:>17}" for cell in cells), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


main()
