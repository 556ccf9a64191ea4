"""What servers offered is known from run to run: lists are complete at once, and hosts hear of a change only if there is one."""

import json
import os
import random
import stat
import time
from pathlib import Path

import pytest

import bench as tools
import places
import validation
from bench import RawHost
from oauth_bench import KEY as LOGIN_KEY, OLD as LOGIN_HOST

# A server that takes so long to start would be seen in any answer that waits for it.
SLOW = ("--start-delay", "4s")
# What an answer may take that waits for nothing.
AT_ONCE = 3
LISTS = ["tools/list", "prompts/list", "resources/list", "resources/templates/list"]
ALL = ("--features", "all", "--tools", "5", "--instructions", "Be kind to the fake.")


def catalog_files(bench) -> list[Path]:
    directory = bench.cache_home / "mcpagg"
    return sorted(directory.glob("*.catalog")) if directory.exists() else []


def everything(host: RawHost) -> list[bytes]:
    """All lists as they came, under ids that are the same for every host."""
    return [host.answer_line(host.post(method, None, f"list-{method}")) for method in LISTS]


def warm(bench, config, revision: str | None = validation.NEWEST_HANDSHAKE, **capabilities) -> list[bytes]:
    """Runs once, so that all is kept; what the lists were."""
    bench.shares_cache = True
    host = bench.host(config, revision, **capabilities)
    lists = everything(host)
    assert host.end() == 0
    return lists


def changes(host: RawHost, start: int = 0) -> list[str]:
    return [m["method"] for m in host.messages(start) if str(m.get("method", "")).endswith("list_changed")]


def ready(host: RawHost, key: str, start: int = 0) -> int:
    """Waits until the log says that the server is ready; the line behind."""
    return host.err.wait_for(lambda line: f"server '{key}': ready".encode() in line, tools.PATIENCE, start)[0] + 1


# Lists at once

@pytest.mark.parametrize("revision", ["2024-11-05", "2025-06-18", validation.NEWEST_HANDSHAKE, validation.STATELESS])
def test_lists_are_complete_and_byte_identical_at_once_though_servers_are_slow(bench, revision):
    bench.fake("alpha", *ALL, *SLOW, "--page-size", "2")
    bench.fake("beta", "--tools", "3", *SLOW, tools={"exclude": ["tool_1"], "rename": {"tool_2": "two"}}, prefix="b")
    config = bench.config()
    cold = warm(bench, config, revision)
    assert len(catalog_files(bench)) == 2
    host = bench.host(config, revision)
    assert everything(host) == cold
    assert time.monotonic() - host.started < AT_ONCE
    for key in ("alpha", "beta"):
        ready(host, key)
    assert everything(host) == cold
    assert host.text("b__two", {"text": "works"}) and not changes(host)


def test_instructions_and_capabilities_are_there_at_once(bench):
    bench.fake("alpha", *ALL, *SLOW)
    bench.fake("beta", "--instructions", "Beta counts from one.", *SLOW)
    config = bench.config()
    warm(bench, config)
    host = bench.host(config, None)
    answer = host.handshake(validation.NEWEST_HANDSHAKE)
    assert time.monotonic() - host.started < AT_ONCE
    assert "Be kind to the fake." in answer["result"]["instructions"] and "Beta counts from one." in answer["result"]["instructions"]
    discovered = bench.host(config, validation.STATELESS)
    # Another era, so nothing is known for it; nothing is made up either.
    assert "instructions" not in discovered.ask("server/discover")["result"]


def test_a_stateless_host_is_told_everything_by_discovery_at_once(bench):
    # Told which era it is of, it is not asked in two ways one after the other.
    of_alpha = ("--era", "stateless", "--instructions", "Be kind to the fake.", "--ttl", "60000", "--discover-delay", "4s")
    bench.fake("alpha", *of_alpha, protocol="stateless")
    config = bench.config(listWait="20s")
    warm(bench, config, validation.STATELESS)
    host = bench.host(config, validation.STATELESS)
    assert host.ask("server/discover")["result"]["instructions"] == "Be kind to the fake."
    listed = host.ask("tools/list")["result"]
    assert time.monotonic() - host.started < AT_ONCE
    assert listed["tools"] and listed["ttlMs"] == 0, "what was learned in an earlier run may be taken for granted for no time at all"
    ready(host, "alpha")
    assert host.ask("tools/list")["result"]["ttlMs"] == 60000


