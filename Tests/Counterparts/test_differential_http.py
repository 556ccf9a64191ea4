"""The same host and the same server over HTTP, once directly and once through mcpagg, which the host reaches on its own pipes."""

import json
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

import bench as tools
import http_recordings
import places
import validation
from conversations import LABEL, Conversation, assert_same, normalized, normalized_stateless, own_to_the_hop, without_nulls
from http_recordings import HTTPRecording
from validation import Recording

HERE = Path(__file__).parent
PATIENCE = 90
# Requests go over few connections that are kept; beside them each stream that stays open has one.
MOST_CONNECTIONS = 12


FASTMCP = "fastmcp"
# It subscribes nobody to resources; its prompts and resources ask nothing.
FASTMCP_LACKS = ("both", "twice", "asks", "feature://asks", "subscribe", "subscribed", "unsubscribe")


@dataclass(frozen=True)
class Peer:
    """A server, and what the config file says of it."""

    generation: int | str  # of the SDK, or the environment of FastMCP
    variant: str  # of servers/over_http.py
    protocol: str | None = None
    type: str | None = None

    def __str__(self) -> str:
        name = self.generation if self.is_fastmcp else f"sdk{self.generation}"
        return "-".join(filter(None, (name, self.variant, self.protocol, self.type and f"type-{self.type}")))

    @property
    def is_fastmcp(self) -> bool:
        return self.generation == FASTMCP

    @property
    def speaks_both(self) -> bool:
        return self.generation != 1 and self.protocol is None and self.variant != "sse"

    def start(self, bench) -> tools.HTTPServer:
        return bench.over_http(self.generation, self.variant, "features_fastmcp.py" if self.is_fastmcp else "features_sdk.py")

    def lacks(self, stateless: bool) -> set[str]:
        """What this server cannot carry to a host of this era, whoever the host is. The SDK says so of itself."""
        is_json = self.variant.startswith("json")
        lacking = set(FASTMCP_LACKS) if self.is_fastmcp else set()
        if self.is_fastmcp and (stateless or is_json):
            lacking.add("notices")  # it sends them along with answers, and nobody can listen
        if stateless:
            # With JSON alone nothing goes along with an answer, and the server does not look whether its client is still there.
            return lacking | ({"steps", "cancelling"} if is_json else set())
        if is_json:
            lacking.add("steps")
        if self.variant.endswith("without-sessions"):
            # There is no stream for what belongs to no request; an answer or a cancellation would come to another instance.
            lacking |= {"questions", "notices", "cancelling"}
        return lacking


WITH_SESSIONS = ("stream", "json")
WITHOUT = ("stream-without-sessions", "json-without-sessions")
# The kind of transport is found out, except where it is said.
BOTH_ERAS = [
    *(Peer(generation, variant) for generation in (1, 2) for variant in (*WITH_SESSIONS, *WITHOUT)),
    Peer(1, "sse", type="sse"), Peer(1, "sse"), Peer(2, "sse"), Peer(1, "stream", type="http"),
    Peer(FASTMCP, "stream"), Peer(FASTMCP, "json"), Peer(FASTMCP, "stream-without-sessions"), Peer(FASTMCP, "sse"),
]  # fmt: skip
OF_HANDSHAKE = [*BOTH_ERAS, Peer(2, "stream", "stateless"), Peer(2, "json", "stateless"), Peer(FASTMCP, "stream", "stateless")]
OF_STATELESS = [*BOTH_ERAS, Peer(2, "stream", "handshake"), Peer(2, "json", "handshake"), Peer(FASTMCP, "stream", "handshake")]


