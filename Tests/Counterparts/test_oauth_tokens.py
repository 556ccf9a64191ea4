"""Tokens in use: renewed in time and only once at a time, shown to nobody else, given up when they are refused."""

import json

import pytest

from oauth_authority import Authority
from oauth_bench import KEY, OLD, NEW, REFUSED, SUCCESS, TOOL_ERROR, UNREACHABLE, assert_says
from oauth_mcp import HANDSHAKE, STATELESS, Protected
from oauth_site import Answer, Request

# Requests of one command to a server that refuses every token: a few, to find out; not one after the other.
FEW = 12


def refused(server: Protected) -> list[Request]:
    return [request for request in server.got() if request.status == 401]


def is_refresh(request: Request) -> bool:
    return request.path == "/token" and request.form["grant_type"] == "refresh_token"


# Renewal


def test_a_token_that_is_about_to_expire_is_renewed_first(oauth):
    oauth.authority.token_life = 20.0
    server = oauth.protect()
    oauth.logged_in()
    oauth.authority.token_life = 3600.0
    assert oauth.called("echo", "text=hello") == "hello"
    assert len(oauth.authority.refreshes) == 1
    with_token = [request for request in server.got() if request.header("Authorization")]
    assert [request.status for request in with_token if request.status == 401] == []
    first, second = oauth.authority.grants[0].access
    assert server.tokens() == {second}, "the one that was about to expire was not used any more"
    assert oauth.called("echo", "text=again") == "again"
    assert len(oauth.authority.refreshes) == 1


def test_a_token_that_the_server_takes_no_longer_is_renewed(oauth):
    server = oauth.protect()
    oauth.logged_in()
    assert oauth.called("count") == "1"
    oauth.authority.expire()
    assert oauth.called("count") == "2"
    assert len(oauth.authority.refreshes) == 1
    assert len([request for request in refused(server) if request.header("Authorization")]) == 1
    assert server.executions["count"] == 2


@pytest.mark.parametrize("revision", [OLD, NEW])
@pytest.mark.parametrize("eras", [(HANDSHAKE,), (STATELESS,)], ids=str)
def test_a_token_that_expires_in_the_middle_is_renewed_and_no_call_runs_twice(oauth, revision, eras):
    server = oauth.protect()
    server.eras = eras
    oauth.logged_in()
    host = oauth.host(revision)
    host.tools()
    assert host.text(f"{KEY}__count") == "1"
    for number in (2, 3):
        oauth.authority.expire()
        assert host.text(f"{KEY}__count") == str(number)
    assert server.executions["count"] == 3
    # The stream for the server's own messages may find out as well, but what it finds out is one thing.
    assert len(oauth.authority.refreshes) == 2


def test_many_calls_at_once_with_an_expired_token_renew_it_once(oauth):
    server = oauth.protect()
    oauth.logged_in()
    host = oauth.host()
    host.tools()
    host.text(f"{KEY}__echo", {"text": "x"})
    oauth.authority.expire()
    gate = oauth.authority.site.hold("/token", is_refresh)
    before = len(server.site.requests)
    ids = [host.post("tools/call", {"name": f"{KEY}__count", "arguments": {}}) for _ in range(30)]
    oauth.authority.site.wait_for(is_refresh)
    server.site.wait_count(lambda request: request.message.get("method") == "tools/call" and request.status == 401, 1, before)
    gate.release()
    texts = {host.answer(id)["result"]["content"][0]["text"] for id in ids}
    assert texts == {str(number + 1) for number in range(30)}
    assert server.executions["count"] == 30
    assert len(oauth.authority.refreshes) == 1


def test_every_rotation_is_kept(oauth):
    oauth.authority.token_life = 20.0
    oauth.protect()
    oauth.logged_in()
    for number in range(1, 6):
        assert oauth.called("count") == str(number)
        assert oauth.authority.grants[0].refresh in oauth.kept()
    sent = [form["refresh_token"] for form in oauth.authority.refreshes]
    assert len(set(sent)) == len(sent) >= 5


