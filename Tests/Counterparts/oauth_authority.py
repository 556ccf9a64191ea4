"""An OAuth 2.1 authorization server for the tests: it approves at once, checks what clients have to do, and notes what they do wrong.

It lies where a test tells it to: `on_metadata`, `on_redirect` and `on_token` change what it says, `Site.instead` replaces an answer."""

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus, urlencode, urlsplit

from oauth_site import Answer, Request, Site

METHODS = ["none", "client_secret_basic", "client_secret_post"]
# Where the metadata may lie. The last one is the same as the second for an issuer without a path.
OAUTH, OPENID, OPENID_BEHIND = "oauth", "openid", "openid behind the path"


@dataclass(eq=False)
class Client:
    id: str
    secret: str | None
    method: str
    redirect_uris: list[str]
    # Registered by hand, so that the port of a loopback address may differ (RFC 8252, 7.3).
    varies_port: bool = False

    def comes_back_to(self, uri: str) -> bool:
        if uri in self.redirect_uris:
            return True
        return self.varies_port and any(without_port(uri) == without_port(known) for known in self.redirect_uris)


def without_port(uri: str) -> tuple[str, str | None, str]:
    parts = urlsplit(uri)
    return parts.scheme, parts.hostname, parts.path


@dataclass(eq=False)
class Grant:
    """What one login gave: a family of tokens, which ends as a whole."""

    client: Client
    resource: str
    scopes: list[str]
    access: dict[str, float] = field(default_factory=dict)  # with the time of their end
    refresh: str | None = None
    used: set[str] = field(default_factory=set)  # refresh tokens that have been rotated away
    is_revoked: bool = False


@dataclass(eq=False)
class Code:
    client: Client
    redirect_uri: str
    challenge: str
    resource: str
    scopes: list[str]
    grant: Grant | None = None  # once it is redeemed


class Refusal(Exception):
    """An error answer."""

    def __init__(self, error: str, description: str = "", status: int = 400):
        super().__init__(error)
        self.error, self.description, self.status = error, description, status

    @property
    def fields(self) -> dict[str, str]:
        return {"error": self.error} | ({"error_description": self.description} if self.description else {})


