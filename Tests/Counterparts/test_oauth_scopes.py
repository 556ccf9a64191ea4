"""Which rights are asked for, and what happens if they are not enough."""

import json

import pytest

from oauth_bench import KEY, NEW, OLD, REFUSED, SUCCESS, assert_says
from oauth_mcp import OPEN_VAULT
from oauth_site import Answer

OFFLINE = "offline_access"


@pytest.mark.parametrize(
    ("challenged", "by_server", "by_authority", "asked"),
    [
        ("basic", ["basic", "more"], None, "basic"),
        ("basic more", None, ["basic", "more", "all"], "basic more"),
        (None, ["basic", "more"], None, "basic more"),
        (None, ["basic", "more"], ["basic", "more", "all"], "basic more"),
        (None, None, ["basic", "all"], None),
        (None, None, None, None),
        (None, [], None, None),
        ("", ["basic"], None, None),
        ("basic", None, ["basic", OFFLINE], f"basic {OFFLINE}"),
        (None, ["basic"], ["basic", OFFLINE], f"basic {OFFLINE}"),
        (None, None, ["basic", OFFLINE], None),
        (f"basic {OFFLINE}", None, ["basic"], "basic"),
        (None, ["basic", OFFLINE], None, "basic"),
        ("a:b/c.d https://x.example/scope", None, None, "a:b/c.d https://x.example/scope"),
    ],
)
def test_what_is_asked_for(oauth, challenged, by_server, by_authority, asked):
    server = oauth.protect()
    server.named_scope, server.scopes_supported = challenged, by_server
    oauth.authority.scopes_supported = by_authority
    oauth.logged_in()
    [request] = oauth.authority.authorizations
    assert request.get("scope") == asked
    assert request.get("prompt") == ("consent" if asked and OFFLINE in asked else None)
    assert oauth.called("echo", "text=hello") == "hello"


@pytest.mark.parametrize("scopes", [["one", "two"], "one two"], ids=str)
def test_the_file_has_the_say_over_the_server(oauth, scopes):
    oauth.protect(oauth={"scopes": scopes})
    oauth.logged_in()
    assert oauth.authority.authorizations[0]["scope"] == "one two"


def test_the_person_has_the_say_over_the_file(oauth):
    oauth.protect(oauth={"scopes": ["one"]})
    oauth.logged_in(KEY, "--scope", "three", "--scope", "four five")
    assert oauth.authority.authorizations[0]["scope"] == "three four five"


def test_a_scope_that_does_not_exist_is_named(oauth):
    oauth.authority.scopes_supported = ["basic"]
    oauth.protect()
    done = oauth.login(KEY, "--scope", "nonsense")
    assert done.returncode == REFUSED
    assert_says(done, "invalid_scope", "nonsense")


def test_a_registration_names_the_scopes_it_is_used_for(oauth):
    oauth.protect()
    oauth.logged_in()
    oauth.logged_in(KEY, "--scope", "another")
    asked = [wish.get("scope", "").split() for wish in oauth.authority.registrations]
    for request in oauth.authority.authorizations:
        client = oauth.authority.clients[request["client_id"]]
        number = list(oauth.authority.clients.values()).index(client)
        assert not asked[number] or set(request["scope"].split()) <= set(asked[number])


# Not enough


def test_a_tool_that_needs_more_names_the_command_and_the_next_login_asks_for_all(oauth):
    server = oauth.protect()
    oauth.logged_in()
    done = oauth.call("vault")
    assert done.returncode == REFUSED
    assert_says(done, f"mcpagg login {KEY}")
    assert server.executions == {}
    assert len(server.got("tools/call")) == 1, "what is forbidden is not tried again"
    assert oauth.called("echo", "text=still") == "still", "the rest of the login is as good as before"
    oauth.logged_in()
    assert oauth.authority.authorizations[-1]["scope"] == f"basic {OPEN_VAULT}"
    assert oauth.called("vault") == "gold"
    assert oauth.called("echo", "text=hello") == "hello"
    assert oauth.authority.refreshes == [], "a renewal cannot give more"