def test_a_refresh_token_that_stays_the_same_is_used_again(oauth):
    oauth.authority.token_life = 20.0
    oauth.authority.rotates = False
    oauth.protect()
    oauth.logged_in()
    assert [oauth.called("count"), oauth.called("count")] == ["1", "2"]
    assert len({form["refresh_token"] for form in oauth.authority.refreshes}) == 1


def test_the_resource_is_named_in_every_renewal(oauth):
    oauth.authority.token_life = 20.0
    server = oauth.protect()
    oauth.logged_in()
    oauth.called("count")
    assert {form["resource"] for form in oauth.authority.refreshes} == {server.resource}


def test_without_a_refresh_token_an_expired_login_is_over(oauth):
    oauth.authority.gives_refresh_tokens = False
    server = oauth.protect()
    oauth.logged_in()
    assert oauth.called("count") == "1"
    oauth.authority.expire()
    done = oauth.call("count")
    assert done.returncode == REFUSED
    assert_says(done, f"mcpagg login {KEY}")
    assert server.executions["count"] == 1
    oauth.logged_in()
    assert oauth.called("count") == "2"


def test_a_token_without_an_end_is_used_until_it_is_refused(oauth):
    oauth.authority.token_life = None
    oauth.protect()
    oauth.logged_in()
    assert oauth.called("count") == "1"
    assert oauth.authority.refreshes == []
    oauth.authority.expire()
    assert oauth.called("count") == "2"
    assert len(oauth.authority.refreshes) == 1


# Several at once


@pytest.mark.parametrize("count", [2, 6])
def test_processes_that_renew_at_once_do_not_lose_the_login(oauth, count):
    server = oauth.protect()
    oauth.logged_in()
    oauth.called("count")
    oauth.authority.expire()
    start = len(server.site.requests)
    gate = oauth.authority.site.hold("/token", is_refresh)
    calls = [oauth.start("call", f"{KEY}__count") for _ in range(count)]
    # All of them know that the token is refused before any has a new one.
    server.site.wait_count(lambda request: request.status == 401 and request.header("Authorization") is not None, count, start)
    oauth.authority.site.wait_for(is_refresh)
    gate.release()
    done = [call.ended() for call in calls]
    assert [one.returncode for one in done] == [SUCCESS] * count, [one.stderr for one in done]
    assert {one.stdout.strip() for one in done} == {str(number) for number in range(2, 2 + count)}
    assert len(oauth.authority.refreshes) == 1
    assert not oauth.authority.grants[0].is_revoked
    assert oauth.called("count") == str(2 + count)


def test_processes_that_renew_before_the_end_at_once_do_not_lose_the_login(oauth):
    oauth.authority.token_life = 20.0
    oauth.protect()
    oauth.logged_in()
    gate = oauth.authority.site.hold("/token", is_refresh)
    calls = [oauth.start("call", f"{KEY}__count") for _ in range(4)]
    oauth.authority.site.wait_for(is_refresh)
    gate.release()
    done = [call.ended() for call in calls]
    assert [one.returncode for one in done] == [SUCCESS] * 4, [one.stderr for one in done]
    assert not oauth.authority.grants[0].is_revoked, oauth.authority.faults


def test_a_process_that_is_killed_in_its_renewal_holds_nobody_up(oauth):
    oauth.protect()
    oauth.logged_in()
    oauth.authority.expire()
    gate = oauth.authority.site.hold("/token", is_refresh)
    first = oauth.start("call", f"{KEY}__count")
    lost = oauth.authority.site.wait_for(is_refresh)
    first.process.kill()
    first.ended()
    second = oauth.start("call", f"{KEY}__count")
    oauth.authority.site.wait_count(is_refresh, 2)
    # The authorization server never saw the first one: had it answered, nobody would know the answer.
    oauth.authority.site.instead("/token", Answer(503), where=lambda request: request is lost)
    gate.release()
    done = second.ended()
    assert (done.returncode, done.stdout) == (SUCCESS, "1"), done.stderr