def play(bench, host: int, order: dict) -> list:
    """Lets the host play its script; what it got."""
    done = subprocess.run(
        [places.python(host), str(HERE / "hosts" / "host_features.py")],
        input=json.dumps({**order, "environment": bench.environment}),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=bench.environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def play_both(bench, host: int, stateless: bool, peer: Peer):
    """The script with the server of the host's era directly, and through mcpagg with the given one: what the host got each time, the
    messages of the host each time, and whether the eras are crossed."""
    # There is nobody who speaks the new era over the oldest transport.
    generation = 2 if stateless and peer.generation == 1 else peer.generation
    plain = Peer(generation, "stream" if stateless and peer.variant == "sse" else peer.variant)
    behind_stateless = peer.protocol == "stateless" or (stateless and peer.speaks_both)
    lacking = {"without": sorted(plain.lacks(stateless) | peer.lacks(behind_stateless)), "stateless": stateless}
    own, behind = plain.start(bench), peer.start(bench)
    entry = {"url": behind.url, "prefix": "", "protocol": peer.protocol, "type": peer.type}
    server = tools.Server(LABEL, {key: value for key, value in entry.items() if value is not None})
    recorded = bench.directory / "through mcpagg.txt"
    relay = [places.python(2), str(HERE / "relay.py"), str(recorded), "--", places.mcpagg(), "--config", str(bench.config(server))]
    with ThreadPoolExecutor() as threads:
        direct_order = {"url": own.url, "events": plain.variant == "sse", **lacking}
        playing = threads.submit(play, bench, host, direct_order), threads.submit(play, bench, host, {"command": relay, **lacking})
        direct, through = (played.result() for played in playing)
    direct_recording = HTTPRecording.read(own.recording).recording("directly", "server")
    recording = Recording.of_relay(f"through mcpagg, SDK {host}", recorded)
    judge_behind(bench, HTTPRecording.read(behind.recording), recording, peer, behind_stateless, lacking["without"])
    bench.relayed.append(recording)
    return (direct, direct_recording), (through, recording), behind_stateless != stateless, lacking["without"]


def judge_behind(bench, behind: HTTPRecording, to_host: Recording, peer: Peer, is_stateless: bool, lacking: list[str]) -> None:
    """What mcpagg sent to the server is right as messages and as requests of HTTP."""
    bench.relayed.append(behind.recording(f"mcpagg to {peer}", "client"))
    assert http_recordings.problems(behind, peer.variant == "sse") == []
    calls = [exchange.message for exchange in behind.exchanges if exchange.message.get("method") == "tools/call"]
    assert calls
    # Without a word in the config, the server is spoken to in the era of the host if it can.
    assert {http_recordings.is_stateless(call) for call in calls} == {is_stateless}
    assert len({exchange.connection for exchange in behind.exchanges}) <= MOST_CONNECTIONS
    if "cancelling" not in lacking:
        names = [message["params"]["name"] for message in behind.cancelled() if message["method"] == "tools/call"]
        told = [exchange for exchange in behind.exchanges if exchange.message.get("method") == "notifications/cancelled"]
        assert (names, len(told)) == ((["waits"], 0) if is_stateless else ([], 1))


def assert_same_outcome(expected: list, seen: list, peer: Peer) -> None:
    for one, other in zip(expected, seen):
        assert other == one
    assert len(seen) == len(expected)
    refused = ["feature://linked", "feature://none"] if peer.is_fastmcp else ["refuses", "feature://none"]
    assert [entry[0] for entry in expected if entry[1] == "error"] == refused, "everything else worked"


def as_between_eras(error: dict) -> None:
    """What a server of the stateless era does not find has another code for hosts of the handshake era. FastMCP says the newer one to
    every host; within an era mcpagg leaves it alone."""
    if error["message"].startswith("Resource not found"):
        error["code"] = -32002


def of_fastmcp(recording: Recording, is_bridged: bool) -> Recording:
    """Without what FastMCP makes anew each time: the state it hands out is encrypted."""
    lines = []
    for side, line in recording.lines:
        message = tools.parsed(line)
        for member in ("params", "result"):
            if "requestState" in message.get(member, {}):
                message[member]["requestState"] = "sealed"
        if side == "server" and "error" in message and is_bridged:
            as_between_eras(message["error"])
        lines.append((side, json.dumps(message).encode()))
    return Recording(recording.title, lines)


def settled(direct: list, direct_recording: Recording, recording: Recording, peer: Peer, is_bridged: bool) -> tuple[Recording, Recording]:
    """`is_bridged`: the server was spoken to in the stateless era, and the host in the other one."""
    if not peer.is_fastmcp:
        return direct_recording, recording
    for entry in direct:
        if entry[1] == "error" and is_bridged:
            as_between_eras(entry[2])
    return of_fastmcp(direct_recording, is_bridged), of_fastmcp(recording, is_bridged)


def assert_full(expected: Conversation, lacking: list[str]) -> None:
    """The script did what it is for: a host that was never asked would agree with itself."""
    methods = {message.get("method") for messages in (*expected.said.values(), expected.changes) for message in messages}
    wanted = {"completion/complete", "logging/setLevel"}
    if "steps" not in lacking:
        wanted |= {"notifications/progress", "notifications/message"}
    if "cancelling" not in lacking:
        wanted.add("notifications/cancelled")
    if "notices" not in lacking:
        wanted.add("notifications/roots/list_changed")
        if "subscribe" not in lacking:
            wanted |= {"notifications/resources/updated", "resources/subscribe", "resources/unsubscribe"}
        wanted |= {f"notifications/{kind}/list_changed" for kind in ("tools", "prompts", "resources")}
    assert methods >= wanted
    kinds = {"elicitation/create", "sampling/createMessage", "roots/list"} if "questions" not in lacking else set()
    assert {name.split()[0] for name in expected.questions} == kinds


@pytest.mark.parametrize("peer", OF_HANDSHAKE, ids=str)
@pytest.mark.parametrize("host", [1, 2], ids=["host-sdk1", "host-sdk2"])
def test_over_http_through_mcpagg_is_as_directly(bench, host, peer):
    (direct, direct_recording), (through, recording), crossed, lacking = play_both(bench, host, False, peer)
    direct_recording, recording = settled(direct, direct_recording, recording, peer, crossed)
    for entry in (*direct, *through):
        if isinstance(entry[1], dict):
            without_nulls(entry[1], crossed)
    assert_same_outcome(direct, through, peer)
    expected, seen = normalized(direct_recording, crossed, True), normalized(recording, crossed, True)
    assert_same(expected, seen)
    assert_full(expected, lacking)


@pytest.mark.parametrize("peer", OF_STATELESS, ids=str)
def test_over_http_through_mcpagg_is_as_directly_in_the_stateless_era(bench, peer):
    (direct, direct_recording), (through, recording), crossed, lacking = play_both(bench, 2, True, peer)
    direct_recording, recording = settled(direct, direct_recording, recording, peer, False)
    for entry in (*direct, *through):
        if isinstance(entry[1], dict):
            own_to_the_hop(entry[1], crossed)
    assert_same_outcome(direct, through, peer)
    expected, seen = normalized_stateless(direct_recording, crossed, True), normalized_stateless(recording, crossed, True)
    assert_same(expected, seen)
    assert len(seen.listened) == (0 if "notices" in lacking else 2)
    notified = Counter(message["method"] for message in seen.said["server"] if isinstance(message, dict))
    # Three steps of each of three calls and one of the cancelled one; of messages, what each of two levels lets through.
    steps = {"notifications/progress": 10 - ("cancelling" in lacking), "notifications/message": 3 if peer.is_fastmcp else 5}
    assert notified == ({} if "steps" in lacking else steps)


def test_every_message_to_a_server_over_http_is_judged():
    """The judge of requests objects to what is wrong, and to nothing else."""
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    meta = {"_meta": tools.envelope()}
    calling = {"mcp-protocol-version": validation.STATELESS, "mcp-method": "tools/call", "mcp-name": "a"}
    call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a", **meta}})
    initialize = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}})
    answer = json.dumps({"jsonrpc": "2.0", "id": 0, "result": {"protocolVersion": "2025-11-25"}})

    def exchange(body: str, more: dict[str, str], method: str = "POST", without: str = "") -> http_recordings.Exchange:
        sent = [(name, value) for name, value in {**headers, **more}.items() if name != without]
        return http_recordings.Exchange(method, "/mcp", sent, body, 1)

    def objections(*exchanges: http_recordings.Exchange) -> int:
        return len(http_recordings.problems(HTTPRecording(list(exchanges), []), False))

    opening = exchange(initialize, {})
    opening.answers, opening.answer_headers = [answer], {"mcp-session-id": "s"}
    following = {"mcp-protocol-version": "2025-11-25", "mcp-session-id": "s"}
    ping, end = exchange('{"jsonrpc":"2.0","id":2,"method":"ping"}', following), exchange("", following, "DELETE")
    assert objections(exchange(call, calling)) == 0
    assert objections(exchange(call, {**calling, "mcp-name": "=?base64?YQ==?="})) == 0
    assert objections(exchange(call, {**calling, "mcp-name": "features__a"})) == 1
    assert objections(exchange(call, calling, without="mcp-method")) == 1
    assert objections(exchange(call, {**calling, "accept": "application/json"})) == 1
    assert objections(opening, ping, end) == 0
    assert objections(opening, ping) == 1, "the session was not ended"
    assert objections(opening, exchange(ping.body, {"mcp-protocol-version": "2025-11-25"}), end) == 1
    assert objections(opening, exchange(ping.body, {"mcp-session-id": "s"}), end) == 1
    assert objections(opening, end, ping) == 1
