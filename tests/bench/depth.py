#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""How deep the queue can get: a million deferred messages to 10,000 hosts.

usage: depth.py [--messages N] [--destinations N] [--size BYTES]
                [--folder DIR] [--keep]

Starts two suites.  One is filled through run/queue with mail for hosts that
refuse connections, until all of it is deferred, and its memory is measured; the
other takes two rings full of such mail, all of which is deleted, so that both
have a ring that has gone round.  What each accepts and delivers is measured in
turn, a pair of runs after the other, and compared within the pairs.  Then the
full one is stopped, the page cache dropped, and it is started again: how long
until SMTP takes a message, and until the whole index is back?  Needs postfix's
smtp-source; as root the page cache is dropped.  POSTERN_BUILD names the build.
"""
import argparse
import os
import pathlib
import re
import shutil
import smtplib
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))
from suite import BUILD, Suite  # noqa: E402

DOMAIN, USER = "bench.test", "bob"


def say(text):
    print(text, flush=True)


def host(i):
    return f"127.{64 + (i >> 14)}.{i >> 7 & 127}.{(i & 127) + 1}"


def memory(pid):
    """(RSS, peak, anonymous) in bytes."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return tuple(int(re.search(rf"{k}:\s+(\d+)", text).group(1)) * 1024
                 for k in ("VmRSS", "VmHWM", "RssAnon"))


def cpu(pid):
    text = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1]
    fields = text.split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def counts(suite):
    """{name: value} of what qmgr says, or None while it does not answer."""
    path = os.path.join(suite.folder, "run/postern/qmgr")
    try:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(120)
        s.connect(path)
        s.send(b"Q")
        data = s.recv(32768)
    except OSError:
        return None
    finally:
        s.close()
    if data[:1] != b"q":
        return None
    at, found = 5, {}
    while at < len(data):
        n = int.from_bytes(data[at:at + 4], "big")
        found[data[at + 4:at + 4 + n].decode()] = int.from_bytes(
            data[at + 4 + n:at + 12 + n], "big")
        at += 12 + n
    return found


def wait_counts(suite, test, seconds):
    end = time.monotonic() + seconds
    while True:
        found = counts(suite)
        if found is not None and test(found):
            return found
        if time.monotonic() > end:
            raise RuntimeError(f"waited {seconds} s in vain: {found}")
        time.sleep(0.2)


def entries(path):
    try:
        return sum(1 for _ in os.scandir(path))
    except FileNotFoundError:
        return 0


