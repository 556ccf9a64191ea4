"""Payloads arrive as they were sent, byte for byte, at the server and back at the host."""

import json
import random

import bench as tools

# As many as the promise says; the one with the long string comes on top.
PAYLOADS = 1000
LONG_STRING = 10 * 1024 * 1024
SEED = 20240229

NUMBERS = [
    "0", "-0", "1.0", "-0.0", "1e400", "-1E+400", "1e-400", "0.1", "1.10", "100e-2", "9007199254740993", "-9223372036854775809",
    "18446744073709551616", "123456789012345678901234567890123456789012345678901234567890", "3.141592653589793238462643383279502884197",
]  # fmt: skip
STRINGS = [
    r'""', r'"\ud800"', r'"\udc00\ud800"', r'"\uD83D\uDE00"', '"😀"', r'"\u0000\u001f"',
    r'"\/\b\f\n\r\t\"\\"', r'"A\u0041"', '"é\u2028\u2029\x7f"',
    '"e\u0301"', '"\uffff\ufeff"', r'"{\"jsonrpc\":\"2.0\",\"id\":1}"', '"__proto__"',
]  # fmt: skip
KEYS = [
    '"a"', '"A"', '""', '"__proto__"', r'"\u0061"', '"with space"', '"id"', '"method"', '"name"',
    '"_meta"', '"progressToken"', '"cursor"', '"é"',
]  # fmt: skip
SPACES = ["", "", "", "", " ", "  ", "\t", " \t "]


class Writer:
    """Writes JSON text as no library would: odd but legal."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)

    def space(self) -> str:
        return self.random.choice(SPACES)

    def value(self, depth: int) -> str:
        kind = self.random.randrange(9 if depth > 0 else 6)
        if kind < 2:
            return self.random.choice(NUMBERS)
        if kind < 4:
            return self.random.choice(STRINGS)
        if kind < 6:
            plain = ["true", "false", "null", "{}", "[]", "[ ]", "{\t}", str(self.random.getrandbits(200)), repr(self.random.random())]
            return self.random.choice(plain)
        if kind == 6:
            items = [self.space() + self.value(depth - 1) + self.space() for _ in range(self.random.randrange(1, 5))]
            return "[" + ",".join(items) + "]"
        return self.object([self.value(depth - 1) for _ in range(self.random.randrange(1, 5))])

    def object(self, values: list[str], keys: list[str] | None = None) -> str:
        if keys is None:
            keys = self.random.sample(KEYS, len(values))
        pairs = zip(keys, values, strict=True)
        members = [f"{self.space()}{key}{self.space()}:{self.space()}{value}{self.space()}" for key, value in pairs]
        return "{" + ",".join(members) + "}"

    def nested(self, depth: int) -> str:
        opened = [self.random.choice(["[", '{"a":']) for _ in range(depth)]
        closed = ["]" if piece == "[" else "}" for piece in reversed(opened)]
        return "".join(opened) + self.random.choice(NUMBERS) + "".join(closed)

    def arguments(self, number: int) -> str:
        values = [f'"{number}"', self.value(4), self.nested(200) if number % 50 == 0 else self.value(3)]
        return self.object(values, ['"text"', '"payload"', '"more"'])

    def params(self, name: str, arguments: str) -> str:
        """The members in any order, with unknown ones between them."""
        members = [('"name"', json.dumps(name)), ('"arguments"', arguments)]
        if self.random.random() < 0.5:
            members.append(('"com.example/unknown"', self.value(2)))
        if self.random.random() < 0.5:
            members.append(('"_meta"', self.object([self.value(2), self.value(1)], ['"com.example/one"', '"traceparent"'])))
        self.random.shuffle(members)
        return self.object([value for _, value in members], [key for key, _ in members])


def result_bytes(line: bytes) -> bytes:
    """The result in an answer of the fake, which writes it last."""
    return line[line.index(b'"result":') + len(b'"result":') : line.rindex(b"}")]


def by_tag(log: list[bytes], needle: bytes) -> dict[str, bytes]:
    """Lines that contain the needle, by the text each payload carries as its number."""
    found = {}
    for line in log:
        if needle in line:
            message = json.loads(line)
            inside = message["params"]["arguments"] if "params" in message else message["result"]["structuredContent"]["arguments"]
            found[inside["text"]] = line
    return found


def test_a_thousand_odd_payloads_arrive_unchanged_in_both_directions(bench):
    alpha = bench.fake("alpha")
    host = bench.host(bench.config())
    host.tools()
    writer = Writer(SEED)
    sent: dict[str, tuple[int, str, str]] = {}
    for number in range(PAYLOADS + 1):
        arguments = writer.arguments(number)
        if number == PAYLOADS:
            arguments = writer.object([f'"{number}"', '"' + "0123456789abcde\\n" * (LONG_STRING // 17) + '"'], ['"text"', '"long"'])
        id = 10_000 + number
        sent[str(number)] = (id, arguments, writer.params("alpha__echo", arguments))
        host.send(f'{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{sent[str(number)][2]}}}'.encode())
    for id, _, _ in sent.values():
        host.answer_line(id, timeout=60)
    host.end()

    arrived = by_tag(alpha.received.lines, b'"echo"')
    returned = by_tag(alpha.sent.lines, b'"structuredContent"')
    answers = by_tag(host.out.lines, b'"structuredContent"')
    assert len(arrived) == len(returned) == len(answers) == len(sent)
    for tag, (id, arguments, params) in sent.items():
        # Only the name is another one; the order of the members, the spaces and every byte of the values are the host's.
        assert params.replace('"alpha__echo"', '"echo"').encode() in arrived[tag], f"payload {tag} towards the server"
        assert b'"arguments":' + arguments.encode() in returned[tag], f"the fake's echo of payload {tag}"
        assert result_bytes(returned[tag]) in answers[tag], f"payload {tag} towards the host"
        assert json.loads(answers[tag])["id"] == id


def test_arguments_that_are_absent_stay_absent(bench):
    alpha = bench.fake("alpha")
    host = bench.host(bench.config())
    host.tools()
    for params in (b'{"name":"alpha__echo"}', b'{"name":"alpha__echo","arguments":{}}', b'{"arguments":null,"name":"alpha__echo"}'):
        start = len(alpha.received.lines)
        id = 500 + start
        host.send(b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":%s}' % (id, params))
        host.answer(id)
        _, line = alpha.received.wait_for(lambda line: b'"tools/call"' in line, tools.PATIENCE, start)
        assert params.replace(b"alpha__echo", b"echo") in line
    # `arguments: null` was our own invention; the schema does not have it, and passing on what came is what is promised.
    alpha.received.forget(lambda line: b'"arguments":null' in line)


def test_a_server_that_writes_byte_by_byte_is_read_well(bench):
    bench.fake("alpha", "--byte-by-byte")
    host = bench.host(bench.config())
    host.tools()
    for number in range(5):
        assert host.text("alpha__echo", {"text": f"é {number}"}) == f"é {number}"


def test_a_long_line_passes(bench):
    bench.fake("alpha")
    host = bench.host(bench.config())
    host.tools()
    assert len(host.text("alpha__payload", {"bytes": 20 * 1024 * 1024})) == 20 * 1024 * 1024
    assert host.text("alpha__echo", {"text": "afterwards"}) == "afterwards"
