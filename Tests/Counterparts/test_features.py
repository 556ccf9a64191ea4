"""Prompts, resources, completion, instructions and what changes in them, seen from both sides; the host and the servers are ours."""



import pytest

import bench as tools
from validation import HANDSHAKE_REVISIONS

RESOURCES = {"resources": {"subscribe": True, "listChanged": True}}
EVERYTHING = {"tools": {"listChanged": True}, "prompts": {"listChanged": True}, "completions": {}, "logging": {}, **RESOURCES}


def tool(name, **more):
    return {"name": name, "inputSchema": {"type": "object"}, **more}


def prompt(name, **more):
    return {"name": name, **more}


def resource(uri, **more):
    return {"uri": uri, "name": uri.rpartition("/")[2] or uri, **more}


def template(uri, **more):
    return {"uriTemplate": uri, "name": "template", **more}


def contents(uri, text):
    return {"result": {"contents": [{"uri": uri, "text": text}]}}


def server_with(bench, key, resources=(), templates=(), answers=None, capabilities=None, **entry):
    lists = {"resources/list": [list(resources)], "resources/templates/list": [list(templates)]}
    script = {"capabilities": capabilities or RESOURCES, "lists": lists, "answers": {"resources/read": answers or {}}}
    return bench.scripted(key, script, **entry)


def names(host, method, member, key="name"):
    return [item[key] for item in host.ask(method)["result"][member]]


def read(host, uri):
    answer = host.ask("resources/read", {"uri": uri})
    return answer["result"]["contents"][0]["text"] if "result" in answer else answer["error"]


# Prompts


@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
def test_prompts_of_all_pages_are_listed_with_a_prefix_and_got_without(bench, revision):
    arguments = [{"name": "who", "description": "whom to greet", "required": True}]
    pages = [[prompt("greet", arguments=arguments, _meta={"com.example/k": 2**60})], [], [prompt("part"), prompt("greet")]]
    result = {"description": "d", "messages": [{"role": "user", "content": {"type": "text", "text": "Hello"}}], "unknown": 1.0}
    answers = {"prompts/get": {"greet": {"result": result}}}
    one = bench.scripted("one", {"capabilities": {"prompts": {}}, "lists": {"prompts/list": pages}, "answers": answers})
    bench.scripted("two", {"capabilities": {"prompts": {}}, "lists": {"prompts/list": [[prompt("greet")]]}})
    host = bench.host(bench.config(), revision)
    listed = host.ask("prompts/list")["result"]
    assert listed == {
        "prompts": [{**pages[0][0], "name": "one__greet"}, prompt("one__part"), prompt("two__greet")]
    }, "in order, once each, untouched but for the name"
    answer = host.ask("prompts/get", {"name": "one__greet", "arguments": {"who": "é"}, "_meta": {"com.example/x": 1}})
    assert answer["result"] == result
    _, asked = one.wait_for("prompts/get")
    assert asked["params"] == {"name": "greet", "arguments": {"who": "é"}, "_meta": {"com.example/x": 1}}


def test_an_unknown_prompt_is_invalid_params_and_a_servers_error_is_passed_on(bench):
    error = {"code": -32602, "message": "argument 'who' is missing", "data": {"argument": "who"}}
    answers = {"prompts/get": {"greet": {"error": error}}}
    one = bench.scripted("one", {"capabilities": {"prompts": {}}, "lists": {"prompts/list": [[prompt("greet")]]}, "answers": answers})
    host = bench.host(bench.config())
    names(host, "prompts/list", "prompts")
    refusal = host.ask("prompts/get", {"name": "greet"})["error"]
    assert refusal["code"] == -32602 and "one__greet" in refusal["message"]
    assert host.ask("prompts/get", {"name": "one__greet"})["error"] == error
    assert [message["params"] for message in one.got() if message.get("method") == "prompts/get"] == [{"name": "greet"}]


def test_a_prompt_of_a_server_that_ended_is_an_internal_error(bench):
    script = {"capabilities": {"prompts": {}}, "lists": {"prompts/list": [[prompt("greet")]]}}
    one = bench.scripted("one", script, retry={"replay": "never"})
    host = bench.host(bench.config())
    names(host, "prompts/list", "prompts")
    id = host.post("prompts/get", {"name": "one__greet"})
    one.wait_for("prompts/get")
    one.exit(3)
    error = host.answer(id)["error"]
    assert error["code"] == -32603 and "'one'" in error["message"] and "3" in error["message"]


