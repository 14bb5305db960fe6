"""Our side: what `mbhost` wrote, and what it says about it."""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PROGRAM = os.environ["MODULARBASE_MBHOST"]


class WithHome(unittest.TestCase):
    """A test with a home of its own, and a folder for what it makes on the way."""

    maxDiff = None  # what differs is said whole

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="mbhost-clients-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.store = self.folder / "home" / "store"

    def mbhost(self, *arguments):
        """Standard output of `mbhost`, which must succeed and hears of no setting but its home."""
        settings = {k: v for k, v in os.environ.items() if not k.startswith("MBHOST_")}
        settings["MBHOST_HOME"] = str(self.folder / "home")
        # The code of packs is compiled where the repository is, so it is compiled once.
        done = run([PROGRAM, *map(str, arguments)], cwd=REPOSITORY, env=settings)
        return done.decode()

    def built(self, pack, *options):
        """The file that `pack build` makes of a crate in `packs/`."""
        file = self.folder / f"{pack}.wasm"
        self.mbhost("pack", "build", REPOSITORY / "packs" / pack, "--out", file, *options)
        return file

    def inspected(self, file):
        return json.loads(self.mbhost("pack", "inspect", "--json", "--tensors", file))


def run(command, **options):
    """Standard output of a program that must succeed; when it does not, what it complained of."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, **options)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace")
        raise AssertionError(f"{' '.join(command)}: exit status {done.returncode}\n{said}")
    return done.stdout
