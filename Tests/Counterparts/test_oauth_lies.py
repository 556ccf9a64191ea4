"""Whoever takes part in a login and says what cannot be true is refused: by a text that names it, and without any token."""

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from oauth_bench import KEY, REFUSED, SUCCESS, UNREACHABLE, OAuth, assert_says
from oauth_site import Answer, Site

METADATA = "/.well-known/oauth-authorization-server"
RESOURCE_METADATA = "/.well-known/oauth-protected-resource/mcp"
FAR = "http://auth.example"


@dataclass
class World:
    oauth: OAuth
    stranger: Site

    def __post_init__(self):
        self.server = self.oauth.protect()
        self.authority = self.oauth.authority

    def metadata(self, **changes: object) -> None:
        """The authorization server describes itself like this; `None` leaves a member out."""
        self.authority.on_metadata = lambda document: changed(document, changes)

    def resource(self, **changes: object) -> None:
        """The server describes itself like this."""
        self.server.on_metadata = lambda document: changed(document, changes)

    def redirect(self, **changes: str | None) -> None:
        self.authority.on_redirect = lambda back: changed(back, changes)

    def token(self, **changes: object) -> None:
        self.authority.on_token = lambda answer: changed(answer, changes)

    def deny(self, error: str, **changes: str | None) -> None:
        self.authority.denial = error
        self.redirect(**changes)


def changed(document: dict, changes: dict) -> dict:
    return {name: value for name, value in {**document, **changes}.items() if value is not None}


@dataclass
class Lie:
    name: str
    tell: Callable[[World], None]
    words: tuple[str, ...]
    status: int = REFUSED

    def __str__(self) -> str:
        return self.name


def on_registration(answer: Answer) -> Callable[[World], None]:
    return lambda world: world.authority.site.instead("/register", answer)


def elsewhere(path: str, status: int, by_server: bool = False) -> Callable[[World], None]:
    def tell(world: World) -> None:
        site = world.server.site if by_server else world.authority.site
        site.instead(path, Answer.redirect(world.stranger.origin + path, status))

    return tell


