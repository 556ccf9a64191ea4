"""Figures for the closing note, of the machine they were taken on. They are printed and never judged: `make test` is no benchmark."""

import json
import statistics
import subprocess
import time

import places
import processes

# Enough starts that the median of a loaded machine is near that of a quiet one.
STARTS = 20


def test_print_the_time_to_initialize_and_the_memory_at_rest(bench, capsys):
    keys = ["one", "two", "three", "four"]
    for key in keys:
        bench.fake(key)
    config = bench.config()
    request = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "figures", "version": "1"}}
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": request}).encode() + b"\n"
    times_ms = []
    for _ in range(STARTS):
        begun = time.perf_counter()
        process = subprocess.Popen(
            [places.mcpagg(), "--config", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=bench.environment,
        )
        process.stdin.write(line)
        process.stdin.flush()
        assert b'"protocolVersion"' in process.stdout.readline()
        times_ms.append((time.perf_counter() - begun) * 1000)
        process.communicate(timeout=20)
    host = bench.host(config)
    host.tools_when(lambda names: all(f"{key}__echo" in names for key in keys))
    resident_mb = processes.resident_bytes(host.process.pid) / 1024 / 1024
    with capsys.disabled():
        median = statistics.median(times_ms)
        print(f"\n  exec to answered initialize: median {median:.1f} ms, least {min(times_ms):.1f} ms, of {STARTS} starts")
        print(f"  resident memory, idle, four servers ready: {resident_mb:.1f} MB")
