"""Servers behind TLS with authorities of our own, and behind proxies. Certificates are made here, and what the proxy was asked is seen."""

import os
import ssl

import pytest

import bench as tools
from certificates import Authority
from loopback import MCPServer, Proxy

# A name that nothing but the test's proxy can resolve.
NAME = "tools.mcpagg.test"
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
# What tells of our inner life and nothing else.
INNER_WORDS = ("OPENSSL", "BoringSSL", "NIO", "/Sources/", ".swift", "<none>")


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def start():
    """Starts servers that end with the test."""
    started = []

    def begin(server):
        started.append(server)
        return server

    yield begin
    for server in started:
        server.close()


class World:
    """One server in the config file, and the environment that leads to it."""

    def __init__(self, bench, url: str, environment: dict[str, str] | None = None, **entry: object):
        self.bench = bench
        self.config = bench.config(tools.Server("remote", {"url": url, "prefix": "", **{key: str(value) for key, value in entry.items()}}))
        self.environment = environment or {}

    def run(self, *arguments: str):
        # The proxy of the person who runs the tests is none of theirs.
        own = {name: value for name, value in os.environ.items() if name.lower() not in PROXY_VARIABLES}
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name not in own]:
                patch.delenv(name)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            return self.bench.run(*arguments, "--config", str(self.config))

    def works(self) -> None:
        done = self.run("call", "echo", "text=across")
        assert (done.returncode, done.stdout) == (0, "across\n"), done.stderr

    def refusal(self) -> str:
        """What a person is told."""
        done = self.run("status")
        assert done.returncode == 4, (done.stdout, done.stderr)
        assert "cause: " in done.stdout, done.stdout
        for word in INNER_WORDS:
            assert word not in done.stdout, f"{word} means nothing to a person:\n{done.stdout}"
        return done.stdout


def test_a_server_of_a_private_authority_works_with_its_file(bench, authority, start):
    server = start(MCPServer(authority.server_context(authority.sign("server", "127.0.0.1"))))
    World(bench, server.url, caFile=authority.file).works()
    assert len(server.served) >= 3


def test_a_relative_file_counts_from_the_config_file(bench, authority, start):
    server = start(MCPServer(authority.server_context(authority.sign("server", "127.0.0.1"))))
    assert authority.file.parent == bench.directory
    World(bench, server.url, caFile=authority.file.name).works()


def test_without_the_file_the_server_is_refused_and_the_file_is_the_remedy(bench, authority, start):
    server = start(MCPServer(authority.server_context(authority.sign("server", "127.0.0.1"))))
    text = World(bench, server.url).refusal()
    assert "certificate" in text and "'caFile'" in text
    assert not server.served


def test_the_file_of_another_authority_does_not_help(bench, authority, start):
    server = start(MCPServer(authority.server_context(authority.sign("server", "127.0.0.1"))))
    text = World(bench, server.url, caFile=Authority(bench.directory, "other").file).refusal()
    assert "certificate" in text and "other.pem" in text
    assert not server.served


def test_an_expired_certificate_is_refused(bench, authority, start):
    server = start(MCPServer(authority.server_context(authority.sign("server", "127.0.0.1", expired=True))))
    text = World(bench, server.url, caFile=authority.file).refusal()
    assert "expired" in text
    assert not server.served


@pytest.mark.parametrize("names", [("other.mcpagg.test",), ("127.0.0.2",), ("localhost", "mcpagg.test")], ids=",".join)
def test_a_certificate_for_somebody_else_is_refused(bench, authority, start, names):
    server = start(MCPServer(authority.server_context(authority.sign("server", *names))))
    text = World(bench, server.url, caFile=authority.file).refusal()
    assert "certificate" in text and "127.0.0.1" in text
    assert "server of HTTPS" not in text, "that it is"
    assert not server.served


@pytest.mark.parametrize("key", ["caFile", "clientCertificate", "clientKey"])
def test_a_file_that_cannot_be_used_is_named(bench, authority, start, key):
    server = start(MCPServer(authority.server_context(authority.sign("server", "127.0.0.1"))))
    own = authority.sign("own")
    files = {"caFile": authority.file, "clientCertificate": own.certificate, "clientKey": own.key}
    for content in (None, "no certificate\n"):
        broken = bench.directory / "broken.pem"
        if content is not None:
            broken.write_text(content)
        text = World(bench, server.url, **{**files, key: broken}).refusal()
        assert f"'{key}'" in text and "broken.pem" in text


def test_plain_http_where_tls_is_expected_is_told_from_a_bad_certificate(bench, start):
    server = start(MCPServer())
    text = World(bench, server.url.replace("http:", "https:")).refusal()
    assert "TLS" in text and "'caFile'" not in text


VERSIONS = {"tls 1.2": ssl.TLSVersion.TLSv1_2, "tls 1.3": ssl.TLSVersion.TLSv1_3}