def rate(suite, to, count, arrive=None):
    """Messages a second: accepted, and delivered when arrive is a folder."""
    if arrive is not None and arrive.exists():
        for e in os.scandir(arrive):
            os.unlink(e.path)
    begun = time.monotonic()
    done = subprocess.run(
        ["timeout", "170", "smtp-source", "-d", "-s", "50", "-m", str(count),
         "-l", "4096", "-f", "sender@client.test", "-t", to,
         suite.env["SMTP"]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True)
    accepted = count / (time.monotonic() - begun)
    if done.returncode != 0 or done.stdout:
        raise RuntimeError(f"smtp-source: {done.stdout[:200]}")
    if arrive is None:
        return accepted
    end = time.monotonic() + 170
    while entries(arrive) < count:
        if time.monotonic() > end:
            raise RuntimeError(f"only {entries(arrive)} delivered")
        time.sleep(0.02)
    return count / (time.monotonic() - begun)


KINDS = "accepted", "delivered"


def one_rate(suite, kind, count):
    if kind == "accepted":
        return rate(suite, "x@d00000.example", count)
    new = pathlib.Path(suite.env["MAILDIR_1"], "new")
    return rate(suite, f"{USER}@{DOMAIN}", count, new)


def rates(empty, full, count, pairs):
    """{kind: [(rate of empty, rate of full), ...]}, in turn; the first pair of
    each kind warms up and is left out."""
    found = {}
    for kind in KINDS:
        rows = []
        for i in range(pairs + 1):
            row = {}
            for suite in ((empty, full), (full, empty))[i % 2]:
                wait_rest(suite)
                row[suite] = one_rate(suite, kind, count)
            rows.append((row[empty], row[full]))
        found[kind] = rows[1:]
    return found


def serving(suite, since):
    """Seconds since then until SMTP greets, and until it says 250 to a
    message."""
    end = time.monotonic() + 300
    greeted = None
    while True:
        try:
            with smtplib.SMTP(*suite.smtp, timeout=60) as s:
                greeted = greeted or time.monotonic() - since
                s.sendmail("sender@client.test", [f"{USER}@{DOMAIN}"],
                           "Subject: first\r\n\r\nfirst\r\n")
                return greeted, time.monotonic() - since
        except (OSError, smtplib.SMTPException):
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def drop_caches():
    os.sync()
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")
        return True
    except OSError:
        return False


def row(name, value, goal=""):
    say(f"{name:<46}{value:>16}   {goal}")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--messages", type=int, default=1000000)
    p.add_argument("--destinations", type=int, default=10000)
    p.add_argument("--size", type=int, default=1024)
    p.add_argument("--count", type=int, default=10000,
                   help="messages of a rate")
    p.add_argument("--pairs", type=int, default=5,
                   help="runs of each rate with either queue")
    p.add_argument("--folder", help="where the suite is to lie")
    p.add_argument("--keep", action="store_true", help="leave the suite there")
    a = p.parse_args()
    folder = a.folder or tempfile.mkdtemp(prefix="postern-depth-",
                                          dir="/var/tmp")
    full, empty = (new_suite(os.path.join(folder, n)) for n in ("full",
                                                                "empty"))
    try:
        for suite in full, empty:
            start(suite, a.destinations)
        measure(full, empty, a)
    finally:
        full.stop()
        empty.stop()
        if a.keep:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def new_suite(folder):
    os.makedirs(folder, exist_ok=True)
    for f in folder, os.path.dirname(folder):
        os.chmod(f, 0o755)
    return Suite("--no-first-message", "--domain", DOMAIN,
                 "--user", f"{USER}@{DOMAIN}:secret",
                 "--control", "relayclients=127.0.0.1",
                 "--control", "concurrencyperip=20000", folder=folder)


def start(suite, destinations):
    suite.start()
    control = pathlib.Path(suite.env["CONTROL"])
    (control / "smtproutes").write_text("".join(
        f"d{i:05}.example:[{host(i)}]:2\n" for i in range(destinations)))
    os.kill(suite.roles()["start"], 1)
    suite.wait_log("event=reloaded", 30)


def fill(suite, messages, destinations, size):
    """Messages a second; waits until all are deferred."""
    done = subprocess.run(
        [str(BUILD / "tool/bench_fill"),
         os.path.join(suite.folder, "run/postern/queue"), str(messages),
         str(destinations), str(size), "16"],
        stdout=subprocess.PIPE, text=True, check=True)
    wait_counts(suite, lambda c: c["deferred-remote"] >= messages, 900)
    return messages / float(done.stdout.split()[1])


def turn_ring(suite, destinations):
    """Two laps of the default ring of 256 MiB, and nothing left of them."""
    fill(suite, 130000, destinations, 4096)
    suite.postern("queue", "delete", "--all", check=False)
    wait_counts(suite, lambda c: c["messages"] == 0, 120)


def measure(full, empty, a):
    say(f"{a.messages} messages of {a.size} bytes to {a.destinations} hosts")
    base = memory(full.roles()["qmgr"])
    row("qmgr, empty queue, anonymous KiB", f"{base[2] >> 10}")
    turn_ring(empty, a.destinations)
    filled = fill(full, a.messages, a.destinations, a.size)
    row("filled, messages a second", f"{filled:.0f}")
    begun = time.monotonic()
    wait_rest(full)
    row("qmgr at rest after, s", f"{time.monotonic() - begun:.1f}")
    at_rest(full)
    compare(empty, full, a)
    spool = pathlib.Path(full.env["SPOOL"])
    row("files in mess/", str(sum(entries(d) for d in
                                  (spool / "mess").iterdir())))
    empty.stop()
    restart(full, a)


def wait_rest(suite, seconds=2):
    """Until qmgr, queued and its settle used little of a CPU for so long:
    retries of many hosts at once come in waves."""
    end = time.monotonic() + 300
    pids = [suite.roles()[r] for r in ("qmgr", "queued")]
    children = pathlib.Path(f"/proc/{pids[1]}/task/{pids[1]}/children")
    pids += [int(p) for p in children.read_text().split()]
    while time.monotonic() < end:
        before = sum(map(cpu, pids))
        time.sleep(seconds)
        if sum(map(cpu, pids)) - before < 0.03 * seconds:
            return
    say("(never at rest)")


def at_rest(suite):
    found = counts(suite)
    m = memory(suite.roles()["qmgr"])
    row("recipients in the index", f"{found['recipients']}")
    row("qmgr, bytes a recipient (anonymous)",
        f"{m[2] / found['recipients']:.1f}", "goal 128")
    row("qmgr, bytes a recipient (RSS, peak)",
        f"{m[0] / found['recipients']:.1f}, "
        f"{m[1] / found['recipients']:.1f}")
    q = memory(suite.roles()["queued"])
    row("queued, bytes a message (anonymous)",
        f"{q[2] / found['messages']:.1f}")
    before, t = cpu(suite.roles()["qmgr"]), time.monotonic()
    time.sleep(5)
    used = (cpu(suite.roles()["qmgr"]) - before) / (time.monotonic() - t)
    row("qmgr at rest, % of a CPU", f"{used * 100:.1f}")


def compare(empty, full, a):
    for kind, pairs in rates(empty, full, a.count, a.pairs).items():
        for name, values in zip(("empty", "full"), zip(*pairs)):
            row(f"{kind} a second, {name} queue",
                f"{statistics.median(values):.0f}",
                f"{min(values):.0f} to {max(values):.0f}")
        ratios = [f / e * 100 for e, f in pairs]
        row(f"{kind}, full / empty, %", f"{statistics.median(ratios):.0f}",
            f"{min(ratios):.0f} to {max(ratios):.0f}; goal 90")


def restart(suite, a):
    suite.stop()
    cold = drop_caches()
    begun = time.monotonic()
    starter = threading.Thread(target=suite.start)
    starter.start()
    greeted, took = serving(suite, begun)
    row(f"restart ({'cold' if cold else 'warm'} cache): 220 after, s",
        f"{greeted:.2f}", "goal 2")
    row("250 after, s", f"{took:.2f}", "goal 2")
    wait_counts(suite, lambda c: c["recipients"] >= a.messages, 600)
    row("index complete after, s", f"{time.monotonic() - begun:.2f}",
        "goal 60")
    starter.join()
    recovered = re.findall(r"event=recovered.*ms=(\d+)", suite.log())
    row("queued's recovery, s", f"{int(recovered[-1]) / 1000:.2f}")


if __name__ == "__main__":
    main()
