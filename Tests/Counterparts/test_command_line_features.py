"""Resources, prompts and completion in a shell: what goes to stdout, what to stderr, and the exit code."""

import json
import subprocess

import pytest

import places

SUCCESS, USAGE, UNREACHABLE, TOOL_ERROR = 0, 2, 4, 5
ERAS = ["handshake", "stateless"]
# What is recorded is judged, and the judge knows this era alone.
RECORDED = ["handshake"]


@pytest.fixture(params=ERAS)
def shell(request, bench):
    """Runs commands of mcpagg with two servers of one era."""
    for key in ("alpha", "beta"):
        bench.fake(key, "--features", "all", "--era", request.param, record=request.param in RECORDED)
    config = str(bench.config())
    return lambda *arguments, **more: bench.run("--config", config, *arguments, **more)


def test_resources_are_listed_for_people_and_for_machines(shell):
    table = shell("list-resources")
    assert (table.returncode, table.stderr) == (SUCCESS, "")
    resources, templates = table.stdout.split("\n\n")
    assert resources.splitlines()[0].split() == ["RESOURCE", "SERVER", "TYPE", "DESCRIPTION"]
    assert "fake://alpha/text" in resources and "fake://beta/blob" in resources and "{id}" not in resources
    assert templates.splitlines()[0].startswith("TEMPLATE") and "fake://beta/item/{id}" in templates
    assert "\x1b" not in table.stdout
    only = shell("list-resources", "--templates").stdout
    assert only == templates
    listed = json.loads(shell("list-resources", "--json", "--server", "beta").stdout)["resources"]
    assert {resource["uri"].split("/")[2] for resource in listed} == {"beta"}
    templates = json.loads(shell("list-resources", "--json", "--templates").stdout)["resourceTemplates"]
    assert [template["uriTemplate"] for template in templates] == ["fake://alpha/item/{id}", "fake://beta/item/{id}"]


def test_prompts_are_listed_for_people_and_for_machines(shell):
    table = shell("list-prompts")
    assert (table.returncode, table.stderr) == (SUCCESS, "")
    assert table.stdout.splitlines()[1].split()[:4] == ["alpha__greeting", "alpha", "name", "[language]"]
    prompts = json.loads(shell("list-prompts", "--json", "--server", "beta").stdout)["prompts"]
    assert [prompt["name"] for prompt in prompts] == ["beta__greeting", "beta__multi", "beta__ask"]
    unknown = shell("list-prompts", "--server", "bata")
    assert unknown.returncode == USAGE and "'beta'" in unknown.stderr


def test_a_text_is_read_as_it_is(shell):
    done = shell("read-resource", "fake://beta/text")
    assert (done.returncode, done.stdout, done.stderr) == (SUCCESS, "the text of beta", "")
    made = shell("read-resource", "fake://alpha/item/7", "--server", "alpha")
    assert made.stdout == "item 7 of alpha"
    exact = json.loads(shell("read-resource", "fake://beta/text", "--json").stdout)
    assert exact["contents"] == [{"uri": "fake://beta/text", "mimeType": "text/plain", "text": "the text of beta"}]


def test_what_is_no_text_goes_to_a_file_or_where_it_is_told_to(bench, shell):
    data = bytes([0, 1, 2, 3, 253, 254, 255])
    for number in (1, 2):
        done = shell("read-resource", "fake://beta/blob")
        assert (done.returncode, done.stdout) == (SUCCESS, "")
        assert done.stderr == f"wrote 7 bytes to ./blob-{number}.bin\n"
        assert (bench.directory / f"blob-{number}.bin").read_bytes() == data
    command = [places.mcpagg(), "--config", "mcp.json", "read-resource", "fake://beta/blob", "--output", "-"]
    raw = subprocess.run(command, capture_output=True, env=bench.environment, cwd=bench.directory, timeout=60)
    assert (raw.returncode, raw.stdout, raw.stderr) == (SUCCESS, data, b"")
    nowhere = shell("read-resource", "fake://beta/blob", "--output", "no-such-directory")
    assert nowhere.returncode == USAGE and "no-such-directory" in nowhere.stderr


def test_an_unknown_resource_suggests_the_nearest(shell):
    done = shell("read-resource", "fake://beta/blub")
    assert (done.returncode, done.stdout) == (TOOL_ERROR, "")
    assert "fake://beta/blob" in done.stderr and "list-resources" in done.stderr
    error = json.loads(shell("read-resource", "fake://beta/blub", "--json").stderr)["error"]
    assert (error["code"], error["exitCode"]) == ("unknownResource", TOOL_ERROR)