def test_a_login_while_a_renewal_is_under_way_is_the_one_that_stays(oauth):
    server = oauth.protect()
    oauth.logged_in()
    oauth.authority.expire()
    gate = oauth.authority.site.hold("/token", is_refresh)
    call = oauth.start("call", f"{KEY}__count")
    oauth.authority.site.wait_for(is_refresh)
    oauth.logged_in()
    gate.release()
    done = call.ended()
    assert done.returncode == SUCCESS, done.stderr
    assert oauth.called("count") == "2"
    kept = [grant["refreshToken"] for grant in json.loads(oauth.kept())["grants"]]
    assert kept == [oauth.authority.grants[1].refresh]
    assert server.executions["count"] == 2


def test_logins_to_two_servers_at_once_are_both_kept(oauth):
    oauth.protect("one")
    oauth.protect("two", oauth.make_authority())
    logins = [oauth.start("login", key, "--browser", oauth.browser) for key in ("one", "two")]
    assert [login.ended().returncode for login in logins] == [SUCCESS, SUCCESS]
    assert oauth.called("count", key="one") == oauth.called("count", key="two") == "1"


# Refused for good


def test_a_login_that_has_ended_asks_for_another_and_is_forgotten(oauth):
    server = oauth.protect()
    oauth.logged_in()
    oauth.authority.revoke()
    done = oauth.call("count")
    assert done.returncode == REFUSED
    assert_says(done, f"mcpagg login {KEY}")
    assert len(oauth.authority.refreshes) == 1
    oauth.assert_nothing_is_kept()
    assert oauth.call("count").returncode == REFUSED
    assert len(oauth.authority.refreshes) == 1, "what is over is not tried again"
    assert server.executions == {}


@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client"])
def test_a_client_that_was_forgotten_registers_anew(oauth, error):
    oauth.protect()
    oauth.logged_in()
    oauth.authority.expire()
    oauth.authority.clients.clear()
    oauth.authority.site.instead("/token", Answer.json({"error": error}, 401 if error == "invalid_client" else 400), times=1)
    done = oauth.call("count")
    assert done.returncode == REFUSED
    assert_says(done, error, f"mcpagg login {KEY}")
    oauth.logged_in()
    assert len(oauth.authority.registrations) == 2
    assert oauth.called("count") == "1"


@pytest.mark.parametrize("life", [3600.0, 20.0, 1.0])
@pytest.mark.parametrize("eras", [(HANDSHAKE,), (STATELESS,), (HANDSHAKE, STATELESS)], ids=str)
def test_a_token_that_is_refused_although_it_is_fresh_is_not_tried_again_and_again(oauth, eras, life):
    oauth.authority.token_life = life
    server = oauth.protect()
    server.eras = eras
    oauth.logged_in()
    server.takes_no_token = True
    start = len(server.site.requests)
    done = oauth.call("count")
    assert done.returncode == REFUSED, done.stderr
    assert_says(done, f"mcpagg login {KEY}")
    assert len(server.site.requests) - start <= FEW
    assert len(oauth.authority.refreshes) <= 3
    assert server.executions == {}


@pytest.mark.parametrize("life", [3600.0, 20.0])
@pytest.mark.parametrize("revision", [OLD, NEW])
def test_a_second_401_in_the_middle_of_a_session_is_final(oauth, revision, life):
    oauth.authority.token_life = life
    server = oauth.protect()
    oauth.logged_in()
    host = oauth.host(revision)
    host.tools()
    assert host.text(f"{KEY}__count") == "1"
    server.takes_no_token = True
    renewed = len(oauth.authority.refreshes)
    start = len(server.site.requests)
    result = host.call(f"{KEY}__count")
    assert result["isError"] and f"mcpagg login {KEY}" in json.dumps(result)
    assert len(oauth.authority.refreshes) == renewed + 1
    for _ in range(5):
        assert host.call(f"{KEY}__count")["isError"]
    assert len(server.site.requests) - start <= FEW
    assert len(oauth.authority.refreshes) <= renewed + 2
    assert server.executions["count"] == 1


OUTAGES = [Answer(500), Answer(503), Answer.page("<h1>Bad gateway</h1>", 502), Answer(429), Answer.json({"error": "server_error"}, 400)]