def test_a_server_that_declares_features_it_does_not_have(bench):
    bench.scripted("liar", {"capabilities": EVERYTHING, "lists": {"tools/list": [[tool("t")]]}})
    bench.scripted("honest", {"capabilities": {"prompts": {}}, "lists": {"prompts/list": [[prompt("p")]]}})
    host = bench.host(bench.config())
    assert host.tool_names() == ["liar__t"]
    assert names(host, "prompts/list", "prompts") == ["honest__p"]
    assert names(host, "resources/list", "resources") == names(host, "resources/templates/list", "resourceTemplates") == []
    assert "is down" not in host.err.text()


@pytest.mark.parametrize("method", ["tools/list", "prompts/list", "resources/list", "resources/templates/list"])
def test_a_foreign_cursor_is_invalid_params_in_every_list(bench, method):
    bench.scripted("one", {"capabilities": EVERYTHING})
    host = bench.host(bench.config())
    assert host.ask(method, {"cursor": "1"})["error"]["code"] == -32602
    assert host.ask(method, {"cursor": ""})["error"]["code"] == -32602


# Completion


@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
def test_completion_refs_are_mapped_to_their_owner(bench, revision):
    def complete(*values):
        return {"result": {"completion": {"values": list(values), "total": 99, "hasMore": True}}}

    for key, uri in [("one", "a:///{x}"), ("two", "b:///{x}")]:
        answers = {"completion/complete": {"greet": complete(f"{key} name"), uri: complete(f"{key} template")}}
        lists = {"prompts/list": [[prompt("greet")]], "resources/templates/list": [[template(uri)]], "resources/list": [[]]}
        bench.scripted(key, {"capabilities": EVERYTHING, "lists": lists, "answers": answers})
    host = bench.host(bench.config(), revision)
    names(host, "prompts/list", "prompts")
    argument = {"argument": {"name": "x", "value": "v"}, "context": {"arguments": {"y": "z"}}}
    answer = host.ask("completion/complete", {"ref": {"type": "ref/prompt", "name": "two__greet"}, **argument})
    assert answer["result"] == complete("two name")["result"]
    answer = host.ask("completion/complete", {"ref": {"type": "ref/resource", "uri": "b:///{x}"}, **argument})
    assert answer["result"] == complete("two template")["result"]
    two = bench.servers[1]
    two.wait_for("completion/complete", ref={"type": "ref/resource", "uri": "b:///{x}"})
    asked = [message["params"] for message in two.got() if message.get("method") == "completion/complete"]
    refs = [{"type": "ref/prompt", "name": "greet"}, {"type": "ref/resource", "uri": "b:///{x}"}]
    assert asked == [{"ref": ref, **argument} for ref in refs]
    assert not [message for message in bench.servers[0].got() if message.get("method") == "completion/complete"]
    error = host.ask("completion/complete", {"ref": {"type": "ref/prompt", "name": "greet"}, **argument})["error"]
    assert error["code"] == -32602


def test_an_owner_without_completions_has_no_suggestions(bench):
    one = bench.scripted("one", {"capabilities": {"prompts": {}}, "lists": {"prompts/list": [[prompt("greet")]]}})
    host = bench.host(bench.config())
    names(host, "prompts/list", "prompts")
    params = {"ref": {"type": "ref/prompt", "name": "one__greet"}, "argument": {"name": "x", "value": ""}}
    assert host.ask("completion/complete", params)["result"]["completion"]["values"] == []
    assert not [message for message in one.got() if message.get("method") == "completion/complete"]


def test_a_server_of_2024_11_05_is_asked_for_completions_it_cannot_declare(bench):
    answers = {"completion/complete": {"greet": {"result": {"completion": {"values": ["v"]}}}}}
    script = {"revision": "2024-11-05", "capabilities": {"prompts": {}}, "lists": {"prompts/list": [[prompt("greet")]]}, "answers": answers}
    bench.scripted("one", script)
    host = bench.host(bench.config())
    names(host, "prompts/list", "prompts")
    params = {"ref": {"type": "ref/prompt", "name": "one__greet"}, "argument": {"name": "x", "value": ""}}
    assert host.ask("completion/complete", params)["result"]["completion"]["values"] == ["v"]


