"""`mcpagg serve` and logins: it never opens a browser, says what to do, and takes a login over by itself."""

import json

import pytest

import bench as tools
from oauth_bench import KEY, NEW, OLD, REFUSED, SUCCESS, OAuth, asked_until_it_works
from oauth_mcp import HANDSHAKE, STATELESS

COMMAND = f"mcpagg login {KEY}"


def names_of(key: str):
    return lambda names: any(name.startswith(f"{key}__") for name in names)


def asks_for_login(host, tool: str = "echo", key: str = KEY) -> str:
    """What a call is answered, which is the command to run."""
    answer = host.ask("tools/call", {"name": f"{key}__{tool}", "arguments": {}})
    text = json.dumps(answer)
    assert f"mcpagg login {key}" in text, text
    assert "error" in answer or answer["result"]["isError"], text
    return text


def waiting(oauth: OAuth, revision: str = OLD, **entry):
    """A host of a serve that wants a login, with another server that wants none."""
    server = oauth.protect(**entry)
    oauth.bench.fake("local")
    host = oauth.host(revision)
    if revision == NEW:
        host.post("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        host.notification("notifications/subscriptions/acknowledged")
    host.tools_when(names_of("local"))
    server.site.wait_for(lambda request: request.path == server.path and request.status == 401)
    return server, host


@pytest.mark.parametrize("revision", [OLD, NEW])
def test_serve_opens_no_browser_and_says_what_to_do(oauth, revision):
    server, host = waiting(oauth, revision)
    asks_for_login(host)
    assert host.text("local__echo", {"text": "fine"}) == "fine"
    assert not names_of(KEY)(host.tool_names())
    host.end()
    assert COMMAND in host.err.text()
    assert oauth.visited.lines == []
    assert oauth.authority.site.requests == [], "nobody is asked for a login that nobody wants yet"
    assert server.executions == {}


@pytest.mark.parametrize("revision", [OLD, NEW])
@pytest.mark.parametrize("eras", [(HANDSHAKE,), (STATELESS,)], ids=str)
@pytest.mark.parametrize("has_directory", [True, False])
def test_serve_comes_alive_by_itself_after_a_login_elsewhere(oauth, revision, eras, has_directory):
    if has_directory:
        oauth.protect("before")
        oauth.logged_in("before")
    server, host = waiting(oauth, revision)
    server.eras = eras
    asks_for_login(host)
    # A host that looks at the list before it is told has seen the change, and is not told.
    gate = server.site.hold(server.path, lambda request: request.message.get("method") == "tools/list")
    oauth.logged_in()
    start = len(host.out.lines)
    assert not names_of(KEY)(host.tool_names())
    gate.release()
    host.notification("notifications/tools/list_changed", start)
    host.tools_when(names_of(KEY))
    assert host.text(f"{KEY}__echo", {"text": "hello"}) == "hello"
    assert host.text(f"{KEY}__count") == "1"


def test_a_call_right_after_a_login_elsewhere_works(oauth):
    """Whoever reads the answer, logs in and asks again need not wait for anything."""
    _, host = waiting(oauth)
    asks_for_login(host)
    oauth.logged_in()
    host.tools_when(names_of(KEY))
    assert host.text(f"{KEY}__count") == "1"


def test_two_serves_come_alive_after_one_login(oauth):
    server, first = waiting(oauth)
    second = oauth.host()
    asks_for_login(second)
    oauth.logged_in()
    for host in (first, second):
        host.tools_when(names_of(KEY))
        assert host.text(f"{KEY}__echo", {"text": "hello"}) == "hello"
    assert len(oauth.authority.grants) == 1
    assert server.executions["echo"] == 2


def test_only_the_server_that_was_logged_in_to_comes_alive(oauth):
    oauth.protect("other")
    _, host = waiting(oauth)
    oauth.logged_in()
    host.tools_when(names_of(KEY))
    asks_for_login(host, key="other")
    oauth.logged_in("other")
    host.tools_when(names_of("other"))
    assert host.text("other__count") == "1"


def test_a_login_that_failed_changes_nothing(oauth):
    server, host = waiting(oauth)
    oauth.authority.denial = "access_denied"
    assert oauth.login().returncode == REFUSED
    asks_for_login(host)
    oauth.authority.denial = None
    oauth.logged_in()
    host.tools_when(names_of(KEY))
    assert host.text(f"{KEY}__count") == "1"
    assert server.executions["count"] == 1


def test_a_logout_elsewhere_ends_the_use_at_once(oauth):
    server = oauth.protect()
    oauth.logged_in()
    host = oauth.host()
    host.tools_when(names_of(KEY))
    assert host.text(f"{KEY}__count") == "1"
    assert oauth.run("logout", KEY).returncode == SUCCESS
    asks_for_login(host, "count")
    assert server.executions["count"] == 1
    oauth.logged_in()
    assert_works_again(host, "2")


def test_a_login_that_has_ended_is_replaced_by_another(oauth):
    oauth.protect()
    oauth.logged_in()
    host = oauth.host()
    host.tools_when(names_of(KEY))
    assert host.text(f"{KEY}__count") == "1"
    oauth.authority.revoke()
    asks_for_login(host, "count")
    oauth.logged_in()
    assert_works_again(host, "2")


def assert_works_again(host, number: str) -> None:
    """The tools may have stayed in the list, so that there is nothing to wait for but the answer itself."""
    host.tools_when(names_of(KEY))
    assert asked_until_it_works(host, "count") == number


@pytest.mark.parametrize("eras", [(HANDSHAKE,), (STATELESS,)], ids=str)
def test_two_people_share_no_session(oauth, eras):
    server = oauth.protect()
    server.eras = eras
    oauth.logged_in()
    host = oauth.host()
    host.tools_when(names_of(KEY))
    assert host.text(f"{KEY}__count") == "1"
    oauth.authority.revoke()
    oauth.logged_in()
    assert_works_again(host, "2")
    host.end()
    sessions = []
    for grant in oauth.authority.grants:
        headers = {f"Bearer {token}" for token in grant.access}
        used = {request.header("Mcp-Session-Id") for request in server.got() if request.header("Authorization") in headers}
        sessions.append(used - {None})
    first, second = sessions
    assert not first & second, "a session belongs to whoever opened it"
    assert bool(first) == bool(second) == (eras == (HANDSHAKE,))


def test_a_new_url_in_the_file_takes_no_token_along(oauth):
    server = oauth.protect()
    oauth.logged_in()
    host = oauth.host()
    host.tools_when(names_of(KEY))
    other = oauth.protect("elsewhere")
    oauth.bench.servers.remove(other)
    server.entry["url"] = other.url
    oauth.bench.config()
    host.err.wait_for(lambda line: COMMAND.encode() in line, tools.PATIENCE)
    assert other.got() and other.tokens() == set()
    # A config that does not work yet takes nothing away: the server as it was goes on, until there is a login to the new one.
    assert host.text(f"{KEY}__count") == "1"
    assert other.executions == {}
    oauth.logged_in()
    other.site.wait_for(lambda request: request.message.get("method") == "tools/list" and request.status == 200)
    asked_until_it_works(host, "count")
    assert not other.tokens() & server.tokens()


@pytest.mark.parametrize("json_flag", [[], ["--json"]], ids=str)
def test_status_says_that_a_login_is_missing(oauth, json_flag):
    oauth.protect()
    oauth.bench.fake("local")
    done = oauth.run("status", *json_flag)
    assert done.returncode == REFUSED
    assert "authorization" in done.stdout.lower() and COMMAND in done.stdout
    if json_flag:
        json.loads(done.stdout)
    assert oauth.visited.lines == []


def test_a_missing_login_is_not_all_that_is_wrong(oauth):
    oauth.protect()
    oauth.bench.fake("broken", "--exit-at-start", "3")
    assert oauth.run("status").returncode == 4


def test_list_tools_shows_the_others_and_says_what_is_missing(oauth):
    oauth.protect()
    oauth.bench.fake("local")
    done = oauth.run("list-tools")
    assert "local__echo" in done.stdout
    assert COMMAND in done.stderr


def test_a_server_that_waits_for_a_login_is_not_asked_again_and_again(oauth):
    server, host = waiting(oauth)
    for _ in range(20):
        asks_for_login(host)
    assert len(server.site.requests) <= 30, "a few for each call at most"
    assert host.text("local__echo", {"text": "fine"}) == "fine"


def test_a_login_is_taken_over_while_the_server_is_being_refused_a_renewal(oauth):
    """The first login ends while its renewal is under way, and the person logs in meanwhile."""
    server = oauth.protect()
    oauth.logged_in()
    host = oauth.host()
    host.tools_when(names_of(KEY))
    oauth.authority.revoke()
    gate = oauth.authority.site.hold("/token", lambda request: request.form["grant_type"] == "refresh_token")
    id = host.post("tools/call", {"name": f"{KEY}__count", "arguments": {}})
    oauth.authority.site.wait_for(lambda request: request.path == "/token" and request.form["grant_type"] == "refresh_token")
    oauth.logged_in()
    gate.release()
    host.answer(id)
    assert server.executions["count"] <= 1
    executed = server.executions["count"]
    assert_works_again(host, str(executed + 1))
