"""A login from beginning to end: where everything is found, who we say we are, what is asked for, and what is kept."""

import base64
import hashlib
import json
import os
import re
import socket
import stat
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

import bench as tools
from oauth_authority import METHODS, OAUTH, OPENID, OPENID_BEHIND
from oauth_bench import KEY, NEW, OLD, REFUSED, SUCCESS, USAGE, assert_says
from oauth_mcp import AT_PATH, AT_ROOT, ELSEWHERE, HANDSHAKE, STATELESS
from oauth_site import Site


def test_a_login_and_then_a_call(oauth):
    server = oauth.protect()
    before = oauth.call("echo", "text=hello")
    assert before.returncode == REFUSED
    assert_says(before, f"mcpagg login {KEY}")
    done = oauth.logged_in()
    assert oauth.authority.issuer in done.stdout + done.stderr, "the person is told who was asked"
    assert oauth.called("echo", "text=hello") == "hello"
    assert oauth.called("count") == "1"
    assert server.executions == {"echo": 1, "count": 1}
    assert len(oauth.authority.authorizations) == 1


@pytest.mark.parametrize("eras", [(HANDSHAKE,), (STATELESS,), (HANDSHAKE, STATELESS)], ids=" and ".join)
@pytest.mark.parametrize("revision", [OLD, NEW])
def test_hosts_of_both_eras_use_the_login(oauth, eras, revision):
    server = oauth.protect()
    server.eras = eras
    oauth.logged_in()
    host = oauth.host(revision)
    host.tools()
    assert host.text(f"{KEY}__echo", {"text": "hello"}) == "hello"
    host.end()
    token = next(iter(oauth.authority.grants[0].access))
    used = [request for request in server.got() if request.header("Authorization") is not None]
    assert {request.header("Authorization") for request in used} == {f"Bearer {token}"}


def test_the_token_is_on_every_request_of_a_session_and_in_no_url(oauth):
    server = oauth.protect()
    server.eras = (HANDSHAKE,)
    oauth.logged_in()
    start = len(server.site.requests)
    host = oauth.host()
    host.tools()
    server.site.wait_for(lambda request: request.method == "GET", start)
    assert host.text(f"{KEY}__echo", {"text": "hello"}) == "hello"
    host.end()
    requests = server.site.requests[start:]
    assert {request.method for request in requests} == {"POST", "GET", "DELETE"}
    token = next(iter(oauth.authority.grants[0].access))
    assert {request.header("Authorization") for request in requests} == {f"Bearer {token}"}
    assert {request.target for request in requests} == {server.path}


# Where it is found


@pytest.mark.parametrize("path", ["", "/tenant/one"])
@pytest.mark.parametrize("place", [OAUTH, OPENID, OPENID_BEHIND])
def test_the_authorization_server_is_found_wherever_its_metadata_lies(oauth, path, place):
    authority = oauth.make_authority(path)
    authority.metadata_at = {place}
    oauth.protect(authority=authority)
    oauth.logged_in()
    assert oauth.called("echo", "text=hello") == "hello"


@pytest.mark.parametrize(
    ("place", "named"), [(AT_PATH, True), (AT_PATH, False), (AT_ROOT, True), (AT_ROOT, False), (ELSEWHERE, True)], ids=str
)
def test_the_metadata_of_the_server_is_found(oauth, place, named):
    server = oauth.protect()
    server.metadata_at = {place}
    paths = {AT_PATH: "/.well-known/oauth-protected-resource/mcp", AT_ROOT: "/.well-known/oauth-protected-resource"}
    server.named_metadata = server.site.origin + paths.get(place, "/about/who-may-use-it") if named else None
    oauth.logged_in()
    assert oauth.called("echo", "text=hello") == "hello"


