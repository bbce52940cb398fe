#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The queue's promise under everything at once, for as long as is asked.

Mail small and large to mailboxes, aliases, .qmail files with programs and
forwards, good, moody, refusing and dead next hops; POP3 deletions, orders of
postern queue, reloads; local users' postern-queue, also into the drop box of a
stopped suite; a filter, on and off, whose program dies, hangs and refuses;
meanwhile roles and children die or halt at random, the disk is full for seconds,
the suite dies as a whole or is stopped and started.
The ring is small: it turns and settles all the time.  At the end each 250, and
each exit code 0 of postern-queue, must be in its mailbox, program, next hop, or
in a bounce, whole; a second copy needs a cause that INTERNALS.md names
("Duplicates that remain"), and is counted.  What had no answer, or 4xx, is there
once or nowhere; what was refused (5xx) is nowhere; the drop box is empty.
--gentle leaves out the deaths: then the residents' growth can be read.

As root.  make chaos MINUTES=30 SEED=1
"""
import argparse
import collections
import contextlib
import email
import json
import os
import pathlib
import poplib
import random
import re
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(TOP / "tests"), str(TOP / "tests/protocol")]
from chaos_hands import (FIRST, WRITERS, Hand, Writers,  # noqa: E402
                         install_filter)
from smtp_peer import Peer  # noqa: E402
from suite import Suite  # noqa: E402

HOME = "home.test"
VIRTUAL = ["alice", "bob", "pop"]
SENDERS = 5
LIFETIME_S = 90
DEATHS = {"queued", "qmgr", "remote", "remote child", "all", "start"}
CAUSE_S = 6  # a copy whose report was lost was made so long before, at most


def body_of(mark):
    """The body that belongs to the mark NAME-LINES."""
    return (mark + "x" * 50 + "\n") * int(mark.rsplit("-", 1)[1])


def is_whole(mark, text):
    return text.replace("\r\n", "\n").endswith("\n\n" + body_of(mark))


class Hop(Peer):
    """A next hop.  mood: how likely it is that a reply goes wrong."""

    def __init__(self, rng, mood=0.0, refuses=False):
        super().__init__({"RCPT": b"550 5.1.1 no\r\n"} if refuses else None)
        self.rng, self.mood = rng, mood
        self.taken = collections.defaultdict(list)  # (mark, rcpt): [(t, told)]
        self.broken = 0

    def answer(self, conn, verb, line):
        if self.rng.random() < self.mood:
            what = self.rng.choice(
                ["drop", "defer", "bye", "slow", "half", "silent"])
            if what == "drop":
                raise ConnectionError
            if what == "defer":
                conn.sendall(b"451 4.3.0 not now\r\n")
                return b"451"
            if what == "bye":
                conn.sendall(b"421 4.3.2 bye\r\n")
                raise ConnectionError
            if what == "half":
                conn.sendall(b"25")
                raise ConnectionError
            time.sleep(self.rng.uniform(0.1, 2) if what == "slow" else 8)
        return super().answer(conn, verb, line)

    def talk(self, conn):
        pending, rcpts = b"", []
        while True:
            while b"\r\n" not in pending:
                more = conn.recv(65536)
                if not more:
                    return
                pending += more
            line, pending = pending.split(b"\r\n", 1)
            verb = line[:4].decode("latin-1").upper()
            if verb in ("MAIL", "RSET"):
                rcpts = []
            reply = self.answer(conn, verb, line)
            if verb == "QUIT":
                return
            if verb == "RCPT" and reply.startswith(b"250"):
                rcpts.append(re.search(rb"<(.*?)>", line).group(1).decode())
            if verb == "DATA" and reply.startswith(b"354"):
                pending = self.take(conn, pending, rcpts)
                rcpts = []

    def take(self, conn, pending, rcpts):
        pending = b"\r\n" + pending
        while b"\r\n.\r\n" not in pending:
            more = conn.recv(1 << 20)
            if not more:
                raise ConnectionError
            pending += more
        data, rest = pending.split(b"\r\n.\r\n", 1)
        if not rcpts:  # all were refused; so is what is none
            conn.sendall(b"554 5.5.1 no recipients\r\n")
            return rest
        text = data.decode("latin-1") + "\n"
        mark = re.search(r"^Subject: (\S+)", text, re.M).group(1)
        if not is_whole(mark, text.replace("\r\n", "\n")):
            self.broken += 1
        now, told = time.time(), False
        try:
            reply = self.answer(conn, "BODY", b"")
            # who was silent for longer than timeoutremote told nobody
            told = reply.startswith(b"250") and time.time() - now < 4.5
            if not reply.startswith(b"250"):
                return rest  # deferred: not taken
        except OSError:
            pass  # taken, and nobody knows
        for rcpt in rcpts:
            self.taken[mark, rcpt].append((now, told))
        if not told:
            raise ConnectionError
        return rest


class World(Writers):
    def __init__(self, options):
        self.options = options
        self.seed = options.seed
        self.rng = random.Random(f"{self.seed}-world")
        self.over = threading.Event()
        self.calm = threading.Event()  # set: nobody is hurt
        self.lock = threading.Lock()
        self.base = tempfile.mkdtemp(prefix="postern-chaos-")
        os.chmod(self.base, 0o755)
        self.folder = pathlib.Path(self.base, "suite")
        self.user = f"pchaos{os.getpid()}"
        self.promised = {}   # mark: [final address]
        self.unsure = set()  # marks of it whose answer did not come, or was 4xx
        self.refused = set()  # marks, 5xx
        self.handed_in = collections.Counter()
        self.boxes = {f"alice@{HOME}", f"bob@{HOME}", f"{self.user}@{HOME}"}
        self.local_sender = f"alice@{HOME}"
        self.answers = collections.Counter()
        self.fetched = collections.Counter()  # mark: deleted by POP3
        self.maybe_gone = set()               # marks deleted by hand
        self.events = []
        self.counts = collections.Counter()
        self.samples = collections.defaultdict(list)
        self.wrong = []

    def say(self, text):
        print(time.strftime("%H:%M:%S ") + text, flush=True)

    def event(self, what):
        self.events.append((time.time(), what))
        self.counts[what] += 1

    # ---- the stage ----

    def prepare(self):
        (self.folder / "var").mkdir(parents=True)
        image = self.base + "/disk"
        with open(image, "wb") as f:
            f.truncate(self.options.disk_mb << 20)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-m", "0", "-N",
                        "600000", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, self.folder / "var"],
                       check=True)
        home = pathlib.Path(self.base, "home")
        home.mkdir()
        subprocess.run(["useradd", "-M", "-U", "-d", home, "-s", "/bin/sh",
                        self.user], check=True)
        note = "sed -n 's/^Subject: //p;/^$/q' >>"
        for ext, text in (
                ("-fwd", f"./Maildir/\n&bob@{HOME}\n&x@ok.test\n"),
                ("-prog", f"|{note}program\n"),
                ("-moody", "./Maildir/\n|test $(($$ % 2)) = 0 || exit 111\n")):
            (home / f".qmail{ext}").write_text(text)
        subprocess.run(["chown", "-R", f"{self.user}:", home], check=True)
        self.home = home
        rng = random.Random(f"{self.seed}-hops")
        self.hops = {"ok.test": Hop(rng), "moody.test": Hop(rng, 0.08),
                     "no.test": Hop(rng, refuses=True)}
        with Peer() as gone:
            dead = gone.address[1]
        routes = [f"{n}=127.0.0.1:{h.address[1]}" for n, h in
                  self.hops.items()] + [f"dead.test=127.0.0.1:{dead}"]
        self.suite = Suite(
            "--no-first-message", "--domain", HOME,
            "--system-user", self.user,
            *[x for u in VIRTUAL for x in ("--user", f"{u}@{HOME}:secret")],
            *[x for r in routes for x in ("--route", r)],
            *[x for c in ("journalsegments=5", "journalsegmentmb=1",
                          "relayclients=127.0.0.0/8", "spoolfloormb=2",
                          "extensions=1",
                          "spoolfloorinodes=10",
                          f"queuelifetime={LIFETIME_S}",
                          "timeoutremote=5", "timeoutfilter=3")
              for x in ("--control", c)], folder=str(self.folder))
        self.program = install_filter(self.base)
        self.suite.start()
        self.suite.options = []
        self.hand = Hand(self.folder)
        self.suite.postern("alias", "add", f"team@{HOME}", f"alice@{HOME}",
                           "y@ok.test", "z@moody.test")

    def remove(self):
        self.resume_all()
        with contextlib.suppress(Exception):
            self.suite.stop()
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for hop in self.hops.values():
            hop.stop()
        if self.options.keep:
            shutil.copy(self.folder / "log", self.options.keep)
        time.sleep(0.5)
        subprocess.run(["umount", self.folder / "var"], check=False)
        subprocess.run(["userdel", self.user], check=False)
        shutil.rmtree(self.base, ignore_errors=True)

    def pids(self):
        """Every process of this suite."""
        want = f"POSTERN_ROOT={self.folder}".encode()
        found = []
        for p in pathlib.Path("/proc").iterdir():
            if not p.name.isdigit():
                continue
            try:
                if want in (p / "environ").read_bytes().split(b"\0") and \
                        b"postern-" in (p / "cmdline").read_bytes():
                    found.append(int(p.name))
            except OSError:
                pass
        return found

    def roles(self):
        try:
            return self.suite.roles()
        except (OSError, ValueError):
            return {}

    @staticmethod
    def children(pid):
        try:
            return [int(p) for p in pathlib.Path(
                f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except OSError:
            return []

    # ---- who sends ----

    def choose(self, rng):
        """Recipients, final addresses, and which come from which."""
        me = self.user
        single = {
            f"bob@{HOME}": [f"bob@{HOME}"], f"pop@{HOME}": [f"pop@{HOME}"],
            f"{me}@{HOME}": [f"{me}@{HOME}"],
            f"{me}-fwd@{HOME}": [f"{me}-fwd@{HOME}", f"bob@{HOME}",
                                 "x@ok.test"],
            f"{me}-prog@{HOME}": [f"{me}-prog@{HOME}"],
            f"{me}-moody@{HOME}": [f"{me}-moody@{HOME}"],
            f"team@{HOME}": [f"alice@{HOME}", "y@ok.test", "z@moody.test"],
            "r@ok.test": ["r@ok.test"], "s@moody.test": ["s@moody.test"],
            "t@no.test": ["t@no.test"], "u@dead.test": ["u@dead.test"],
        }
        weights = [30, 8, 10, 6, 3, 2, 8, 15, 6, 2, 1]
        n = rng.choice([1, 1, 1, 1, 2, 3])
        names = list(dict.fromkeys(rng.choices(list(single), weights, k=n)))
        final = [f for name in names for f in single[name]]
        # one body for two paths to the same place would not be told apart
        if len(set(final)) < len(final):
            return self.choose(rng)
        return names, final, single

    @staticmethod
    def text_of(mark):
        return f"Subject: {mark}\n\n{body_of(mark)}"

    def not_taken(self, mark, final, code):
        if code // 100 == 5:
            self.refused.add(mark)
        else:
            self.promised[mark] = final
            self.unsure.add(mark)

    def sender(self, number):
        rng = random.Random(f"{self.seed}-sender-{number}")
        n = 0
        while not self.over.is_set():
            try:
                with smtplib.SMTP(*self.suite.smtp, timeout=30) as s:
                    for _ in range(rng.choice([1, 5, 50])):
                        if self.over.is_set():
                            break
                        lines = rng.choice([1, 5, 5, 40, 40, 200, 900])
                        if rng.random() < 0.002:
                            lines = 12000
                        mark = f"c{number}.{n}-{lines}"
                        n += 1
                        names, final, single = self.choose(rng)
                        try:
                            refused = s.sendmail(f"alice@{HOME}", names,
                                                 self.text_of(mark))
                        except smtplib.SMTPResponseException as e:
                            self.answers[e.smtp_code] += 1
                            self.not_taken(mark, final, e.smtp_code)
                            raise
                        except (OSError, smtplib.SMTPException):
                            self.not_taken(mark, final, 0)
                            raise
                        for name, (code, _) in refused.items():
                            final = [f for f in final
                                     if f not in single[name]]
                            self.answers[f"{code} rcpt"] += 1
                        self.promised[mark] = final
                        self.answers[250] += 1
                        time.sleep(rng.uniform(0, 2 / self.options.rate *
                                               SENDERS))
            except (OSError, smtplib.SMTPException):
                self.answers["lost"] += 1
                time.sleep(0.2)

    def fetcher(self):
        rng = random.Random(f"{self.seed}-pop")
        while not self.over.is_set():
            time.sleep(rng.uniform(1, 5))
            with contextlib.suppress(OSError, poplib.error_proto, EOFError):
                self.fetch()

    def fetch(self):
        pop = poplib.POP3(*self.suite.pop3, timeout=20)
        try:
            pop.user(f"pop@{HOME}")
            pop.pass_("secret")
            seen = []
            for i in range(1, min(200, pop.stat()[0]) + 1):
                text = b"\n".join(pop.retr(i)[1]).decode("latin-1") + "\n"
                mark = re.search(r"^Subject: (\S+)", text, re.M).group(1)
                if not is_whole(mark, text):
                    self.wrong.append(f"POP3: {mark} is not whole")
                seen.append(mark)
                pop.dele(i)
            # whether or not QUIT's answer comes, they may be gone
            self.fetched.update(seen)
            pop.quit()
        finally:
            pop.close()

    def administrator(self):
        rng = random.Random(f"{self.seed}-admin")
        while not self.over.is_set():
            time.sleep(rng.uniform(0.5, 3))
            with contextlib.suppress(OSError, subprocess.TimeoutExpired,
                                     AssertionError):
                self.order(rng)

    def postern(self, *args):
        return self.suite.postern("queue", *args, check=False)

    def order(self, rng):
        verb = rng.choice(["hold", "release", "delete", "bounce", "settle",
                           "retry", "stats", "reload", "list", "filter on",
                           "filter off"])
        if verb in ("reload", "filter on", "filter off"):
            if verb != "reload":
                self.switch_filter(verb == "filter on")
            with contextlib.suppress(ProcessLookupError, KeyError):
                os.kill(self.roles()["start"], signal.SIGHUP)
                self.event(verb)
            return
        if verb in ("settle", "stats"):
            self.postern(verb)
        elif verb in ("release", "retry"):
            self.postern(verb, "--all")
        else:
            rows = [json.loads(x) for x in
                    self.postern("list", "--json").stdout.splitlines()]
            ids = sorted({str(r.get("id") or r.get("qid")) for r in rows})
            if not ids or verb == "list":
                return
            some = rng.choice(ids)
            if verb == "delete":
                found = re.search(r"^Subject: (c\S+)",
                                  self.postern("cat", some).stdout, re.M)
                if not found:
                    return  # a bounce, or gone already
                self.maybe_gone.add(found.group(1))
            self.postern(verb, some)
        self.event(verb)

    # ---- who hurts ----

    def hurt(self):
        rng = random.Random(f"{self.seed}-chaos")
        deeds = [(self.kill, 60), (self.halt, 15), (self.full, 1),
                 (self.kill_all, 1), (self.kill_start, 1), (self.stop, 3)]
        round_s = 40
        self.over.wait(5)
        self.stop(rng)  # so that even a short run has one
        while not self.over.is_set():
            end = time.time() + round_s
            while time.time() < end and not self.over.is_set():
                deed = rng.choices([d for d, _ in deeds],
                                   [w for _, w in deeds])[0]
                deed(rng)
                time.sleep(rng.choice([0.05, 0.3, 1, 2]))
            self.over.wait(rng.uniform(5, 15))  # and rest

    def victim(self, rng):
        roles = self.roles()
        kind = rng.choice(["role", "role", "local", "settle", "session",
                           "remote child", "filter child"])
        parents = {"local": "become", "settle": "queued", "session": "smtpd",
                   "remote child": "remote", "filter child": "filter"}
        if kind == "role":
            names = [r for r in roles if r != "start"]
            if not names:
                return None, None
            kind = rng.choice(names)
            return kind, roles[kind]
        below = self.children(roles.get(parents[kind], 0))
        if kind == "filter child":  # keeper, supervisors, programs
            for _ in range(rng.choice([0, 1, 1, 2, 2])):
                below = [p for b in below for p in self.children(b)]
        return (kind, rng.choice(below)) if below else (None, None)

    def signal(self, pid, number):
        try:
            os.kill(pid, number)
            return True
        except ProcessLookupError:
            return False

    def kill(self, rng):
        kind, pid = self.victim(rng)
        if pid and self.signal(pid, signal.SIGKILL):
            self.event(kind)

    def halt(self, rng):
        kind, pid = self.victim(rng)
        if pid and self.signal(pid, signal.SIGSTOP):
            self.counts["halt"] += 1
            time.sleep(rng.choice([0.05, 0.3, 1, 2.5]))
            self.signal(pid, signal.SIGCONT)

    def resume_all(self):
        for pid in self.pids():
            self.signal(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def brim(self, rng):
        """The disk is full."""
        filler = self.folder / "var/filler"
        v = os.statvfs(self.folder / "var")
        self.counts["full"] += 1
        with open(filler, "wb") as f, contextlib.suppress(OSError):
            os.posix_fallocate(f.fileno(), 0, max(
                1, v.f_bavail * v.f_frsize - rng.choice([0, 300000, 3 << 20])))
        with open(filler.with_suffix(".2"), "wb", buffering=0) as f:
            with contextlib.suppress(OSError):
                for _ in range(2000):
                    f.write(b"x" * 4096)
        yield
        filler.with_suffix(".2").unlink()
        filler.unlink()

    def full(self, rng):
        with self.brim(rng):
            for _ in range(rng.choice([3, 8])):
                if rng.random() < 0.3:
                    self.kill(rng)
                time.sleep(0.5)

    def again(self):
        for attempt in range(20):
            try:
                self.suite.start()
                return
            except (AssertionError, subprocess.TimeoutExpired) as e:
                problem = str(e)
                time.sleep(1)
        self.wrong.append("the suite does not start: " + problem[-600:])
        self.over.set()

    def kill_all(self, rng):
        pids = self.pids()
        self.event("all")
        for _ in range(3):
            for pid in pids:
                self.signal(pid, signal.SIGKILL)
            pids = self.pids()
        self.over.wait(rng.choice([0, 0, 2]))
        self.again()

    def kill_start(self, _):
        """Alone: the roles end by themselves, its agents later."""
        if self.signal(self.roles().get("start", 0) or 1 << 22,
                       signal.SIGKILL):
            self.event("start")
            time.sleep(0.3)
            self.again()

    def orphans(self):
        """Of a start that died: agents that end what they have begun."""
        start = self.roles().get("start", 0)
        found = set()
        for pid in self.pids():
            above = pid
            while above > 1 and above != start:
                try:
                    stat = pathlib.Path(f"/proc/{above}/stat").read_text()
                except OSError:
                    break  # it has ended
                above = int(stat.rsplit(")", 1)[1].split()[1])
            if above == 1:
                found.add(pid)
        return found

    def stop(self, rng):
        self.counts["orderly stop"] += 1
        orphans = self.orphans()
        begun = time.time()
        try:
            self.suite.stop()
        except (AssertionError, subprocess.TimeoutExpired) as e:
            self.wrong.append("stop: " + str(e)[:300])
        took = time.time() - begun
        self.counts["slowest stop ms"] = max(
            self.counts["slowest stop ms"], int(took * 1000))
        left = set(self.pids()) - orphans
        if left:
            names = [pathlib.Path(f"/proc/{p}/cmdline").read_bytes()
                     for p in left if os.path.exists(f"/proc/{p}")]
            self.wrong.append(f"left after an orderly stop: {names}")
        self.over.wait(rng.choice([0.2, 2, 6]))  # all goes into the drop box
        if rng.random() < 0.3:
            with self.brim(rng):
                self.over.wait(2)
        self.again()

    # ---- who watches ----

    def sample(self):
        for name, pid in self.roles().items():
            try:
                text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
                fds = len(os.listdir(f"/proc/{pid}/fd"))
            except OSError:
                continue
            kib = int(re.search(r"Pss_Anon:\s+(\d+)", text).group(1))
            self.samples[name, pid].append((time.time(), kib, fds))

    def watch(self):
        told = time.time()
        while not self.over.wait(10):
            self.sample()
            if time.time() - told >= 60:
                told = time.time()
                self.say(f"{len(self.promised)} promised, "
                         f"{sum(self.counts.values())} deeds, "
                         f"{len(self.wrong)} wrong")

    def growth(self):
        """The resident of each role that lived longest: first, last, most."""
        best = {}
        for (name, pid), rows in self.samples.items():
            if len(rows) > len(best.get(name, [])):
                best[name] = rows
        print(f"{'role':12} {'life s':>7} {'KiB first':>9} {'last':>7} "
              f"{'most':>7} {'fds first':>9} {'last':>5} {'most':>5}")
        for name, rows in sorted(best.items()):
            print(f"{name:12} {rows[-1][0] - rows[0][0]:7.0f} "
                  f"{rows[0][1]:9} {rows[-1][1]:7} "
                  f"{max(r[1] for r in rows):7} {rows[0][2]:9} "
                  f"{rows[-1][2]:5} {max(r[2] for r in rows):5}")

    # ---- the end ----

    def drain(self):
        self.resume_all()
        for hop in self.hops.values():
            hop.mood = 0
        end = time.time() + 60 + 2 * LIFETIME_S
        while time.time() < end:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                self.postern("release", "--all")
                self.postern("retry", "--all")
                out = self.postern("list")
                if self.drop_box():
                    continue
                if out.returncode in (0, 1) and "is empty" in out.stdout:
                    return
            time.sleep(1)
        self.wrong.append("the queue does not empty: " +
                          self.postern("list").stdout[:1500] +
                          f"; drop box: {self.drop_box()}")

    def read_maildirs(self):
        """{(mark, address): copies}, {(mark, address): bounces}"""
        found, bounces = collections.Counter(), collections.Counter()
        mail = self.folder / "var/mail/postern"
        env = self.suite.env
        boxes = {}
        for i in range(1, 20):
            if f"USER_{i}" in env:
                boxes[env[f"USER_{i}"]] = pathlib.Path(env[f"MAILDIR_{i}"])
        assert mail and len(boxes) == len(VIRTUAL) + 1, boxes
        for user, box in boxes.items():
            for path in [*box.glob("new/*"), *box.glob("cur/*")]:
                text = path.read_bytes().decode("latin-1")
                head = text.split("\n\n", 1)[0]
                to = re.search(r"^Delivered-To: (\S+)", head, re.M)
                mark = re.search(r"^Subject: (c\d+\.\S+)$", head, re.M)
                if mark:
                    if not is_whole(mark.group(1), text):
                        self.wrong.append(f"{path} is not whole")
                    found[mark.group(1), to.group(1) if to else user] += 1
                else:
                    self.read_bounce(path, text, bounces)
        return found, bounces

    def read_bounce(self, path, text, bounces):
        mark = re.findall(r"^Subject: (c\d+\.\S+)$", text, re.M)
        rcpts = re.findall(r"^Final-Recipient: \S+; *(\S+)$", text, re.M)
        if not mark or not rcpts:
            self.wrong.append(f"{path}: what is this? {text[:600]}")
            return
        for rcpt in rcpts:
            bounces[mark[-1], rcpt] += 1

    def cause(self, copies):
        """Why there is a second one; "" when there is no reason."""
        for t, told in sorted(copies)[:-1]:
            if not told:
                return "the hop's reply did not come (3)"
            for at, what in self.events:
                if what in DEATHS and t - 0.5 <= at <= t + CAUSE_S:
                    return f"{what} died (2)"
        return ""

    def judge(self):
        found, bounces = self.read_maildirs()
        program = collections.Counter()
        with contextlib.suppress(FileNotFoundError):
            program.update((self.home / "program").read_text().split())
        missing, doubles = [], collections.Counter()
        hops = collections.defaultdict(list)
        for hop in self.hops.values():
            for key, copies in hop.taken.items():
                hops[key] += copies
            if hop.broken:
                self.wrong.append(f"{hop.broken} messages reached a next hop "
                                  "and were not whole")
        for mark, final in self.promised.items():
            for address in final:
                here = found[mark, address]
                if address.startswith(f"{self.user}-prog"):
                    here += program[mark]
                    kind = "program"
                elif address.startswith("pop@"):
                    here += self.fetched[mark]
                    kind = "POP3"
                else:
                    kind = "mailbox"
                copies = hops.get((mark, address), [])
                told = bounces[mark, address]
                total = here + len(copies) + told
                if total == 0 and mark not in self.maybe_gone | self.unsure:
                    missing.append((mark, address))
                if address.startswith(f"{self.user}-moody"):
                    total -= told  # its program gave up, behind the mailbox
                if total < 2:
                    continue
                if here > 1 and kind == "mailbox":
                    self.wrong.append(f"{mark} {address}: {here} copies")
                elif here > 1:
                    doubles[f"{kind}: died before its report (2)"] += 1
                else:
                    why = self.cause(copies + [(time.time(), True)]
                                     if told else copies)
                    if why and told < 2:
                        doubles[why] += 1
                    else:
                        self.wrong.append(
                            f"{mark} {address}: {copies}, {told} bounces, "
                            f"{here} here")
        for m in missing[:20]:
            self.wrong.append(f"missing: {m}")
        came = {m for m, _ in [*found, *hops, *bounces]} | {*program}
        for mark in sorted(self.refused & came):
            self.wrong.append(f"{mark} was refused for good, and came")
        sure = {m: f for m, f in self.promised.items() if m not in self.unsure}
        print(f"{len(sure)} messages were taken "
              f"({sum(map(len, sure.values()))} addresses in the "
              f"end); SMTP answers {dict(self.answers)}")
        print(f"handed in by local users: {dict(self.handed_in)}")
        print(f"{len(self.refused)} refused for good, none of them came; "
              f"{len(self.unsure)} without an answer or 4xx, of which "
              f"{len(self.unsure & came)} came")
        print(f"deeds {dict(self.counts)}")
        print(f"{sum(bounces.values())} bounced, {len(self.maybe_gone)} "
              f"deleted by hand, {sum(self.fetched.values())} by POP3")
        print(f"{len(missing)} missing; second copies: {dict(doubles)}")

    def judge_log(self):
        """That it was as wild as it says, and nobody met his sandbox."""
        counts = collections.Counter()
        with open(self.folder / "log", errors="replace") as f:
            for line in f:
                event = re.search(r" event=(\S+)", line)
                name = event.group(1) if event else ""
                if name == "filtered":
                    name += " " + re.search(r"result=(\w+)", line).group(1)
                counts[name] += 1
                if name in ("forbidden-call", "bug") or \
                        "AddressSanitizer" in line:
                    self.wrong.append(line.strip())
        if not self.options.gentle and not (
                self.handed_in["drop box"] and counts["picked-up"]):
            self.wrong.append("nothing went through the drop box")
        for what in ("accepted", "refused", "deferred"):
            if not counts["filtered " + what]:
                self.wrong.append(f"no program before the queue has {what}")
        if counts["filtered discarded"]:
            self.wrong.append("something was thrown away at the filter")
        print({n: k for n, k in counts.items()
               if n.startswith("filtered") or n == "picked-up"})

    def run(self):
        self.say(f"seed {self.seed}, {self.options.minutes} minutes below "
                 f"{self.base}")
        work = [(self.sender, (i,)) for i in range(SENDERS)] + [
            (self.fetcher, ()), (self.administrator, ()), (self.watch, ())]
        work += [(self.writer, (FIRST + i, uid))
                 for i, uid in enumerate(WRITERS)]
        if not self.options.gentle:
            work.append((self.hurt, ()))
        threads = [threading.Thread(target=w, args=a) for w, a in work]
        for t in threads:
            t.start()
        self.over.wait(self.options.minutes * 60)
        self.over.set()
        for t in threads:
            t.join()
        self.say("the end: what waits goes out")
        self.drain()
        self.sample()
        end = time.time() + 90
        while self.orphans() and time.time() < end:
            time.sleep(1)
        if self.orphans():
            self.wrong.append(f"orphans do not end: {self.orphans()}")
        self.judge()
        self.judge_log()
        self.growth()
        for w in self.wrong[:50]:
            print("WRONG", w)
        print(f"{len(self.wrong)} wrong")
        return 1 if self.wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", default=str(int(time.time())))
    parser.add_argument("--rate", type=float, default=40,
                        help="messages a second, about")
    parser.add_argument("--disk-mb", type=int, default=2048)
    parser.add_argument("--gentle", action="store_true")
    parser.add_argument("--keep", help="a copy of the suite's log")
    world = World(parser.parse_args())
    try:
        world.prepare()
        return world.run()
    finally:
        world.remove()


if __name__ == "__main__":
    sys.exit(main())