def test_while_a_server_has_not_said_what_it_has_a_list_may_not_be_kept(bench):
    bench.fake("alpha", "--era", "stateless", "--ttl", "60000", protocol="stateless")
    bench.fake("beta", "--era", "stateless", "--ttl", "30000", "--discover-delay", "5s", protocol="stateless")
    host = bench.host(bench.config(listWait="100ms"), validation.STATELESS)
    host.ask("tools/list")
    ready(host, "alpha")
    listed = host.ask("tools/list")["result"]
    names = {tool["name"] for tool in listed["tools"]}
    assert "alpha__echo" in names and "beta__echo" not in names and listed["ttlMs"] == 0, listed
    ready(host, "beta")
    assert host.ask("tools/list")["result"]["ttlMs"] == 30000


def test_calls_wait_for_the_server_as_they_wait_for_one_that_starts(bench):
    server = bench.fake("alpha", "--start-delay", "1s", "--features", "tools,resources,prompts,completions")
    config = bench.config()
    warm(bench, config)
    host = bench.host(config)
    names = host.tool_names()
    ids = [host.post("tools/call", {"name": "alpha__echo", "arguments": {"text": f"{n}"}}) for n in range(5)]
    assert [host.answer(id)["result"]["content"][0]["text"] for id in ids] == [f"{n}" for n in range(5)]
    assert len([line for line in server.received.lines if b'"tools/call"' in line]) == 5
    assert "alpha__echo" in names and not changes(host)


def test_names_that_collide_or_are_too_long_are_the_same_again(bench):
    bench.fake("alpha", "--tools", "30", *SLOW, prefix="", tools={"rename": {"tool_7": "Same", "tool_8": "a" * 39}})
    bench.fake("beta", "--tools", "30", *SLOW, prefix="", tools={"rename": {"tool_9": "same", "tool_8": "a" * 40}})
    config = bench.config(nameBudget=40)
    cold = warm(bench, config)
    host = bench.host(config)
    assert everything(host) == cold
    assert time.monotonic() - host.started < AT_ONCE


# What the lists are revalidated with

def test_a_server_that_changed_is_announced_once_and_the_next_run_knows(bench):
    program = bench.directory / "server.sh"

    def offers(count: int) -> None:
        # The same entry, but another program behind it: as after an update of the server.
        fresh = program.with_suffix(".fresh")
        fresh.write_text(f'#!/bin/sh\nexec "{places.fake()}" --tools {count} "$@"\n')
        fresh.chmod(0o755)
        fresh.rename(program)

    offers(2)
    server = bench.fake("alpha")
    server.entry["command"] = str(program)
    other = bench.fake("beta", "--tools", "1")
    config = bench.config(server, other)
    cold = warm(bench, config)
    offers(3)
    host = bench.host(config)
    assert everything(host) == cold
    # Whatever is announced for one change is announced by now, when the next has been: this one is the test's own.
    host.notification("notifications/tools/list_changed")
    assert "alpha__tool_2" in host.tool_names()
    start = len(host.out.lines)
    host.call("beta__change_tools")
    host.notification("notifications/tools/list_changed", start)
    assert changes(host) == ["notifications/tools/list_changed"] * 2
    host.end()
    again = bench.host(config)
    assert "alpha__tool_2" in again.tool_names()


def test_a_changed_entry_is_not_answered_from_what_was_kept(bench):
    server = bench.fake("alpha", "--start-delay", "1s", "--tools", "2")
    config = bench.config()
    warm(bench, config)
    elsewhere = bench.directory / "elsewhere"
    elsewhere.mkdir()
    for change in ({"env": {"A": "1"}}, {"args": [*server.entry["args"], "--tools", "4"]}, {"cwd": str(elsewhere)}, {"protocol": "handshake"}):
        server.entry.update(change)
        config = bench.config(name=f"{len(change)}-{next(iter(change))}.json")
        host = bench.host(config)
        names = host.tool_names()
        assert time.monotonic() - host.started > 0.9, "a changed entry is another server, and that is waited for"
        assert ("alpha__tool_3" in names) == (server.entry["args"][-1] == "4")
        host.end()


