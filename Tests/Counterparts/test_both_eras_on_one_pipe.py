"""A host that speaks both eras on one pipe: it probes with `server/discover`, shakes hands all the same, and goes on with either."""

import json

import pytest

import bench as tools
from pairs import ACCEPTED, FORM, SAMPLE, SAMPLED, able, fake, question, subscription
from validation import HANDSHAKE_REVISIONS, REVISIONS, STATELESS


class Voices:
    """One pipe, two ways to speak."""

    def __init__(self, host):
        self.host = host
        self.stateless = tools.envelope(able(STATELESS))

    def post(self, era, method, params=None, id=None):
        self.host.envelope = self.stateless if era == "stateless" else None
        id = self.host.post(method, params, id)
        self.host.envelope = None
        return id

    def ask(self, era, method, params=None):
        return self.host.answer(self.post(era, method, params))

    def call(self, era, name, arguments=None):
        result = self.ask(era, "tools/call", {"name": name, "arguments": arguments or {}})["result"]
        assert result.get("resultType") == ("complete" if era == "stateless" else None)
        return result


@pytest.fixture
def servers(bench):
    """A server of each revision."""
    return {f"s{number}": fake(bench, revision, f"s{number}") for number, revision in enumerate(REVISIONS)}


@pytest.fixture
def voices(bench, servers):
    return Voices(bench.host(bench.config(), None))


ERAS = ("stateless", "handshake")


@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
def test_a_host_that_probes_then_shakes_hands_then_mixes(voices, servers, revision):
    host = voices.host
    assert voices.ask("stateless", "server/discover")["result"]["supportedVersions"] == [STATELESS]
    assert host.handshake(revision, able(revision))["result"]["protocolVersion"] == revision
    for _ in range(2):
        for era in ERAS:
            listed = voices.ask(era, "tools/list")["result"]
            assert {f"{key}__echo" for key in servers} <= {tool["name"] for tool in listed["tools"]}
            assert ("ttlMs" in listed) == (era == "stateless")
            for key in servers:
                assert voices.call(era, f"{key}__echo", {"text": f"{era} {key}"})["content"][0]["text"] == f"{era} {key}"
    # What belongs to one era alone stays there.
    assert voices.ask("handshake", "ping")["result"] == {}
    assert voices.ask("stateless", "ping")["error"]["code"] == -32601
    assert voices.ask("handshake", "server/discover")["error"]["code"] == -32601
    assert voices.ask("stateless", "server/discover")["result"]["supportedVersions"] == [STATELESS]


def test_both_eras_at_once(voices, servers):
    """All requests are open together, and every answer has the form of its request's era."""
    voices.host.handshake("2025-11-25", able("2025-11-25"))
    voices.ask("handshake", "tools/list")
    ids = {}
    for key in servers:
        for era in ERAS:
            arguments = {"ms": 30, "text": f"{era} {key}"}
            ids[voices.post(era, "tools/call", {"name": f"{key}__sleep", "arguments": arguments})] = era, key
    for id, (era, key) in ids.items():
        result = voices.host.answer(id)["result"]
        assert result["content"][0]["text"] == f"{era} {key}"
        assert result.get("resultType") == ("complete" if era == "stateless" else None)


@pytest.mark.parametrize("key", [f"s{number}" for number in range(len(REVISIONS))])
def test_questions_follow_the_era_of_their_call(voices, servers, key):
    """The same server asks in the middle of a call of either era, one call after the other."""
    host = voices.host
    voices.ask("stateless", "server/discover")
    host.handshake("2025-11-25", able("2025-11-25"))
    voices.ask("handshake", "tools/list")
    params = {"name": f"{key}__ask", "arguments": {"questions": [question("sampling/createMessage", SAMPLE)]}}
    for round in range(1, 5):
        era = ERAS[round % 2]
        start = len(host.out.lines)
        id = voices.post(era, "tools/call", params)
        if era == "handshake":
            host.reply(host.question("sampling/createMessage", start)[1]["id"], SAMPLED)
        else:
            asked = host.answer(id)["result"]
            assert asked["resultType"] == "input_required"
            assert not [message for message in host.messages(start) if "method" in message], "it is not asked by a request as well"
            more = {"inputResponses": {key: SAMPLED for key in asked["inputRequests"]}, "requestState": asked["requestState"]}
            id = voices.post(era, "tools/call", {**params, **more})
        assert json.loads(host.answer(id)["result"]["content"][0]["text"]) == {"answers": [{"result": SAMPLED}], "executions": round}


