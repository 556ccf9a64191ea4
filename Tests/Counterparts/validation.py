"""Holds recorded messages against the revision they were sent under: with the SDK's models always, with the schemas where they are."""

import functools
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
from mcp_types import jsonrpc as sdk_envelope
from mcp_types import methods as sdk

import places

HANDSHAKE_REVISIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
NEWEST_HANDSHAKE = HANDSHAKE_REVISIONS[-1]
STATELESS = "2026-07-28"
REVISIONS = (*HANDSHAKE_REVISIONS, STATELESS)

# The members of `_meta` that say something of one hop alone, and of the stateless era alone.
META = "io.modelcontextprotocol/"
VERSION, CAPABILITIES, INFO = META + "protocolVersion", META + "clientCapabilities", META + "clientInfo"
LOG_LEVEL, SUBSCRIPTION, SERVER_INFO = META + "logLevel", META + "subscriptionId", META + "serverInfo"
ENVELOPE = (VERSION, CAPABILITIES, INFO, LOG_LEVEL, SUBSCRIPTION)

# Python refuses to read longer integers by default; payloads of the tests have them.
sys.set_int_max_str_digits(0)

REQUEST_DEFINITIONS = {
    "initialize": "InitializeRequest",
    "ping": "PingRequest",
    "tools/list": "ListToolsRequest",
    "tools/call": "CallToolRequest",
    "prompts/list": "ListPromptsRequest",
    "prompts/get": "GetPromptRequest",
    "resources/list": "ListResourcesRequest",
    "resources/templates/list": "ListResourceTemplatesRequest",
    "resources/read": "ReadResourceRequest",
    "resources/subscribe": "SubscribeRequest",
    "resources/unsubscribe": "UnsubscribeRequest",
    "completion/complete": "CompleteRequest",
    "logging/setLevel": "SetLevelRequest",
    "roots/list": "ListRootsRequest",
    "sampling/createMessage": "CreateMessageRequest",
    "elicitation/create": "ElicitRequest",
    "server/discover": "DiscoverRequest",
    "subscriptions/listen": "SubscriptionsListenRequest",
    "tasks/get": "GetTaskRequest",
    "tasks/result": "GetTaskPayloadRequest",
    "tasks/cancel": "CancelTaskRequest",
    "tasks/list": "ListTasksRequest",
}
RESULT_DEFINITIONS = {
    "initialize": "InitializeResult",
    "ping": "EmptyResult",
    "tools/list": "ListToolsResult",
    "tools/call": "CallToolResult",
    "prompts/list": "ListPromptsResult",
    "prompts/get": "GetPromptResult",
    "resources/list": "ListResourcesResult",
    "resources/templates/list": "ListResourceTemplatesResult",
    "resources/read": "ReadResourceResult",
    "resources/subscribe": "EmptyResult",
    "resources/unsubscribe": "EmptyResult",
    "completion/complete": "CompleteResult",
    "logging/setLevel": "EmptyResult",
    "roots/list": "ListRootsResult",
    "sampling/createMessage": "CreateMessageResult",
    "elicitation/create": "ElicitResult",
    "server/discover": "DiscoverResult",
    "subscriptions/listen": "SubscriptionsListenResult",
    "tasks/get": "GetTaskResult",
    "tasks/result": "GetTaskPayloadResult",
    "tasks/cancel": "CancelTaskResult",
    "tasks/list": "ListTasksResult",
}
# What the models of the SDK leave out on purpose. Of the stateless era's tasks, an extension, there is no schema either.
TASK_METHODS = ("tasks/get", "tasks/result", "tasks/cancel", "tasks/list", "tasks/update", "notifications/tasks/status")
NOTIFICATION_DEFINITIONS = {
    "notifications/initialized": "InitializedNotification",
    "notifications/cancelled": "CancelledNotification",
    "notifications/progress": "ProgressNotification",
    "notifications/message": "LoggingMessageNotification",
    "notifications/tools/list_changed": "ToolListChangedNotification",
    "notifications/prompts/list_changed": "PromptListChangedNotification",
    "notifications/resources/list_changed": "ResourceListChangedNotification",
    "notifications/resources/updated": "ResourceUpdatedNotification",
    "notifications/roots/list_changed": "RootsListChangedNotification",
    "notifications/elicitation/complete": "ElicitationCompleteNotification",
    "notifications/subscriptions/acknowledged": "SubscriptionsAcknowledgedNotification",
    "notifications/tasks/status": "TaskStatusNotification",
}


def description() -> str:
    by_models = "the models of the Python SDK, generations 1 and 2"
    if places.SCHEMAS.is_dir():
        return f"Messages are validated with {by_models}, and with the schema of each revision beside the repository."
    return f"Messages are validated with {by_models} ONLY: ../shared/mcp-spec, with the schemas of the revisions, is not there."


