# SPDX-License-Identifier: ISC
"""kill -9 of each role at random instants while mail goes out to a next hop.

Every message that got its 250 reaches the next hop, or its sender in one
bounce.  A second copy may come about only where the process that talked to the
next hop died (INTERNALS.md, "Duplicates that remain").  POSTERN_KILLS says how
often each role dies (default 3).
"""
import collections
import email
import os
import pathlib
import random
import re
import signal
import smtplib
import sys
import threading
import time

import pytest

from suite import Suite, children, wait_for
from test_kill import KILLS, SEED

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "protocol"))
from smtp_peer import Peer  # noqa: E402

ROLES = ["qmgr", "dial", "remote", "remote's child", "bounce", "dnsd",
         "become", "queued"]
COUNT = 400  # messages; every tenth is refused by its next hop


class Sink(Peer):
    """Takes everything, slowly, and counts it by its subject."""

    def __init__(self):
        super().__init__()
        self.taken = collections.Counter()

    def body(self, conn, pending):
        while b"\r\n.\r\n" not in pending:
            more = conn.recv(1 << 20)
            if not more:
                raise ConnectionError
            pending += more
        mark = re.search(rb"^Subject: (\S+)\r$", pending, re.M).group(1)
        time.sleep(0.15)
        self.taken[mark.decode()] += 1
        conn.sendall(b"250 2.0.0 taken\r\n")
        return pending.split(b"\r\n.\r\n", 1)[1]


def at_work(pid):
    """Not a zombie."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def victims(suite, role):
    roles = suite.roles()
    if role == "remote's child":
        return [p for p in children(roles.get("remote", 0)) if at_work(p)]
    return [roles[role]] if role in roles else []


def inject(suite, role, accepted):
    """Sends COUNT messages; what has its 250 is in accepted.  A message whose
    reply was lost may be in the queue and is not sent again."""
    session = None
    for n in range(COUNT):
        mark = f"{role.replace(' ', '-')}-{n}"
        to = f"{mark}@refused.test" if n % 10 == 0 else "bob@sink.test"
        try:
            session = session or smtplib.SMTP(*suite.smtp, timeout=20)
            session.sendmail("alice@crepes.fr", to, f"Subject: {mark}\n\nx\n")
            accepted.append(mark)
        except (OSError, smtplib.SMTPException):
            session = None
            time.sleep(0.05)
    if session:
        session.close()


def bounced(suite):
    """How many bounces name each failed recipient."""
    found = collections.Counter()
    for folder in ("new", "cur"):
        for path in pathlib.Path(suite.env["MAILDIR_1"], folder).iterdir():
            report = email.message_from_bytes(path.read_bytes())
            for rcpt in report.get_payload()[1].get_payload()[1:]:
                name = rcpt["Final-Recipient"].split("; ")[1]
                found[name.removesuffix("@refused.test")] += 1
    return found


@pytest.fixture(scope="module")
def relay():
    with Sink() as sink, Peer({"RCPT": b"550 5.1.1 no\r\n"}) as refuser:
        with Suite("--no-first-message", "--domain", "crepes.fr",
                   "--user", "alice@crepes.fr:wonder",
                   "--control", "relayclients=127.0.0.1",
                   "--route", f"sink.test=127.0.0.1:{sink.address[1]}",
                   "--route", f"refused.test=127.0.0.1:{refuser.address[1]}"
                   ) as s:
            yield s, sink


@pytest.mark.parametrize("role", ROLES)
def test_kill_while_relaying(relay, role):
    suite, sink = relay
    rng = random.Random(f"{SEED}-{role}")
    accepted, kills = [], 0
    load = threading.Thread(target=inject, args=(suite, role, accepted))
    load.start()
    for _ in range(KILLS * 20):
        time.sleep(rng.uniform(0.02, 0.2))
        pids = victims(suite, role)
        if pids:
            try:
                os.kill(rng.choice(pids), signal.SIGKILL)
                kills += 1
            except ProcessLookupError:
                pass
        if kills >= KILLS:
            break
    assert kills > 0, f"{role} was never there to be killed"
    load.join(60)

    def over():
        suite.postern("queue", "retry", "--all", check=False)
        out = suite.postern("queue", "list", check=False)
        return out.returncode == 0 and "is empty" in out.stdout

    wait_for(over, 60, "an empty queue")
    bounces = bounced(suite)
    missing = [m for m in accepted if not sink.taken[m] and not bounces[m]]
    doubled = [m for m in accepted if sink.taken[m] + bounces[m] > 1]
    print(f"seed {SEED}, {role}: {kills} kills, {len(accepted)} accepted, "
          f"{len(missing)} missing, {len(doubled)} doubled")
    assert len(accepted) > COUNT / 2
    assert not missing
    assert not [m for m in doubled if bounces[m]]
    # one that died had one message in its hands
    assert len(doubled) <= (kills if role == "remote's child" else 0)