def test_settings_that_only_shape_the_list_leave_what_is_kept_as_it_is(bench):
    server = bench.fake("alpha", *SLOW, "--tools", "2")
    config = bench.config()
    warm(bench, config)
    server.entry.update(prefix="other", tools={"include": ["tool_*"], "rename": {"tool_1": "one"}}, timeout="9s", startupTimeout="20s")
    config = bench.config(separator="-", name="other.json")
    host = bench.host(config)
    assert host.tool_names() == ["other-tool_0", "other-one"]
    assert time.monotonic() - host.started < AT_ONCE
    assert len(catalog_files(bench)) == 1


def test_hosts_that_can_do_other_things_have_lists_of_their_own(bench):
    def tool(name: str) -> dict:
        return {"name": name, "inputSchema": {"type": "object"}}

    server = bench.scripted("alpha", {"capabilities": {"tools": {}}, "lists": {"tools/list": [[tool("plain")]]}})
    config = bench.config()
    warm(bench, config)
    # As a server that offers more to hosts that can do more.
    server.script["lists"]["tools/list"] = [[tool("plain"), tool("asking")]]
    server.write_script()
    able = bench.host(config, elicitation={})
    assert able.tool_names() == ["alpha__plain", "alpha__asking"]
    assert not changes(able)
    able.end()
    assert bench.host(config).tool_names() == ["alpha__plain"]
    assert bench.host(config, elicitation={}).tool_names() == ["alpha__plain", "alpha__asking"]


def test_a_saved_file_brings_known_servers_back_at_once(bench):
    alpha = bench.fake("alpha")
    beta = bench.fake("beta", *SLOW)
    config = bench.config(alpha, beta)
    warm(bench, config)
    config.write_text(bench.config_text(alpha))
    host = bench.host(config)
    assert not [name for name in host.tool_names() if name.startswith("beta")]
    start = len(host.out.lines)
    saved = time.monotonic()
    config.write_text(bench.config_text(alpha, beta))
    host.notification("notifications/tools/list_changed", start)
    assert "beta__echo" in host.tool_names()
    assert time.monotonic() - saved < AT_ONCE
    ready(host, "beta")
    assert len(changes(host, start)) == 1


def test_servers_that_are_disabled_or_gone_are_not_listed(bench):
    alpha = bench.fake("alpha")
    beta = bench.fake("beta")
    config = bench.config(alpha, beta)
    warm(bench, config)
    beta.entry["disabled"] = True
    assert {name.split("__")[0] for name in bench.host(bench.config(alpha, beta)).tool_names()} == {"alpha"}
    assert {name.split("__")[0] for name in bench.host(bench.config(alpha)).tool_names()} == {"alpha"}


def test_a_known_server_that_does_not_start_is_as_one_that_went_down(bench):
    program = bench.directory / "server.sh"
    program.write_text(f'#!/bin/sh\nexec "{places.fake()}" "$@"\n')
    program.chmod(0o755)
    server = bench.fake("alpha")
    server.entry |= {"command": str(program), "retry": False}
    config = bench.config()
    cold = warm(bench, config)
    program.write_text("#!/bin/sh\nexit 3\n")
    host = bench.host(config)
    assert everything(host) == cold
    host.err.wait_for(lambda line: b"server 'alpha' is down" in line, tools.PATIENCE)
    result = host.call("alpha__echo", {"text": "x"})
    assert result["isError"] and "exited with code 3" in result["content"][0]["text"]
    assert everything(host)[0] == cold[0] and not changes(host)


def test_a_server_that_lost_a_capability_loses_what_it_had(bench):
    program = bench.directory / "server.sh"
    program.write_text(f'#!/bin/sh\nexec "{places.fake()}" --features tools,prompts,resources "$@"\n')
    program.chmod(0o755)
    server = bench.fake("alpha")
    server.entry["command"] = str(program)
    config = bench.config()
    warm(bench, config)
    program.write_text(f'#!/bin/sh\nexec "{places.fake()}" --features tools "$@"\n')
    host = bench.host(config)
    assert host.ask("prompts/list")["result"]["prompts"]
    host.notification("notifications/prompts/list_changed")
    assert host.ask("prompts/list")["result"]["prompts"] == []


