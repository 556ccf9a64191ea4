import os

import pytest

import oauth_bench
import places
import validation
from bench import Bench
from http_bench import Web


def pytest_configure(config: pytest.Config) -> None:
    # No proxy of the person who runs the tests may stand between them and this machine.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    try:
        places.check_interpreter()
        for program in (places.mcpagg, places.fake, places.git):
            program()
        places.environment(1)
        places.environment("fastmcp")
    except places.Missing as missing:
        pytest.exit(f"error: {missing}", returncode=2)


def pytest_report_header() -> str:
    return validation.description()


@pytest.fixture
def oauth(bench):
    """A world with logins; what the servers saw mcpagg do wrong, and secrets in wrong places, fail the test when it is over."""
    oauth = oauth_bench.OAuth(bench)
    yield oauth
    problems = oauth.close()
    if problems:
        pytest.fail(f"{len(problems)} problem(s) with authorization:\n" + "\n".join(problems[:20]), pytrace=False)


@pytest.fixture
def bench(tmp_path):
    """The test's world; what it leaves behind, and every message mcpagg sent in it, is judged when the test is over."""
    bench = Bench(tmp_path)
    yield bench
    problems = bench.close()
    if problems:
        pytest.fail(f"{len(problems)} problem(s) after the test:\n" + "\n".join(problems[:20]), pytrace=False)


@pytest.fixture
def web(bench):
    """Servers behind URLs; every request that mcpagg made to them is judged when the test is over."""
    web = Web(bench)
    yield web
    problems = web.close()
    if problems:
        pytest.fail(f"{len(problems)} problem(s) with requests over HTTP:\n" + "\n".join(problems[:20]), pytrace=False)