# Resources


@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
def test_resources_and_templates_are_listed_with_their_uris_untouched(bench, revision):
    odd = resource("ui://w/%C3%A9?a=1#f", mimeType="text/html;profile=mcp-app", _meta={"ui": {"csp": None}}, size=2**53 + 1)
    one = server_with(bench, "one", [odd], [template("t://{+path}{?q}", title="T")], {odd["uri"]: contents("ui://other", "html")})
    server_with(bench, "two", [resource("file:///b")], [template("file:///{name}")])
    host = bench.host(bench.config(), revision)
    assert host.ask("resources/list")["result"] == {"resources": [odd, resource("file:///b")]}
    listed = host.ask("resources/templates/list")["result"]["resourceTemplates"]
    assert listed == [template("t://{+path}{?q}", title="T"), template("file:///{name}")]
    assert host.ask("resources/read", {"uri": odd["uri"]})["result"] == contents("ui://other", "html")["result"]
    assert one.wait_for("resources/read")[1]["params"] == {"uri": odd["uri"]}


def test_a_listed_resource_is_read_from_who_lists_it_and_from_nobody_else(bench):
    first = server_with(bench, "first", templates=[template("x://{+any}")], answers={"*": contents("x://a", "first")})
    server_with(bench, "second", [resource("x://a")], answers={"*": contents("x://a", "second")})
    host = bench.host(bench.config())
    names(host, "resources/list", "resources", "uri")
    assert read(host, "x://a") == "second"
    assert not [message for message in first.got() if message.get("method") == "resources/read"]


def test_a_resource_is_read_from_whose_template_fits_it(bench):
    wide = server_with(bench, "wide", templates=[template("n://{+any}")], answers={"n://deep/er": contents("n://deep/er", "wide")})
    narrow = server_with(bench, "narrow", templates=[template("m://{id}/x")], answers={"m://5/x": contents("m://5/x", "narrow")})
    host = bench.host(bench.config())
    names(host, "resources/templates/list", "resourceTemplates", "uriTemplate")
    assert read(host, "m://5/x") == "narrow"
    assert not [message for message in wide.got() if message.get("method") == "resources/read"]
    assert read(host, "n://deep/er") == "wide"
    assert len([message for message in narrow.got() if message.get("method") == "resources/read"]) == 1


def test_a_resource_that_only_a_result_mentioned_is_read_from_who_mentioned_it(bench):
    first = server_with(bench, "first", answers={"*": contents("hidden://x", "first")})
    second = server_with(bench, "second", answers={"*": contents("hidden://x", "second")}, capabilities={**RESOURCES, "tools": {}})
    second.script["lists"]["tools/list"] = [[tool("link")]]
    links = [
        {"type": "resource_link", "uri": "hidden://linked", "name": "l"},
        {"type": "resource", "resource": {"uri": "hidden://embedded", "text": "t"}},
    ]
    second.script["answers"]["tools/call"] = {"link": {"result": {"content": links}}}
    second.write_script()
    host = bench.host(bench.config())
    names(host, "resources/list", "resources", "uri")  # waits until both are ready
    assert read(host, "hidden://linked") == "first", "before it was mentioned, the first that has it"
    host.tools()
    assert host.call("second__link")["content"] == links
    assert read(host, "hidden://linked") == "second"
    assert read(host, "hidden://embedded") == "second"
    assert len([message for message in first.got() if message.get("method") == "resources/read"]) == 1


def test_an_unknown_resource_is_looked_for_at_every_server_that_has_resources(bench):
    servers = [
        server_with(bench, "one"),
        bench.scripted("none", {"capabilities": {"tools": {}}, "lists": {"tools/list": [[]]}}),
        # As other SDKs say it.
        server_with(bench, "two", answers={"*": {"error": {"code": -32602, "message": "Resource u://x not found"}}}),
        server_with(bench, "three", answers={"*": {"error": {"code": 0, "message": "Unknown resource: u://x"}}}),
        server_with(bench, "four", answers={"u://x": contents("u://x", "four")}),
        server_with(bench, "five", answers={"u://x": contents("u://x", "five")}),
    ]
    host = bench.host(bench.config())
    names(host, "resources/list", "resources", "uri")
    assert read(host, "u://x") == "four"
    assert [len([m for m in server.got() if m.get("method") == "resources/read"]) for server in servers] == [1, 0, 1, 1, 1, 0]
    # Now it was mentioned.
    assert read(host, "u://x") == "four"
    assert len([m for m in servers[0].got() if m.get("method") == "resources/read"]) == 1