@pytest.fixture(params=VERSIONS)
def guarded(request, authority, start):
    """A server that lets nobody in without a certificate of one authority, and that authority."""
    clients = Authority(authority.directory, "clients")
    context = authority.server_context(authority.sign("server", "127.0.0.1"), clients)
    # In 1.3 the client believes that all is well until it reads for the first time.
    context.minimum_version = context.maximum_version = VERSIONS[request.param]
    return start(MCPServer(context)), clients


def test_a_client_certificate_lets_us_in(bench, authority, guarded):
    server, clients = guarded
    own = clients.sign("this-is-us")
    World(bench, server.url, caFile=authority.file, clientCertificate=own.certificate, clientKey=own.key).works()
    assert {served.certificate for served in server.served} == {"this-is-us"}


def test_where_a_client_certificate_is_missing_its_keys_are_named(bench, authority, guarded):
    server, _ = guarded
    text = World(bench, server.url, caFile=authority.file).refusal()
    assert "'clientCertificate'" in text and "'clientKey'" in text
    assert not server.served


def test_a_client_certificate_of_a_stranger_is_not_enough(bench, authority, guarded):
    server, _ = guarded
    own = authority.sign("stranger")
    text = World(bench, server.url, caFile=authority.file, clientCertificate=own.certificate, clientKey=own.key).refusal()
    assert "certificate" in text
    assert not server.served


def test_a_key_that_belongs_to_another_certificate_is_named(bench, authority, guarded):
    server, clients = guarded
    one, other = clients.sign("one"), clients.sign("other")
    text = World(bench, server.url, caFile=authority.file, clientCertificate=one.certificate, clientKey=other.key).refusal()
    assert "'clientKey'" in text and "server of HTTPS" not in text


# Proxies


@pytest.fixture
def encrypted(authority, start):
    """A server that only the proxy can find."""
    return start(MCPServer(authority.server_context(authority.sign("server", NAME, "127.0.0.1"))))


def behind(server: MCPServer, name: str = NAME) -> str:
    return server.url.replace("127.0.0.1", name)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_an_encrypted_server_is_reached_through_the_proxy(bench, authority, start, encrypted, variable):
    proxy = start(Proxy())
    World(bench, behind(encrypted), {variable: f"http://127.0.0.1:{proxy.port}"}, caFile=authority.file).works()
    assert {(asked.method, asked.target) for asked in proxy.asked} == {("CONNECT", f"{NAME}:{encrypted.port}")}
    assert all("proxy-authorization" not in served.head.headers for served in encrypted.served)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
def test_a_plain_server_is_reached_through_the_proxy(bench, start, variable):
    server, proxy = start(MCPServer()), start(Proxy())
    World(bench, behind(server), {variable: f"http://127.0.0.1:{proxy.port}"}).works()
    assert proxy.asked and all(f"{NAME}:{server.port}" in asked.target for asked in proxy.asked)
    assert {served.head.headers["host"] for served in server.served} == {f"{NAME}:{server.port}"}


def test_each_variable_is_for_its_own_scheme(bench, authority, start, encrypted):
    proxy, other = start(Proxy()), start(Proxy(status=403))
    both = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}", "HTTP_PROXY": f"http://127.0.0.1:{other.port}"}
    World(bench, behind(encrypted), both, caFile=authority.file).works()
    assert proxy.asked and not other.asked


def test_lower_case_wins(bench, authority, start, encrypted):
    proxy, other = start(Proxy()), start(Proxy(status=403))
    both = {"https_proxy": f"http://127.0.0.1:{proxy.port}", "HTTPS_PROXY": f"http://127.0.0.1:{other.port}"}
    World(bench, behind(encrypted), both, caFile=authority.file).works()
    assert proxy.asked and not other.asked


def test_a_scheme_is_not_needed_and_an_empty_variable_is_none(bench, authority, start, encrypted):
    proxy = start(Proxy())
    World(bench, behind(encrypted), {"HTTPS_PROXY": f"127.0.0.1:{proxy.port}"}, caFile=authority.file).works()
    assert proxy.asked
    World(bench, encrypted.url, {"HTTPS_PROXY": ""}, caFile=authority.file).works()


def test_credentials_in_the_url_are_for_the_proxy_alone(bench, authority, start, encrypted):
    proxy = start(Proxy(credentials="some one:s:ecr@t-word"))
    url = f"http://some%20one:s:ecr%40t-word@127.0.0.1:{proxy.port}/"
    World(bench, behind(encrypted), {"HTTPS_PROXY": url}, caFile=authority.file).works()
    assert {asked.credentials for asked in proxy.asked} == {"some one:s:ecr@t-word"}
    assert all("proxy-authorization" not in served.head.headers for served in encrypted.served)


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_proxy_that_refuses_is_named_without_its_credentials(bench, authority, start, encrypted, status):
    proxy = start(Proxy(status=status))
    url = f"http://someone:secret-word@127.0.0.1:{proxy.port}"
    world = World(bench, behind(encrypted), {"HTTPS_PROXY": url}, caFile=authority.file)
    text = world.refusal()
    assert "proxy" in text and f"127.0.0.1:{proxy.port}" in text
    logged = world.run("--log-level", "debug", "status")
    assert "secret-word" not in text + logged.stdout + logged.stderr
    assert proxy.asked and not encrypted.served