@pytest.mark.parametrize("answer", OUTAGES, ids=lambda answer: str(answer.status))
def test_an_outage_of_the_authorization_server_ends_no_login(oauth, answer):
    server = oauth.protect()
    oauth.logged_in()
    oauth.authority.expire()
    before = oauth.kept()
    oauth.authority.site.instead("/token", answer)
    done = oauth.call("count")
    assert done.returncode == UNREACHABLE, done.stderr
    assert_says(done, oauth.authority.site.origin)
    assert oauth.kept() == before
    oauth.authority.site.as_always()
    assert oauth.called("count") == "1"
    assert server.executions["count"] == 1


def test_a_token_that_is_still_good_outlives_an_outage_of_the_authorization_server(oauth):
    oauth.authority.token_life = 30.0
    oauth.protect()
    oauth.logged_in()
    oauth.authority.site.instead("/token", Answer(503))
    assert oauth.called("count") == "1"


# To whom tokens go


def test_a_configured_header_is_never_replaced_by_a_login(oauth):
    server = oauth.protect()
    oauth.logged_in()
    server.entry["headers"] = {"Authorization": "Bearer of-the-person"}
    start = len(server.site.requests)
    done = oauth.call("count")
    assert done.returncode == REFUSED
    assert "mcpagg login" not in done.stderr, "a login would not be used"
    assert {request.header("Authorization") for request in server.site.requests[start:]} == {"Bearer of-the-person"}
    assert oauth.authority.refreshes == []
    server.takes_header = "Bearer of-the-person"
    assert oauth.called("count") == "1"
    assert "of-the-person" not in done.stderr


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
def test_a_header_from_a_command_is_never_replaced_by_a_login(oauth, name):
    server = oauth.protect()
    oauth.logged_in()
    server.entry["headersFrom"] = {"command": "printf", "args": ["%s", json.dumps({name: "Bearer of-a-command"})]}
    server.takes_header = "Bearer of-a-command"
    start = len(server.site.requests)
    assert oauth.called("count") == "1"
    assert {request.header("Authorization") for request in server.site.requests[start:]} == {"Bearer of-a-command"}


def test_a_login_beside_a_configured_header_is_refused(oauth):
    oauth.protect(headers={"Authorization": "Bearer of-the-person"})
    done = oauth.login()
    assert done.returncode == 2
    assert_says(done, "Authorization", "header")


def test_the_token_of_one_url_is_not_used_for_another(oauth):
    server = oauth.protect()
    oauth.logged_in()
    stranger = oauth.stranger()
    stranger.parts.append(Protected("other", Authority(site=stranger), stranger))
    server.entry["url"] = stranger.origin + "/mcp"
    done = oauth.call("count")
    assert done.returncode in (REFUSED, UNREACHABLE, TOOL_ERROR)
    assert stranger.requests and all(request.header("Authorization") is None for request in stranger.requests)
    # The way back is open: nothing was forgotten.
    server.entry["url"] = server.site.origin + "/mcp"
    assert oauth.called("count") == "1"


@pytest.mark.parametrize("path", ["/other", "/mcp/child", "/mcp2", "/"])
def test_the_token_of_one_path_is_not_used_for_another(oauth, path):
    server = oauth.protect()
    oauth.logged_in()
    server.entry["url"] = server.site.origin + path
    start = len(server.site.requests)
    oauth.call("count")
    asked = server.site.requests[start:]
    assert asked and all(request.header("Authorization") is None for request in asked)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("with_slash", [True, False])
def test_a_redirect_takes_no_token_elsewhere(oauth, status, with_slash):
    server = oauth.protect()
    oauth.logged_in()
    stranger = oauth.stranger()
    target = stranger.origin.replace("http:", "") if with_slash else stranger.origin
    server.site.instead("/mcp", Answer.redirect(target + "/mcp", status))
    done = oauth.call("count")
    assert done.returncode != SUCCESS
    assert stranger.requests == []