@pytest.mark.parametrize("key", ["s3", "s4"])
def test_a_new_session_leaves_what_is_stateless_alone(voices, servers, key):
    """A second `initialize` ends the subscriptions of the session before it, and its calls; a listen and a parked call go on."""
    host, server = voices.host, servers[key]
    uri, other = f"fake://{key}/text", f"fake://{key}/blob"
    host.handshake("2025-11-25", able("2025-11-25"))
    voices.ask("handshake", "resources/list")
    start = len(host.out.lines)
    listen = voices.post("stateless", "subscriptions/listen", {"notifications": {"toolsListChanged": True, "resourceSubscriptions": [uri]}})
    host.notification("notifications/subscriptions/acknowledged", start)
    for each in (uri, other):
        assert voices.ask("handshake", "resources/subscribe", {"uri": each})["result"] == {}
    parked_params = {"name": f"{key}__ask", "arguments": {"questions": [question("elicitation/create", FORM)]}}
    parked = voices.ask("stateless", "tools/call", parked_params)["result"]
    hanging = {era: voices.post(era, "tools/call", {"name": f"{key}__hang", "_meta": {"progressToken": era}}) for era in ERAS}
    for era in ERAS:
        host.out.wait_for(lambda line, era=era: (tools.parsed(line).get("params") or {}).get("progressToken") == era, tools.PATIENCE, start)

    def touched(expected):
        """Tells of both resources; who of the two listeners hears of which."""
        start = len(host.out.lines)
        for each in (other, uri):
            voices.call("stateless", f"{key}__touch_resource", {"uri": each})
        # The listen's copy comes with or after all others of the same change.
        while True:
            told = [m for m in host.messages(start) if m.get("method") == "notifications/resources/updated"]
            if len(told) >= len(expected):
                break
            host.notification("notifications/resources/updated", start + len(told))
        voices.call("stateless", f"{key}__echo", {"text": "barrier"})
        told = [m for m in host.messages(start) if m.get("method") == "notifications/resources/updated"]
        assert sorted(((subscription(m), m["params"]["uri"]) for m in told), key=str) == sorted(expected, key=str)

    touched([(None, other), (None, uri), (listen, uri)])
    assert host.handshake("2025-06-18", able("2025-06-18"))["result"]["protocolVersion"] == "2025-06-18"
    begun = [m["id"] for m in map(tools.parsed, server.received.lines) if (m.get("params") or {}).get("name") == "hang"]
    assert list(hanging) == ["stateless", "handshake"] and len(begun) == 2
    server.wait_for("notifications/cancelled", requestId=begun[1])  # the session's call is over
    touched([(listen, uri)])
    # The list is told of to both: the session is a new one, but a session. It has read the list, or it would have nothing to hear.
    voices.ask("handshake", "tools/list")
    start = len(host.out.lines)
    voices.call("handshake", f"{key}__change_tools")
    for expected in (None, listen):
        wanted = lambda line: (  # noqa: E731
            tools.parsed(line).get("method") == "notifications/tools/list_changed" and subscription(tools.parsed(line)) == expected
        )
        host.out.wait_for(wanted, tools.PATIENCE, start)
    more = {"inputResponses": {key: ACCEPTED for key in parked["inputRequests"]}, "requestState": parked["requestState"]}
    result = voices.ask("stateless", "tools/call", {**parked_params, **more})["result"]
    assert json.loads(result["content"][0]["text"]) == {"answers": [{"result": ACCEPTED}], "executions": 1}
    host.notify("notifications/cancelled", {"requestId": hanging["stateless"]})
    counts = json.loads(voices.call("stateless", f"{key}__executions", {"only": "hang"})["content"][0]["text"])["hang"]
    assert counts == {"begun": 2, "finished": 0, "cancelled": 2}
    assert [m for m in host.messages() if m.get("id") in hanging.values() and "method" not in m] == []


def test_an_id_may_not_be_used_in_both_eras_at_once(voices, servers):
    voices.host.handshake("2025-11-25")
    voices.ask("handshake", "tools/list")
    start = len(voices.host.out.lines)
    voices.post("stateless", "tools/call", {"name": "s3__hang", "_meta": {"progressToken": "t"}}, id="x")
    voices.host.notification("notifications/progress", start)
    voices.post("handshake", "ping", id="x")
    assert voices.host.answer("x")["error"]["code"] == -32600
    assert voices.ask("handshake", "ping")["result"] == {}
    voices.host.notify("notifications/cancelled", {"requestId": "x"})


def test_what_a_stateless_host_cannot_do_a_session_does_not_add(voices, servers):
    """Capabilities are those of the request, not those of a handshake on the same pipe."""
    voices.host.handshake("2025-11-25", able("2025-11-25"))
    voices.ask("handshake", "tools/list")
    voices.stateless = tools.envelope({})
    for key in servers:
        arguments = {"questions": [question("sampling/createMessage", SAMPLE)]}
        [entry] = json.loads(voices.call("stateless", f"{key}__ask", arguments)["content"][0]["text"])["answers"]
        assert entry["error"]["code"] == -32601
    assert not [m for m in voices.host.messages() if m.get("method") == "sampling/createMessage"]