@pytest.mark.parametrize("revision", [OLD, NEW])
def test_serve_goes_on_with_more_after_the_next_login(oauth, revision):
    server = oauth.protect()
    oauth.logged_in()
    host = oauth.host(revision)
    host.tools()
    for _ in range(2):
        refused = host.call(f"{KEY}__vault")
        assert refused["isError"] and f"mcpagg login {KEY}" in json.dumps(refused)
        assert host.text(f"{KEY}__echo", {"text": "still"}) == "still"
    assert len(server.got("tools/call")) == 4
    oauth.logged_in()
    assert oauth.authority.authorizations[-1]["scope"] == f"basic {OPEN_VAULT}"
    # At once: whoever has done what the answer said is not told to do it again.
    assert host.text(f"{KEY}__vault") == "gold"
    assert server.executions["vault"] == 1


def test_what_was_missing_twice_is_asked_for_once(oauth):
    oauth.protect()
    oauth.logged_in()
    for _ in range(3):
        assert oauth.call("vault").returncode == REFUSED
    oauth.logged_in()
    assert oauth.authority.authorizations[-1]["scope"].split().count(OPEN_VAULT) == 1
    # And it stays: the login after that would lose it otherwise.
    oauth.logged_in()
    assert set(oauth.authority.authorizations[-1]["scope"].split()) == {"basic", OPEN_VAULT}


def test_a_newer_login_that_is_not_enough_either_is_added_to(oauth):
    """The person has logged in elsewhere meanwhile, to less than the tool needs."""
    server = oauth.protect()
    oauth.logged_in()
    host = oauth.host()
    host.tools()
    oauth.logged_in(KEY, "--scope", "other")
    refused = host.call(f"{KEY}__vault")
    assert refused["isError"] and f"mcpagg login {KEY}" in json.dumps(refused)
    assert len(server.got("tools/call")) <= 2
    oauth.logged_in()
    assert OPEN_VAULT in oauth.authority.authorizations[-1]["scope"].split()


@pytest.mark.parametrize("life", [3600.0, 20.0, 1.0])
def test_what_is_forbidden_is_not_asked_for_again_with_every_renewal(oauth, life):
    """Tokens that are renewed before each request are other ones each time, and give no more than the one before."""
    oauth.authority.token_life = life
    server = oauth.protect()
    oauth.logged_in()
    done = oauth.call("vault")
    assert done.returncode == REFUSED, done.stderr
    assert_says(done, f"mcpagg login {KEY}")
    assert len(server.got("tools/call")) <= 2
    assert len(oauth.authority.refreshes) <= 4
    oauth.logged_in()
    assert oauth.called("vault") == "gold"


def test_an_authorization_server_that_gives_less_is_not_asked_in_circles(oauth):
    server = oauth.protect()
    oauth.logged_in()
    real = oauth.authority._code
    # It agrees, and gives what it gave before.
    oauth.authority._code = lambda request, asked, client, uri: real(request, {**asked, "scope": "basic"}, client, uri)
    for _ in range(2):
        assert oauth.call("vault").returncode == REFUSED
        oauth.logged_in()
    assert oauth.call("vault").returncode == REFUSED
    assert len(server.got("tools/call")) == 3
    assert oauth.called("echo", "text=hello") == "hello"


def test_a_scope_of_the_server_cannot_write_into_the_request(oauth):
    server = oauth.protect()
    server.named_scope = "basic&resource=https://evil.example\\\" more"
    oauth.login()
    for request in oauth.authority.authorizations:
        assert request["resource"] == server.resource


def test_a_plain_403_is_no_missing_scope(oauth):
    server = oauth.protect()
    oauth.logged_in()
    server.site.instead("/mcp", lambda request: Answer(403) if request.message.get("method") == "tools/call" else None)
    done = oauth.call("echo", "text=x")
    assert done.returncode not in (SUCCESS, 2)
    assert_says(done, "403")
    assert len(server.got("tools/call")) == 1
    oauth.logged_in()
    assert oauth.authority.authorizations[-1]["scope"] == "basic"