BEFORE = [
    Lie("the issuer is another one", lambda w: w.metadata(issuer="https://honest.example"), ("https://honest.example",)),
    Lie("the issuer has a slash more", lambda w: w.metadata(issuer=w.authority.issuer + "/"), (METADATA,)),
    Lie("there is no issuer", lambda w: w.metadata(issuer=None), (METADATA,)),
    Lie("the issuer is no text", lambda w: w.metadata(issuer=[w.authority.issuer]), (METADATA,)),
    Lie("the resource is of another origin", lambda w: w.resource(resource=w.stranger.origin + "/mcp"), ("resource", RESOURCE_METADATA)),
    Lie("the resource has the same beginning", lambda w: w.resource(resource=w.server.resource[:-1]), ("resource", RESOURCE_METADATA)),
    Lie("the resource is a child", lambda w: w.resource(resource=w.server.resource + "/more"), ("resource", RESOURCE_METADATA)),
    Lie("there is no resource", lambda w: w.resource(resource=None), ("resource", RESOURCE_METADATA)),
    Lie("no authorization server is named", lambda w: w.resource(authorization_servers=[]), ("authorization server",)),
    Lie("the authorization server can be overheard", lambda w: w.resource(authorization_servers=[FAR]), (FAR, "https")),
    Lie("the authorization server is a file", lambda w: w.resource(authorization_servers=["file:///etc/passwd"]), ("file:///etc/passwd",)),
    Lie("no PKCE", lambda w: w.metadata(code_challenge_methods_supported=None), ("PKCE",)),
    Lie("PKCE without a digest", lambda w: w.metadata(code_challenge_methods_supported=["plain"]), ("PKCE", "S256")),
    Lie("no authorization endpoint", lambda w: w.metadata(authorization_endpoint=None), ("authorization_endpoint",)),
    Lie("no token endpoint", lambda w: w.metadata(token_endpoint=None), ("token_endpoint",)),
    *(
        Lie(f"{name} can be overheard", lambda w, name=name: w.metadata(**{name: FAR + "/x"}), (name, "https"))
        for name in ("authorization_endpoint", "token_endpoint", "registration_endpoint", "revocation_endpoint")
    ),
    *(
        Lie(f"the person is sent to {url[:12]}", lambda w, url=url: w.metadata(authorization_endpoint=url), ("authorization_endpoint",))
        for url in ("javascript:alert(1)", "file:///bin/sh", "https://good.example@127.0.0.1/", "https://x/$(touch pwned)", "-flag", "")
    ),
    Lie("registration is refused", on_registration(Answer.json({"error": "access_denied"}, 403)), ("register", "403", "clientId")),
    Lie("registration gives no id", on_registration(Answer.json({"client_name": "mcpagg"}, 201)), ("register",)),
    Lie("registration gives nonsense", on_registration(Answer.page("<h1>Welcome</h1>", 201)), ("register",)),
    Lie("registration is elsewhere", elsewhere("/register", 307), ("register",)),
    Lie("the server's metadata are elsewhere", elsewhere(RESOURCE_METADATA, 302, by_server=True), ("redirect",)),
    Lie("the metadata are elsewhere", elsewhere(METADATA, 302), ("redirect",)),
    Lie("the metadata are elsewhere for good", elsewhere(METADATA, 308), ("redirect",)),
    Lie("the metadata are nowhere", lambda w: w.authority.metadata_at.clear(), ("authorization server",)),
    Lie(
        "the metadata are huge",
        lambda w: w.authority.site.instead(METADATA, Answer.json({**w.authority.metadata(), "padding": "x" * 20_000_000})),
        ("bytes",),
    ),
    Lie("the metadata are nonsense", lambda w: w.authority.site.instead(METADATA, Answer.json("nonsense")), (KEY,)),
    Lie(
        "the metadata are cut",
        lambda w: w.authority.site.instead(METADATA, lambda _: Answer(200, json.dumps(w.authority.metadata()).encode()[:-9])),
        (KEY,),
    ),
    Lie("the metadata go round in circles", lambda w: w.authority.site.instead(METADATA, Answer.redirect(METADATA)), (KEY,)),
    Lie("the metadata fail", lambda w: w.authority.site.instead(METADATA, Answer(503)), ("503",), status=UNREACHABLE),
]
BEHIND = [
    Lie("iss is another one", lambda w: w.redirect(iss="https://honest.example"), ("https://honest.example",)),
    Lie("iss has a slash more", lambda w: w.redirect(iss=w.authority.issuer + "/"), ("authorization server",)),
    Lie("iss is promised and not there", lambda w: w.redirect(iss=None), ("iss",)),
    Lie("iss is another one beside an error", lambda w: w.deny("access_denied", iss="https://honest.example"), ("https://honest.example",)),
    Lie("iss is promised and not there beside an error", lambda w: w.deny("access_denied", iss=None), ("iss",)),
    Lie("iss is empty", lambda w: w.redirect(iss=""), ("authorization server",)),
    Lie("the person says no", lambda w: w.deny("access_denied"), ("access_denied",)),
    Lie("the scope is refused", lambda w: w.deny("invalid_scope"), ("invalid_scope", "scope")),
    Lie("the authorization server has failed", lambda w: w.deny("server_error"), ("server_error",), status=UNREACHABLE),
    Lie("there is no code", lambda w: w.redirect(code=None), ("code",)),
    Lie("the code is empty", lambda w: w.redirect(code=""), ("code",)),
]
AT_THE_END = [
    Lie("the token is of another type", lambda w: w.token(token_type="mac"), ("mac", "Bearer")),
    Lie("the token is of no type", lambda w: w.token(token_type=None), ("Bearer",)),
    Lie("there is no token", lambda w: w.token(access_token=None), ("token",)),
    Lie("the token is empty", lambda w: w.token(access_token=""), ("token",)),
    Lie("the token holds another header", lambda w: w.token(access_token="at-x\r\nX-Evil: yes"), ("token",)),
    Lie("the token is no text", lambda w: w.token(access_token=17), ("token",)),
    Lie("the token fits into no header", lambda w: w.token(access_token="at-" + "x" * 500_000), ("token",)),
    Lie("the token endpoint refuses", lambda w: at_token(w, Answer.json({"error": "invalid_grant"}, 400)), ("invalid_grant",)),
    Lie("the token endpoint speaks nonsense", lambda w: at_token(w, Answer.page("<h1>Welcome</h1>")), ("token",)),
    Lie("the token endpoint fails", lambda w: at_token(w, Answer.page("oh", 500)), ("500",), status=UNREACHABLE),
    Lie("the token endpoint is elsewhere", elsewhere("/token", 307), ("token",)),
    Lie("the token endpoint is elsewhere for good", elsewhere("/token", 308), ("token",)),
    Lie("the token endpoint is elsewhere by another method", elsewhere("/token", 302), ("token",)),
]


def at_token(world: World, answer: Answer) -> None:
    world.authority.site.instead("/token", answer)


@pytest.mark.parametrize("lie", BEFORE, ids=str)
def test_a_lie_before_the_browser_is_opened(oauth, lie):
    world = World(oauth, oauth.stranger())
    done = told(world, lie)
    assert oauth.visited.lines == [], "no browser is sent anywhere"
    assert world.authority.authorizations == []
    assert not (oauth.bench.directory / "pwned").exists()
    if lie.status == UNREACHABLE:
        assert "later" in done.stderr or "again" in done.stderr


@pytest.mark.parametrize("lie", BEHIND, ids=str)
def test_a_lie_in_what_the_browser_brings(oauth, lie):
    world = World(oauth, oauth.stranger())
    told(world, lie)
    assert world.authority.redeemed == [], "no code is redeemed after a lie"