@pytest.mark.parametrize(
    "before",
    ['Basic realm="a, Bearer x=\\"y\\"", ', "Negotiate, ", "Negotiate YII=, ", 'DPoP algs="ES256", error="use_dpop_nonce", '],
    ids=str,
)
def test_the_challenge_is_found_among_others(oauth, before):
    server = oauth.protect()
    server.metadata_at = {ELSEWHERE}
    server.named_metadata = server.site.origin + "/about/who-may-use-it"
    server.challenge_before = before
    oauth.logged_in()
    assert oauth.authority.authorizations[0]["scope"] == "basic"


@pytest.mark.parametrize("describes_itself", [True, False])
def test_a_server_of_2025_03_26_is_its_own_authorization_server(oauth, describes_itself):
    site = Site()
    authority = oauth.make_authority(site=site)
    authority.advertises_iss = authority.sends_iss = False
    authority.metadata_at = {OAUTH} if describes_itself else set()
    server = oauth.protect(authority=authority, site=site)
    server.metadata_at, server.named_metadata, server.named_scope = set(), None, None
    server.eras = (HANDSHAKE,)
    oauth.logged_in()
    assert oauth.called("echo", "text=hello") == "hello"
    assert authority.redeemed[0]["resource"] == server.resource


def test_a_token_for_a_parent_of_the_server_is_what_its_metadata_says(oauth):
    server = oauth.protect()
    server.on_metadata = lambda document: {**document, "resource": server.site.origin}
    oauth.authority.resources.add(server.site.origin)
    oauth.logged_in()
    assert oauth.called("echo", "text=hello") == "hello"
    assert oauth.authority.grants[0].resource == server.site.origin


def test_a_server_that_wants_a_login_only_for_calls(oauth):
    server = oauth.protect()
    server.open_methods = {"initialize", "notifications/initialized", "server/discover", "tools/list"}
    before = oauth.call("echo", "text=hello")
    assert before.returncode == REFUSED
    assert_says(before, f"mcpagg login {KEY}")
    oauth.logged_in()
    assert oauth.called("echo", "text=hello") == "hello"


# Who we say we are


def test_a_client_registers_by_itself_if_none_is_known(oauth):
    oauth.protect()
    oauth.logged_in()
    [wish] = oauth.authority.registrations
    assert wish["application_type"] == "native"
    assert {"authorization_code", "refresh_token"} <= set(wish["grant_types"])
    assert wish["response_types"] == ["code"]
    assert wish["client_name"] == "mcpagg"
    for uri in wish["redirect_uris"]:
        assert urlsplit(uri).hostname == "127.0.0.1" and urlsplit(uri).scheme == "http"
    assert oauth.authority.authorizations[0]["redirect_uri"] in wish["redirect_uris"]


def test_a_registration_serves_the_next_login_too(oauth):
    oauth.protect()
    oauth.logged_in()
    oauth.logged_in()
    assert len(oauth.authority.registrations) == 1
    first, second = oauth.authority.authorizations
    assert first["client_id"] == second["client_id"]
    assert first["redirect_uri"] == second["redirect_uri"], "the authorization server knows this one only"
    assert first["state"] != second["state"] and first["code_challenge"] != second["code_challenge"]


def test_a_registration_anew_if_the_port_of_the_last_one_is_taken(oauth):
    oauth.protect()
    oauth.logged_in()
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind(("127.0.0.1", urlsplit(oauth.authority.authorizations[0]["redirect_uri"]).port))
    taken.listen()
    oauth.logged_in()
    taken.close()
    assert len(oauth.authority.registrations) == 2


def test_servers_of_one_authorization_server_share_its_registration_but_no_token(oauth):
    first, second = oauth.protect("one"), oauth.protect("two")
    oauth.logged_in("one")
    assert oauth.call(key="two").returncode == REFUSED
    oauth.logged_in("two")
    assert len(oauth.authority.registrations) == 1
    assert oauth.called("count", key="one") == oauth.called("count", key="two") == "1"
    assert first.tokens() and second.tokens() and not first.tokens() & second.tokens()


