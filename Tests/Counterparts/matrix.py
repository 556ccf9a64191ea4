"""What a host of each revision gets of a server of each revision: the one table that the tests run through and docs/protocol.md shows."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from validation import REVISIONS, STATELESS

WORKS, BRIDGED, IMPOSSIBLE = "works", "bridged", "impossible"


@dataclass(frozen=True)
class Note:
    verdict: str  # BRIDGED or IMPOSSIBLE
    text: str  # how, or why


def bridged(text: str) -> Note:
    return Note(BRIDGED, text)


def impossible(text: str) -> Note:
    return Note(IMPOSSIBLE, text)


@dataclass(frozen=True)
class Feature:
    """A method or notification, in each pair of revisions.

    The grid has a line per host revision and a character per server revision, both from the oldest to the newest: `+` works as it
    is, anything else is one of the notes.
    """

    name: str
    sender: str  # "host" or "server"
    grid: str
    notes: dict[str, Note] = field(default_factory=dict)
    about: str = ""  # what holds for all pairs

    @property
    def key(self) -> str:
        return f"{self.name} from the {self.sender}"

    def symbol(self, host: str, server: str) -> str:
        return self.grid.split()[REVISIONS.index(host)][REVISIONS.index(server)]

    def note(self, host: str, server: str) -> Note | None:
        symbol = self.symbol(host, server)
        return None if symbol == "+" else self.notes[symbol]

    def verdict(self, host: str, server: str) -> str:
        note = self.note(host, server)
        return note.verdict if note else WORKS


# Texts that many features share.

ENVELOPE = bridged(
    "mcpagg adds the envelope to the request, and takes `resultType`, `ttlMs`, `cacheScope` and the server's name out of the result."
)
NO_ENVELOPE = bridged(
    "mcpagg takes the envelope out of the request, and adds `resultType` and its own name to the result; to lists and resources also "
    "`ttlMs` and `cacheScope`."
)
LISTENS = bridged("mcpagg opens `subscriptions/listen` at the server, and tells the host as hosts of its revision are told.")
LISTENED = bridged("The host gets it on each `subscriptions/listen` of its own that asked for it, marked with that one's id.")
ASKS_HOST = bridged(
    "The server answers with `input_required`. mcpagg asks the host with a request, and makes the server's request again with the answer."
)
PARKS = bridged(
    "The server's request waits in mcpagg, and so does the call at the server. The host is answered with `input_required` and a "
    "`requestState`; its next request brings the answer, and waits for the same call."
)
HOST_LACKS = impossible("The host's revision does not have it. The server is refused, and the host is asked nothing.")
SERVER_LACKS = impossible("The server's revision does not have it. A server that asks all the same is refused.")
BOTH = "++++e ++++e ++++e ++++e nnnn+"
CHANGES = "++++l ++++l ++++l ++++l dddd+"
ASKING = "++++q ++++q ++++q ++++q pppp+"
FOLLOWED = bridged(
    "The host sees an ordinary call. mcpagg asks the server for a task, looks at it in the intervals that the server wants, and answers "
    "the call with the task's result."
)
NO_TASKS = impossible(
    "The server's revision has no tasks. The host is answered -32601, or, if its own revision has them, -32602: there is no such task."
)

FEATURES = [
    Feature(
        "initialize", "host", "++++s ++++s ++++s ++++s hhhhn",
        {
            "s": bridged("mcpagg answers it. The server is asked with `server/discover` for what it has."),
            "h": bridged("The host needs none. mcpagg makes the handshake with the server."),
            "n": impossible("2026-07-28 has no handshake: the host sends none, and the server gets none."),
        },
        "mcpagg answers by itself, in the host's revision, and makes a handshake of its own with each server.",
    ),
    Feature(
        "notifications/initialized", "host", "++++s ++++s ++++s ++++s hhhhn",
        {
            "s": bridged("It ends at mcpagg: there is nothing that the server could be told."),
            "h": bridged("mcpagg sends it at the end of its own handshake with the server."),
            "n": impossible("2026-07-28 has no handshake: nobody sends it."),
        },
    ),
    Feature(
        "server/discover", "host", "nnnns nnnns nnnns nnnns hhhh+",
        {
            "n": impossible("Neither revision has it. A host that has done the handshake is answered -32601."),
            "s": bridged("The host learns all of it from `initialize`. mcpagg asks the server."),
            "h": bridged("mcpagg answers it. What it says of the server it knows from a handshake."),
        },
        "mcpagg answers by itself.",
    ),
    Feature(
        "ping", "host", "++++s ++++s ++++s ++++s nnnnn",
        {
            "s": bridged("mcpagg answers. The server could not be asked."),
            "n": impossible("2026-07-28 has no `ping`. The host is answered -32601."),
        },
        "mcpagg answers by itself; the server is never asked.",
    ),
    Feature(
        "ping", "server", "++++n ++++n ++++n ++++n hhhhn",
        {
            "h": bridged("mcpagg answers. The host could not be asked."),
            "n": impossible("Servers of 2026-07-28 send no requests."),
        },
        "mcpagg answers by itself; the host is never asked.",
    ),
    Feature("tools/list", "host", BOTH, {"e": ENVELOPE, "n": NO_ENVELOPE}, "The lists of all servers are one, with prefixed names."),
    Feature(
        "tools/call", "host", "++ccb ++ccb ++++e ++++e nnnn+",
        {
            "c": bridged("Kinds of content that the host's revision does not have become text."),
            "b": bridged(ENVELOPE.text + " Kinds of content that the host's revision does not have become text."),
            "e": ENVELOPE,
            "n": NO_ENVELOPE,
        },
    ),
    Feature("prompts/list", "host", BOTH, {"e": ENVELOPE, "n": NO_ENVELOPE}, "The lists of all servers are one, with prefixed names."),
    Feature("prompts/get", "host", BOTH, {"e": ENVELOPE, "n": NO_ENVELOPE}),
    Feature("resources/list", "host", BOTH, {"e": ENVELOPE, "n": NO_ENVELOPE}, "The lists of all servers are one; URIs are left alone."),
    Feature(
        "resources/templates/list", "host", BOTH, {"e": ENVELOPE, "n": NO_ENVELOPE},
        "The lists of all servers are one; URIs are left alone.",
    ),
    Feature(
        "resources/read", "host", BOTH, {"e": ENVELOPE, "n": NO_ENVELOPE},
        "A resource that does not exist is error -32002 to hosts of the handshake era and -32602 to those of 2026-07-28, when the "
        "eras differ; within one era it is what the server says.",
    ),
    Feature(
        "completion/complete", "host", "++++e ++++e cc++e cc++e bbnn+",
        {
            "c": bridged("`context`, which the server's revision does not have, is taken out."),
            "b": bridged(NO_ENVELOPE.text + " `context`, which the server's revision does not have, is taken out."),
            "e": ENVELOPE,
            "n": NO_ENVELOPE,
        },
    ),
    Feature(
        "resources/subscribe", "host", "++++l ++++l ++++l ++++l nnnnn",
        {
            "l": LISTENS,
            "n": impossible("2026-07-28 has it no more: the host names the URIs in `subscriptions/listen`. It is answered -32601."),
        },
    ),
    Feature(
        "resources/unsubscribe", "host", "++++l ++++l ++++l ++++l nnnnn",
        {
            "l": bridged("mcpagg opens another `subscriptions/listen` at the server, without the URI, and ends the old one."),
            "n": impossible("2026-07-28 has it no more: the host cancels its `subscriptions/listen`. It is answered -32601."),
        },
    ),
    Feature(
        "subscriptions/listen", "host", "nnnnl nnnnl nnnnl nnnnl ssss+",
        {
            "n": impossible("Neither revision has it. The host is answered -32601."),
            "l": bridged("mcpagg listens at the server to what the host has subscribed to. A host that sends it is answered -32601."),
            "s": bridged("mcpagg subscribes to the named resources at the server, and tells of the changes of lists itself."),
        },
    ),
    Feature(
        "notifications/subscriptions/acknowledged", "server", "nnnnm nnnnm nnnnm nnnnm ssss+",
        {
            "n": impossible("Neither revision has it, and nothing of the kind is sent."),
            "m": impossible("It ends at mcpagg, because it was mcpagg who listened."),
            "s": bridged("mcpagg acknowledges what it will tell of."),
        },
    ),
    Feature(
        "notifications/tools/list_changed", "server", CHANGES, {"l": LISTENS, "d": LISTENED},
        "Sent once per change of the merged list, not per notification of a server.",
    ),
    Feature("notifications/prompts/list_changed", "server", CHANGES, {"l": LISTENS, "d": LISTENED}, "As for tools."),
    Feature("notifications/resources/list_changed", "server", CHANGES, {"l": LISTENS, "d": LISTENED}, "As for tools."),
    Feature(
        "notifications/resources/updated", "server", CHANGES, {"l": LISTENS, "d": LISTENED},
        "Only to hosts that subscribed to the resource, or listen to it.",
    ),
    Feature(
        "logging/setLevel", "host", "++++l ++++l ++++l ++++l rrrrn",
        {
            "l": bridged("mcpagg keeps the level, and puts it into the `_meta` of each request to the server."),
            "r": bridged(
                "The host names the level in the `_meta` of a request; mcpagg sets it at the server. The method itself is answered -32601."
            ),
            "n": impossible(
                "2026-07-28 has it no more: the level stands in the `_meta` of each request, and mcpagg passes it on there. The method is "
                "answered -32601."
            ),
        },
    ),
    Feature(
        "notifications/message", "server", "++++r ++++r ++++r ++++r oooo+",
        {
            "r": bridged("The server sends them only while it works on a request: mcpagg has put the host's level into each."),
            "o": bridged("The host gets them only while a request of its own is open that asked for this level."),
        },
        "Filtered by the level the host wants, and with the server's name in `logger`. At most a thousand in ten seconds of one server.",
    ),
    Feature(
        "notifications/progress", "server", "+++++ +++++ +++++ +++++ +++++", {},
        "Only for requests with a progress token of the host. The server sees a token of mcpagg's.",
    ),
    Feature(
        "notifications/progress", "host", "++++s ++++s ++++s ++++s nnnnn",
        {
            "s": impossible("A server of 2026-07-28 sends no requests, so there is no progress of one. What the host sends ends at mcpagg."),
            "n": impossible("Hosts of 2026-07-28 send none. What comes all the same ends at mcpagg."),
        },
    ),
    Feature("roots/list", "server", ASKING, {"q": ASKS_HOST, "p": PARKS}),
    Feature(
        "notifications/roots/list_changed", "host", "++++s ++++s ++++s ++++s nnnnn",
        {
            "s": bridged("It ends at mcpagg. The server asks for the roots anew in every request that needs them."),
            "n": impossible("Hosts of 2026-07-28 send none, and mcpagg promises servers none. What comes all the same ends at mcpagg."),
        },
    ),
    Feature("sampling/createMessage", "server", ASKING, {"q": ASKS_HOST, "p": PARKS}),
    Feature(
        "sampling/createMessage with tools", "server", "hhhhh hhhhh hhhhh sss+q sssp+",
        {"h": HOST_LACKS, "s": SERVER_LACKS, "q": ASKS_HOST, "p": PARKS},
    ),
    Feature(
        "elicitation/create with a form", "server", "hhhhh hhhhh ss++q ss++q sspp+",
        {"h": HOST_LACKS, "s": SERVER_LACKS, "q": ASKS_HOST, "p": PARKS},
        "The text for the person begins with the name of the server that asks.",
    ),
    Feature(
        "elicitation/create with a URL", "server", "hhhhh hhhhh hhhhh sss+q sssp+",
        {
            "h": HOST_LACKS,
            "s": SERVER_LACKS,
            "q": bridged(ASKS_HOST.text + " mcpagg adds the `elicitationId` that the host's revision wants."),
            "p": bridged(PARKS.text + " The `elicitationId` stays in mcpagg."),
        },
        "The text for the person begins with the name of the server that asks.",
    ),
    Feature(
        "notifications/elicitation/complete", "server", "hhhhh hhhhh hhhhh sss+s hhhhh",
        {
            "h": impossible("The host's revision does not have it. What the server sends ends at mcpagg."),
            "s": impossible("The server's revision does not have it."),
        },
    ),
    Feature(
        "notifications/cancelled", "host", "+++++ +++++ +++++ +++++ +++++", {},
        "The server gets it under the id that it knows the request by. The host gets no answer any more.",
    ),
    Feature(
        "notifications/cancelled", "server", "++++n ++++n ++++n ++++n wwwwn",
        {
            "n": impossible(
                "Servers of 2026-07-28 send no requests that they could take back. That a subscription is over the host hears by its answer."
            ),
            "w": bridged("The question is dropped. What the host brings for it is thrown away, and the call goes on."),
        },
    ),
    Feature(
        "tasks/get", "host", "nnnff nnnff nnnff nnn+f nnnf+", {"n": NO_TASKS, "f": FOLLOWED},
        "Task ids are mcpagg's own. In 2026-07-28 tasks are an extension.",
    ),
    Feature(
        "tasks/result", "host", "nnnff nnnff nnnff nnn+f nnnfg",
        {
            "n": NO_TASKS,
            "f": FOLLOWED,
            "g": impossible("2026-07-28 has it no more: `tasks/get` brings the result. It is answered -32601."),
        },
    ),
    Feature(
        "tasks/cancel", "host", "nnncc nnncc nnncc nnn+c nnnc+",
        {"n": NO_TASKS, "c": bridged("The host cancels the call, and mcpagg cancels the task that the call became.")},
    ),
    Feature(
        "tasks/update", "host", "nnnno nnnno nnnnf nnnnf tttt+",
        {
            "n": impossible("Neither revision has it. The host is answered -32601."),
            "t": impossible("Tasks of the server's revision ask by requests, or there are none. The host is answered -32602."),
            "o": impossible(
                "The host's revision has no elicitation, so the task is not given a form. Other hosts of the handshake era are bridged."
            ),
            "f": bridged("mcpagg asks the host what the task wants to know, and updates the task with the answer."),
        },
    ),
    Feature(
        "tasks/list", "host", "nnnnn nnnnn nnnnn nnnnn nnnnn",
        {
            "n": impossible(
                "mcpagg does not offer it, nor has it to: a list over all servers would show tasks that this host never began. The host is "
                "answered -32601."
            )
        },
    ),
    Feature(
        "notifications/tasks/status", "server", "nnnff nnnff nnnff nnn+f nnnff",
        {
            "n": impossible("The server's revision has no tasks."),
            "f": impossible("The host follows no task by this revision's means, and is told nothing."),
        },
    ),
]


def cells() -> Iterator[tuple[str, str, Feature]]:
    for host in REVISIONS:
        for server in REVISIONS:
            for feature in FEATURES:
                yield host, server, feature


# The page

SHOWN = {WORKS: "✓", BRIDGED: "⇄", IMPOSSIBLE: "–"}
ARROWS = {"host": "→", "server": "←"}
FILE = "docs/protocol.md"


def footnotes() -> dict[Note, int]:
    """Numbered in the order in which they are met."""
    numbers: dict[Note, int] = {}
    for feature in FEATURES:
        for host in REVISIONS:
            for server in REVISIONS:
                note = feature.note(host, server)
                if note is not None:
                    numbers.setdefault(note, len(numbers) + 1)
    return numbers


def page() -> str:
    numbers = footnotes()

    def mark(feature: Feature, host: str, server: str) -> str:
        note = feature.note(host, server)
        return SHOWN[feature.verdict(host, server)] + (f" {numbers[note]}" if note else "")

    lines = [INTRODUCTION.strip(), "", "## The eras", ""]
    eras = [("2024-11-05 to 2025-11-25", REVISIONS[3]), ("2026-07-28", STATELESS)]
    lines += ["| Sent by | | " + " | ".join(f"host {h}, server {s}" for h, _ in eras for s, _ in eras) + " |", "|---|---|" + "---|" * 4]
    for feature in FEATURES:
        row = [mark(feature, host, server) for _, host in eras for _, server in eras]
        lines.append(f"| {feature.sender} {ARROWS[feature.sender]} | {_name(feature)} | " + " | ".join(row) + " |")
    lines += ["", ERAS_END.strip(), "", "## How it is bridged, and why some things are impossible", ""]
    lines += [f"{number}. {SHOWN[note.verdict]} {note.text}" for note, number in numbers.items()]
    lines += ["", "## What holds for all revisions", ""]
    lines += [f"- {_title(feature)}: {feature.about}" for feature in FEATURES if feature.about]
    lines += ["", "## Every pair of revisions", "", FULL_BEGINNING.strip(), ""]
    for feature in FEATURES:
        lines += [f"### {_title(feature)}", ""]
        lines += ["| host ↓, server → | " + " | ".join(REVISIONS) + " |", "|---|" + "---|" * len(REVISIONS)]
        lines += [f"| {host} | " + " | ".join(mark(feature, host, server) for server in REVISIONS) + " |" for host in REVISIONS]
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def _name(feature: Feature) -> str:
    method, separator, rest = feature.name.partition(" with ")
    return f"`{method}`{separator}{rest}"


def _title(feature: Feature) -> str:
    return f"{_name(feature)}, from the {feature.sender}"


INTRODUCTION = """
# Revisions of MCP

Hosts and servers of every revision of MCP work with each other through mcpagg. The four older revisions, 2024-11-05 to 2025-11-25,
begin with `initialize`, and both sides send requests: this page calls them the handshake era. In 2026-07-28, the stateless era,
nothing is agreed on beforehand. Each request says in an *envelope* in its `_meta` who sends it, and a server that needs something
answers that input is required instead of asking.

Which era a host is of is decided by each message, so a host may try both on the same pipe. Which era a server is of mcpagg finds out
when it starts the server. To a server that speaks both it speaks as the host does.

This page is made from the table that the tests run through (`Tests/Counterparts/matrix.py`): every field of it is tried with the real
executable, and a test compares the page with the table.

- ✓ works: the message goes on, with the ids, names and tokens of the other side. Nothing else is changed.
- ⇄ is bridged: one side has it in another form, or not at all, and mcpagg stands in. The number says how.
- – is impossible: the number says why, and what happens instead.
"""

ERAS_END = """
Of the handshake era this table shows the newest revision. Older ones lack some of it: see [the full table](#every-pair-of-revisions).
"""

FULL_BEGINNING = """
The numbers are those of the list above.
"""