@pytest.mark.parametrize("last", [-32002, -32602, 0])
def test_a_resource_nobody_has_is_not_found_with_its_uri(bench, last):
    server_with(bench, "one")
    server_with(bench, "two", answers={"*": {"error": {"code": last, "message": "no such thing"}}})
    host = bench.host(bench.config())
    names(host, "resources/list", "resources", "uri")
    error = read(host, "u://nobody")
    assert error["code"] == -32002 and error["data"] == {"uri": "u://nobody"}


def test_without_any_server_for_it_a_resource_is_not_found(bench):
    bench.scripted("none", {"capabilities": {"tools": {}}, "lists": {"tools/list": [[]]}})
    host = bench.host(bench.config())
    host.tools()
    for method in ("resources/read", "resources/subscribe"):
        error = host.ask(method, {"uri": "u://nobody"})["error"]
        assert error["code"] == -32002 and error["data"] == {"uri": "u://nobody"}


def test_the_owners_own_refusal_reaches_the_host(bench):
    """What another server says of a resource that is not its does not hide why the owner did not give it."""
    refusal = {"code": -32602, "message": "the date must be in the past", "data": {"field": "date"}}
    server_with(bench, "other")
    server_with(bench, "owner", templates=[template("log://{date}")], answers={"*": {"error": refusal}})
    host = bench.host(bench.config())
    names(host, "resources/templates/list", "resourceTemplates", "uriTemplate")
    assert read(host, "log://tomorrow") == refusal


def test_another_error_of_a_read_is_passed_on_without_asking_others(bench):
    refusal = {"code": -32603, "message": "disk on fire"}
    server_with(bench, "owner", [resource("d://a")], answers={"*": {"error": refusal}})
    other = server_with(bench, "other", answers={"*": contents("d://a", "other")})
    host = bench.host(bench.config())
    names(host, "resources/list", "resources", "uri")
    assert read(host, "d://a") == refusal
    assert not [message for message in other.got() if message.get("method") == "resources/read"]


def test_of_two_servers_with_one_uri_the_first_has_it(bench):
    for key in ("one", "two"):
        server_with(bench, key, [resource("s://same", title=key), resource(f"s://{key}")], answers={"*": contents("s://same", key)})
    host = bench.host(bench.config())
    listed = host.ask("resources/list")["result"]["resources"]
    assert [(item["uri"], item.get("title")) for item in listed] == [("s://same", "one"), ("s://one", None), ("s://two", None)]
    assert read(host, "s://same") == "one"
    assert read(host, "s://two") == "two"
    one, two = bench.servers
    assert host.ask("resources/subscribe", {"uri": "s://same"})["result"] == {}
    start = len(host.out.lines)
    two.notify("notifications/resources/updated", {"uri": "s://same"})
    one.notify("notifications/resources/updated", {"uri": "s://same", "_meta": {"com.example/from": "one"}})
    _, update = host.notification("notifications/resources/updated", start)
    # Ours may come before theirs: two servers have no order between them. Both have had their say when both have answered.
    read(host, "s://two"), read(host, "s://one")
    updates = [message for message in host.messages(start) if message.get("method") == "notifications/resources/updated"]
    assert updates == [update] and update["params"]["_meta"] == {"com.example/from": "one"}, "the other one's is another resource"
    assert not [message for message in two.got() if message.get("method") == "resources/subscribe"]


# Subscriptions


def subscriptions(server):
    """What it was asked, in order: + for subscribe, - for unsubscribe."""
    marks = {"resources/subscribe": "+", "resources/unsubscribe": "-"}
    return [marks[m["method"]] + m["params"]["uri"] for m in server.got() if m.get("method") in marks]