def test_a_prompt_is_shown_under_its_roles(bench, shell):
    done = shell("get-prompt", "alpha__greeting", "name=Ada", "language=7")
    assert (done.returncode, done.stdout, done.stderr) == (SUCCESS, "user:\nGreet Ada in 7.\n", "")
    several = shell("get-prompt", "beta__multi")
    assert several.stdout.split("\n\n") == [
        "user:\nLook at this.", "assistant:\nI am looking.", "user:\n(image/png: ./beta__multi-1.png)", "user:\nthe text of beta\n"
    ]  # fmt: skip
    assert (bench.directory / "beta__multi-1.png").read_bytes().startswith(b"\x89PNG")
    exact = json.loads(shell("get-prompt", "alpha__greeting", "--args", "-", "--json", input='{"name": "Bo"}').stdout)
    assert exact["messages"] == [{"role": "user", "content": {"type": "text", "text": "Greet Bo in english."}}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["alpha__greeting"], "needs the argument 'name'"),
        (["alpha__greeting", "nam=x"], "did you mean 'name'?"),
        (["alpha__greeting", "name:=5"], "must be a string"),
        (["alpha__greeting", "--args", "[]"], "not a JSON object"),
    ],
)
def test_what_a_prompt_cannot_take_is_a_usage_error(bench, shell, arguments, message):
    done = shell("get-prompt", *arguments)
    assert (done.returncode, done.stdout) == (USAGE, "")
    assert message in done.stderr
    received = bench.servers[0].received
    assert received is None or not [line for line in received.lines if b'"prompts/get"' in line]


def test_an_unknown_prompt_suggests_the_nearest(shell):
    done = shell("get-prompt", "alpha__greting")
    assert (done.returncode, done.stdout) == (TOOL_ERROR, "")
    assert "'alpha__greeting'" in done.stderr and "list-prompts" in done.stderr


def test_values_are_completed_one_per_line(bench, shell):
    done = shell("complete", "beta__greeting", "name=A")
    assert (done.returncode, done.stdout, done.stderr) == (SUCCESS, "Ada\nAlan\n", "")
    assert shell("complete", "fake://alpha/item/{id}", "id=1", "--server", "alpha").stdout == "1\n10\n11\n12\n"
    exact = json.loads(shell("complete", "beta__greeting", "language=d", "name=Ada", "--json").stdout)
    assert exact["completion"]["values"] == ["danish", "dutch"]
    if bench.servers[1].received is None:
        return
    _, asked = bench.servers[1].wait_for("completion/complete", argument={"name": "language", "value": "d"})
    assert asked["params"]["ref"] == {"type": "ref/prompt", "name": "greeting"}
    assert asked["params"]["context"] == {"arguments": {"name": "Ada"}}


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["beta__greeting", "nome=A"], USAGE, "'name'"),
        (["fake://beta/item/{id}", "ib=1"], USAGE, "'id'"),
        (["beta__greeting", "A"], USAGE, "argument=beginning"),
        (["beta__greting", "name=A"], TOOL_ERROR, "'beta__greeting'"),
        (["fake://beta/itm/{id}", "id=1"], TOOL_ERROR, "'fake://beta/item/{id}'"),
    ],
)
def test_what_cannot_be_completed_is_explained(shell, arguments, status, message):
    done = shell("complete", *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert message in done.stderr


@pytest.mark.parametrize("command", [["get-prompt", "bad__p"], ["complete", "bad__p", "a="], ["read-resource", "x://y", "--server", "bad"]])
def test_a_server_that_is_down_is_unreachable(bench, command):
    bench.fake("bad", "--exit-at-start", "3", "--stderr-line", "cannot open the vault")
    done = bench.run("--config", str(bench.config()), *command)
    assert (done.returncode, done.stdout) == (UNREACHABLE, "")
    assert "cannot open the vault" in done.stderr


def test_servers_that_are_down_are_told_beside_what_there_is(bench):
    bench.fake("alpha", "--features", "all")
    bench.fake("bad", "--exit-at-start", "3")
    config = str(bench.config())
    for command in (["list-resources"], ["list-prompts"], ["read-resource", "fake://alpha/text"]):
        done = bench.run("--config", config, *command)
        assert done.returncode == SUCCESS and "alpha" in done.stdout
        assert "warning: server 'bad' is down" in done.stderr


@pytest.mark.parametrize("command", ["list-resources", "list-prompts"])
def test_head_ends_it_quietly(bench, command):
    bench.fake("alpha", "--features", "all")
    bench.config()
    line = f'"{places.mcpagg()}" --config mcp.json {command} | head -1; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=bench.environment, cwd=bench.directory, timeout=60)
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (SUCCESS, "", 1)
