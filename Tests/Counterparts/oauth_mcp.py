"""An MCP server over Streamable HTTP, of both eras, that an authorization server protects. It answers with JSON."""

import queue
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import bench as tools
import validation
from oauth_authority import Authority
from oauth_site import Answer, Request, Site

HANDSHAKE, STATELESS = "handshake", "stateless"
# Where the metadata of the server may lie.
AT_PATH, AT_ROOT, ELSEWHERE = "at the path", "at the root", "elsewhere"
OPEN_VAULT = "vault:open"


class Protected(tools.Server):
    """The server, and its entry in the config file. Its tools: `echo`, `count`, and `vault`, which needs a scope of its own."""

    def __init__(self, key: str, authority: Authority, site: Site | None = None, path: str = "/mcp", **entry: Any):
        self.site = site or Site()
        self.site.parts.append(self)
        super().__init__(key, {"url": self.site.origin + path, **entry})
        self.authority = authority
        self.authorities = {authority}  # all it has had: their access tokens may come here
        self.path = path
        self.resource = self.site.origin + path
        self.eras = (HANDSHAKE, STATELESS)
        self.metadata_at: set[str] = {AT_PATH}
        # In its challenges: `None` leaves a parameter out.
        self.named_metadata: str | None = f"{self.site.origin}/.well-known/oauth-protected-resource{path}"
        self.named_scope: str | None = "basic"
        self.challenge_before = ""  # another challenge in the same header
        self.scopes_supported: list[str] | None = None
        self.on_metadata: Callable[[dict[str, Any]], dict[str, Any]] = lambda document: document
        self.takes_any_token = False
        self.takes_no_token = False
        self.open_methods: set[str] = set()  # that need no token
        self.takes_header: str | None = None  # an Authorization header that is as good as a token
        self.executions: Counter[str] = Counter()
        self._sessions: dict[str, queue.SimpleQueue[bytes | None]] = {}
        self._lock = threading.Lock()
        authority.resources.add(self.resource)

    def change_authority(self, other: Authority) -> None:
        self.authority = other
        self.authorities.add(other)
        other.resources.add(self.resource)

    @property
    def url(self) -> str:
        return self.entry["url"]

    # What it got

    def got(self, method: str | None = None, http: str | None = None) -> list[Request]:
        """All requests to its endpoint, of one method of MCP or of HTTP."""
        return [
            request
            for request in self.site.at(self.path, http)
            if method is None or request.message.get("method") == method
        ]  # fmt: skip

    def tokens(self) -> set[str]:
        """All that it was shown as tokens."""
        headers = {request.header("Authorization") for request in self.got()} - {None}
        return {header.removeprefix("Bearer ") for header in headers}

    # Its answers

    def answer(self, request: Request) -> Answer | None:
        places = {
            AT_PATH: "/.well-known/oauth-protected-resource" + self.path,
            AT_ROOT: "/.well-known/oauth-protected-resource",
            ELSEWHERE: "/about/who-may-use-it",
        }
        if request.method == "GET" and request.path in {places[place] for place in self.metadata_at}:
            return Answer.json(self.on_metadata(self.metadata()))
        if request.path != self.path:
            return None
        if any(secret in request.target for secret in self.authority.secrets):
            self.site.faults.append(f"a secret in a URL: {request}")
        message = request.message
        if message.get("method") not in self.open_methods:
            refusal = self._refusal(request, message)
            if refusal is not None:
                return refusal
        if request.method == "POST":
            return self._post(request, message)
        session = request.header("Mcp-Session-Id")
        if session not in self._sessions:
            return Answer.page("no such session", 405 if session is None else 404)
        if request.method == "DELETE":
            self._sessions.pop(session).put(None)
            return Answer(204)
        return Answer(200, headers=[("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")], stream=self._events(session))

    def metadata(self) -> dict[str, Any]:
        document = {"resource": self.resource, "authorization_servers": [self.authority.issuer], "bearer_methods_supported": ["header"]}
        if self.scopes_supported is not None:
            document["scopes_supported"] = self.scopes_supported
        return document

    def _refusal(self, request: Request, message: dict[str, Any]) -> Answer | None:
        header = request.header("Authorization")
        if header is not None and header == self.takes_header:
            return None
        kind, _, token = (header or "").partition(" ")
        grant = self.authority.holder(token) if kind == "Bearer" else None
        if self.takes_no_token or grant is None and not (self.takes_any_token and token):
            return self._challenge(401, None if header is None else "invalid_token", self.named_scope)
        if grant is None:
            return None
        # A token is for one resource, which may be a parent of this one (RFC 8707).
        if not self.resource.startswith(grant.resource):
            self.site.faults.append(f"a token for {grant.resource} was shown to {self.resource}")
            return self._challenge(401, "invalid_token", self.named_scope)
        params = message.get("params") or {}
        if message.get("method") == "tools/call" and params.get("name") == "vault" and OPEN_VAULT not in grant.scopes:
            return self._challenge(403, "insufficient_scope", OPEN_VAULT)
        return None

    def _challenge(self, status: int, error: str | None, scope: str | None) -> Answer:
        parameters = {"error": error, "resource_metadata": self.named_metadata, "scope": scope}
        said = ", ".join(f'{name}="{value}"' for name, value in parameters.items() if value is not None)
        return Answer(status, b"", [("WWW-Authenticate", f"{self.challenge_before}Bearer {said}".strip())])

    # MCP

    def _post(self, request: Request, message: dict[str, Any]) -> Answer:
        method, params = message.get("method"), message.get("params") or {}
        if "id" not in message:
            return Answer(202)
        if validation.VERSION in (params.get("_meta") or {}):
            if STATELESS not in self.eras:
                return Answer.page("what is this?", 400)
            outcome = self._perform(method, params, STATELESS)
            status = 404 if outcome.get("error", {}).get("code") == -32601 else 200
            return Answer.json({"jsonrpc": "2.0", "id": message["id"], **outcome}, status)
        if HANDSHAKE not in self.eras:
            data = {"supported": [validation.STATELESS], "requested": params.get("protocolVersion", "")}
            error = {"code": -32022, "message": "Unsupported protocol version", "data": data}
            return Answer.json({"jsonrpc": "2.0", "id": message["id"], "error": error}, 400)
        headers = []
        if method == "initialize":
            session = "session-" + secrets.token_hex(8)
            self._sessions[session] = queue.SimpleQueue()
            headers.append(("Mcp-Session-Id", session))
        else:
            session = request.header("Mcp-Session-Id")
            if session not in self._sessions:
                return Answer.page("no such session", 400 if session is None else 404)
        return Answer.json({"jsonrpc": "2.0", "id": message["id"], **self._perform(method, params, HANDSHAKE)}, 200, *headers)

    def _perform(self, method: str | None, params: dict[str, Any], era: str) -> dict[str, Any]:
        """The result or the error."""
        about = {"capabilities": {"tools": {}}, "serverInfo": {"name": self.key, "version": "1"}}
        result: dict[str, Any] | None = None
        if method == "initialize" and era == HANDSHAKE:
            known = params["protocolVersion"] in validation.HANDSHAKE_REVISIONS
            result = {"protocolVersion": params["protocolVersion"] if known else validation.NEWEST_HANDSHAKE, **about}
        elif method == "server/discover" and era == STATELESS:
            result = {"supportedVersions": [validation.STATELESS], "capabilities": about["capabilities"]}
        elif method == "ping" and era == HANDSHAKE:
            result = {}
        elif method == "tools/list":
            schema = {"type": "object", "properties": {"text": {"type": "string"}}}
            result = {"tools": [{"name": name, "inputSchema": schema} for name in ("echo", "count", "vault")]}
        elif method == "tools/call":
            result = self._call(params["name"], params.get("arguments") or {})
        if result is None:
            return {"error": {"code": -32601, "message": f"Method not found: {method}"}}
        if era == STATELESS:
            cache = {"ttlMs": 0, "cacheScope": "private"} if method in ("tools/list", "server/discover") else {}
            info = {"_meta": {validation.SERVER_INFO: about["serverInfo"]}}
            result = {"resultType": "complete", **cache, **info, **result}
        return {"result": result}

    def _call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self.executions[name] += 1
            texts = {"echo": str(arguments.get("text", "")), "count": str(self.executions["count"]), "vault": "gold"}
        if name not in texts:
            return {"content": [{"type": "text", "text": f"there is no tool {name}"}], "isError": True}
        return {"content": [{"type": "text", "text": texts[name]}]}

    def _events(self, session: str) -> Iterator[bytes]:
        waiting = self._sessions[session]
        yield b": here\n\n"
        while (piece := waiting.get()) is not None:
            yield piece

    def end_streams(self) -> None:
        for waiting in list(self._sessions.values()):
            waiting.put(None)
