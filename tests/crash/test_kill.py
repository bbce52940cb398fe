# SPDX-License-Identifier: ISC
"""kill -9 of each role at random instants under load.

Every message that got its 250 is found again by its body's hash, none is lost,
none is half there; duplicates are counted, and only those that INTERNALS.md
names are let pass.  POSTERN_KILLS says how often each role dies (default 3).
"""
import collections
import hashlib
import os
import pathlib
import random
import signal
import smtplib
import threading
import time

import pytest

from suite import Suite, children, wait_for

KILLS = int(os.environ.get("POSTERN_KILLS", "3"))
SEED = int(os.environ.get("POSTERN_SEED", str(int(time.time()))))
ROLES = ["listen-smtp", "smtpd", "queued", "qmgr", "become", "userd", "local",
         "settle", "session"]


def victims(suite, role):
    """Pids to choose from for a role or a kind of child process."""
    roles = suite.roles()
    parents = {"local": "become", "settle": "queued", "session": "smtpd"}
    if role in parents:
        return children(roles.get(parents[role], 0))
    return [roles[role]] if role in roles else []


class Load(threading.Thread):
    """Sends messages until told to stop; remembers those with a 250."""

    def __init__(self, suite, number, rng):
        super().__init__(daemon=True)
        self.suite, self.number, self.rng = suite, number, rng
        self.accepted, self.errors = [], 0
        self.stopping = threading.Event()

    def body(self, n):
        size = self.rng.choice([10, 300, 4000, 20000, 90000])
        line = f"{self.number}-{n}-" + "x" * 60 + "\r\n"
        return f"Subject: {self.number}-{n}\r\n\r\n" + line * (size // 64 + 1)

    def run(self):
        n = 0
        while not self.stopping.is_set():
            try:
                with smtplib.SMTP(*self.suite.smtp, timeout=20) as s:
                    for _ in range(20):
                        if self.stopping.is_set():
                            break
                        text = self.body(n)
                        n += 1
                        s.sendmail("alice@crepes.fr", "bob@hamburger.edu",
                                   text)
                        self.accepted.append(digest(text.encode()))
            except (OSError, smtplib.SMTPException):
                self.errors += 1
                time.sleep(0.05)


def digest(raw):
    """Hash of what stands from the Subject line on, with LF line ends."""
    text = raw.replace(b"\r\n", b"\n")
    return hashlib.sha256(text[text.index(b"Subject: "):]).hexdigest()


def delivered(maildir):
    found = collections.Counter()
    for folder in ("new", "cur"):
        for path in pathlib.Path(maildir, folder).iterdir():
            found[digest(path.read_bytes())] += 1
    return found


@pytest.mark.parametrize("role", ROLES)
def test_kill(role):
    rng = random.Random(f"{SEED}-{role}")
    print(f"seed {SEED}")
    with Suite("--no-first-message", "--domain", "hamburger.edu", "--user",
               "bob@hamburger.edu:hungry", "--control",
               "journalsegments=4", "--control", "journalsegmentmb=2") as s:
        loads = [Load(s, i, random.Random(f"{SEED}-{i}")) for i in range(6)]
        for load in loads:
            load.start()
        kills = 0
        for _ in range(KILLS * 20):
            time.sleep(rng.uniform(0.1, 0.6))
            pids = victims(s, role)
            if pids:
                pid = rng.choice(pids)
                try:
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
                except ProcessLookupError:
                    pass
            if kills >= KILLS:
                break
        assert kills >= KILLS, f"{role} was never there to be killed"
        time.sleep(1)
        for load in loads:
            load.stopping.set()
        for load in loads:
            load.join(30)
        accepted = collections.Counter(
            h for load in loads for h in load.accepted)
        assert len(accepted) > 50, "hardly any load"
        maildir = s.env["MAILDIR_1"]
        s.postern("queue", "retry", "--all", check=False)
        wait_for(lambda: not accepted.keys() - delivered(maildir).keys(), 60,
                 f"{len(accepted)} messages after {kills} kills of {role}")
        time.sleep(1)
        found = delivered(maildir)
        # a message without its 250 may be there (the reply was lost), whole
        doubled = sum(n - 1 for n in found.values() if n > 1)
        print(f"{role}: {kills} kills, {len(accepted)} accepted, "
              f"{sum(l.errors for l in loads)} errors seen, "
              f"{len(found) - len(accepted)} unacknowledged but whole, "
              f"{doubled} duplicates")
        # each body is unique, and Maildir names are a function of queue id
        # and recipient: none of these kills may double a delivery
        assert doubled == 0
        assert not list(pathlib.Path(maildir, "tmp").iterdir()) or \
            role in ("local", "become", "qmgr")