def test_servers_of_one_origin_have_tokens_of_their_own(oauth):
    first = oauth.protect("one")
    second = Protected("two", oauth.authority, first.site, path="/two")
    second.named_metadata = f"{first.site.origin}/.well-known/oauth-protected-resource/two"
    oauth.bench.servers.append(second)
    oauth.logged_in("one")
    assert oauth.called("count", key="one") == "1"
    assert second.tokens() == set()
    oauth.logged_in("two")
    assert oauth.called("count", key="two") == "1"
    assert not first.tokens() & second.tokens()


def test_another_client_in_the_config_needs_a_login_of_its_own(oauth):
    for id in ("first", "second"):
        oauth.authority.client(id)
    server = oauth.protect(oauth={"clientId": "first"})
    oauth.logged_in()
    assert oauth.called("count") == "1"
    server.entry["oauth"] = {"clientId": "second"}
    done = oauth.call("count")
    assert done.returncode == REFUSED
    oauth.logged_in()
    assert oauth.called("count") == "2"
    assert oauth.authority.authorizations[-1]["client_id"] == "second"


# The end


def test_a_logout_forgets_and_revokes(oauth):
    oauth.protect()
    oauth.logged_in()
    grant = oauth.authority.grants[0]
    done = oauth.run("logout", KEY)
    assert done.returncode == SUCCESS, done.stderr
    assert [form["token"] for form in oauth.authority.revocations] == [grant.refresh]
    assert grant.is_revoked
    oauth.assert_nothing_is_kept()
    assert oauth.call("count").returncode == REFUSED
    again = oauth.run("logout", KEY)
    assert again.returncode == SUCCESS
    assert len(oauth.authority.revocations) == 1


def test_a_logout_takes_only_the_login_of_its_server(oauth):
    oauth.protect("one")
    oauth.protect("two")
    oauth.logged_in("one")
    oauth.logged_in("two")
    assert oauth.run("logout", "one").returncode == SUCCESS
    assert oauth.called("count", key="two") == "1"
    assert oauth.call("count", key="one").returncode == REFUSED


@pytest.mark.parametrize("answer", [Answer(500), Answer.json({"error": "unsupported_token_type"}, 400), None], ids=str)
def test_a_logout_forgets_even_if_nobody_can_be_told(oauth, answer):
    oauth.protect()
    oauth.logged_in()
    if answer is None:
        oauth.authority.site.close()
    else:
        oauth.authority.site.instead("/revoke", answer)
    done = oauth.run("logout", KEY)
    assert done.returncode == SUCCESS, done.stderr
    assert_says(done, oauth.authority.issuer)
    oauth.assert_nothing_is_kept()


def test_a_logout_without_a_place_to_revoke_forgets(oauth):
    oauth.authority.on_metadata = lambda document: {name: value for name, value in document.items() if name != "revocation_endpoint"}
    oauth.protect()
    oauth.logged_in()
    assert oauth.run("logout", KEY).returncode == SUCCESS
    oauth.assert_nothing_is_kept()


def test_a_logout_of_a_server_that_nobody_knows_is_a_usage_error(oauth):
    oauth.protect()
    done = oauth.run("logout", "no-such-server")
    assert done.returncode == 2
    assert_says(done, "no-such-server")


def test_no_command_shows_a_secret(oauth):
    """What is looked for at the end of every test is here in all commands that there are."""
    oauth.authority.token_life = 20.0
    server = oauth.protect()
    oauth.logged_in()
    secrets = oauth.authority.secrets
    for command in (["list-tools"], ["list-tools", "--json"], ["status"], ["status", "--json"], ["check"], ["call", f"{KEY}__count"]):
        done = oauth.run(*command)
        assert done.returncode == SUCCESS, done.stderr
        assert not [secret for secret in secrets if secret in done.stdout + done.stderr]
    # A server that repeats what it was sent shows it to whom it was meant for: not to the log.
    server.site.instead("/mcp", lambda request: Answer.page(f"you sent {request.header('Authorization')}", 500))
    assert oauth.call("count").returncode == UNREACHABLE
    assert oauth.run("logout", KEY).returncode == SUCCESS
