# SPDX-License-Identifier: ISC
"""Mail here, with real processes: whatever one user's deliveries take, another
user's message is in the Maildir within a second of its acceptance (and twice
what it takes in an idle suite, since this machine may be busy)."""
import contextlib
import os
import pathlib
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from local_harness import User  # noqa: E402
from suite import Suite, wait_for  # noqa: E402
from test_fairness import inject  # noqa: E402

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="makes users")
DOMAIN = "here.example"


class Clock:
    """How long a message to that address takes into that Maildir."""

    def __init__(self, suite, address, maildir):
        self.known = suite, address, pathlib.Path(maildir, "new")
        self.most = 1 + 2 * self.took()

    def took(self):
        suite, address, new = self.known
        before = set(os.listdir(new)) if new.exists() else set()
        begun = time.monotonic()
        inject(suite, "jane@x.example", [address])
        wait_for(lambda: new.exists() and set(os.listdir(new)) - before, 60,
                 f"mail for {address}")
        return time.monotonic() - begun

    def check(self):
        took = self.took()
        assert took < self.most, (took, self.most)


@needs_root
@pytest.mark.parametrize("count", [1, 6])
def test_slow_programs_of_others(count):
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(User()) for _ in range(count)]
        quick = stack.enter_context(User())
        for u in slow:
            u.write(".qmail", "|echo ran >>ran; sleep 1.2\n")
        suite = stack.enter_context(Suite(
            "--no-first-message", "--domain", DOMAIN,
            "--control", "concurrencylocal=8",
            *sum((["--system-user", u.name] for u in [*slow, quick]), [])))
        clock = Clock(suite, f"{quick.name}@{DOMAIN}",
                      os.path.join(quick.home, "Maildir"))
        for i in range(100):
            for u in slow:
                inject(suite, f"s{i}@x.example", [f"{u.name}@{DOMAIN}"])
        for _ in range(5):
            clock.check()
            time.sleep(0.7)
        for u in slow:
            ran = u.read("ran").split()
            assert 2 <= len(ran) < 100, "the programs were to be at work"


def test_a_huge_mailbox():
    with Suite("--no-first-message", "--domain", DOMAIN,
               "--user", f"big@{DOMAIN}:secret",
               "--user", f"quick@{DOMAIN}:secret") as suite:
        big, quick = (pathlib.Path(suite.env[f"MAILDIR_{i}"]) for i in (1, 2))
        clock = Clock(suite, f"quick@{DOMAIN}", quick)
        inject(suite, "news@x.example", [f"big@{DOMAIN}"])
        wait_for(lambda: (big / "new").exists(), 20, "the mailbox")
        for i in range(30000):
            os.close(os.open(big / "new" / f"1700000000.{i}.x",
                             os.O_CREAT | os.O_WRONLY, 0o600))
        for _ in range(3):
            for i in range(500):
                inject(suite, "news@x.example", [f"big@{DOMAIN}"],
                       b"x" * 3000)
            clock.check()
        wait_for(lambda: len(os.listdir(big / "new")) == 30000 + 1501, 60,
                 "all of the mail")