# The files

def files(bench) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (bench.cache_home / "mcpagg").iterdir()}


def test_files_are_for_their_owner_only_and_nothing_unfinished_is_left(bench):
    bench.fake("alpha", *ALL)
    warm(bench, bench.config())
    directory = bench.cache_home / "mcpagg"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for path in directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert path.name == "salt" or path.suffix == ".catalog", path


@pytest.mark.parametrize("says", ["echoes", "keeps to itself"])
def test_secrets_are_in_no_file(bench, says):
    secrets = ["hunter2-in-env", "hunter2-in-argument", 'hunter2 "quoted"', "hunter2-in-header", "hunter2-in-url"]
    bench.variables |= {f"SECRET_{n}": text for n, text in enumerate(secrets)}
    instructions = "Say ${SECRET_2} to me" if says == "echoes" else "Say nothing"
    bench.fake("alpha", "--instructions", instructions, "--stderr-line", "${SECRET_1}", env={"TOKEN": "${SECRET_0}"})
    bench.servers.append(tools.Server("remote", {"url": "http://127.0.0.1:9/${SECRET_4}", "headers": {"X": "${SECRET_3}"}}))
    other = bench.fake("beta")
    config = bench.config()
    warm(bench, config)
    kept = files(bench)
    assert len([name for name in kept if name.endswith(".catalog")]) == (1 if says == "echoes" else 2), other
    for name, content in kept.items():
        for secret in secrets:
            assert secret.encode() not in content and json.dumps(secret)[1:-1].encode() not in content, (name, secret)


def test_damaged_files_are_ignored_and_made_anew(bench):
    chance = random.Random(5)
    bench.fake("alpha", "--tools", "3")
    config = bench.config()
    cold = warm(bench, config)
    [path] = catalog_files(bench)
    good = path.read_bytes()

    def flipped() -> bytes:
        damaged = bytearray(good)
        damaged[chance.randrange(len(good))] ^= 1 << chance.randrange(8)
        return bytes(damaged)

    damages = [b"", good[:7], good[:40], good[:100], good[:-1], good + b"x", b"\0" * len(good), chance.randbytes(len(good))]
    damages += [flipped() for _ in range(6)] + [good[: chance.randrange(len(good))] for _ in range(3)]
    for damage in damages:
        path.write_bytes(damage)
        host = bench.host(config)
        assert everything(host) == cold
        host.end()
        assert b"what is kept of its last lists is not used" in host.err.text().encode()
        assert path.read_bytes()[:48] == good[:48] and len(path.read_bytes()) == len(good), "made anew"
    host = bench.host(config)
    assert everything(host) == cold and "not used" not in host.err.text()


@pytest.mark.parametrize("kind", ["directory", "link", "pipe", "open to others", "too long", "foreign"])
def test_files_that_are_not_ours_are_ignored(bench, kind):
    bench.fake("alpha", "--tools", "3")
    config = bench.config()
    cold = warm(bench, config)
    [path] = catalog_files(bench)
    good = path.read_bytes()
    path.unlink()
    if kind == "directory":
        path.mkdir()
    elif kind == "link":
        elsewhere = bench.directory / "elsewhere"
        elsewhere.write_bytes(good)
        path.symlink_to(elsewhere)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "open to others":
        path.write_bytes(good)
        path.chmod(0o666)
    elif kind == "too long":
        with open(path, "wb") as file:
            file.truncate(1 << 30)
    else:
        # Of another server, under this one's name.
        path.write_bytes(good)
        other = bench.fake("beta", "--tools", "5")
        warm(bench, bench.config(other, name="beta.json"))
        [other_path] = [p for p in catalog_files(bench) if p != path]
        path.write_bytes(other_path.read_bytes())
        config = bench.config(bench.servers[0])
    host = bench.host(config)
    assert everything(host) == cold
    host.end()
    assert "what is kept of its last lists is not used" in host.err.text()
    if kind != "directory":
        again = bench.host(config)
        assert everything(again) == cold
        again.end()
        assert "not used" not in again.err.text()