def test_a_subscription_is_counted_and_ends(bench):
    one = server_with(bench, "one", [resource("s://a"), resource("s://b")])
    host = bench.host(bench.config())
    names(host, "resources/list", "resources", "uri")
    for _ in range(2):
        assert host.ask("resources/subscribe", {"uri": "s://a"})["result"] == {}
    assert subscriptions(one) == ["+s://a"], "once for both"
    start = len(host.out.lines)
    for uri in ("s://b", "s://ab", "s://a", "s://a/part"):
        one.notify("notifications/resources/updated", {"uri": uri})
    assert host.notification("notifications/resources/updated", start)[1]["params"] == {"uri": "s://a"}
    host.out.wait_for(lambda line: b"s://a/part" in line, tools.PATIENCE, start)
    updates = [message["params"]["uri"] for message in host.messages(start)]
    assert updates == ["s://a", "s://a/part"], "what was subscribed to, and its parts"
    assert host.ask("resources/unsubscribe", {"uri": "s://a"})["result"] == {}
    assert subscriptions(one) == ["+s://a", "-s://a"]
    start = len(host.out.lines)
    one.notify("notifications/resources/updated", {"uri": "s://a"})
    read(host, "s://a")
    assert not [message for message in host.messages(start) if "method" in message]
    assert host.ask("resources/unsubscribe", {"uri": "s://a"})["result"] == {}
    assert subscriptions(one) == ["+s://a", "-s://a"]


def test_a_subscription_taken_back_before_it_was_answered_is_taken_back(bench):
    one = server_with(bench, "one", [resource("s://a")])
    host = bench.host(bench.config())
    names(host, "resources/list", "resources", "uri")
    ids = [host.post("resources/subscribe", {"uri": "s://a"}), host.post("resources/unsubscribe", {"uri": "s://a"})]
    assert [host.answer(id)["result"] for id in ids] == [{}, {}]
    start = len(host.out.lines)
    one.notify("notifications/resources/updated", {"uri": "s://a"})
    read(host, "s://a")
    assert not [message for message in host.messages(start) if "method" in message]
    assert subscriptions(one) == ["+s://a", "-s://a"]


def test_a_subscription_outlives_its_server(bench):
    one = server_with(bench, "one", [resource("s://a"), resource("s://b")])
    host = bench.host(bench.config())
    names(host, "resources/list", "resources", "uri")
    for uri in ("s://a", "s://b"):
        assert host.ask("resources/subscribe", {"uri": uri})["result"] == {}
    assert host.ask("resources/unsubscribe", {"uri": "s://b"})["result"] == {}
    position = len(one.log.lines)
    one.exit(1)
    one.wait_for("resources/subscribe", position, uri="s://a")
    start = len(host.out.lines)
    one.notify("notifications/resources/updated", {"uri": "s://a"})
    host.notification("notifications/resources/updated", start)
    assert subscriptions(one) == ["+s://a", "+s://b", "-s://b", "+s://a"]
    assert host.ask("resources/unsubscribe", {"uri": "s://a"})["result"] == {}
    assert subscriptions(one)[-1] == "-s://a"


def test_what_is_unsubscribed_while_its_server_is_down_is_not_restored(bench):
    one = server_with(bench, "one", [resource("s://a"), resource("s://b")])
    host = bench.host(bench.config())
    names(host, "resources/list", "resources", "uri")
    for uri in ("s://a", "s://b"):
        assert host.ask("resources/subscribe", {"uri": uri})["result"] == {}
    position = len(one.log.lines)
    one.script["answers"]["initialize"] = {"*": "held"}
    one.write_script()
    one.exit(1)
    _, initialize = one.wait_for("initialize", position)
    assert host.ask("resources/unsubscribe", {"uri": "s://a"})["result"] == {}
    result = {"protocolVersion": "2025-11-25", "capabilities": RESOURCES, "serverInfo": {"name": "one", "version": "1"}}
    one.say({"id": initialize["id"], "result": result})
    one.wait_for("resources/subscribe", position, uri="s://b")
    read(host, "s://a")
    assert subscriptions(one) == ["+s://a", "+s://b", "+s://b"]


def test_an_unknown_resource_waits_for_servers_that_are_starting(bench):
    server_with(bench, "ready")
    late = server_with(bench, "late", answers={"*": contents("u://x", "late")})
    late.script["answers"]["initialize"] = {"*": "held"}
    late.write_script()
    host = bench.host(bench.config(listWait="10s"))
    _, initialize = late.wait_for("initialize")
    bench.servers[0].wait_for("resources/templates/list")
    id = host.post("resources/read", {"uri": "u://x"})
    bench.servers[0].wait_for("resources/read")
    assert host.ask("ping")["result"] == {}
    result = {"protocolVersion": "2025-11-25", "capabilities": RESOURCES, "serverInfo": {"name": "late", "version": "1"}}
    late.say({"id": initialize["id"], "result": result})
    assert host.answer(id)["result"]["contents"][0]["text"] == "late"