DOCUMENT = "https://client.example/metadata.json"


@pytest.mark.parametrize(
    ("config", "reads_documents", "registers", "client"),
    [
        ({"clientId": "by-hand"}, True, True, "by-hand"),
        ({"clientId": "by-hand"}, False, False, "by-hand"),
        ({"clientId": "by-hand", "clientSecret": "secret + & =ü/"}, True, True, "by-hand"),
        ({"clientId": DOCUMENT}, True, True, DOCUMENT),
        ({"clientId": DOCUMENT}, True, False, DOCUMENT),
        ({"clientId": DOCUMENT}, False, True, "registered"),
        (None, True, True, "registered"),
        (None, False, True, "registered"),
    ],
    ids=str,
)
def test_who_we_say_we_are(oauth, config, reads_documents, registers, client):
    authority = oauth.authority
    authority.reads_documents, authority.registers = reads_documents, registers
    authority.documents[DOCUMENT] = {"redirect_uris": ["http://127.0.0.1/callback"]}
    authority.client("by-hand", (config or {}).get("clientSecret"))
    oauth.protect(**({"oauth": config} if config else {}))
    oauth.logged_in()
    assert oauth.called("echo", "text=hello") == "hello"
    [asked] = authority.authorizations
    assert asked["client_id"] == (client if client != "registered" else authority.grants[0].client.id)
    assert len(authority.registrations) == (client == "registered")
    # The secret stands in the config file, and need not stand in another.
    assert (config or {}).get("clientSecret", "no such secret") not in oauth.kept()


@pytest.mark.parametrize(
    ("config", "words"),
    [(None, ("clientId", "register")), ({"clientId": DOCUMENT, "clientSecret": "x" * 20}, ())],
    ids=str,
)
def test_a_client_that_has_to_be_registered_by_hand_is_asked_for(oauth, config, words):
    oauth.authority.registers = False
    oauth.protect(**({"oauth": config} if config else {}))
    if config is not None:
        oauth.authority.client(config["clientId"], config["clientSecret"])
        oauth.logged_in()
        return
    done = oauth.login()
    assert done.returncode == REFUSED
    assert_says(done, *words)
    assert oauth.visited.lines == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("by_hand", [True, False])
def test_the_client_authenticates_as_the_authorization_server_wants(oauth, method, by_hand):
    authority = oauth.authority
    authority.methods = [method, "private_key_jwt"]
    entry = {}
    if by_hand:
        authority.client("an id: with %", None if method == "none" else "a secret: + & %20", method)
        entry["oauth"] = {"clientId": "an id: with %"} | ({} if method == "none" else {"clientSecret": "a secret: + & %20"})
    authority.token_life = 30.0
    oauth.protect(**entry)
    oauth.logged_in()
    assert oauth.called("echo", "text=hello") == "hello"
    assert len(authority.refreshes) >= 1
    assert authority.grants[0].client.method == method


def test_the_browser_comes_back_to_the_port_of_the_config(oauth):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    oauth.protect(oauth={"callbackPort": port})
    oauth.logged_in()
    assert urlsplit(oauth.authority.authorizations[0]["redirect_uri"]).port == port


def test_a_port_of_the_config_that_is_taken_is_named(oauth):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        oauth.protect(oauth={"callbackPort": port})
        done = oauth.login()
    assert done.returncode != SUCCESS
    assert_says(done, str(port), "callbackPort")
    assert oauth.authority.authorizations == []


# What is asked for


