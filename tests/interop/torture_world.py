# SPDX-License-Identifier: ISC
"""The ways into a suite and out of it, for test_torture."""
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from suite import TOP, Suite, bin_for_others

sys.path.append(str(TOP / "tests/protocol"))

from local_harness import User  # noqa: E402
from queue_caller import queue  # noqa: E402
from smtp_peer import PIPELINING, Peer  # noqa: E402

HOME = "hamburger.edu"
BIG = 50 * 1024 * 1024  # control/databytes
# what stands on top of what came, by way in
DATE = rb"\w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d \+0000\n"
FROM = rb"Received: from torture\.test \(%b\)\n\tby mail\.hamburger\.edu " \
    rb"with ESMTP id \S+;\n\t" + DATE
BY = rb"Received: by mail\.hamburger\.edu \(postern-queue \d+ invoked by " \
    rb"uid %b\);\n\t" + DATE
Sent = collections.namedtuple("Sent", "taken said")


def environment(root, **more):
    return {"PATH": os.environ["PATH"], "POSTERN_ROOT": root,
            "HOME": root, "NAME": "Torture", "LOGNAME": "root",
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", ""), **more}


class Sink(Peer):
    """Keeps each message as it came, with the MAIL line, by its sender."""

    def __init__(self, replies=None):
        super().__init__(replies)
        self.mail, self.senders = {}, {}
        self.paths = []  # of all RCPT lines

    def answer(self, conn, verb, line):
        if verb == "MAIL":
            self.senders[conn] = line
        if verb == "RCPT":
            self.paths.append(line.partition(b":")[2])
        return super().answer(conn, verb, line)

    @staticmethod
    def read_body(conn, pending):
        data = bytearray(b"\r\n" + pending)
        at = 0
        while (end := data.find(b"\r\n.\r\n", at)) < 0:
            at = max(0, len(data) - 4)
            more = conn.recv(1 << 20)
            if not more:
                raise ConnectionError
            data += more
        return bytes(data[2:end + 2]), bytes(data[end + 5:])

    def body(self, conn, pending):
        data, rest = self.read_body(conn, pending)
        line = self.senders[conn]
        sender = re.search(rb"<(.*?)>", line)[1].decode()
        # a dot that was put in front of one goes away again
        plain = re.sub(rb"^\.", b"", data, flags=re.M)
        self.mail.setdefault(sender, []).append((line, plain))
        self.answer(conn, "BODY", b"")
        return rest


class Dialogue:
    """An SMTP client that sends what it is told, byte for byte."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(60)
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = sock.makefile("rb")
        assert self.reply()[:3] == "220"
        self.say(b"EHLO torture.test")

    def reply(self):
        while True:
            line = self.file.readline().decode()
            if line[3:4] != "-":
                return line.rstrip("\r\n")

    def say(self, *lines):
        """The replies to lines that are sent at once."""
        self.sock.sendall(b"".join(line + b"\r\n" for line in lines))
        return [self.reply() for _ in lines]

    def send(self, sender, recipients, wire, parameters=b""):
        """The first reply that refuses it, or the last."""
        replies = self.say(
            b"MAIL FROM:<" + sender + b">" + parameters,
            *(b"RCPT TO:<" + r + b">" for r in recipients), b"DATA")
        for reply in replies:
            if reply[0] not in "23":
                self.reply = lambda: ""  # it may be amid a message
                return reply
        self.sock.sendall(wire)
        return self.say(b".")[0]

    def close(self):
        self.say(b"QUIT")
        self.file.close()
        self.sock.close()


class Pop:
    """A POP3 client that hides nothing of what it is sent."""

    def __init__(self, address, user, password):
        self.sock = socket.create_connection(address, 60)
        self.file = self.sock.makefile("rb")
        self.file.readline()
        self.say(b"USER " + user.encode())
        self.say(b"PASS " + password.encode())

    def say(self, line):
        self.sock.sendall(line + b"\r\n")
        reply = self.file.readline()
        assert reply.startswith(b"+OK"), reply
        return reply

    def lines(self, line):
        """What comes behind +OK, dots that were put in front taken away."""
        self.say(line)
        out = []
        while (got := self.file.readline()) != b".\r\n":
            assert got.endswith(b"\r\n")
            out.append(got[1:] if got[:1] == b"." else got)
        return out

    def close(self):
        self.say(b"QUIT")
        self.file.close()
        self.sock.close()


class World:
    """A suite with a Maildir, a system user with everything a .qmail can say,
    and hosts beyond it."""

    def __init__(self):
        self.folder = None
        self.user = User()
        self.sinks = {
            "full": Sink({"EHLO": PIPELINING.replace(
                b"1000000", b"200000000")}),
            "bare": Sink({"EHLO": b"502 5.5.1 no\r\n"}),
            "refusing": Sink({"RCPT": b"550 5.1.1 nobody of that name\r\n"}),
            "later": Sink({"RCPT": b"451 4.2.0 later\r\n"})}

    def __enter__(self):
        self.user.__enter__()
        u = self.user
        options = ["--no-first-message", "--domain", HOME, "--user",
                   f"bob@{HOME}:hungry", "--user", f"carol@{HOME}:hungry",
                   "--system-user", u.name]
        controls = {"databytes": BIG, "dropmessages": 1000,
                    "me": f"mail.{HOME}", "dropbytes": 1 << 30,
                    "relayclients": "127.0.0.1", "extensions": 1}
        for name, sink in self.sinks.items():
            options += ["--route", "%s.test=%s:%d" % (name, *sink.address)]
        options += ["--route", "[192.0.2.1]=%s:%d" % self.sinks["full"].address]
        for name, value in controls.items():
            options += ["--control", f"{name}={value}"]
        folder = tempfile.mkdtemp(prefix="postern-test-")
        os.chmod(folder, 0o755)
        program = pathlib.Path(folder, "filter")
        program.write_text('#!/bin/sh\nexec "$QMAILQUEUE"\n')
        program.chmod(0o755)
        self.suite = Suite(*options, "--control", f"filter={program}",
                           folder=folder)
        self.suite.programs = bin_for_others(self.suite.folder)
        self.bin = self.suite.programs
        for name in ("out", "Maildir", "Bounces", "Many"):
            path = pathlib.Path(u.home, name)
            path.mkdir()
            shutil.chown(path, u.name)
        u.write(".qmail", "./Maildir/\n|cat >\"out/$SENDER\"\n"
                f"&carol@{HOME}\n")
        u.write(".qmail-back-default", "./Bounces/\n")
        u.write(".qmail-many-default", "./Many/\n")
        self.suite.start()
        self.maildirs = {
            "virtual": pathlib.Path(self.suite.env["MAILDIR_1"]),
            "forward": pathlib.Path(self.suite.env["MAILDIR_2"]),
            "system": pathlib.Path(u.home, "Maildir"),
            "bounces": pathlib.Path(u.home, "Bounces")}
        self.many = pathlib.Path(u.home, "Many/new")
        self.recipients = {
            "virtual": f"bob@{HOME}", "system": f"{u.name}@{HOME}",
            **{name: f"x@{name}.test" for name in self.sinks}}
        self.root = self.suite.folder
        return self

    def __exit__(self, *why):
        if why[0] is not None:
            print("--- end of the suite's log\n" + self.suite.log()[-6000:])
        if "TORTURE_LOG" in os.environ:
            shutil.copy(self.suite.env["LOG"], os.environ["TORTURE_LOG"])
        self.suite.remove()
        for sink in self.sinks.values():
            sink.stop()
        self.user.__exit__()

    # ---- ways in: each takes (kind, sender, recipients) ----

    def over(self, dialogue, kind, sender, recipients):
        said = dialogue.send(sender.encode(), [r.encode() for r in recipients],
                             kind.wire)
        dialogue.close()
        return Sent(said.startswith("250 2.0.0 Queued"), said)

    def listen(self, kind, sender, recipients):
        sock = socket.create_connection(self.suite.smtp, 60)
        return self.over(Dialogue(sock), kind, sender, recipients)

    filter = listen

    def program(self, command, kind, sender, recipients, **env):
        """smtpd on a socket, as a super-server starts it."""
        near, far = socket.socketpair()
        p = subprocess.Popen(command, stdin=far, stdout=far,
                             stderr=subprocess.DEVNULL,
                             env=environment(self.root, **env))
        far.close()
        try:
            return self.over(Dialogue(near), kind, sender, recipients)
        finally:
            assert p.wait(20) == 0

    def by_hand(self, *args):
        return self.program([self.bin / "postern-smtpd"], *args,
                            TCPREMOTEIP="192.0.2.7", RELAYCLIENT="")

    def sendmail_bs(self, *args):
        return self.program([self.bin / "postern-sendmail", "-bs"], *args)

    def queue(self, kind, sender, recipients):
        envelope = b"F%s\0" % sender.encode() + b"".join(
            b"T%s\0" % r.encode() for r in recipients) + b"\0"
        done = queue(self.root, kind.text, envelope)
        assert not done.errors, done
        return Sent(done.code == 0, f"{done.code} {done.report.strip()}")

    drop_box = queue  # while the suite is stopped

    def handed_in(self, text, *command, ends=(0, 100)):
        done = subprocess.run(
            [self.bin / command[0], *command[1:]], input=text, timeout=60,
            capture_output=True, env=environment(self.root))
        said = done.stderr.decode()
        assert done.returncode in ends, done
        assert (len(said.splitlines()) == 1) == (done.returncode != 0), done
        assert done.stdout == b""
        return Sent(done.returncode == 0, said.strip())

    def inject(self, kind, sender, recipients):
        return self.handed_in(kind.text, "postern-inject", "-a", "-f", sender,
                              "--", *recipients)

    def sendmail_i(self, kind, sender, recipients):
        return self.handed_in(kind.text, "postern-sendmail", "-i", "-f",
                              sender, *recipients, ends=kind.sysexits)

    def sendmail_dot(self, kind, sender, recipients):
        return self.handed_in(kind.text, "postern-sendmail", "-f", sender,
                              *recipients, ends=kind.sysexits)

    def sendmail_t(self, kind, sender, recipients):
        return self.handed_in(
            with_bcc(kind.text, recipients), "postern-sendmail", "-t", "-i",
            "-f", sender, ends=kind.sysexits)

    def remote(self, host, sender, text):
        """The reports of postern-remote."""
        done = subprocess.run(
            [self.bin / "postern-remote", host, sender, "x@full.test"],
            input=text, stdout=subprocess.PIPE, timeout=60,
            env=environment(self.root))
        assert done.returncode == 0, done
        return done.stdout

    # ---- what came out ----

    def filter_off(self):
        """From here on mail goes to queued itself."""
        os.unlink(pathlib.Path(self.suite.env["CONTROL"], "filter"))
        seen = self.suite.log().count("role=listen-smtp event=reloaded")
        os.kill(self.suite.roles()["start"], signal.SIGHUP)
        self.suite.wait_log("role=listen-smtp event=reloaded",
                            count=seen + 1)

    def files(self, place):
        """{sender: (path, bytes)} of a Maildir; a list when there are more."""
        found = {}
        for path in self.maildirs[place].glob("new/*"):
            raw = path.read_bytes()
            sender = re.match(rb"Return-Path: <(.*)>\n", raw)[1].decode()
            if sender == "":  # a bounce: to whom
                sender = re.search(rb"^Delivered-To: (.*)$", raw, re.M)[1]
                sender = sender.decode()
            found.setdefault(sender, []).append((path, raw))
        return found

    def waiting(self):
        """{sender: queue id} of what is left in the queue."""
        rows = self.suite.postern("queue", "list", "--json").stdout
        rows = [json.loads(r) for r in rows.splitlines()]
        return {r["sender"]: r["id"] for r in rows}

    def in_queue(self, ident):
        """The message as `postern queue cat` has it."""
        return subprocess.run(
            [self.bin / "postern", "queue", "cat", ident], check=True,
            stdout=subprocess.PIPE, env=environment(self.root)).stdout

    def send_all(self, jobs):
        """[Sent] of (way, kind, sender, recipients), eight at a time."""
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return list(pool.map(
                lambda j: getattr(self, j[0])(*j[1:]), jobs))


def with_bcc(text, recipients):
    """The text with its recipients in a field that does not stay; where it has
    a header (a first line of mbox goes before that)."""
    return b"Bcc: " + ", ".join(recipients).encode() + b"\n" + text