def test_who_became_ready_after_the_question_was_sent_is_asked_too(bench):
    only = server_with(bench, "only", answers={"*": "held"})
    late = server_with(bench, "late", [resource("l://a")], answers={"*": contents("u://x", "late")})
    late.script["answers"]["initialize"] = {"*": "held"}
    late.write_script()
    host = bench.host(bench.config(listWait="1s"))
    _, initialize = late.wait_for("initialize")
    assert names(host, "resources/list", "resources", "uri") == []
    id = host.post("resources/read", {"uri": "u://x"})
    _, asked = only.wait_for("resources/read")
    result = {"protocolVersion": "2025-11-25", "capabilities": RESOURCES, "serverInfo": {"name": "late", "version": "1"}}
    late.say({"id": initialize["id"], "result": result})
    host.notification("notifications/resources/list_changed")
    only.say({"id": asked["id"], "error": {"code": -32002, "message": "Resource not found"}})
    assert host.answer(id)["result"]["contents"][0]["text"] == "late"


def test_a_question_of_a_server_that_does_not_have_the_resource_is_not_for_the_next_one(bench):
    """It may be about another request that is in flight there, but not about what is over."""
    first = server_with(bench, "first", answers={"*": "held"})
    second = server_with(bench, "second", answers={"*": "held"})
    host = bench.host(bench.config(), None)
    host.envelope = tools.envelope({"elicitation": {"form": {}}})
    assert names(host, "resources/list", "resources", "uri") == []
    other = host.post("resources/read", {"uri": "u://other"})
    id = host.post("resources/read", {"uri": "u://x"})
    _, asked = first.wait_for("resources/read", uri="u://x")
    form = {"message": "Which one?", "requestedSchema": {"type": "object", "properties": {}}}
    refusal = {"code": -32002, "message": "Resource not found"}
    first.say_together({"id": "q", "method": "elicitation/create", "params": form}, {"id": asked["id"], "error": refusal})
    _, asked = second.wait_for("resources/read")
    assert host.answer(other)["result"]["resultType"] == "input_required"
    second.say({"id": asked["id"], **contents("u://x", "second")})
    assert host.answer(id)["result"]["contents"][0]["text"] == "second"


def test_an_id_used_again_while_the_host_fetches_input_is_another_request(bench):
    first = server_with(bench, "first", answers={"*": "held"})
    second = server_with(bench, "second", answers={"*": contents("u://y", "second")})
    host = bench.host(bench.config(), None)
    host.envelope = tools.envelope({"elicitation": {"form": {}}})
    assert names(host, "resources/list", "resources", "uri") == []
    host.post("resources/read", {"uri": "u://x"}, id="seven")
    _, x = first.wait_for("resources/read", uri="u://x")
    first.question("q", "elicitation/create", {"message": "Which?", "requestedSchema": {"type": "object", "properties": {}}})
    state = host.answer("seven")["result"]["requestState"]
    host.post("resources/read", {"uri": "u://y"}, id="seven")
    _, y = first.wait_for("resources/read", uri="u://y")
    first.say({"id": x["id"], "error": {"code": -32002, "message": "x is not here"}})
    first.say({"id": y["id"], **contents("u://y", "first")})
    host.out.wait_for(lambda line: b'"first"' in line, tools.PATIENCE)
    back = host.ask("resources/read", {"uri": "u://x", "requestState": state, "inputResponses": {"q0": {"action": "decline"}}})
    assert "x is not here" in back["error"]["message"]
    assert len([message for message in host.messages() if message.get("id") == "seven"]) == 2
    assert not [message for message in second.got() if message.get("method") == "resources/read"]


