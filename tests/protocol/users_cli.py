# SPDX-License-Identifier: ISC
"""The commands that write userd's tables, with a running userd and without."""
import contextlib
import os
import pathlib
import subprocess

import pytest

from roles import BIN
from userd import Userd

HASH = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$" + "A" * 43


class Cli:
    """postern, for the suite below root."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.users = self.root / "etc/postern/users"
        self.env = {**os.environ, "POSTERN_ROOT": str(root)}

    @classmethod
    def made(cls, root, **control):
        """With the folders that it needs, and no suite."""
        etc = root / "etc/postern"
        (etc / "users").mkdir(parents=True)
        (root / "run/postern").mkdir(parents=True)
        for name, value in {"me": "mx.example", **control}.items():
            (etc / name).write_text(value + "\n")
        return cls(root)

    def __call__(self, *args, stdin="", code=0):
        r = subprocess.run([str(BIN / "postern"), *args], env=self.env,
                           input=stdin, capture_output=True, text=True,
                           timeout=60)
        assert r.returncode == code, (args, r)
        self.err = r.stderr
        return r.stdout


@contextlib.contextmanager
def running_userd():
    control = {"virtualdomains": "hamburger.edu", "rcpthosts": "relay.example"}
    with Userd(control) as u:
        if os.getuid() not in (0, u.uid):
            pytest.skip("needs root or userd's uid")
        yield u, Cli(u.root)
