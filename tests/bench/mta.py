#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Postern beside Postfix in the same run: one table of rates and ratios.

Needs root and Debian's postfix (its smtp-sink takes what is relayed).  Both
servers run on one fresh ext4 file system on a loop device over a fully written
file, so that flushes reach the disk; smtpload sends.  The servers take turns,
and every figure is the median of the runs: a ratio is that of the ratios of
each turn, as the machine is not the same from minute to minute.  A turn in
which the host took CPU away from this machine (steal in /proc/stat) is run
again, up to --again times a row; a * marks a row that was not free of it then.

  accept    a second, until the client has all replies; delivery is held
  maildir   a second, until all messages are in new/ of their Maildirs, of
            virtual users, or of system users where it says so; 1, 100 or
            10,000 of them in turn
  relay     a second, until smtp-sink has all
  laps      as accept and maildir, through more than two laps of the ring
            (Postfix: as many messages as in the other rows)
  large     MB a second of 1 MiB messages, until all are in the Maildir

kept: a session sends all its messages over one connection; each: a connection
for every message.  CPU: microseconds of the server's whole process tree for a
message.  ms: the client's 99th percentile, from MAIL (each: from connect) to
250.  flushes: of the device, for a message.
"""
import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time

from servers import (Accounts, MAILBOXES, Ours, Theirs, Volume, free_port)
from suite import BUILD

TOOLS = BUILD / "tool"
SECONDS = 300  # the most that one run may take
LAP = 256 << 20  # bytes of the default ring
STOLEN = 0.02  # share of the machine's CPU that a turn may lose to its host


class Row:
    """One scenario: what is sent, how, and what ratios we want of it."""

    def __init__(self, group, label, kind, sessions, keep=True, count=None,
                 size=4096, boxes=1, goal=None, cpu_goal=None, theirs=None):
        self.group, self.label, self.kind = group, label, kind
        self.sessions, self.keep, self.count = sessions, keep, count
        self.size, self.boxes = size, boxes
        self.goal, self.cpu_goal, self.theirs = goal, cpu_goal, theirs

    def messages(self, server):
        return self.theirs or self.count if server == "postfix" else self.count


def rows_of(a):
    """All rows, in the order in which they are run."""
    def name(what, sessions, keep):
        return f"{what} {sessions} {'kept' if keep else 'each'}"

    both = [(s, k) for s in a.sessions for k in (True, False)]
    laps = 2 * LAP // 4608 + 10000
    for s, k in both:
        yield Row("accept", name("accept", s, k), "held", s, k,
                  a.few if s == 1 else a.count,
                  goal=3 if not k else 4 if s == 1 else 6,
                  cpu_goal=6 if k else 3)
    yield Row("laps", "accept 50 kept, laps", "held", 50, count=laps, goal=6,
              cpu_goal=6, theirs=a.count)
    for s, k in both:
        yield Row("maildir", name("maildir", s, k), "virtual", s, k,
                  a.few if s == 1 else a.count, goal=5 if k else None,
                  cpu_goal=5 if k else 3)
    for boxes in (100, MAILBOXES):
        yield Row("maildir", f"maildir 50 kept, {boxes} boxes", "virtual", 50,
                  count=max(boxes, a.count), boxes=boxes, goal=5, cpu_goal=5)
    yield Row("laps", "maildir 50 kept, laps", "virtual", 50, count=laps,
              boxes=100, goal=5, cpu_goal=5, theirs=a.count)
    for s, k in both:
        yield Row("relay", name("relay", s, k), "relay", s, k,
                  a.few if s == 1 else a.count,
                  goal=6 if (s, k) == (50, True) else None)
    yield Row("large", "1 MiB 10 kept, MB/s", "virtual", 10, count=200,
              size=1 << 20, goal=2)
    for boxes in (1, 100, MAILBOXES):
        yield Row("system", f"maildir 50 kept, {boxes} users", "system", 50,
                  count=max(min(boxes, MAILBOXES), a.count), boxes=boxes,
                  goal=5, cpu_goal=5)


def entries(path):
    try:
        return sum(1 for _ in os.scandir(path))
    except FileNotFoundError:
        return 0


def empty(server, row):
    for i in range(row.boxes):
        path = server.inbox(row.kind, i)
        if path.exists():
            for e in os.scandir(path):
                os.unlink(e.path)


def wait_delivered(server, row, count, end):
    """True when each inbox has its share: looks at one at a time."""
    for i in range(row.boxes):
        share = count // row.boxes + (i < count % row.boxes)
        while entries(server.inbox(row.kind, i)) < share:
            if time.monotonic() > end:
                return False
            time.sleep(min(0.01 + share / 1e6, 0.2))
    return True


def cpu_ticks():
    """(all, those that the host took), of the whole machine."""
    with open("/proc/stat") as f:
        ticks = [int(x) for x in f.readline().split()[1:9]]
    return sum(ticks), ticks[7]


def run_once(server, volume, row, sink):
    """One run: dict of figures, or a text that says what went wrong."""
    count = row.messages(server.name)
    local = row.kind in ("virtual", "system")
    if local:
        empty(server, row)
    os.sync()
    time.sleep(0.3)
    taker = None
    if row.kind == "relay":
        taker = subprocess.Popen(
            ["smtp-sink", "-u", "nobody", "-M", str(count),
             f"127.0.0.1:{sink}", "1000"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        time.sleep(0.3)
    cpu, (w0, f0) = server.group.seconds(), volume.io()
    ticks0, stolen0 = cpu_ticks()
    begun = time.monotonic()
    done = subprocess.run(
        [TOOLS / "smtpload", *(["-d"] if row.keep else []), "-s",
         str(row.sessions), "-m", str(count), "-l", str(row.size), "-n",
         str(row.boxes), "-T", str(SECONDS), server.smtp,
         server.recipients[row.kind]],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    finished = time.monotonic() - begun
    if done.returncode != 0:
        if taker:
            taker.terminate()
            taker.wait()
        return f"client: {done.stdout.strip()[:70]}"
    rate, _, p99, _ = map(float, done.stdout.split())
    if local:
        if not wait_delivered(server, row, count, begun + SECONDS):
            return "not all were delivered"
        rate = count / (time.monotonic() - begun)
    if taker:
        try:
            taker.wait(SECONDS)
        except subprocess.TimeoutExpired:
            taker.terminate()
            taker.wait()
            return "the sink did not get all"
        rate = count / (time.monotonic() - begun)
    if row.size >= 1 << 20:
        rate *= row.size / 1e6
    w1, f1 = volume.io()
    ticks1, stolen1 = cpu_ticks()
    return dict(rate=rate, ms=p99, seconds=finished,
                cpu=(server.group.seconds() - cpu) * 1e6 / count,
                writes=(w1 - w0) / count, flushes=(f1 - f0) / count,
                stolen=(stolen1 - stolen0) / max(ticks1 - ticks0, 1))


def median(results, key):
    good = [r[key] for r in results if isinstance(r, dict)]
    return statistics.median(good) if good else None


HEAD = (f"{'scenario':<29}{'ours':>7}{'postfix':>8}{'ratio':>7}{'goal':>5}  "
        f"{'CPU':>5}{'postfix':>8}{'ratio':>7}{'goal':>5}  "
        f"{'flushes':>8}{'postfix':>8}  {'ms':>6}{'postfix':>8}")


def turn_ratio(ours, theirs, key):
    """Of each turn, ours / theirs; their median."""
    turns = [x[key] / y[key] for x, y in zip(ours, theirs)
             if isinstance(x, dict) and isinstance(y, dict)]
    return statistics.median(turns) if turns else None


def is_disturbed(results):
    return any(isinstance(r, dict) and r["stolen"] > STOLEN for r in results)


def show(value, digits=0):
    return "-" if value is None else f"{value:.{digits}f}"


def print_row(row, ours, theirs, as_json):
    m = {key: (median(ours, key), median(theirs, key))
         for key in ("rate", "cpu", "flushes", "ms")}
    rate = turn_ratio(ours, theirs, "rate")
    cpu = turn_ratio(theirs, ours, "cpu")
    label = row.label + (" *" if is_disturbed(ours + theirs) else "")
    if as_json:
        print(json.dumps({
            "scenario": row.label, "goal": row.goal, "ratio": rate,
            "cpu_goal": row.cpu_goal, "cpu_ratio": cpu,
            "postern": ours, "postfix": theirs}), flush=True)
    else:
        print(f"{label:<29}{show(m['rate'][0]):>7}{show(m['rate'][1]):>8}"
              f"{show(rate, 1):>7}{row.goal or '':>5}  "
              f"{show(m['cpu'][0]):>5}{show(m['cpu'][1]):>8}{show(cpu, 1):>7}"
              f"{row.cpu_goal or '':>5}  {show(m['flushes'][0], 2):>8}"
              f"{show(m['flushes'][1], 2):>8}  {show(m['ms'][0], 1):>6}"
              f"{show(m['ms'][1], 1):>8}", flush=True)
    for r in ours + theirs:
        if not isinstance(r, dict):
            print(f"    {r}", file=sys.stderr)


def measure(row, servers, volume, sink, a):
    got = {"postern": [], "postfix": []}
    if row.kind == "held":
        for s in servers:
            s.hold(True)
    wanted, again = 1 if row.theirs else a.runs, a.again
    while len(got["postern"]) < wanted:
        turn = {}
        for s in servers:
            turn[s.name] = run_once(s, volume, row, sink)
            if row.kind == "held":
                s.clear()
        if is_disturbed(turn.values()) and again > 0:
            again -= 1
            continue
        for name, result in turn.items():
            got[name].append(result)
    if row.kind == "held":
        for s in servers:
            s.hold(False)
    print_row(row, got["postern"], got["postfix"], a.json)


def memory(servers, counts):
    """PSS of the whole server with idle sessions behind EHLO."""
    print(f"{'idle sessions':<29}{'ours':>7}{'postfix':>8}   KiB (PSS)")
    base = {}
    for n in counts:
        row = []
        for server in servers:
            host, port = server.smtp.split(":")
            held = []
            for _ in range(n):
                c = socket.create_connection((host, int(port)), timeout=60)
                held.append(c)
            for c in held:
                c.recv(200)
                c.sendall(b"EHLO client.test\r\n")
                c.recv(500)
            time.sleep(0.5)
            row.append(server.group.pss_kib())
            for c in held:
                c.close()
            time.sleep(1)
            base.setdefault(server.name, row[-1])
            if n:
                row[-1] = (row[-1] - base[server.name]) / n
        print_pair("0 (the whole server)" if n == 0 else
                   f"{n} (each session)", row)


def print_pair(label, values):
    print(f"{label:<29}" + "".join(
        f"{x:>{w}.0f}" for x, w in zip(values, (7, 8))), flush=True)


def disk_limit(volume):
    """What the disk can make durable at all, whatever the server."""
    out = subprocess.run(
        [TOOLS / "disklimit", volume.path / "limit", "1", "1", "8", "64"],
        check=True, stdout=subprocess.PIPE, text=True).stdout
    print("the disk's own limit, 4 KiB messages a second: " + ", ".join(
        f"{rate} with {n} to a write"
        for n, rate in map(str.split, out.splitlines())) + "\n", flush=True)


def arguments():
    groups = "accept,maildir,relay,large,laps,system,memory"
    p = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--again", type=int, default=6,
                   help="turns of a row that are run again for a busy host")
    p.add_argument("--count", type=int, default=5000,
                   help="messages a run (1 session: --few)")
    p.add_argument("--few", type=int, default=2000)
    p.add_argument("--sessions", default="1,10,50,200",
                   type=lambda t: [int(n) for n in t.split(",")])
    p.add_argument("--only", default=groups, help=f"some of {groups}")
    p.add_argument("--alone", action="store_true", help="without Postfix")
    p.add_argument("--json", action="store_true",
                   help="a line of JSON for each row, with every run")
    return p.parse_args()


def in_own_mounts():
    """The accounts and the volume are mounted where nobody else sees them."""
    if os.environ.get("POSTERN_BENCH_MOUNTS") != "own":
        os.environ["POSTERN_BENCH_MOUNTS"] = "own"
        os.execvp("unshare", ["unshare", "--mount", sys.executable,
                              *sys.argv])


def bench(a, volume):
    only, sink = a.only.split(","), free_port()
    if not a.json:
        disk_limit(volume)
    accounts = Accounts(volume) if "system" in only else None
    servers = []
    try:
        servers.append(Ours(volume, accounts, sink))
        if not a.alone:
            servers.append(Theirs(volume, accounts, sink))
        if "memory" in only and not a.json:
            memory(servers, (0, 100, 1000))
            for s in servers:  # a thousand idle processes cost time, too
                s.restart()
        if not a.json:
            print("\n" + HEAD, flush=True)
        settled = False
        for row in rows_of(a):
            if row.group not in only:
                continue
            if row.kind == "system" and not settled and not a.alone:
                servers[1].system()
                settled = True
            measure(row, servers, volume, sink, a)
        if not a.json:
            print_pair("\npeak memory of all, MiB (RSS)",
                       [s.group.peak / (1 << 20) for s in servers])
    finally:
        for s in servers:
            s.stop()
        if accounts:
            accounts.undo()


def main():
    a = arguments()
    if os.geteuid() != 0:
        sys.exit("mta.py: needs root, for its own file system and users")
    in_own_mounts()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # clears up
    with Volume() as volume:
        bench(a, volume)


if __name__ == "__main__":
    main()