@pytest.mark.parametrize("where", ["no directory", "a file", "not writable"])
def test_without_a_directory_that_can_be_written_everything_works(bench, where):
    bench.fake("alpha", "--tools", "3")
    config = bench.config()
    place = bench.directory / "place"
    if where == "a file":
        place.write_text("not a directory")
    elif where == "not writable":
        # For root as well: nothing can be made there.
        place = Path("/proc/1/task")
    else:
        place = Path("relative/is/none")
        bench.variables["HOME"] = "none"
    bench.variables["XDG_CACHE_HOME"] = str(place)
    for _ in range(2):
        host = bench.host(config)
        assert "alpha__tool_2" in host.tool_names()
        assert host.text("alpha__echo", {"text": "works"}) == "works"
        assert host.end() == 0
        assert "error" not in host.err.text()
        assert ("cannot be kept" in host.err.text()) == (where != "no directory")


def test_several_processes_at_once_do_each_other_no_harm(bench):
    bench.fake("alpha", *ALL, record=False)
    bench.fake("beta", "--tools", "200", record=False)
    config = bench.config()
    bench.shares_cache = True
    hosts = [bench.host(config) for _ in range(6)]
    lists = [everything(host) for host in hosts]
    assert all(other == lists[0] for other in lists)
    for host in hosts:
        host.end()
        assert "not used" not in host.err.text()
    assert len(catalog_files(bench)) == 2
    more = [bench.host(config) for _ in range(4)]
    assert all(everything(host) == lists[0] for host in more)
    assert not any(name.endswith(".new") for name in files(bench))


def test_old_files_are_removed_and_unfinished_ones_too(bench):
    server = bench.fake("alpha")
    config = bench.config()
    warm(bench, config)
    directory = bench.cache_home / "mcpagg"
    old = time.time() - 40 * 24 * 3600
    for name, age in [("0" * 32 + ".catalog", old), ("x.catalog.abc.new", time.time() - 7200), ("y.catalog.def.new", time.time())]:
        (directory / name).write_bytes(b"left")
        os.utime(directory / name, (age, age))
    server.entry["env"] = {"A": "1"}
    warm(bench, bench.config(name="other.json"))
    left = set(files(bench))
    assert "0" * 32 + ".catalog" not in left and "x.catalog.abc.new" not in left
    assert "y.catalog.def.new" in left and len(catalog_files(bench)) == 2


def test_a_run_that_is_killed_leaves_what_was_kept_whole(bench):
    bench.fake("alpha", "--tools", "500", record=False)
    config = bench.config()
    cold = warm(bench, config)
    server = bench.servers[0]
    chance = random.Random(7)
    for _ in range(12):
        server.entry["env"] = {"ROUND": str(_)}
        host = bench.host(bench.config(name="killed.json"))
        host.post("tools/list")
        time.sleep(chance.uniform(0.0, 0.4))  # at any moment of the writing; nothing tells when that is
        host.process.kill()
        host.process.wait()
        again = bench.host(bench.config(name="killed.json"))
        assert everything(again) == cold
        again.end()
        assert "not used" not in again.err.text()


def test_lists_that_come_to_tell_a_secret_take_the_file_of_before_with_them(bench):
    bench.variables["SECRET"] = "hunter2-in-env"
    old, new = ({"name": name, "inputSchema": {"type": "object"}} for name in ("old", "new"))
    server = bench.scripted("alpha", {"capabilities": {"tools": {}}, "lists": {"tools/list": [[old]]}}, env={"TOKEN": "${SECRET}"})
    config = bench.config()
    warm(bench, config)
    server.script["lists"]["tools/list"] = [[{**new, "description": "Uses hunter2-in-env."}]]
    server.write_script()
    host = bench.host(config)
    assert host.tool_names() == ["alpha__old"]
    host.notification("notifications/tools/list_changed")
    host.end()
    assert not catalog_files(bench)
    again = bench.host(config)
    assert again.tool_names() == ["alpha__new"]
    ready(again, "alpha")
    assert not changes(again)


