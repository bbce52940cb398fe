# SPDX-License-Identifier: ISC
"""The sweep's suite: a folder of its own for every stop, started under
tests/crash/stop.c, killed, started anew, and looked through."""
import json
import os
import pathlib
import poplib
import re
import shutil
import subprocess
import sys
import threading
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from suite import BIN, BUILD, Suite, wait_for  # noqa: E402
from sweep_mail import (PATIENCE, Book, Failure, Hop,  # noqa: E402
                        token_and_hash)

STOP = BUILD / "tool" / "stop"
DOMAIN = "crepes.fr"
USERS = ("alice", "bob", "dave", "erin", "frank", "pop")
HOPS = {"ok.test": "take", "later.test": "defer", "never.test": "defer",
        "turn.test": "defer", "refused.test": "refuse"}
# what a log line must never say after a mere kill
BAD_EVENTS = frozenset((
    "records-lost", "torn-record", "quarantined", "damaged", "bug",
    "segment-damaged", "strange-file", "torn-delivery", "leftover",
    "segment-failed", "settle-failed", "cannot-remove", "drop-bad",
    "drop-file", "drop-refused"))


class Stop:
    """One stop: the n-th CALL of ROLE, on entry or exit; what dies is that
    process (one) or the whole suite (all)."""

    def __init__(self, scenario, role, call, n, when, scope):
        self.scenario, self.role, self.call = scenario, role, call
        self.n, self.when, self.scope = n, when, scope

    def order(self):
        return f"{self.role} {self.call} {self.n} {self.when} {self.scope}"

    def __str__(self):
        return f"{self.scenario}: {self.order()}"


