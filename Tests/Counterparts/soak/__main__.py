"""Takes all figures one after another and prints them with their limits. Exits with 1 if one is not met.

Usage: python -m soak MCPAGG [--seed N] [--seconds S] [--kills N] [--only PART] [--json FILE]

What is drawn depends on the seed alone; when things happen, and so which of them meet, depends on the machine too.
"""

import argparse
import importlib
import os
import random
import sys
import time
from pathlib import Path

from soak.figures import Figure, as_json, table

# In the order of how long they take. Each is a module here with `run(executable, seed, **settings)`, which returns figures; it is
# given those settings of the command line that are named here.
PARTS: dict[str, tuple[str, ...]] = {
    "handover": (),  # calls in flight on servers that are removed or changed
    "schedules": (),  # whatever may happen, one thing after another
    "kills": ("kills",),  # mcpagg killed at random moments
    "storm": (),  # saves of the config under load
    "neighbours": (),  # what a bad server costs the others
    "mixture": ("seconds",),  # everything at once, for long
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.splitlines()[0])
    parser.add_argument("mcpagg", type=Path, help="the executable; fake-mcp-server must lie beside it")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--seconds", type=float, default=1800, help="of the mixed load")
    parser.add_argument("--kills", type=int, default=1000, help="how often mcpagg is killed")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part, or these; without it, all")
    parser.add_argument("--json", type=Path, help="writes the figures to this file, too")
    arguments = parser.parse_args()
    if not arguments.mcpagg.is_file():
        parser.error(f"{arguments.mcpagg} is not built; run: make release")
    executable = arguments.mcpagg.resolve()
    # No proxy of the person who runs this may stand between its programs.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]

    taken: dict[str, list[Figure]] = {}
    for part in arguments.only or PARTS:
        begun = time.monotonic()
        print(f"{part}: seed {arguments.seed}", flush=True)
        settings = {name: getattr(arguments, name) for name in PARTS[part]}
        taken[part] = importlib.import_module(f"soak.{part}").run(executable, arguments.seed, **settings)
        print(table(taken[part]), f"\n{part} took {time.monotonic() - begun:.0f} s\n", sep="", flush=True)
        if arguments.json:
            arguments.json.write_text(as_json(taken, arguments.seed) + "\n")
    missed = [f"{part}: {figure.name}" for part, figures in taken.items() for figure in figures if not figure.is_met]
    print(f"seed {arguments.seed}:", f"{len(missed)} not met: {'; '.join(missed)}" if missed else "all limits are met")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