def test_what_could_not_be_written_is_said_once_and_written_later(bench):
    bench.fake("alpha", "--tools", "2")
    config = bench.config()
    warm(bench, config)
    [path] = catalog_files(bench)
    host = bench.host(config)
    host.tools()
    ready(host, "alpha")
    path.unlink()
    path.mkdir()  # a file cannot take its place
    seen = 0
    for _ in range(2):
        start = len(host.out.lines)
        host.call("alpha__change_tools")
        host.notification("notifications/tools/list_changed", start)
        host.tools()
        seen = seen or host.err.wait_for(lambda line: b"cannot be kept" in line, tools.PATIENCE)[0]
    path.rmdir()
    changed = everything(host)
    host.end()
    assert host.err.text().count("cannot be kept") == 1
    assert [path] == catalog_files(bench)
    assert everything(bench.host(config)) == changed


@pytest.mark.parametrize("inherited", [["ACCOUNT", "PATH"], "all"])
def test_inherited_variables_that_the_entry_names_count_with_their_values(bench, inherited):
    program = bench.directory / "server.sh"
    program.write_text(f'#!/bin/sh\nexec "{places.fake()}" --tools "$ACCOUNT" "$@"\n')
    program.chmod(0o755)
    server = bench.fake("alpha", inheritEnv=inherited)
    server.entry["command"] = str(program)
    config = bench.config()
    bench.variables["ACCOUNT"] = "1"
    warm(bench, config)
    bench.variables["ACCOUNT"] = "2"
    names = bench.host(config).tool_names()
    # Of all that there is too much changes from terminal to terminal: the server says it when it is there.
    assert ("alpha__tool_1" in names) == (inherited != "all")


@pytest.mark.parametrize("name, inherited", [("ACCOUNT", ["ACCOUNT", "PATH"]), ("GITHUB_TOKEN", "all")])
def test_inherited_secrets_are_in_no_file(bench, name, inherited):
    program = bench.directory / "server.sh"
    program.write_text(f'#!/bin/sh\nexec "{places.fake()}" --instructions "I know ${name}" "$@"\n')
    program.chmod(0o755)
    bench.variables[name] = "hunter2-inherited"
    server = bench.fake("alpha", inheritEnv=inherited)
    server.entry["command"] = str(program)
    bench.fake("beta")
    warm(bench, bench.config())
    assert len(catalog_files(bench)) == 1
    assert not any(b"hunter2" in content for content in files(bench).values())


# Servers behind URLs

def test_servers_behind_urls_are_known_at_once_but_not_to_somebody_else(web):
    bench = web.bench
    server = web.remote(entry={"headers": {"X-Who": "anna"}})
    bench.shares_cache = True
    host = web.host()
    names = host.tool_names()
    host.end()
    again = web.host()
    assert again.tool_names() == names
    again.end()
    assert len(catalog_files(bench)) == 1
    bench.servers[-1].entry["headers"] = {"X-Who": "bert"}
    other = bench.host(bench.config(name="other.json"))
    assert other.tool_names() == names
    other.end()
    assert len(catalog_files(bench)) == 2 and server is not None


# The command line

def test_commands_that_list_ask_the_servers_and_calls_start_no_other_server(bench):
    alpha = bench.fake("alpha", "--features", "all", "--tools", "1")
    beta = bench.fake("beta", "--features", "all", prefix="")
    config = bench.config()
    bench.shares_cache = True
    listed = bench.run("--config", str(config), "list-tools", "--json").stdout
    starts = lambda server: len([line for line in server.received.lines if b'"initialize"' in line])  # noqa: E731
    assert (starts(alpha), starts(beta)) == (1, 1)
    assert bench.run("--config", str(config), "list-tools", "--json").stdout == listed
    assert (starts(alpha), starts(beta)) == (2, 2), "what servers have is what they say now"
    called = bench.run("--config", str(config), "call", "alpha__echo", "text=hello")
    assert called.stdout == "hello\n", called
    assert (starts(alpha), starts(beta)) == (3, 2), "the other one need not be asked"
    assert bench.run("--config", str(config), "call", "alpha__nothing").returncode == 5
    assert (starts(alpha), starts(beta)) == (4, 3), "perhaps a server has something new"
    resources = json.loads(bench.run("--config", str(config), "list-resources", "--json").stdout)["resources"]
    before = (starts(alpha), starts(beta))
    assert bench.run("--config", str(config), "read-resource", resources[0]["uri"]).returncode == 0
    assert (starts(alpha), starts(beta)) == (before[0] + 1, before[1])