def identity(value: Any) -> tuple[str, Any]:
    """An id with its type, because 1 and "1" are different ids (and True is none)."""
    return type(value).__name__, value


@functools.cache
def schema(revision: str) -> dict[str, Any] | None:
    path = places.SCHEMAS / revision / "schema.json"
    return json.loads(path.read_text()) if path.is_file() else None


@functools.cache
def definition(revision: str, name: str) -> jsonschema.protocols.Validator | None:
    whole = schema(revision)
    if whole is None:
        return None
    keyword = "$defs" if "$defs" in whole else "definitions"
    if name not in whole[keyword]:
        raise KeyError(f"{name} is no message of revision {revision}")
    of_draft = jsonschema.validators.validator_for(whole)
    return of_draft({"$schema": whole["$schema"], keyword: whole[keyword], "$ref": f"#/{keyword}/{name}"})


@dataclass
class Recording:
    """What went through one connection, in order, and who of the two is under test."""

    title: str
    lines: list[tuple[str, bytes]] = field(default_factory=list)  # ("client" or "server", the line)
    tested: str = "server"  # the side whose messages are judged; the other one may be wrong on purpose
    revision: str = NEWEST_HANDSHAKE  # in force before a handshake was seen
    is_one_process: bool = False  # the other side was one process from begin to end: there is one handshake, and no id comes twice

    @classmethod
    def of_relay(cls, title: str, path: Path) -> "Recording":
        sides = {b"> ": "client", b"< ": "server"}
        return cls(title, [(sides[line[:2]], line[2:]) for line in path.read_bytes().splitlines()])


@dataclass
class Open:
    """A request that waits for its answer, and the revision it was sent under."""

    method: str
    revision: str
    params: dict[str, Any] = field(default_factory=dict)


def meta_of(message: dict[str, Any], member: str = "params") -> dict[str, Any]:
    value = message.get(member)
    meta = value.get("_meta") if isinstance(value, dict) else None
    return meta if isinstance(meta, dict) else {}