class Authority:
    def __init__(self, path: str = "", site: Site | None = None):
        self.site = site or Site()
        self.site.parts.append(self)
        self.path = path
        self.lock = threading.RLock()

        # What it offers
        self.metadata_at = {OAUTH}
        self.registers = True
        self.reads_documents = False  # clients may be named by the URL of a document about them
        self.documents: dict[str, dict[str, Any]] = {}  # these documents, as if they had been fetched
        self.methods: list[str] | None = METHODS
        self.scopes_supported: list[str] | None = None  # others are refused
        self.default_scopes = ["basic"]
        self.sends_iss = True
        self.advertises_iss = True
        self.resources: set[str] = set()  # that it knows
        self.token_life: float | None = 3600.0
        self.gives_refresh_tokens = True
        self.rotates = True
        self.denial: str | None = None  # the error that every authorization ends with

        # What it says otherwise than it should
        self.on_metadata: Callable[[dict[str, Any]], dict[str, Any]] = lambda document: document
        self.on_redirect: Callable[[dict[str, str]], dict[str, str]] = lambda fields: fields
        self.on_token: Callable[[dict[str, Any]], dict[str, Any]] = lambda answer: answer

        # What it knows
        self.clients: dict[str, Client] = {}
        self.codes: dict[str, Code] = {}
        self.grants: list[Grant] = []
        self.registrations: list[dict[str, Any]] = []
        self.revocations: list[dict[str, str]] = []
        # Everything that nobody else may learn.
        self.secrets: set[str] = set()

    @property
    def issuer(self) -> str:
        return self.site.origin + self.path

    @property
    def faults(self) -> list[str]:
        return self.site.faults

    # For tests

    def client(self, id: str, secret: str | None = None, method: str | None = None, uri: str = "http://127.0.0.1/callback") -> Client:
        """Registers a client by hand."""
        method = method or ("none" if secret is None else "client_secret_basic")
        self.clients[id] = Client(id, secret, method, [uri], varies_port=True)
        if secret is not None:
            self.secrets.add(secret)
        return self.clients[id]

    def expire(self) -> None:
        """All access tokens given so far end."""
        with self.lock:
            for grant in self.grants:
                grant.access = dict.fromkeys(grant.access, 0.0)

    def revoke(self) -> None:
        """All logins end."""
        with self.lock:
            for grant in self.grants:
                grant.is_revoked = True

    def token_requests(self, kind: str) -> list[dict[str, str]]:
        """The forms of all requests of a grant type."""
        return [request.form for request in self.site.at(self.path + "/token") if request.form.get("grant_type") == kind]

    @property
    def redeemed(self) -> list[dict[str, str]]:
        return self.token_requests("authorization_code")

    @property
    def refreshes(self) -> list[dict[str, str]]:
        return self.token_requests("refresh_token")

    @property
    def authorizations(self) -> list[dict[str, str]]:
        return [request.query for request in self.site.at(self.path + "/authorize")]

    def holder(self, token: str) -> Grant | None:
        """For servers that it protects: whose token this is, if it is still good."""
        with self.lock:
            for grant in self.grants:
                if not grant.is_revoked and grant.access.get(token, 0.0) > time.time():
                    return grant
        return None

    # Its answers

    def answer(self, request: Request) -> Answer | None:
        endpoints = {
            ("GET", "/authorize"): self._authorize,
            ("POST", "/token"): self._token,
            ("POST", "/register"): self._register,
            ("POST", "/revoke"): self._revoke,
        }
        with self.lock:
            if request.method == "GET" and request.path in self._places():
                return Answer.json(self.on_metadata(self.metadata()))
            if not request.path.startswith(self.path):
                return None
            endpoint = endpoints.get((request.method, request.path.removeprefix(self.path)))
            if endpoint is None:
                return None
            try:
                return endpoint(request)
            except Refusal as refusal:
                return Answer.json(refusal.fields, refusal.status, ("Cache-Control", "no-store"))

    def _places(self) -> set[str]:
        all_places = {
            OAUTH: "/.well-known/oauth-authorization-server" + self.path,
            OPENID: "/.well-known/openid-configuration" + self.path,
            OPENID_BEHIND: self.path + "/.well-known/openid-configuration",
        }
        return {all_places[place] for place in self.metadata_at}

    def metadata(self) -> dict[str, Any]:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": self.issuer + "/authorize",
            "token_endpoint": self.issuer + "/token",
            "revocation_endpoint": self.issuer + "/revoke",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": self.advertises_iss,
            "client_id_metadata_document_supported": self.reads_documents,
        }
        if self.methods is not None:
            document["token_endpoint_auth_methods_supported"] = self.methods
        if self.registers:
            document["registration_endpoint"] = self.issuer + "/register"
        if self.scopes_supported is not None:
            document["scopes_supported"] = self.scopes_supported
        return document

    def _wrong(self, request: Request, error: str, what: str) -> Refusal:
        """Something that no right client does."""
        self.faults.append(f"{request.method} {request.path}: {what}")
        return Refusal(error, what)

    # Registration

    def _register(self, request: Request) -> Answer:
        if not self.registers:
            raise Refusal("access_denied", "registration is closed", 403)
        wish = request.message
        self.registrations.append(wish)
        uris = wish.get("redirect_uris") or []
        if not uris or not all(self._is_redirect_uri(uri) for uri in uris):
            raise self._wrong(request, "invalid_redirect_uri", f"redirect_uris are {uris}")
        method = wish.get("token_endpoint_auth_method", "client_secret_basic")
        if self.methods is not None and method not in self.methods:
            raise self._wrong(request, "invalid_client_metadata", f"token_endpoint_auth_method is {method}")
        secret = None if method == "none" else "cs-" + secrets.token_urlsafe(24)
        client = Client("client-" + secrets.token_hex(6), secret, method, uris)
        self.clients[client.id] = client
        given = {**wish, "client_id": client.id, "client_id_issued_at": int(time.time()), "token_endpoint_auth_method": method}
        if secret is not None:
            self.secrets.add(secret)
            given |= {"client_secret": secret, "client_secret_expires_at": 0}
        return Answer.json(given, 201, ("Cache-Control", "no-store"))

    @staticmethod
    def _is_redirect_uri(uri: str) -> bool:
        """One of a native client, to be reached on this machine only."""
        parts = urlsplit(uri)
        return parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost") and not parts.fragment

    # The person's browser

    def _authorize(self, request: Request) -> Answer:
        asked = request.query
        client = self._known(asked.get("client_id", ""))
        uri = asked.get("redirect_uri", "")
        # To an address that is not the client's nothing is sent, not even an error (RFC 6749, 4.1.2.1).
        if client is None or not client.comes_back_to(uri):
            self.faults.append(f"an unknown client or redirect URI: {asked.get('client_id')}, {uri}")
            return Answer.page("Unknown client", 400)
        back = {"state": asked["state"]} if "state" in asked else {}
        try:
            back["code"] = self._code(request, asked, client, uri)
        except Refusal as refusal:
            back |= refusal.fields
        if self.sends_iss:
            back["iss"] = self.issuer
        return Answer.redirect(uri + ("&" if "?" in uri else "?") + urlencode(self.on_redirect(back)))

    def _known(self, id: str) -> Client | None:
        if self.reads_documents and id in self.documents:
            document = self.documents[id]
            return Client(id, None, "none", document["redirect_uris"], varies_port=True)
        return self.clients.get(id)

    def _code(self, request: Request, asked: dict[str, str], client: Client, uri: str) -> str:
        if asked.get("response_type") != "code":
            raise self._wrong(request, "unsupported_response_type", f"response_type is {asked.get('response_type')}")
        if len(asked.get("state", "")) < 16:
            raise self._wrong(request, "invalid_request", "no state, or one that can be guessed")
        if len(asked.get("code_challenge", "")) != 43 or asked.get("code_challenge_method") != "S256":
            raise self._wrong(request, "invalid_request", "no PKCE challenge of the method S256")
        if asked.get("resource") not in self.resources:
            raise self._wrong(request, "invalid_target", f"resource is {asked.get('resource')}, and not one of {sorted(self.resources)}")
        scopes = asked["scope"].split() if "scope" in asked else self.default_scopes
        if self.scopes_supported is not None and not set(scopes) <= set(self.scopes_supported):
            raise Refusal("invalid_scope", f"there is no scope {sorted(set(scopes) - set(self.scopes_supported))}")
        if self.denial is not None:
            raise Refusal(self.denial, "the person says no")
        code = "co-" + secrets.token_urlsafe(24)
        self.secrets.add(code)
        self.codes[code] = Code(client, uri, asked["code_challenge"], asked["resource"], scopes)
        return code

    # Tokens

    def _authenticated(self, request: Request, form: dict[str, str]) -> Client:
        """The client, which must say who it is in its own way and in no other (RFC 6749, 2.3)."""
        header = request.header("Authorization")
        if header is not None:
            kind, _, credentials = header.partition(" ")
            id, _, secret = base64.b64decode(credentials).decode().partition(":")
            shown = ("client_secret_basic", unquote_plus(id), unquote_plus(secret))
            if kind != "Basic" or "client_secret" in form:
                raise self._wrong(request, "invalid_client", "two kinds of client authentication, or an unknown one")
        elif "client_secret" in form:
            shown = ("client_secret_post", form.get("client_id", ""), form["client_secret"])
        else:
            shown = ("none", form.get("client_id", ""), None)
        client = self._known(shown[1])
        if client is None:
            raise Refusal("invalid_client", "unknown client", 401)
        if shown != (client.method, client.id, client.secret):
            raise self._wrong(request, "invalid_client", f"client authentication by {shown[0]}, and not by {client.method}")
        return client

    def _token(self, request: Request) -> Answer:
        form = request.form
        if (request.header("Content-Type") or "").split(";")[0].strip() != "application/x-www-form-urlencoded":
            raise self._wrong(request, "invalid_request", "no form")
        if form.get("code_verifier"):
            self.secrets.add(form["code_verifier"])
        client = self._authenticated(request, form)
        kind = form.get("grant_type")
        if kind == "authorization_code":
            grant = self._redeem(request, form, client)
        elif kind == "refresh_token":
            grant = self._refresh(request, form, client)
        else:
            raise self._wrong(request, "unsupported_grant_type", f"grant_type is {kind}")
        token = "at-" + secrets.token_urlsafe(24)
        grant.access[token] = time.time() + (3600.0 if self.token_life is None else self.token_life)
        answer: dict[str, Any] = {"access_token": token, "token_type": "Bearer", "scope": " ".join(grant.scopes)}
        self.secrets.add(token)
        if self.token_life is not None:
            answer["expires_in"] = int(self.token_life)
        if self.gives_refresh_tokens and (grant.refresh is None or self.rotates):
            if grant.refresh is not None:
                grant.used.add(grant.refresh)
            grant.refresh = "rt-" + secrets.token_urlsafe(24)
            self.secrets.add(grant.refresh)
            answer["refresh_token"] = grant.refresh
        return Answer.json(self.on_token(answer), 200, ("Cache-Control", "no-store"))

    def _redeem(self, request: Request, form: dict[str, str], client: Client) -> Grant:
        code = self.codes.get(form.get("code", ""))
        if code is None:
            raise Refusal("invalid_grant", "unknown code")
        if code.grant is not None:
            code.grant.is_revoked = True
            raise self._wrong(request, "invalid_grant", "a code was redeemed twice")
        if code.client.id != client.id or code.redirect_uri != form.get("redirect_uri"):
            raise self._wrong(request, "invalid_grant", "a code of another client or redirect URI")
        verifier = form.get("code_verifier", "")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        if not 43 <= len(verifier) <= 128 or challenge != code.challenge:
            raise self._wrong(request, "invalid_grant", "the PKCE verifier is not that of the challenge")
        self._check_resource(request, form, code.resource)
        code.grant = Grant(client, code.resource, code.scopes)
        self.grants.append(code.grant)
        return code.grant

    def _refresh(self, request: Request, form: dict[str, str], client: Client) -> Grant:
        token = form.get("refresh_token", "")
        for grant in self.grants:
            if token in grant.used:
                grant.is_revoked = True
                raise self._wrong(request, "invalid_grant", "a refresh token was used again after its rotation: the login ends")
        grant = next((grant for grant in self.grants if grant.refresh == token), None)
        if grant is None or grant.is_revoked:
            raise Refusal("invalid_grant", "the login is over")
        if grant.client.id != client.id:
            raise self._wrong(request, "invalid_grant", "a refresh token of another client")
        self._check_resource(request, form, grant.resource)
        return grant

    def _check_resource(self, request: Request, form: dict[str, str], resource: str) -> None:
        if form.get("resource") != resource:
            raise self._wrong(request, "invalid_target", f"resource is {form.get('resource')}, and was {resource}")

    def _revoke(self, request: Request) -> Answer:
        form = request.form
        self._authenticated(request, form)
        self.revocations.append(form)
        for grant in self.grants:
            if form.get("token") == grant.refresh:
                grant.is_revoked = True
            grant.access.pop(form.get("token", ""), None)
        return Answer(200)

    # Judgement

    def leaks(self, text: str) -> list[str]:
        """Which secrets stand in a text. All are of letters that are written the same everywhere."""
        return sorted(secret for secret in self.secrets if secret in text)
