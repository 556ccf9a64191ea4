"""Damage for messages: small changes to valid JSON-RPC, of the kinds that programs and pipes really make."""

import random
import re

VALUES = [
    b"null", b"true", b"{}", b"[]", b'""', b"0", b"-1", b"1.5", b"1e400", b"-0.0", b"9007199254740993", b"1" * 400, b'"\\ud800"', b'"\\u0000"',
    b'"' + b"x" * 300 + b'"', b"[" * 40 + b"]" * 40, b'{"a":{"a":{"a":{}}}}', b'"2026-07-28"', b'"2025-03-26"', b'"complete"',
    b'"input_required"', b'"task"', b'"io.modelcontextprotocol/serverInfo"',
]  # fmt: skip
NAMES = [
    b"id", b"method", b"params", b"result", b"error", b"jsonrpc", b"_meta", b"name", b"uri", b"cursor", b"task", b"taskId", b"resultType",
    b"requestState", b"inputResponses", b"inputRequests", b"ttlMs", b"progressToken", b"requestId", b"ref", b"level", b"notifications",
]  # fmt: skip
TEXTS = [
    b"", b" ", b"\r", b"{", b"}", b"[]", b"[{}]", b"null", b"\xff\xfe", b"Content-Length: 12", b"[" * 600, b'{"jsonrpc":"2.0"}', b"\x00",
    b'{"jsonrpc":"2.0","id":null,"result":{}}', b'{"jsonrpc":"2.0","method":"x"}', b'{"jsonrpc":"1.0","id":"m","method":"ping"}',
]  # fmt: skip
DIGITS = b"0123456789"
VALUE = re.compile(rb'(?<=:)\s*("(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null|\{\}|\[\])')
MEMBER = re.compile(rb'"(?:[^"\\]|\\.)*"\s*:\s*("(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null|\{\}|\[\])\s*,?')


def mutated(line: bytes, chance: random.Random) -> bytes:
    """The line, damaged in one to three ways. It never holds a line break."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        line = DAMAGES[int(chance.random() * len(DAMAGES))](line, chance)
    return line.replace(b"\n", b" ")


def other_value(line, chance):
    places = list(VALUE.finditer(line))
    if not places:
        return line
    place = chance.choice(places)
    return line[: place.start(1)] + chance.choice(VALUES) + line[place.end(1) :]


def lost_member(line, chance):
    places = list(MEMBER.finditer(line))
    if not places:
        return line
    place = chance.choice(places)
    return line[: place.start()] + line[place.end() :]


def double_member(line, chance):
    places = list(MEMBER.finditer(line))
    if not places:
        return line
    place = chance.choice(places)
    return line[: place.end()] + (b"" if place.group().endswith(b",") else b",") + place.group() + line[place.end() :]


def new_member(line, chance):
    at = [i for i, byte in enumerate(line) if byte == 0x7B]
    if not at:
        return line
    place = chance.choice(at) + 1
    comma = b"" if line[place : place + 1] == b"}" else b","
    return line[:place] + b'"' + chance.choice(NAMES) + b'":' + chance.choice(VALUES) + comma + line[place:]


def other_name(line, chance):
    return line.replace(b'"' + chance.choice(NAMES) + b'":', b'"' + chance.choice(NAMES) + b'":', 1)


def cut(line, chance):
    return line[: int(chance.random() * len(line))]


def flipped(line, chance):
    if not line:
        return line
    place = int(chance.random() * len(line))
    byte = int(chance.random() * 256)
    # Not one id into another: what a server says under the id of a live request is its answer.
    if line[place] in DIGITS or byte in DIGITS:
        return line
    return line[:place] + bytes((byte,)) + line[place + 1 :]


def spaced(line, chance):
    return line.replace(b":", b" : ").replace(b",", b" ,\t") + b"\r"


def something_else(line, chance):
    return chance.choice(TEXTS)


DAMAGES = [
    other_value, other_value, other_value, lost_member, lost_member, double_member, new_member, new_member, other_name, cut, flipped, spaced,
    something_else,
]  # fmt: skip
