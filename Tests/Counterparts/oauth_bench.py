"""One test's world with logins: servers that an authorization server protects, a browser without a person, mcpagg between them."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import bench as tools
import places
import validation
from bench import Bench, RawHost
from lines import LineLog, PipeLog
from oauth_authority import Authority
from oauth_mcp import Protected
from oauth_site import Site

KEY = "vault"
OLD, NEW = validation.NEWEST_HANDSHAKE, validation.STATELESS
SUCCESS, USAGE, REFUSED, UNREACHABLE, TOOL_ERROR = 0, 2, 3, 4, 5
BROWSER = Path(__file__).parent / "hosts" / "browser.py"


class OAuth:
    def __init__(self, bench: Bench):
        self.bench = bench
        self.sites: list[Site] = []
        self.servers: list[Protected] = []
        self.authority = self.make_authority()
        self.visited = PipeLog("the browser", bench.directory / "browser.log")
        # What mcpagg has shown to people and hosts; no secret may be in it.
        self.shown: list[str] = []
        self.expected_faults = 0
        self.running: list[Running] = []
        self._watch_desktop()

    def _watch_desktop(self) -> None:
        """A desktop where `xdg-open` is our browser, and leaves a trace."""
        programs = self.bench.directory / "programs"
        programs.mkdir()
        opener = programs / "xdg-open"
        opener.write_text(f"#!/bin/sh\n{self.browser}\n")
        opener.chmod(0o755)
        self.bench.variables = {"PATH": f"{programs}:{os.environ['PATH']}", "DISPLAY": ":none"}

    # Who takes part

    def make_authority(self, path: str = "", site: Site | None = None) -> Authority:
        authority = Authority(path, site)
        self._keep(authority.site)
        return authority

    def protect(self, key: str = KEY, authority: Authority | None = None, site: Site | None = None, **entry: Any) -> Protected:
        """A server, and its entry in the config file; `entry` has further members of that."""
        server = Protected(key, authority or self.authority, site, **entry)
        self._keep(server.site)
        self.servers.append(server)
        self.bench.servers.append(server)
        return server

    def stranger(self) -> Site:
        """Another origin, which must never see anything secret."""
        return self._keep(Site())

    def _keep(self, site: Site) -> Site:
        if site not in self.sites:
            self.sites.append(site)
        return site

    # mcpagg

    @property
    def browser(self) -> str:
        """The value of `--browser`."""
        return f'{shlex.join([sys.executable, "-S", str(BROWSER), str(self.visited.path)])} "$1"'

    def config(self) -> Path:
        """The config file. Commands that were just started may be reading it, so it is written only if there is something new in it."""
        path = self.bench.directory / "mcp.json"
        if not path.exists() or path.read_text() != self.bench.config_text():
            self.bench.config()
        return path

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """A command, with the present config file, saying all that it can."""
        command, *rest = arguments
        done = self.bench.run("--config", str(self.config()), command, "--log-level", "debug", *rest, **options)
        self.shown += [done.stdout, done.stderr]
        return done

    def login(self, key: str = KEY, *arguments: str, browser: str | None = None) -> subprocess.CompletedProcess[str]:
        return self.run("login", key, "--browser", browser or self.browser, *arguments)

    def logged_in(self, key: str = KEY, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = self.login(key, *arguments)
        assert done.returncode == SUCCESS, done.stderr
        return done

    def call(self, tool: str = "echo", *arguments: str, key: str = KEY) -> subprocess.CompletedProcess[str]:
        return self.run("call", f"{key}__{tool}", *arguments)

    def called(self, tool: str = "echo", *arguments: str, key: str = KEY) -> str:
        """What a call prints that works."""
        done = self.call(tool, *arguments, key=key)
        assert done.returncode == SUCCESS, done.stderr
        return done.stdout.rstrip("\n")

    def start(self, *arguments: str) -> "Running":
        """A command that goes on while the test does."""
        command, *rest = arguments
        running = Running(self, [places.mcpagg(), "--config", str(self.config()), command, "--log-level", "debug", *rest])
        self.running.append(running)
        return running

    def host(self, revision: str = OLD) -> RawHost:
        return self.bench.host(self.config(), revision, ("--log-level", "debug"))

    # What is kept

    @property
    def state(self) -> Path:
        return Path(self.bench.environment["XDG_STATE_HOME"]) / "mcpagg"

    @property
    def file(self) -> Path:
        return self.state / "credentials.json"

    def kept(self) -> str:
        """The text of the file; empty without one."""
        return self.file.read_text() if self.file.exists() else ""

    def assert_nothing_is_kept(self) -> None:
        """No token, that is: who we are may be known there by now."""
        found = [secret for secret in self.authority.leaks(self.kept()) if not secret.startswith("cs-")]
        assert not found, f"kept all the same: {self.kept()}"
        assert not json.loads(self.kept() or '{"grants": []}')["grants"]

    # The end

    def close(self) -> list[str]:
        for running in self.running:
            running.end()
        for host in self.bench.hosts:
            host.end()
            self.shown += [host.out.text(), host.err.text()]
        for server in self.servers:
            server.end_streams()
        for site in self.sites:
            site.close()
        self.visited.close()
        problems = [fault for site in self.sites for fault in site.faults]
        if len(problems) == self.expected_faults:
            problems = []
        authorities = {part for site in self.sites for part in site.parts if isinstance(part, Authority)}
        for authority in authorities:
            for secret in authority.leaks("\n".join(self.shown)):
                problems.append(f"mcpagg shows the secret {secret}")
            problems += [f"{site.origin} {leak}" for site in self.sites for leak in strayed(authority, site)]
        return problems


class Running:
    """A command that somebody waits in front of."""

    def __init__(self, oauth: OAuth, command: list[str]):
        self._oauth = oauth
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=oauth.bench.environment,
            cwd=oauth.bench.directory,
        )  # fmt: skip
        self.out, self.err = LineLog("standard output"), LineLog("standard error")
        pipes = (self.out, self.process.stdout), (self.err, self.process.stderr)
        self._threads = [log.read_from(os.dup(pipe.fileno())) for log, pipe in pipes]
        for _, pipe in pipes:
            pipe.close()

    def says(self, text: str) -> str:
        """Waits for a line on standard error."""
        return self.err.wait_for(lambda line: text.encode() in line, tools.PATIENCE)[1].decode()

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def ended(self) -> subprocess.CompletedProcess[str]:
        """Waits for its end."""
        self.process.wait(60)
        for thread in self._threads:
            thread.join(tools.PATIENCE)
        done = subprocess.CompletedProcess(self.process.args, self.process.returncode, self.out.text(), self.err.text())
        self._oauth.shown += [done.stdout, done.stderr]
        return done

    def end(self) -> None:
        """Of a test that has failed before."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def strayed(authority: Authority, site: Site) -> list[str]:
    """Secrets of an authorization server that another place was shown. Access tokens may go to the servers that it protects."""
    if authority in site.parts:
        return []
    protects = {part.path for part in site.parts if isinstance(part, Protected) and authority in part.authorities}
    found = []
    for request in site.requests:
        text = "\n".join([request.target, *(f"{name}: {value}" for name, value in request.headers), request.body.decode(errors="replace")])
        for secret in authority.leaks(text):
            if not (secret.startswith("at-") and request.path in protects and request.header("Authorization") == f"Bearer {secret}"):
                found.append(f"was shown {secret}: {request}")
    return found


def assert_says(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Each of the words stands in what a person reads."""
    missing = [word for word in words if word.lower() not in done.stderr.lower()]
    assert not missing, f"says nothing of {missing}: {done.stderr}"


def asked_until_it_works(host: RawHost, tool: str, key: str = KEY) -> str:
    """What a tool says. It may be refused for a moment, while serve takes over a login that another process has made."""
    deadline = time.monotonic() + tools.PATIENCE
    while (result := host.call(f"{key}__{tool}", {})).get("isError"):
        assert time.monotonic() < deadline, result
    return result["content"][0]["text"]