class Traced:
    """A command under stop.c; `fired` and `over` are events."""

    def __init__(self, watch, log, command, env, stop=None, trace=None):
        args = [str(STOP)]
        for folder in watch:
            args += ["--watch", folder]
        if stop:
            args += ["--arm", stop.order()]
        if trace:
            args += ["--trace", trace]
        self.fired, self.over = threading.Event(), threading.Event()
        self.fired_at = self.path = self.status = None
        self.counts = {}
        self.answered = threading.Event()
        # beside the folder, so that no role's call on it counts
        with open(pathlib.Path(watch[0]).parent / "stderr", "a") as err:
            self.child = subprocess.Popen(
                [*args, "--not", log, "--", *command], env=env, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.child.stdout:
            words = line.split()
            if words[0] == "fired":
                self.fired_at, self.path = time.monotonic(), words[-1]
                self.fired.set()
            elif words[0] == "over":
                self.status = int(words[1])
            elif words[0] == "ok":
                self.answered.set()
            elif len(words) == 3 and words[2].isdigit():
                self.counts[words[0], words[1]] = int(words[2])
        self.child.wait()
        self.over.set()

    def order(self, text):
        try:
            os.write(self.child.stdin.fileno(), text.encode() + b"\n")
        except OSError:
            pass  # it is over

    def arm(self, text):
        """Counts anew from here; text is a Stop's order."""
        self.answered.clear()
        self.order("arm " + text)
        if not self.answered.wait(PATIENCE):
            raise Failure("stop does not answer")

    def end(self):
        """All processes are gone; may be called again."""
        if self.child.stdin.closed:
            return
        self.order("kill")
        if not self.over.wait(PATIENCE):
            raise Failure("processes that cannot be killed")
        self.child.stdin.close()
        self.reader.join()
        self.child.stdout.close()


class World:
    """A worker's suite: prepare makes templates, fresh a copy of one."""

    def __init__(self, base, user, host, bin_dir=None):
        """host: an address of 127/8 that nobody else listens on."""
        self.base = pathlib.Path(base)
        self.host = host
        self.user = user  # an account with its home in base/live/home
        self.bin = pathlib.Path(bin_dir or BIN)
        self.live = self.base / "live"
        self.folder = self.live / "suite"
        self.home = self.live / "home"
        self.hops = {name: Hop(mode) for name, mode in HOPS.items()}
        self.traced = None
        self.env = {}
        self.book = Book()
        self.bad_events = BAD_EVENTS
        self.stopped = self.rising = self.trouble = None
        self.torn, self.fired_at = [], []
        self.second = None  # a stop of what comes up after the first

    # ---- templates ----

    def prepare(self):
        """A suite that was never started."""
        self.live.mkdir(parents=True)
        self.home.mkdir()
        (self.home / ".qmail-fwd").write_text(f"./Maildir/\n&bob@{DOMAIN}\n")
        (self.home / ".qmail-prog").write_text(
            "./Maildir/\n|grep ^Subject: >>program\n")
        subprocess.run(["chown", "-R", f"{self.user}:", self.home], check=True)
        suite = Suite(
            "--no-first-message", "--system-user", self.user,
            *[x for u in USERS
              for x in ("--user", f"{u}@{DOMAIN}:secret")],
            "--domain", DOMAIN,
            *[x for name, hop in self.hops.items() for x in (
                "--route", f"{name}=127.0.0.1:{hop.address[1]}")],
            *[x for c in ("journalsegments=4", "journalsegmentmb=1",
                          f"smtplisten={self.host}:2525",
                          f"pop3listen={self.host}:2110",
                          "relayclients=127.0.0.0/8", "extensions=1",
                          "spoolfloormb=1", "spoolfloorinodes=10")
              for x in ("--control", c)], folder=str(self.folder))
        self.folder.mkdir()
        suite.start()
        self.env = suite.env
        suite.postern("alias", "add", f"team@{DOMAIN}", f"alice@{DOMAIN}",
                      "x@ok.test")
        suite.postern("alias", "add", f"slow@{DOMAIN}", f"bob@{DOMAIN}",
                      "x@later.test")
        suite.stop()
        os.truncate(self.folder / "log", 0)
        self.keep("used")
        spool = self.folder / "var/spool/postern"
        for entry in spool.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self.keep("first")

    def keep(self, name):
        subprocess.run(["cp", "-a", self.live, self.base / name], check=True)

    def has(self, name):
        return (self.base / name).exists()

    def fresh(self, template):
        """Begins a round with a new copy."""
        shutil.rmtree(self.live, ignore_errors=True)
        subprocess.run(["cp", "-a", self.base / template, self.live],
                       check=True)
        self.book = Book()
        self.stopped = self.rising = self.trouble = self.second = None
        self.torn, self.fired_at = [], []
        for name, hop in self.hops.items():
            hop.mode = HOPS[name]
            hop.taken.clear()

    # ---- running ----

    def environment(self):
        return {**os.environ, "POSTERN_ROOT": str(self.folder)}

    def roles_file(self):
        return self.folder / "run/postern/roles"

    def roles_ready(self):
        try:
            rows = self.roles_file().read_text().splitlines()
        except OSError:
            return False
        return len(rows) > 5 and all(" ready " in r for r in rows)

    def launch(self, stop=None, trace=None):
        """Starts the suite, with a stop from its first call on."""
        self.roles_file().unlink(missing_ok=True)
        log = str(self.folder / "log")
        self.traced = Traced(
            [str(self.live)], log,
            [str(self.bin / "postern-start"), "--log", log],
            self.environment(), stop, trace)
        if stop:
            self.watch_over(stop)

    def arm(self, stop):
        self.traced.arm(stop.order())
        self.watch_over(stop)

    def watch_over(self, stop):
        if stop is self.second:
            self.second = None
        else:
            self.stopped = self.traced
        self.watched = self.traced
        if stop.scope == "all" or stop.role == "start":
            rising = threading.Thread(
                target=self.rise, args=(self.traced, stop), daemon=True)
            rising.start()
            self.rising = rising  # others join it: not before it runs

    def rise(self, traced, stop):
        """After the stop of the whole suite: looks at what stands there, and
        starts it again."""
        while not traced.fired.wait(0.2):
            if traced.over.is_set():
                return
        try:
            if stop.scope == "one":
                self.rise_beside()
            if not traced.over.wait(PATIENCE):
                raise Failure("roles do not end when start has died")
            self.fired_at.append(traced.fired_at)
            if stop.scope == "all":
                self.torn += self.look_at_rest()
                self.launch(self.second)
        except Exception as e:  # told by wait_ready
            self.trouble = e

    def rise_beside(self):
        """As a supervisor does it when start has died: at once, and again,
        while the roles of the old one still end."""
        for _ in range(200):
            self.launch()
            while not self.roles_ready():
                if self.traced.over.wait(0.01):
                    break
            else:
                return
            self.traced.end()
        raise Failure("start does not come up again")

    def settle_down(self):
        """Until the suite runs: again, if it was stopped as a whole."""
        while self.rising and self.watched.fired.is_set():
            rising = self.rising
            rising.join(2 * PATIENCE)
            if self.rising is rising:
                break
        self.wait_ready()

    def fired(self):
        return self.stopped is not None and self.stopped.fired.is_set()

    def wait_ready(self):
        def ready():
            if self.trouble:
                raise Failure(f"recovery: {self.trouble}")
            return self.roles_ready()
        self.wait(ready, "all roles")

    def end(self):
        if self.traced:
            self.traced.end()

    def shutdown(self):
        """SIGTERM, as an administrator does it; once more when a stop came
        just then."""
        for _ in range(3):
            self.settle_down()
            traced = self.traced
            try:
                os.kill(int(self.roles_file().read_text().split()[1]), 15)
            except (ProcessLookupError, FileNotFoundError):
                pass  # stopped just now
            if not traced.over.wait(PATIENCE):
                raise Failure("the suite does not stop")
            if self.rising:
                self.rising.join(2 * PATIENCE)
            if self.traced is traced:
                break
        self.rising = None
        self.end()

    def postern(self, *args, stdin=None, timeout=PATIENCE):
        return subprocess.run(
            [str(self.bin / "postern"), *args], env=self.environment(),
            input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, timeout=timeout)

    def queue(self):
        """[(recipient, state)] of the queue; None: it cannot be asked now."""
        done = self.postern("queue", "list", "--json")
        if done.returncode != 0:
            return None
        return [(r["recipient"], r["state"])
                for line in done.stdout.splitlines()
                for r in json.loads(line)["recipients"]]

    def retry(self):
        return self.postern("queue", "retry", "--all").returncode == 0

    def wait_deferred(self, but=None):
        """Until all was tried, and none waits but recipients that end so."""
        def test():
            rest = self.queue()
            if rest is None or {s for _, s in rest} - {"deferred"}:
                return False
            if but and not all(r.endswith(but) for r, _ in rest):
                self.retry()
                return False
            return True
        self.wait(test, "the queue to come to rest")

    def wait(self, test, what):
        try:
            wait_for(test, PATIENCE, what)
        except AssertionError as e:
            raise Failure(str(e)) from None

    def drain(self, but=None):
        """Until the queue is empty but for that state; what was deferred is
        tried again."""
        def test():
            rest = self.queue()
            if rest and "deferred" in {s for _, s in rest}:
                self.retry()
            return rest is not None and {s for _, s in rest} <= {but}
        self.wait(test, "an empty queue")

    def wait_mess_gone(self):
        """Finished files go within seconds."""
        def test():
            self.settle_down()
            return not self.mess_files()
        self.wait(test, "the files of finished messages to be removed")

    def again(self, act, what):
        """Does act until it meets no error of the network."""
        def test():
            try:
                act()
            except (OSError, EOFError, poplib.error_proto):
                return False
            return True
        self.wait(test, what)

    def address(self, name):
        host, port = self.env[name].rsplit(":", 1)
        return host, int(port)

    @staticmethod
    def token_of(raw):
        return token_and_hash(raw)[0]

    # ---- looking ----

    def maildirs(self):
        mail = self.folder / "var/mail/postern" / DOMAIN
        found = {u: mail / u for u in USERS}
        found["home"] = self.home / "Maildir"
        return found

    def files(self):
        """(place, path) of every delivered file."""
        for place, folder in self.maildirs().items():
            for part in ("new", "cur"):
                if (folder / part).is_dir():
                    for path in (folder / part).iterdir():
                        yield place, path

    def programs(self):
        """The token of each run of the user's program."""
        try:
            lines = (self.home / "program").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [line.removeprefix("Subject: ") for line in lines]

    def look_at_rest(self):
        """With no process left: what a reader of new/ and cur/ would see."""
        bad = []
        for place, path in self.files():
            problem = self.problem_of(path.read_bytes())
            if problem:
                bad.append(f"{place}: {problem} ({path.name}) after the stop")
        return bad

    def problem_of(self, raw):
        if b"multipart/report" in raw:
            return None if b"\n--" in raw.rstrip()[-80:] else "a torn bounce"
        token, digest = token_and_hash(raw)
        if token not in self.book.mails:
            return f"a strange message ({len(raw)} bytes)"
        if digest != self.book.mails[token].hash:
            return f"other bytes than were sent ({len(raw)} of {token})"
        return None

    def strays(self):
        """Files that have no business there, the suite being at rest with an
        empty queue."""
        spool = self.folder / "var/spool/postern"
        found = list((spool / "mess/tmp").iterdir())
        found += [p for p in (spool / "journal").iterdir()
                  if not re.fullmatch(r"\d{4}", p.name)]
        for part in ("new", "work", "bad"):
            found += (self.folder / "var/spool/postern-drop" / part).iterdir()
        for folder in self.maildirs().values():
            if (folder / "tmp").is_dir():
                found += (folder / "tmp").iterdir()
        for part in ("etc/postern", "etc/postern/users", "run/postern",
                     "var/spool/postern"):
            found += [p for p in (self.folder / part).iterdir()
                      if p.name[0] == "." and p.name != ".lock"]
        return [str(p.relative_to(self.live)) for p in found]

    def mess_files(self):
        mess = self.folder / "var/spool/postern/mess"
        return [str(p.relative_to(mess)) for p in mess.glob("[0-9a-f]*/*")]

    def quarantined(self):
        folder = self.folder / "var/spool/postern/quarantine"
        return sorted(p.name for p in folder.iterdir())

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def close(self):
        self.end()
        for hop in self.hops.values():
            hop.stop()
        shutil.rmtree(self.base, ignore_errors=True)
