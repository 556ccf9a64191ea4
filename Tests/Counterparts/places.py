"""Where the things under test lie. Whatever is missing is an error that says how to get it: no test is skipped."""

import os
import shutil
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BUILT = REPOSITORY / ".build" / "release"

# The schemas of the revisions are not part of the repository; where they stand beside it, messages are held against them too.
SCHEMAS = REPOSITORY.parent / "shared" / "mcp-spec"


class Missing(Exception):
    """Something the suite cannot run without; the text says how to get it."""


def executable(name: str) -> str:
    """The built release executable; `MCPAGG_TEST_BIN` names another directory, for a build made elsewhere."""
    path = Path(os.environ.get("MCPAGG_TEST_BIN", BUILT)) / name
    if not path.is_file():
        raise Missing(f"{path} is not built; run: make release (or make test, which does all)")
    return str(path)


def use(mcpagg: Path) -> None:
    """From now on the executables that lie there are the built ones."""
    os.environ["MCPAGG_TEST_BIN"] = str(mcpagg.resolve().parent)


def mcpagg() -> str:
    return executable("mcpagg")


def fake() -> str:
    return executable("fake-mcp-server")


def environment(generation: int | str) -> Path:
    """The virtual environment with the Python SDK of one generation, 1 or 2, or another one by its name."""
    name = generation if isinstance(generation, str) else f"mcp{generation}"
    path = REPOSITORY / ".venv" / name
    if not (path / "bin" / "python").exists():
        raise Missing(f"{path} is missing; run: make .venv/{name}/.installed")
    return path


def python(generation: int | str) -> str:
    return str(environment(generation) / "bin" / "python")


def server(generation: int, name: str) -> str:
    """A server from PyPI, as its package installs it: `mcp-server-time`, `mcp-server-git`."""
    path = environment(generation) / "bin" / name
    if not path.exists():
        raise Missing(f"{path} is missing; run: make .venv/mcp{generation}/.installed")
    return str(path)


def git() -> str:
    path = shutil.which("git")
    if path is None:
        raise Missing("git is not in PATH; mcp-server-git and its tests need it: install the package git")
    return path


def check_interpreter() -> None:
    if Path(sys.prefix).resolve() != environment(2).resolve():
        raise Missing(f"run these tests with {python(2)}, or simply: make counterpart-test")