def test_a_refused_subscription_is_none(bench):
    bench.scripted("without", {"capabilities": {"resources": {}}, "lists": {"resources/list": [[resource("s://w")]]}})
    refusal = {"code": -32603, "message": "not this one"}
    one = server_with(bench, "one", [resource("s://a")])
    one.script["answers"]["resources/subscribe"] = {"s://a": {"error": refusal}}
    one.write_script()
    host = bench.host(bench.config())
    names(host, "resources/list", "resources", "uri")
    assert host.ask("resources/subscribe", {"uri": "s://w"})["error"]["code"] == -32601
    assert not subscriptions(bench.servers[0])
    assert host.ask("resources/subscribe", {"uri": "s://a"})["error"] == refusal
    start = len(host.out.lines)
    one.notify("notifications/resources/updated", {"uri": "s://a"})
    read(host, "s://a")
    assert not [message for message in host.messages(start) if "method" in message]


# Changes


@pytest.mark.parametrize(
    "kind, method, member, item, other",
    [
        ("tools", "tools/list", "tools", tool("new"), tool("newer")),
        ("prompts", "prompts/list", "prompts", prompt("new"), prompt("newer")),
        ("resources", "resources/list", "resources", resource("r://new"), resource("r://newer")),
        ("resources", "resources/templates/list", "resourceTemplates", template("r://new/{x}"), template("r://newer/{x}")),
    ],
    ids=["tools", "prompts", "resources", "templates"],
)
def test_a_changed_list_is_told_once_and_listed_anew(bench, kind, method, member, item, other):
    lists = {m: [[]] for m in ("tools/list", "prompts/list", "resources/list", "resources/templates/list")}
    bench.scripted("still", {"capabilities": EVERYTHING, "lists": lists})
    one = bench.scripted("one", {"capabilities": EVERYTHING, "lists": lists})
    host = bench.host(bench.config(), revision=None)
    host.handshake("2025-11-25")
    for each in lists:
        host.ask(each)
    key = {"resources/list": "uri", "resources/templates/list": "uriTemplate"}.get(method, "name")
    shown = "one__new" if key == "name" else item[key]
    start = len(host.out.lines)
    one.script["lists"] = {**lists, method: [[item]]}
    one.write_script()
    one.notify(f"notifications/{kind}/list_changed")
    host.notification(f"notifications/{kind}/list_changed", start)
    assert names(host, method, member, key) == [shown]
    # The next change is the end of what the first one led to.
    one.script["lists"] = {**lists, method: [[item, other]]}
    one.write_script()
    position = len(host.out.lines)
    one.notify(f"notifications/{kind}/list_changed")
    host.notification(f"notifications/{kind}/list_changed", position)
    told = [message["method"] for message in host.messages(start) if "method" in message]
    assert told == [f"notifications/{kind}/list_changed"] * 2, "this kind alone, and once for each change"
    assert len(names(host, method, member, key)) == 2


def test_a_list_that_did_not_change_is_no_news(bench):
    lists = {"prompts/list": [[prompt("p")]]}
    one = bench.scripted("one", {"capabilities": {"prompts": {"listChanged": True}}, "lists": lists})
    host = bench.host(bench.config())
    names(host, "prompts/list", "prompts")
    position = len(one.log.lines)
    one.notify("notifications/prompts/list_changed")
    one.wait_for("prompts/list", position)
    start = len(host.out.lines)
    one.script["lists"] = {"prompts/list": [[prompt("q")]]}
    one.write_script()
    one.notify("notifications/prompts/list_changed")
    host.notification("notifications/prompts/list_changed", start)
    assert len([message for message in host.messages() if message.get("method") == "notifications/prompts/list_changed"]) == 1


# Instructions


def test_instructions_of_ready_servers_are_merged_within_the_limit(bench):
    texts = {"long": "l" * 5000, "short": "Be brief.", "none": "", "other": "o" * 5000}
    servers = [bench.scripted(key, {"capabilities": {}, "instructions": text}) for key, text in texts.items()]
    host = bench.host(bench.config(instructionsLimit=600), revision=None)
    for server in servers:
        server.wait_for("notifications/initialized")
    instructions = host.handshake("2025-11-25")["result"]["instructions"]
    assert 550 < len(instructions) <= 600
    assert "## short\nBe brief." in instructions and "none" not in instructions
    assert 200 < instructions.count("l" * 10) * 10 < 300, "its share"
    assert abs(instructions.count("l") - instructions.count("o")) < 12, "fairly"
    assert instructions.index("## long") < instructions.index("## short") < instructions.index("## other")


def test_what_a_single_server_says_is_said_as_it_is(bench):
    one = bench.scripted("one", {"capabilities": {}, "instructions": "Only é\nthis."})
    host = bench.host(bench.config(), revision=None)
    one.wait_for("notifications/initialized")
    assert host.handshake("2025-11-25")["result"]["instructions"] == "Only é\nthis."


