"""mcpagg in a shell: what goes to stdout, what to stderr, and the exit code."""

import json
import os
import pty
import re
import shlex
import signal
import subprocess

import pytest

import bench as tools
import places
from lines import LineLog

SUCCESS, USAGE, UNREACHABLE, TOOL_ERROR, UNKNOWN_OUTCOME = 0, 2, 4, 5, 6
INTERRUPTED = 128 + signal.SIGINT


def shell(bench, line: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """A line of bash, with `mcpagg` in it; the exit code is that of the first command of a pipeline."""
    program = shlex.quote(places.mcpagg())
    script = f'mcpagg() {{ {program} "$@"; }}\n{line}\nexit ${{PIPESTATUS[0]}}\n'
    command = ["bash", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=bench.environment, cwd=bench.directory)


def call(bench, *arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
    return bench.run("--config", str(bench.directory / "mcp.json"), "call", *arguments, input=input)


def test_list_tools_for_people_and_for_machines(bench):
    bench.fake("alpha")
    bench.fake("beta", "--tools", "3")
    config = str(bench.config())
    table = bench.run("--config", config, "list-tools")
    assert table.returncode == SUCCESS
    assert "alpha__echo" in table.stdout and "beta__tool_2" in table.stdout
    assert "\x1b" not in table.stdout, "no colours but on a terminal"
    first = bench.run("--config", config, "list-tools", "--json")
    second = bench.run("--config", config, "list-tools", "--json")
    assert first.stdout == second.stdout
    names = [tool["name"] for tool in json.loads(first.stdout)["tools"]]
    assert names[0].startswith("alpha__") and names[-1].startswith("beta__")
    only = json.loads(bench.run("--config", config, "list-tools", "--server", "beta", "--json").stdout)
    assert {tool["name"].split("__")[0] for tool in only["tools"]} == {"beta"}
    assert "inputSchema" in only["tools"][0]
    assert "properties" in bench.run("--config", config, "list-tools", "--schema").stdout


def test_head_ends_it_quietly(bench):
    bench.fake("alpha", "--tools", "5000")
    bench.config()
    done = shell(bench, "mcpagg --config mcp.json list-tools | head -1")
    assert done.returncode == SUCCESS
    assert len(done.stdout.splitlines()) == 1
    assert not re.search("error|pipe", done.stderr, re.IGNORECASE), done.stderr


def test_the_output_of_a_call_can_be_piped(bench):
    bench.fake("alpha")
    bench.config()
    script = "import json, sys; print(json.load(sys.stdin)['content'][0]['text'])"
    done = shell(bench, f"mcpagg --config mcp.json call alpha__add a=19 b=23 --json | {places.python(2)} -c {shlex.quote(script)}")
    assert (done.returncode, done.stdout) == (SUCCESS, "42\n")
    plain = call(bench, "alpha__echo", "text=just the text")
    assert (plain.returncode, plain.stdout) == (SUCCESS, "just the text\n")


@pytest.mark.parametrize(
    ("given", "arrives"),
    [
        (["integer=3"], {"integer": 3}),
        (["integer=9007199254740993"], {"integer": 9007199254740993}),
        (["number=1.5"], {"number": 1.5}),
        (["boolean=true"], {"boolean": True}),
        (["string=3"], {"string": "3"}),
        (["string=true"], {"string": "true"}),
        (["string=a=b"], {"string": "a=b"}),
        (["string="], {"string": ""}),
        (["enum=red"], {"enum": "red"}),
        (["array=1", "array=2"], {"array": [1, 2]}),
        (["array=1"], {"array": [1]}),
        (["array=[1,2,3]"], {"array": [1, 2, 3]}),
        (["array:=[]"], {"array": []}),
        (['object:={"a":[1,{}]}'], {"object": {"a": [1, {}]}}),
        (["not_in_schema=5"], {"not_in_schema": "5"}),
        (["not_in_schema:=5"], {"not_in_schema": 5}),
        (["--args", '{"integer":1,"object":{"b":null}}'], {"integer": 1, "object": {"b": None}}),
        ([], {}),
    ],
    ids=str,
)
def test_values_are_typed_by_the_schema(bench, given, arrives):
    bench.fake("alpha")
    bench.config()
    done = call(bench, "alpha__typed", *given, "--json")
    assert done.returncode == SUCCESS, done.stderr
    seen = json.loads(done.stdout)["structuredContent"]["arguments"]
    assert seen == arrives
    assert {key: type(value) for key, value in seen.items()} == {key: type(value) for key, value in arrives.items()}


def test_arguments_come_from_stdin(bench):
    bench.fake("alpha")
    bench.config()
    done = call(bench, "alpha__typed", "--args", "-", "--json", input='{"integer": 5}\n')
    assert json.loads(done.stdout)["structuredContent"]["arguments"] == {"integer": 5}


@pytest.mark.parametrize(
    "given", [["integer=three"], ["boolean=maybe"], ["array:=[1"], ["--args", "{"], ["--args", "[1]"], ["no-equals-sign"]], ids=str
)
def test_a_value_that_does_not_fit_is_a_usage_error(bench, given):
    alpha = bench.fake("alpha")
    bench.config()
    done = call(bench, "alpha__typed", *given)
    assert done.returncode == USAGE, done.stderr
    assert done.stdout == ""
    assert not [line for line in alpha.received.lines if b'"tools/call"' in line]


def test_an_error_of_the_tool_has_its_exit_code_and_its_text(bench):
    bench.fake("alpha")
    bench.config()
    failed = call(bench, "alpha__fail", "text=no paper")
    assert failed.returncode == TOOL_ERROR
    assert "no paper" in failed.stdout + failed.stderr
    refused = call(bench, "alpha__error", "code:=-32050", "message=out of order")
    assert refused.returncode == TOOL_ERROR
    assert "out of order" in refused.stderr
    result = call(bench, "alpha__fail", "text=no paper", "--json")
    assert result.returncode == TOOL_ERROR
    assert json.loads(result.stdout)["isError"] is True


def test_an_unknown_tool_suggests_the_nearest(bench):
    bench.fake("alpha")
    bench.config()
    done = call(bench, "alpha__ecko")
    assert done.returncode == TOOL_ERROR
    assert done.stdout == ""
    assert "alpha__ecko" in done.stderr and "alpha__echo" in done.stderr
    as_json = call(bench, "alpha__ecko", "--json")
    assert as_json.returncode == TOOL_ERROR
    assert "error" in json.loads(as_json.stderr.splitlines()[-1]), "a JSON error envelope, the last line of stderr"


def test_a_server_that_is_down_is_unreachable(bench):
    bench.fake("alpha")
    bench.fake("bad", "--exit-at-start", "3", "--stderr-line", "cannot open the vault")
    bench.config()
    done = call(bench, "bad__echo", "text=x")
    assert done.returncode == UNREACHABLE
    assert "bad" in done.stderr and "cannot open the vault" in done.stderr


def test_a_server_that_dies_in_the_call_leaves_the_outcome_unknown(bench):
    alpha = bench.fake("alpha")
    bench.config()
    done = call(bench, "alpha__crash")
    assert done.returncode == UNKNOWN_OUTCOME
    assert "alpha" in done.stderr
    assert len([line for line in alpha.received.lines if b'"crash"' in line]) == 1


def test_ctrl_c_cancels_the_call(bench):
    alpha = bench.fake("alpha")
    config = str(bench.config())
    process = subprocess.Popen(
        [places.mcpagg(), "--config", config, "call", "alpha__hang"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=bench.environment,
    )
    position, begun = alpha.wait_for("tools/call", name="hang")
    process.send_signal(signal.SIGINT)
    _, cancel = alpha.wait_for("notifications/cancelled", position)
    assert cancel["params"]["requestId"] == begun["id"]
    out, err = process.communicate(timeout=tools.PATIENCE)
    assert process.returncode == INTERRUPTED
    assert out == b""


def test_a_file_that_is_not_there(bench):
    done = bench.run("--config", "nowhere.json", "list-tools")
    assert done.returncode == USAGE
    assert "nowhere.json" in done.stderr
    assert done.stdout == ""


def test_no_file_at_all_says_where_it_was_looked_for(bench):
    done = bench.run("list-tools")
    assert done.returncode == USAGE
    assert "mcp.json" in done.stderr and "--config" in done.stderr


@pytest.mark.parametrize("command", ["check", "list-tools", "status", "serve"])
def test_a_wrong_key_is_shown_with_its_place_and_a_hint(bench, command):
    text = '{\n  "mcpServers": {\n    "alpha": { "comand": "true", "command": "true" },\n    "beta": { "command": 5 }\n  }\n}\n'
    (bench.directory / "mcp.json").write_text(text)
    done = bench.run("--config", "mcp.json", command)
    assert done.returncode == USAGE
    shown = done.stderr + (done.stdout if command == "check" else "")
    assert re.search(r"mcp\.json:3:16: error: .*comand.*\[unknownKey\]\n\s+hint: .*command", shown), shown
    assert re.search(r"mcp\.json:4:\d+: error: ", shown), "all problems at once"


def test_check_is_content_with_a_good_file_and_starts_nothing(bench):
    alpha = bench.fake("alpha")
    done = bench.run("--config", str(bench.config()), "check")
    assert done.returncode == SUCCESS
    assert alpha.received.lines == []


def test_status_tells_of_each_server(bench):
    bench.fake("alpha", "--revision", "2025-03-26")
    bench.fake("beta", "--tools", "3")
    done = bench.run("--config", str(bench.config()), "status")
    assert done.returncode == SUCCESS, done.stderr
    assert "alpha" in done.stdout and "beta" in done.stdout
    assert "2025-03-26" in done.stdout and "2025-11-25" in done.stdout


@pytest.mark.parametrize("arguments", [["no-such-command"], ["list-tools", "--no-such-option"], ["call"]], ids=" ".join)
def test_wrong_usage(bench, arguments):
    done = bench.run(*arguments)
    assert done.returncode == USAGE
    assert done.stdout == ""


def test_version_and_help(bench):
    version = bench.run("--version")
    assert version.returncode == SUCCESS and re.search(r"\d+\.\d+", version.stdout)
    help = bench.run("--help")
    assert help.returncode == SUCCESS
    features = ("list-resources", "read-resource", "list-prompts", "get-prompt", "complete")
    for command in ("serve", "list-tools", "call", *features, "check", "status"):
        assert command in help.stdout


def test_the_config_is_found_where_the_design_says(bench):
    bench.fake("alpha")
    bench.config(name=".mcp.json")
    assert "alpha__echo" in bench.run("list-tools").stdout
    (bench.directory / "other.json").write_text(bench.config_text().replace('"alpha": {', '"other": {'))
    environment = {**bench.environment, "MCPAGG_CONFIG": str(bench.directory / "other.json")}
    done = subprocess.run(
        [places.mcpagg(), "list-tools"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        cwd=bench.directory,
    )
    assert "other__echo" in done.stdout


def test_on_a_terminal_it_says_how_to_use_it(bench):
    bench.fake("alpha")
    config = str(bench.config())
    controller, terminal = pty.openpty()
    log = LineLog("the terminal")
    process = subprocess.Popen(
        [places.mcpagg(), "--config", config],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=bench.environment,
        start_new_session=True,
    )
    os.close(terminal)
    log.read_from(controller)
    try:
        log.wait_for(lambda line: b"list-tools" in line or b"--help" in line, tools.PATIENCE)
    finally:
        process.terminate()
        process.wait(tools.PATIENCE)
