"""The authorization server and the protected server of the tests are real ones: the Python SDK's own client logs in to them."""

import http.client
import urllib.error
import urllib.request
from urllib.parse import parse_qsl, urlencode, urlsplit

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from bench import parsed
from oauth_authority import OAUTH, OPENID, OPENID_BEHIND
from oauth_mcp import AT_PATH, AT_ROOT, ELSEWHERE
from oauth_site import Site

REDIRECT = "http://127.0.0.1:9/callback"


class Memory:
    def __init__(self):
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client_info):
        self.client = client_info


def location(url: str) -> str:
    """Where an address redirects to."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    connection.request("GET", f"{parts.path}?{parts.query}")
    answer = connection.getresponse()
    connection.close()
    assert answer.status == 302, (answer.status, url)
    return answer.getheader("Location")


def play(
    server, memory: Memory, *tools: str, mode: str = "legacy", document: str | None = None, is_late: bool = False
) -> list[str]:
    """Calls tools as a host of the SDK does, logging in where it has to; the texts of the answers. Before each call of one that is late,
    its token expires."""
    came_back: list[str] = []

    async def open_browser(url: str) -> None:
        came_back.append(location(url))

    async def come_back() -> AuthorizationCodeResult:
        fields = dict(parse_qsl(urlsplit(came_back[-1]).query))
        return AuthorizationCodeResult(code=fields["code"], state=fields["state"], iss=fields.get("iss"))

    async def run() -> list[str]:
        metadata = OAuthClientMetadata(
            client_name="a host", redirect_uris=[REDIRECT], grant_types=["authorization_code", "refresh_token"],
            token_endpoint_auth_method=None,
        )  # fmt: skip
        auth = OAuthClientProvider(server.url, metadata, memory, open_browser, come_back, client_metadata_url=document)
        async with httpx2.AsyncClient(auth=auth, timeout=20, trust_env=False) as http_client:
            async with Client(streamable_http_client(server.url, http_client=http_client), mode=mode) as client:
                texts = []
                for tool in tools:
                    if is_late:
                        auth.context.token_expiry_time = 1.0
                    texts.append((await client.call_tool(tool, {"text": "hello"})).content[0].text)
                return texts

    return anyio.run(run)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_client_of_the_sdk_logs_in_and_calls(oauth, mode):
    server = oauth.protect()
    assert play(server, Memory(), "echo", "count", "count", mode=mode) == ["hello", "1", "2"]
    assert server.executions == {"echo": 1, "count": 2}
    assert server.tokens() == set(oauth.authority.grants[0].access)
    assert oauth.authority.grants[0].scopes == ["basic"]
    assert [request.status for request in server.got()].count(401) == 1


@pytest.mark.parametrize("path", ["", "/tenant/one"])
@pytest.mark.parametrize("place", [OAUTH, OPENID, OPENID_BEHIND])
@pytest.mark.parametrize("resource_place", [AT_PATH, AT_ROOT, ELSEWHERE])
def test_the_client_of_the_sdk_finds_the_metadata(oauth, path, place, resource_place):
    authority = oauth.make_authority(path)
    authority.metadata_at = {place}
    server = oauth.protect(authority=authority)
    server.metadata_at = {resource_place}
    server.named_metadata = server.site.origin + "/about/who-may-use-it" if resource_place == ELSEWHERE else None
    assert play(server, Memory(), "echo") == ["hello"]


def test_the_client_of_the_sdk_finds_an_authorization_server_of_2025_03_26(oauth):
    site = Site()
    authority = oauth.make_authority(site=site)
    server = oauth.protect(authority=authority, site=site)
    server.metadata_at, server.named_metadata = set(), None
    # That SDK names no resource to such a server.
    with pytest.raises(Exception):
        play(server, Memory(), "echo")
    assert "resource is None" in authority.faults[0]
    oauth.expected_faults = len(authority.faults)


def test_the_client_of_the_sdk_names_itself_by_a_document(oauth):
    url = "https://client.example/metadata.json"
    oauth.authority.reads_documents = True
    oauth.authority.documents[url] = {"redirect_uris": ["http://127.0.0.1/callback"]}
    server = oauth.protect()
    assert play(server, Memory(), "echo", document=url) == ["hello"]
    assert oauth.authority.registrations == []
    assert oauth.authority.redeemed[0]["client_id"] == url


@pytest.mark.parametrize("methods", [["client_secret_basic"], ["client_secret_post"], ["none"]], ids=str)
def test_the_client_of_the_sdk_says_who_it_is(oauth, methods):
    oauth.authority.methods = methods
    server = oauth.protect()
    memory = Memory()
    secret = None if methods == ["none"] else "cs-by-hand"
    oauth.authority.client("by hand", secret, methods[0])
    memory.client = OAuthClientInformationFull(
        client_id="by hand", client_secret=secret, token_endpoint_auth_method=methods[0], redirect_uris=[REDIRECT]
    )
    assert play(server, memory, "echo") == ["hello"]


def test_the_client_of_the_sdk_refreshes_with_rotation(oauth):
    server = oauth.protect()
    memory = Memory()
    assert play(server, memory, "echo", "count", "count", is_late=True) == ["hello", "1", "2"]
    grant = oauth.authority.grants[0]
    refreshed_with = {form["refresh_token"] for form in oauth.authority.refreshes}
    assert len(refreshed_with) >= 3 and refreshed_with == grant.used
    assert memory.tokens.refresh_token == grant.refresh
    assert len(oauth.authority.redeemed) == 1


def test_the_client_of_the_sdk_steps_up(oauth):
    server = oauth.protect()
    assert play(server, Memory(), "echo", "vault") == ["hello", "gold"]
    assert [asked["scope"] for asked in oauth.authority.authorizations] == ["basic", "basic vault:open"]
    assert [request.status for request in server.got("tools/call")] == [200, 403, 200]


# What it sees clients do wrong


def test_a_refresh_token_that_was_rotated_away_ends_the_login(oauth):
    server = oauth.protect()
    memory = Memory()
    play(server, memory, "echo")
    authority = oauth.authority
    form = {
        "grant_type": "refresh_token", "refresh_token": memory.tokens.refresh_token, "client_id": memory.client.client_id,
        "resource": server.resource,
    }  # fmt: skip
    if memory.client.client_secret:
        form["client_secret"] = memory.client.client_secret
        authority.clients[memory.client.client_id].method = "client_secret_post"
    status, answer = post(authority.issuer + "/token", form)
    assert status == 200 and authority.holder(answer["access_token"]) is not None
    status, refusal = post(authority.issuer + "/token", form)
    assert (status, refusal["error"]) == (400, "invalid_grant")
    assert authority.holder(answer["access_token"]) is None, "the whole family ends"
    assert len(authority.faults) == 1
    oauth.expected_faults = 1


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"state": None}, "invalid_request"),
        ({"resource": None}, "invalid_target"),
        ({"resource": "https://elsewhere.example/mcp"}, "invalid_target"),
    ],
    ids=str,
)
def test_a_wrong_authorization_request_is_refused_and_noted(oauth, wrong, error):
    server = oauth.protect()
    authority = oauth.authority
    authority.client("by hand")
    asked = {
        "response_type": "code", "client_id": "by hand", "redirect_uri": REDIRECT, "state": "x" * 32,
        "code_challenge": "y" * 43, "code_challenge_method": "S256", "resource": server.resource, **wrong,
    }  # fmt: skip
    back = location(authority.issuer + "/authorize?" + urlencode({name: value for name, value in asked.items() if value is not None}))
    fields = dict(parse_qsl(urlsplit(back).query))
    assert fields["error"] == error and fields["iss"] == authority.issuer and "code" not in fields
    assert len(authority.faults) == 1
    oauth.expected_faults = 1


def test_a_code_with_a_wrong_verifier_is_refused_and_noted(oauth):
    server = oauth.protect()
    authority = oauth.authority
    authority.client("by hand")
    asked = {
        "response_type": "code", "client_id": "by hand", "redirect_uri": REDIRECT, "state": "x" * 32,
        "code_challenge": "y" * 43, "code_challenge_method": "S256", "resource": server.resource,
    }  # fmt: skip
    code = dict(parse_qsl(urlsplit(location(authority.issuer + "/authorize?" + urlencode(asked))).query))["code"]
    status, answer = post(
        authority.issuer + "/token",
        {
            "grant_type": "authorization_code", "code": code, "client_id": "by hand", "redirect_uri": REDIRECT,
            "code_verifier": "z" * 43, "resource": server.resource,
        },
    )  # fmt: skip
    assert (status, answer["error"]) == (400, "invalid_grant")
    assert len(authority.faults) == 1
    oauth.expected_faults = 1


def post(url: str, form: dict[str, str]) -> tuple[int, dict[str, str]]:
    request = urllib.request.Request(url, urlencode(form).encode())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=20) as answer:
            return answer.status, parsed(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, parsed(error.read())