def test_a_proxy_that_wants_credentials_says_where_to_put_them(bench, authority, start, encrypted):
    proxy = start(Proxy(credentials="someone:word"))
    text = World(bench, behind(encrypted), {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}, caFile=authority.file).refusal()
    assert "http://user:password@" in text


def test_a_proxy_that_is_not_there_is_not_taken_for_the_server(bench, authority, start, encrypted):
    gone = Proxy()
    gone.close()
    text = World(bench, behind(encrypted), {"HTTPS_PROXY": f"http://127.0.0.1:{gone.port}"}, caFile=authority.file).refusal()
    assert "proxy" in text.lower() and f"127.0.0.1:{gone.port}" in text


@pytest.mark.parametrize("url", ["socks5://127.0.0.1:1", "http://127.0.0.1:99999", "http://"], ids=str)
def test_a_proxy_that_cannot_be_used_is_said_to_be_so(bench, start, url):
    server = start(MCPServer())
    text = World(bench, server.url, {"HTTP_PROXY": url}).refusal()
    assert "HTTP_PROXY" in text
    assert not server.served, "past a proxy that somebody wanted is no way"


DIRECT = ["*", "127.0.0.1", "localhost,127.0.0.1", " 127.0.0.1 ", "127.0.0.1:{port}", "127.0.0.0/8", "10.0.0.0/8, 127.0.0.1"]
PROXIED = ["", "localhost", "27.0.0.1", "127.0.0.1:1", "10.0.0.0/8", ".0.0.1.example"]


@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize("rule", DIRECT)
def test_what_no_proxy_names_is_reached_directly(bench, authority, start, encrypted, rule, variable):
    proxy = start(Proxy())
    environment = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}", variable: rule.format(port=encrypted.port)}
    World(bench, encrypted.url, environment, caFile=authority.file).works()
    assert not proxy.asked


@pytest.mark.parametrize("rule", PROXIED)
def test_what_no_proxy_does_not_name_is_not(bench, authority, start, encrypted, rule):
    proxy = start(Proxy())
    environment = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}", "NO_PROXY": rule}
    World(bench, encrypted.url, environment, caFile=authority.file).works()
    assert proxy.asked


@pytest.mark.parametrize("rule", ["mcpagg.test", ".mcpagg.test", "*.mcpagg.test", "MCPAGG.TEST", NAME, f"{NAME}:{{port}}"])
def test_names_below_the_named_one_are_exceptions_too(bench, authority, start, encrypted, rule):
    """Directly the name cannot be resolved, and that is what is said."""
    proxy = start(Proxy())
    environment = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}", "NO_PROXY": rule.format(port=encrypted.port)}
    text = World(bench, behind(encrypted), environment, caFile=authority.file).refusal()
    assert "cannot be resolved" in text and NAME in text
    assert not proxy.asked


@pytest.mark.parametrize("rule", ["agg.test", "mcpagg.test.example", "tools", ".tools.mcpagg.test.", f"{NAME}:1"])
def test_names_that_only_look_alike_are_none(bench, authority, start, encrypted, rule):
    proxy = start(Proxy())
    environment = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}", "NO_PROXY": rule}
    World(bench, behind(encrypted), environment, caFile=authority.file).works()
    assert proxy.asked


def test_the_authority_is_checked_through_the_proxy_too(bench, start, encrypted):
    proxy = start(Proxy())
    assert "'caFile'" in World(bench, behind(encrypted), {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}).refusal()
    assert proxy.asked and not encrypted.served


def test_the_name_is_checked_through_the_proxy_too(bench, authority, start):
    server, proxy = start(MCPServer(authority.server_context(authority.sign("server", "other.mcpagg.test")))), start(Proxy())
    text = World(bench, behind(server), {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}, caFile=authority.file).refusal()
    assert "certificate" in text and NAME in text
    assert proxy.asked and not server.served


def test_a_certificate_for_the_address_of_the_proxy_is_none_for_the_server(bench, authority, start):
    """The proxy could get one, and then read everything."""
    server, proxy = start(MCPServer(authority.server_context(authority.sign("server", "127.0.0.1")))), start(Proxy())
    text = World(bench, behind(server), {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}, caFile=authority.file).refusal()
    assert "certificate" in text and NAME in text
    assert proxy.asked and not server.served
