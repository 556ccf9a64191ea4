"""What a call costs through mcpagg, more than over a kept-alive HTTP/1.1 connection to the same server.

Usage: http_latency.py MCPAGG [--calls N] [--json FILE]

One C program, compiled for the run, is the server of both. Directly, it is called over a bare socket; through mcpagg, by a line on a
pipe. The two take turns, call by call, so that whatever else the machine does falls on both. Each figure is of N turns after a warm-up.
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


def compiled(directory: Path) -> Path:
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("clang") or shutil.which("gcc")
    if compiler is None:
        sys.exit("error: there is no C compiler\n  hint: install one (package gcc or clang), or name it in CC")
    program = directory / "http_server"
    subprocess.run([compiler, "-O2", "-pthread", "-o", program, Path(__file__).with_name("http_server.c")], check=True)
    return program


def request(method: str, id: int, params: dict | None, stateless: bool) -> bytes:
    if stateless:
        params = {**(params or {}), "_meta": ENVELOPE}
    message = {"jsonrpc": "2.0", "id": id, "method": method, **({} if params is None else {"params": params})}
    return json.dumps(message, separators=(",", ":")).encode()


def call(id: int, stateless: bool) -> bytes:
    return request("tools/call", id, {"name": "echo", "arguments": {"text": "x" * 64}}, stateless)


class Direct:
    """The least a client of HTTP/1.1 does: one write, reads until the answer is whole."""

    def __init__(self, port: int, stateless: bool):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        own = f"MCP-Protocol-Version: {VERSION}\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n"
        session = "MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: 00112233445566778899aabbccddeeff\r\n"
        self.head = (
            f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
            f"Accept: application/json, text/event-stream\r\n{own if stateless else session}Content-Length: "
        ).encode()

    def call(self, line: bytes) -> bytes:
        self.socket.sendall(b"%b%d\r\n\r\n%b" % (self.head, len(line), line))
        answer = self.socket.recv(65536)
        while not (answer.endswith(b"0\r\n\r\n") or answer.endswith(b"}")):
            more = self.socket.recv(65536)
            assert more, "the server has gone"
            answer += more
        return answer


class Through:
    """The least a host does: one write, reads until the line is whole."""

    def __init__(self, mcpagg: str, port: int, directory: Path):
        config = directory / "mcp.json"
        config.write_text(json.dumps({"mcpServers": {"fast": {"url": f"http://127.0.0.1:{port}/mcp", "prefix": ""}}}))
        without = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "bufsize": 0}
        self.process = subprocess.Popen([mcpagg, "--config", str(config)], env=without, **pipes)
        self.into, self.out = self.process.stdin.fileno(), self.process.stdout.fileno()

    def call(self, line: bytes) -> bytes:
        os.write(self.into, line + b"\n")
        answer = os.read(self.out, 65536)
        while not answer.endswith(b"\n"):
            more = os.read(self.out, 65536)
            assert more, "mcpagg has gone"
            answer += more
        return answer

    def begin(self, stateless: bool) -> None:
        if not stateless:
            params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}}
            self.call(request("initialize", 1, params, False))
            os.write(self.into, b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        deadline = time.monotonic() + PATIENCE
        while b'"echo"' not in (answer := self.call(request("tools/list", 2, None, stateless))):
            assert time.monotonic() < deadline, f"the server did not come: {answer.decode()}"


def measure(mcpagg: str, program: Path, kind: str, stateless: bool, calls: int, directory: Path) -> dict[str, float]:
    server = subprocess.Popen([program, kind], stdout=subprocess.PIPE)
    port = int(server.stdout.readline())
    direct, through = Direct(port, stateless), Through(mcpagg, port, directory)
    try:
        through.begin(stateless)
        times: dict[object, list[int]] = {direct: [], through: []}
        for number in range(WARM_UP + calls):
            line = call(1000 + number, stateless)
            # Who is first changes, so that neither always finds what the other has warmed.
            for way in (direct, through) if number % 2 else (through, direct):
                begun = time.perf_counter_ns()
                answer = way.call(line)
                took = time.perf_counter_ns() - begun
                assert b'"answered"' in answer and b'"id":%d,' % (1000 + number) in answer, answer
                if number >= WARM_UP:
                    times[way].append(took)
    finally:
        through.process.stdin.close()
        through.process.wait(PATIENCE)
        through.process.stdout.close()
        direct.socket.close()
        server.kill()
        server.wait()
        server.stdout.close()
    figures = {}
    for name, taken in (("direct", times[direct]), ("through", times[through])):
        cuts = statistics.quantiles(taken, n=100)
        figures[f"{name}_p50_us"], figures[f"{name}_p99_us"] = cuts[49] / 1000, cuts[98] / 1000
    for cut in ("p50", "p99"):
        figures[f"added_{cut}_us"] = figures[f"through_{cut}_us"] - figures[f"direct_{cut}_us"]
        figures[f"ratio_{cut}"] = figures[f"through_{cut}_us"] / figures[f"direct_{cut}_us"]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mcpagg")
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    options = parser.parse_args()
    found = {}
    print(f"Latency of one call in µs, {options.calls} turns; 'added' is through mcpagg less directly.")
    print(f"{'':24}{'direct':>18}{'through mcpagg':>18}{'added':>18}{'ratio':>16}")
    print(f"{'':24}" + f"{'p50':>9}{'p99':>9}" * 3 + f"{'p50':>8}{'p99':>8}")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        program = compiled(directory)
        for era, stateless in (("handshake", False), ("stateless", True)):
            for kind in ("json", "sse"):
                figures = found[f"{era}, {kind}"] = measure(options.mcpagg, program, kind, stateless, options.calls, directory)
                times = "".join(f"{figures[f'{way}_{cut}_us']:9.0f}" for way in ("direct", "through", "added") for cut in ("p50", "p99"))
                print(f"{f'{era}, {kind}':24}{times}{figures['ratio_p50']:8.2f}{figures['ratio_p99']:8.2f}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


main()