@pytest.mark.parametrize("command", ["call", "read-resource", "complete"])
def test_commands_ask_who_is_new_before_they_take_a_name_for_that_of_one_they_know(bench, command):
    new = bench.fake("new", "--features", "all", "--start-delay", "700ms", prefix="")
    known = bench.fake("known", "--features", "all", prefix="")
    for server in (new, known):
        # The same URIs and names.
        server.entry["args"] = ["--name", "same", *server.entry["args"][2:]]
    bench.shares_cache = True
    arguments, method = {
        "call": (["echo", "text=x"], "tools/call"),
        "read-resource": (["fake://same/text"], "resources/read"),
        "complete": (["greeting", "name="], "completion/complete"),
    }[command]
    alone = bench.config(known, name="known.json")
    assert bench.run("--config", str(alone), command, *arguments).returncode == 0
    asked = lambda server: len([line for line in server.received.lines if f'"{method}"'.encode() in line])  # noqa: E731
    assert (asked(new), asked(known)) == (0, 1)
    config = bench.config(new, known)
    for count in (1, 2):
        assert bench.run("--config", str(config), command, *arguments).returncode == 0
        assert (asked(new), asked(known)) == (count, 1), "of two with one name the first of the file has it"


def test_a_call_from_a_shell_finds_a_tool_that_is_new(bench):
    program = bench.directory / "server.sh"
    program.write_text(f'#!/bin/sh\nexec "{places.fake()}" "$@"\n')
    program.chmod(0o755)
    server = bench.fake("alpha")
    server.entry["command"] = str(program)
    config = bench.config()
    bench.shares_cache = True
    assert bench.run("--config", str(config), "call", "alpha__echo", "text=one").stdout == "one\n"
    program.write_text(f'#!/bin/sh\nexec "{places.fake()}" --tools 2 "$@"\n')
    assert bench.run("--config", str(config), "call", "alpha__tool_1", "text=two").stdout == "two\n"
    program.write_text("#!/bin/sh\nexit 3\n")
    gone = bench.run("--config", str(config), "call", "alpha__tool_1", "text=three")
    assert gone.returncode == 4 and "exited with code 3" in gone.stderr


def test_faults_that_are_made_on_purpose_are_not_kept(bench):
    bench.fake("alpha").is_judged = False
    bench.is_judged = False
    config = bench.config()
    bench.shares_cache = True
    host = bench.host(config, arguments=("chaos", "--seed", "1", "--delay", "0.1"), elicitation={})
    host.tool_names()
    host.end()
    assert not (bench.cache_home / "mcpagg").exists()


def test_what_a_login_brought_is_known_at_once_and_gone_with_it(oauth):
    bench = oauth.bench
    oauth.protect()
    oauth.logged_in()
    bench.shares_cache = True
    host = oauth.host(LOGIN_HOST)
    names = host.tools_when(lambda names: f"{LOGIN_KEY}__echo" in names)
    host.end()
    assert len(catalog_files(bench)) == 1
    again = oauth.host(LOGIN_HOST)
    assert again.tool_names() == names
    assert again.text(f"{LOGIN_KEY}__echo", {"text": "works"}) == "works"
    again.end()
    tokens = [value for value in json.loads((bench.directory / "state/mcpagg/credentials.json").read_text())["grants"]]
    secret = [str(grant[name]) for grant in tokens for name in ("accessToken", "refreshToken") if name in grant]
    for name, content in files(bench).items():
        assert secret and not any(text.encode() in content for text in secret), name
    assert bench.run("--config", str(bench.config()), "logout", LOGIN_KEY).returncode == 0
    without = oauth.host(LOGIN_HOST)
    assert not [name for name in without.tool_names() if name.startswith(f"{LOGIN_KEY}__")]
    # Another login is another person, for all that is known.
    oauth.logged_in()
    other = oauth.host(LOGIN_HOST)
    other.tools_when(lambda names: f"{LOGIN_KEY}__echo" in names)
    other.end()
    assert len(catalog_files(bench)) == 2