def test_the_proof_and_the_resource_are_in_both_requests(oauth):
    server = oauth.protect()
    oauth.logged_in()
    [asked], [redeemed] = oauth.authority.authorizations, oauth.authority.redeemed
    digest = hashlib.sha256(redeemed["code_verifier"].encode()).digest()
    assert asked["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert asked["code_challenge_method"] == "S256"
    assert asked["resource"] == redeemed["resource"] == server.resource
    assert asked["redirect_uri"] == redeemed["redirect_uri"]
    assert len(asked["state"]) >= 22 and re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", redeemed["code_verifier"])


def test_the_resource_is_written_in_its_canonical_form(oauth):
    server = oauth.protect()
    server.entry["url"] = f"HTTP://127.0.0.1:{server.site.port}/mcp"
    oauth.logged_in()
    assert oauth.authority.authorizations[0]["resource"] == server.resource
    assert oauth.called("echo", "text=hello") == "hello"


def test_what_stands_in_the_authorization_endpoint_already_stays(oauth):
    oauth.protect()
    oauth.authority.on_metadata = lambda document: {
        **document, "authorization_endpoint": document["authorization_endpoint"] + "?tenant=a%26b"
    }  # fmt: skip
    oauth.logged_in()
    assert oauth.authority.authorizations[0]["tenant"] == "a&b"


# The browser


def test_whatever_comes_first_with_another_state_is_not_ours_and_ends_nothing(oauth):
    oauth.protect()
    altered = []

    def alter_the_first(back):
        if altered:
            return back
        altered.append(back["code"])
        return {**back, "state": back["state"][::-1]}

    oauth.authority.on_redirect = alter_the_first
    done = oauth.login(browser=f"{oauth.browser}; {oauth.browser}")
    assert done.returncode == SUCCESS, done.stderr
    assert [form["code"] for form in oauth.authority.redeemed] != altered
    assert len(oauth.authority.redeemed) == 1


@pytest.mark.parametrize("kind", ["altered", "missing"])
def test_a_login_that_comes_back_only_with_a_wrong_state_waits_until_the_person_gives_it_up(oauth, kind):
    oauth.protect()
    oauth.authority.on_redirect = lambda back: {
        name: value if name != "state" else value[:-1] + "~" for name, value in back.items() if kind == "altered" or name != "state"
    }
    login = oauth.start("login", KEY, "--browser", oauth.browser)
    oauth.visited.wait_for(lambda line: line.startswith(b"400 ") and b"/callback" in line, tools.PATIENCE)
    login.interrupt()
    done = login.ended()
    assert done.returncode != SUCCESS
    assert oauth.authority.redeemed == []
    oauth.assert_nothing_is_kept()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one program that opens an address, at a fixed place")
def test_the_browser_of_the_desktop_is_used_if_none_is_named(oauth):
    oauth.protect()
    assert oauth.run("login", KEY).returncode == SUCCESS
    assert len(oauth.visited.lines) == 2
    assert oauth.called("echo", "text=hello") == "hello"


@pytest.mark.parametrize("arguments", [("--browser", "exit 7"), ("--browser", "no-such-browser"), ("--no-browser",)], ids=" ".join)
def test_without_a_browser_the_person_opens_the_address(oauth, arguments):
    oauth.protect()
    login = oauth.start("login", KEY, *arguments)
    url = login.says(oauth.authority.issuer + "/authorize").split()[-1]
    subprocess.run(["sh", "-c", oauth.browser, "sh", url], check=True)
    done = login.ended()
    assert done.returncode == SUCCESS, done.stderr
    assert oauth.called("echo", "text=hello") == "hello"


def test_a_person_that_does_not_come_back_is_not_waited_for_for_ever(oauth):
    oauth.protect()
    done = oauth.login(KEY, "--timeout", "1s", browser=":")
    assert done.returncode == REFUSED
    assert_says(done, "browser", "log in again")
    oauth.assert_nothing_is_kept()


def test_a_browser_that_is_still_open_does_not_keep_the_login(oauth):
    """Nor is it closed: it is the person's."""
    oauth.protect()
    window = oauth.bench.directory / "window"
    os.mkfifo(window)
    done = oauth.login(browser=f"{oauth.browser}; exec >&- 2>&-; read line < {window}; echo $line > {window}")
    assert done.returncode == SUCCESS, done.stderr
    window.write_text("closed\n")
    assert window.read_text() == "closed\n"


def test_the_address_is_one_word_for_the_shell(oauth):
    oauth.protect()
    # What stands in the metadata reaches a shell, and must not be read by it.
    odd = "?a=$(touch$IFS%22pwned)&b=;touch'pwned'"
    oauth.authority.on_metadata = lambda document: {**document, "authorization_endpoint": document["authorization_endpoint"] + odd}
    oauth.logged_in()
    assert oauth.authority.authorizations[0]["b"] == ";touch'pwned'"
    assert not (oauth.bench.directory / "pwned").exists()


def test_the_listener_takes_one_answer_and_is_gone_afterwards(oauth):
    oauth.protect()
    oauth.logged_in()
    port = urlsplit(oauth.authority.authorizations[0]["redirect_uri"]).port
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


# What is kept


def test_the_file_of_tokens_is_for_its_owner_only(oauth):
    oauth.protect()
    oauth.logged_in()
    assert stat.S_IMODE(oauth.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(oauth.state.stat().st_mode) == 0o700
    for path in oauth.state.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert oauth.authority.grants[0].refresh in oauth.kept()


@pytest.mark.parametrize("named", ["", "relative/path"])
def test_the_file_is_below_the_home_directory_if_no_directory_is_named(oauth, named):
    home = oauth.bench.directory / "home"
    home.mkdir()
    oauth.bench.variables |= {"HOME": str(home), "XDG_STATE_HOME": named}
    oauth.protect()
    oauth.logged_in()
    assert (home / ".local" / "state" / "mcpagg" / "credentials.json").exists()
    assert oauth.called("echo", "text=hello") == "hello"


def test_modes_that_are_too_wide_are_put_right(oauth):
    oauth.protect()
    oauth.logged_in()
    oauth.file.chmod(0o644)
    oauth.state.chmod(0o755)
    assert oauth.called("echo", "text=hello") == "hello"
    assert stat.S_IMODE(oauth.file.stat().st_mode) == 0o600
    oauth.logged_in()
    assert stat.S_IMODE(oauth.state.stat().st_mode) == 0o700


def test_a_file_that_is_broken_is_said_to_be_and_kept_aside(oauth):
    oauth.protect()
    oauth.state.mkdir(parents=True, mode=0o700)
    oauth.file.write_text('{"version": 1, "grants": [')
    oauth.file.chmod(0o600)
    before = oauth.call("echo", "text=hello")
    assert before.returncode == REFUSED
    assert_says(before, "credentials.json", f"mcpagg login {KEY}")
    oauth.logged_in()
    assert oauth.called("echo", "text=hello") == "hello"
    assert '{"version": 1, "grants": [' in {path.read_text() for path in oauth.state.iterdir() if "broken" in path.name}


@pytest.mark.parametrize("key", ["no-such-server", "local"])
def test_a_login_to_what_has_none_is_a_usage_error(oauth, key):
    oauth.protect()
    oauth.bench.fake("local")
    done = oauth.login(key)
    assert done.returncode == USAGE
    assert_says(done, key)
    assert oauth.visited.lines == []


def test_a_login_to_a_server_that_wants_none_says_so(oauth):
    server = oauth.protect()
    server.takes_header = None
    server.open_methods = {"initialize", "server/discover", "notifications/initialized"}
    server.metadata_at, server.named_metadata = set(), None
    done = oauth.login()
    assert done.returncode == SUCCESS
    assert "without a login" in done.stdout


def test_status_shows_the_login_and_no_secret(oauth):
    oauth.protect()
    before = oauth.run("status")
    assert before.returncode == REFUSED
    assert "authorization" in before.stdout + before.stderr and f"mcpagg login {KEY}" in before.stdout + before.stderr
    oauth.logged_in()
    after = oauth.run("status", "--json")
    assert after.returncode == SUCCESS, after.stdout
    json.loads(after.stdout)