@pytest.mark.parametrize("lie", AT_THE_END, ids=str)
def test_a_lie_in_place_of_a_token(oauth, lie):
    world = World(oauth, oauth.stranger())
    told(world, lie)
    assert len(world.authority.site.at("/token")) == 1


def told(world: World, lie: Lie):
    lie.tell(world)
    done = world.oauth.login()
    assert done.returncode == lie.status, done.stderr
    assert_says(done, KEY, *lie.words)
    assert len(done.stderr) < 20_000, "what others say is not repeated at length"
    world.oauth.assert_nothing_is_kept()
    assert world.stranger.requests == [], "nobody else is asked"
    after = world.oauth.call("echo", "text=x")
    assert after.returncode == REFUSED, after.stderr
    assert world.server.executions == {}
    return done


def test_what_an_error_explains_cannot_write_on_the_terminal(oauth):
    world = World(oauth, oauth.stranger())
    world.deny("access_denied", error_description="\x1b[2Jlogged in\r\nmcpagg: info: all is well\x9b1m")
    done = oauth.login()
    assert done.returncode == REFUSED
    assert not {"\x1b", "\x9b", "\r"} & set(done.stderr)
    assert "\nmcpagg: info: all is well" not in done.stderr


def test_an_error_that_repeats_our_secrets_is_not_repeated(oauth):
    world = World(oauth, oauth.stranger())

    def repeat(request) -> Answer:
        form = request.form
        oauth.authority.secrets |= {form["code"], form["code_verifier"]}
        return Answer.json({"error": "invalid_grant", "error_description": f"what is {form['code']}, {form['code_verifier']}?"}, 400)

    world.authority.site.instead("/token", repeat)
    done = oauth.login()
    assert done.returncode == REFUSED
    assert_says(done, "invalid_grant")


def test_an_authorization_server_that_is_gone_is_an_outage(oauth):
    world = World(oauth, oauth.stranger())
    world.authority.site.close()
    done = oauth.login()
    assert done.returncode == UNREACHABLE
    assert_says(done, world.authority.site.origin)


def test_a_server_that_is_gone_is_an_outage(oauth):
    world = World(oauth, oauth.stranger())
    world.server.site.close()
    done = oauth.login()
    assert done.returncode == UNREACHABLE
    assert_says(done, KEY)


@pytest.mark.parametrize("place", [METADATA, "/register", "/token"])
def test_who_does_not_answer_can_be_given_up(oauth, place):
    world = World(oauth, oauth.stranger())
    gate = world.authority.site.hold(place)
    login = oauth.start("login", KEY, "--browser", oauth.browser)
    world.authority.site.wait_for(lambda request: request.path == place)
    login.interrupt()
    done = login.ended()
    gate.release()
    assert done.returncode == 128 + signal.SIGINT
    oauth.assert_nothing_is_kept()


def test_who_does_not_answer_is_given_up_after_a_while(oauth):
    """Takes half a minute: the limits are not for tests to change."""
    world = World(oauth, oauth.stranger())
    gate = world.authority.site.hold("/token")
    done = oauth.login()
    gate.release()
    assert done.returncode == UNREACHABLE
    assert_says(done, world.authority.site.origin)
    oauth.assert_nothing_is_kept()


def test_a_lie_takes_no_login_away_that_there_was(oauth):
    world = World(oauth, oauth.stranger())
    oauth.logged_in()
    world.metadata(issuer="https://honest.example")
    assert oauth.login().returncode == REFUSED
    assert oauth.called("echo", "text=hello") == "hello"


@pytest.mark.parametrize("by_hand", [True, False])
def test_an_authorization_server_that_is_exchanged_gets_nothing_of_the_old_one(oauth, by_hand):
    """Neither what the old one gave, nor who we were to it: a client registers anew, and one of the config file is not used."""
    other = oauth.make_authority()
    entry = {"oauth": {"clientId": "by-hand", "clientSecret": "cs-for the first only"}} if by_hand else {}
    server = oauth.protect(**entry)
    oauth.authority.client("by-hand", "cs-for the first only")
    oauth.logged_in()
    server.change_authority(other)
    other.client("by-hand", "another secret")
    assert oauth.call().returncode == REFUSED
    # What it was shown then is the server's business: it had been good for it.
    done = oauth.login()
    if by_hand:
        assert done.returncode == REFUSED
        assert_says(done, "clientId", other.issuer)
        assert other.authorizations == [] and other.redeemed == []
    else:
        assert done.returncode == SUCCESS, done.stderr
        assert len(other.registrations) == 1
        assert other.authorizations[0]["client_id"] != oauth.authority.authorizations[0]["client_id"]
        assert oauth.called("echo", "text=hello") == "hello"