class Judge:
    """Goes through one recording and collects what is wrong with the messages of the tested side.

    The era is decided by each message: a request with an envelope is of the stateless one, and so is all that belongs to it.
    """

    def __init__(self, recording: Recording):
        self.recording = recording
        self.session: str | None = None  # what a handshake has ended in
        self.revision = recording.revision  # of the message that is being looked at
        self.is_stateless = False  # a request with an envelope was seen
        self.methods: dict[tuple[str, Any], Open] = {}  # the client's requests, also those that were answered
        self.tokens: dict[tuple[str, Any], str] = {}  # revisions of the client's requests by their progress tokens
        self.problems: list[str] = []
        self.judged = 0
        # Requests by who sent them. More than one under an id if the untested side errs: the last is answered first, as a refusal.
        self.open: dict[str, dict[tuple[str, Any], list[Open]]] = {"client": {}, "server": {}}
        self.cancelled: set[tuple[str, Any]] = set()
        self.for_sdk1: list[dict[str, Any]] = []

    def run(self) -> "Judge":
        for side, line in self.recording.lines:
            if not line.strip():
                continue
            tested = side == self.recording.tested
            try:
                value = json.loads(line)
            except ValueError as error:
                if tested:
                    self.complain(line, f"is not JSON: {error}")
                else:
                    self.remember_damaged(side, line)
                continue
            messages = value if isinstance(value, list) else [value]
            if isinstance(value, list) and tested:
                self.judge_batch(line, value)
            for message in messages:
                if isinstance(message, dict):
                    self.follow(side, message, line if tested else None)
        return self

    def remember_damaged(self, side: str, line: bytes) -> None:
        """A request too damaged to be read may still be answered, with an error, if its id could be made out."""
        id = re.search(rb'"id"\s*:\s*(\d+|"[^"\\\\]*")', line)
        if id and b'"method"' in line:
            self.open[side].setdefault(identity(json.loads(id.group(1))), []).append(Open("damaged", self.in_session()))

    def complain(self, line: bytes, text: str) -> None:
        shown = line if len(line) <= 600 else line[:450] + b" ... " + line[-150:]
        self.problems.append(f"{self.recording.title}, {self.revision}: {text}\n    {shown.decode(errors='replace')}")

    def in_session(self) -> str:
        """The revision of what has no envelope."""
        if self.session is None and self.is_stateless:
            return STATELESS
        return self.session or self.recording.revision

    def revision_of(self, side: str, message: dict[str, Any]) -> str:
        """The revision of a request or notification."""
        params = message.get("params") if isinstance(message.get("params"), dict) else {}
        if message["method"] == "initialize":
            offered = params.get("protocolVersion")
            return offered if offered in HANDSHAKE_REVISIONS else NEWEST_HANDSHAKE
        if "id" in message:
            return STATELESS if side == "client" and meta_of(message).get(VERSION) == STATELESS else self.in_session()
        method = message["method"]
        if method == "notifications/cancelled" and "requestId" in params:
            named = self.methods.get(identity(params["requestId"]))
            if side == "server":
                is_own = identity(params["requestId"]) in self.open["server"]
                named = None if is_own or (named and named.method != "subscriptions/listen") else named
            return named.revision if named else self.in_session()
        if side == "client":
            return self.in_session()
        if method == "notifications/subscriptions/acknowledged" or SUBSCRIPTION in meta_of(message):
            return STATELESS
        if method == "notifications/progress" and "progressToken" in params:
            return self.tokens.get(identity(params["progressToken"]), self.in_session())
        if method == "notifications/message" and any(
            LOG_LEVEL in meta_of({"params": open.params}) for waiting in self.open["client"].values() for open in waiting
        ):
            # On a pipe with both eras it may belong to either; the newer model is the stricter one.
            return STATELESS
        return self.in_session()

    def follow(self, side: str, message: dict[str, Any], line: bytes | None) -> None:
        """Keeps the books of both sides; judges the message if `line` is given."""
        other = "client" if side == "server" else "server"
        method = message.get("method")
        if isinstance(method, str):
            params = message.get("params") if isinstance(message.get("params"), dict) else {}
            self.revision = self.revision_of(side, message)
            if "id" in message:
                if self.recording.is_one_process:
                    if line and method == "initialize" and any(opened.method == method for opened in self.methods.values()):
                        self.complain(line, "begins a session with a process that has one")
                elif method == "initialize":
                    # A new session, with ids of its own. What has an envelope is no part of it.
                    for id, waiting in list(self.open[side].items()):
                        if waiting[-1].revision != STATELESS or self.recording.tested == "client":
                            del self.open[side][id]
                elif method == "server/discover" and self.recording.tested == "client":
                    self.open[side].clear()  # a new life of the server, or the same one without work
                if side == "client" and self.revision == STATELESS:
                    self.is_stateless = True
                if line and identity(message["id"]) in self.open[side]:
                    self.complain(line, "uses the id of a request that is still open")
                opened = Open(method, self.revision, params)
                self.open[side].setdefault(identity(message["id"]), []).append(opened)
                if side == "client":
                    self.methods[identity(message["id"])] = opened
                    if "progressToken" in meta_of(message):
                        self.tokens[identity(meta_of(message)["progressToken"])] = self.revision
                if line:
                    self.judge(line, message, "request", method)
            else:
                if method == "notifications/cancelled" and side == "client" and "requestId" in params:
                    self.cancelled.add(identity(params["requestId"]))
                if line:
                    self.judge(line, message, "notification", method)
            return
        if "id" not in message or message["id"] is None:
            if line:
                self.revision = self.in_session()
                self.judge_anonymous_error(line, message)
            return
        waiting = self.open[other].get(identity(message["id"]), [])
        asked = waiting.pop() if waiting else None
        if not waiting:
            self.open[other].pop(identity(message["id"]), None)
        if asked is None:
            if line and not (side == "server" and identity(message["id"]) in self.cancelled):
                # An id that was never used, or one that has had its answer. The other side's unreadable requests have none.
                self.complain(line, "answers a request that is not open")
            return
        self.revision = asked.revision
        if asked.method == "initialize" and isinstance(message.get("result"), dict):
            self.session = message["result"].get("protocolVersion", self.in_session())
            if self.session not in HANDSHAKE_REVISIONS:
                if line:
                    self.complain(line, f"a handshake cannot end in the revision {self.session!r}")
                self.session = NEWEST_HANDSHAKE
            self.revision = self.session
        if line:
            self.judge(line, message, "error" if "error" in message else "result", asked.method, asked.params)

    def judge(self, line: bytes, message: dict[str, Any], kind: str, method: str, asked: dict[str, Any] | None = None) -> None:
        self.judged += 1
        self.by_schema(line, "JSONRPCMessage", message)
        is_task = method in TASK_METHODS or (kind == "result" and "task" in (asked or {}) and "task" in message["result"])
        is_task = is_task or (kind == "result" and self.revision == STATELESS and message["result"].get("resultType") == "task")
        try:
            sdk_envelope.jsonrpc_message_adapter.validate_python(message)
            if not is_task:
                self.by_sdk(message, kind, method)
        except KeyError:
            self.complain(line, f"{kind} {(method, self.revision)} does not exist for the Python SDK 2")
        except ValueError as error:  # pydantic's ValidationError is one
            self.complain(line, f"{kind} of {method} is refused by the Python SDK 2: {error}")
        if is_task and self.revision == STATELESS:
            return
        if kind == "result":
            name = RESULT_DEFINITIONS.get(method)
            if is_task and method == "tools/call":
                name = "CreateTaskResult"
            if self.revision == STATELESS and message["result"].get("resultType") == "input_required":
                name = "InputRequiredResult"
                self.judge_input_required(line, message["result"], method)
            self.by_schema(line, name, message["result"])
        elif kind == "request":
            self.by_schema(line, REQUEST_DEFINITIONS.get(method, f"(request {method})"), message)
        elif kind == "notification":
            self.by_schema(line, NOTIFICATION_DEFINITIONS.get(method, f"(notification {method})"), message)
        if self.revision == STATELESS:
            return  # the Python SDK 1 knows nothing of it
        if is_task and method == "tools/call":
            method = "tools/call as a task"
        self.for_sdk1.append({"side": self.recording.tested, "kind": kind, "method": method, "message": message})

    def by_sdk(self, message: dict[str, Any], kind: str, method: str) -> None:
        tested_is_server = self.recording.tested == "server"
        params = message.get("params")
        if kind == "result":
            check = sdk.validate_server_result if tested_is_server else sdk.validate_client_result
            check(method, self.revision, message["result"])
        elif kind == "request":
            if tested_is_server:
                sdk.parse_server_request(method, self.revision, params)
            else:
                sdk.validate_client_request(method, self.revision, params)
        elif kind == "notification":
            if tested_is_server:
                sdk.parse_server_notification(method, self.revision, params)
            else:
                sdk.validate_client_notification(method, self.revision, params)

    def judge_input_required(self, line: bytes, result: dict[str, Any], method: str) -> None:
        if method not in sdk.INPUT_REQUIRED_METHODS:
            self.complain(line, f"{method} cannot require input")
        for key, entry in (result.get("inputRequests") or {}).items():
            name = REQUEST_DEFINITIONS.get(entry.get("method"))
            if entry.get("method") in ("elicitation/create", "sampling/createMessage", "roots/list"):
                self.by_schema(line, name, entry)
            else:
                self.complain(line, f"asks for {entry.get('method')!r} under {key!r}")

    def judge_anonymous_error(self, line: bytes, message: dict[str, Any]) -> None:
        """An answer to something unreadable. Only from 2025-11-25 on has an error a valid form without an id."""
        self.judged += 1
        if not isinstance(message.get("error"), dict):
            self.complain(line, "is neither a request, a notification nor an answer")
        elif self.revision in (NEWEST_HANDSHAKE, STATELESS):
            self.by_schema(line, "JSONRPCMessage", message)
            # The SDK's model wants the member, with null in it; the schema wants it left out. The rest is judged all the same.
            try:
                sdk_envelope.JSONRPCError.model_validate({**message, "id": None})
            except ValueError as error:
                self.complain(line, f"is refused by the Python SDK 2: {error}")

    def judge_batch(self, line: bytes, batch: list[Any]) -> None:
        self.revision = self.in_session()
        if self.revision != "2025-03-26":
            self.complain(line, "is a batch, which this revision does not have")
        elif not batch:
            self.complain(line, "is an empty batch")
        else:
            self.by_schema(line, "JSONRPCMessage", batch)

    def by_schema(self, line: bytes, name: str | None, value: Any) -> None:
        if name is None:
            return
        try:
            validator = definition(self.revision, name)
        except KeyError as error:
            self.complain(line, str(error))
            return
        if validator is None:
            return
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
        if error is not None:
            self.complain(line, f"does not follow the schema of {name}: {error.json_path}: {error.message[:300]}")


class Sdk1:
    """The models of the Python SDK 1, in a process of its own environment. It is started once and asked again and again."""

    def __init__(self) -> None:
        script = Path(__file__).parent / "validate_with_sdk1.py"
        self.process = subprocess.Popen([places.python(1), str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def problems(self, messages: list[dict[str, Any]]) -> list[str]:
        self.process.stdin.write(json.dumps(messages).encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"validate_with_sdk1.py has ended with {self.process.wait()}"
        return json.loads(answer)


@functools.cache
def sdk1() -> Sdk1:
    return Sdk1()


def problems(recordings: Iterable[Recording]) -> list[str]:
    """Everything that is wrong with what the tested sides sent."""
    judges = [Judge(recording).run() for recording in recordings]
    for_sdk1 = [message for judge in judges for message in judge.for_sdk1]
    return [problem for judge in judges for problem in judge.problems] + sdk1().problems(for_sdk1)