# Older hosts


LINK = {"type": "resource_link", "uri": "x://y", "name": "n", "title": "The Y"}
AUDIO = {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"}
TEXT = {"type": "text", "text": "t", "_meta": {"com.example/k": 1}}


@pytest.mark.parametrize(
    "revision, kinds",
    [
        ("2024-11-05", ["text", "text", "text"]),
        ("2025-03-26", ["text", "text", "audio"]),
        ("2025-06-18", ["text", "resource_link", "audio"]),
        ("2025-11-25", ["text", "resource_link", "audio"]),
    ],
)
def test_content_an_older_host_does_not_know_reaches_it_as_text(bench, revision, kinds):
    blocks = [TEXT, LINK, AUDIO]
    messages = [{"role": "user", "content": block} for block in blocks]
    script = {
        "capabilities": EVERYTHING,
        "lists": {"tools/list": [[tool("t")]], "prompts/list": [[prompt("p")]]},
        "answers": {
            "tools/call": {"t": {"result": {"content": blocks, "isError": False, "_meta": {"com.example/big": 2**60}}}},
            "prompts/get": {"p": {"result": {"messages": messages, "description": "d"}}},
        },
    }
    bench.scripted("one", script)
    host = bench.host(bench.config(), revision)
    host.tools()
    result = host.call("one__t")
    assert [block["type"] for block in result["content"]] == kinds
    got = host.ask("prompts/get", {"name": "one__p"})["result"]
    assert [message["content"] for message in got["messages"]] == result["content"]
    assert {message["role"] for message in got["messages"]} == {"user"} and got["description"] == "d"
    assert result["content"][0] == TEXT and result["_meta"] == {"com.example/big": 2**60} and result["isError"] is False
    for block, original in zip(result["content"], blocks, strict=True):
        if block["type"] == original["type"]:
            assert block == original
        elif original is LINK:
            assert "x://y" in block["text"] and "The Y" in block["text"]
        else:
            assert "audio/wav" in block["text"] and "AAAA" not in block["text"]


# Progress and cancellation of what is no tool call


@pytest.mark.parametrize(
    "method, params", [("prompts/get", {"name": "one__p"}), ("resources/read", {"uri": "r://a"})], ids=["prompt", "resource"]
)
def test_prompts_and_reads_have_progress_and_can_be_cancelled(bench, method, params):
    script = {
        "capabilities": EVERYTHING,
        "lists": {"prompts/list": [[prompt("p")]], "resources/list": [[resource("r://a")]]},
        "answers": {"resources/read": {"r://a": "held"}},
    }
    one = bench.scripted("one", script)
    host = bench.host(bench.config())
    names(host, "prompts/list", "prompts")
    id = host.post(method, {**params, "_meta": {"progressToken": "host's"}})
    position, asked = one.wait_for(method)
    token = asked["params"]["_meta"]["progressToken"]
    assert token != "host's"
    one.notify("notifications/progress", {"progressToken": token, "progress": 0.5, "total": 2, "message": "half"})
    assert host.notification("notifications/progress")[1]["params"] == {
        "progressToken": "host's", "progress": 0.5, "total": 2, "message": "half"
    }
    host.notify("notifications/cancelled", {"requestId": id, "reason": "enough"})
    _, cancel = one.wait_for("notifications/cancelled", position)
    assert cancel["params"] == {"requestId": asked["id"], "reason": "enough"}
    start = len(host.out.lines)
    one.notify("notifications/progress", {"progressToken": token, "progress": 1})
    one.say({"id": asked["id"], "error": {"code": -32800, "message": "cancelled"}})
    assert host.ask("resources/read", {"uri": "r://other"})["error"]["code"] == -32002
    assert len(host.messages(start)) == 1, "nothing more of what was cancelled"


def test_a_server_may_ping(bench):
    one = bench.scripted("one", {"capabilities": {}})
    bench.host(bench.config())
    one.wait_for("notifications/initialized")
    one.question("p", "ping")
    assert one.answer_to("p") == {"jsonrpc": "2.0", "id": "p", "result": {}}
    one.question(1, "no/such/method")
    assert one.answer_to(1)["error"]["code"] == -32601
