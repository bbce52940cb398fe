# SPDX-License-Identifier: ISC
"""The sweep's mail: what is sent, what came of it, and the next hops."""
import collections
import hashlib
import itertools
import pathlib
import re
import socket
import sys
import threading
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "protocol"))
from smtp_peer import Peer  # noqa: E402

PATIENCE = 15  # seconds for whatever has to come back after a stop
SUBJECT = re.compile(rb"^Subject: (\S+)$", re.M)


class Failure(Exception):
    """A promise that was not kept, in words; kind is the column it counts in:
    lost, torn (other bytes), twice (without a cause), stray (left over, or not
    to be there), other."""

    def __init__(self, text, kind="other"):
        super().__init__(text)
        self.kind = kind


class Mail:
    """A message and what its sender knows of it: accepted (250), unknown (the
    reply to its last dot did not come, or was a 4xx; then the session saw that
    queued died), or absent (never sent whole, or refused)."""

    def __init__(self, token, places, size, sender):
        self.token, self.size, self.sender = token, size, sender
        self.places = {r.replace("TOKEN", token): p for r, p in places.items()}
        line = f"{token} " + "x" * 61 + "\n"
        text = f"Subject: {token}\n\n" + line * (size // len(line) + 1)
        self.raw = text.encode()
        self.hash = hashlib.sha256(self.raw).hexdigest()
        self.state = "absent"
        self.id = None
        self.deferred = False  # the answer to the last dot was a 4xx
        self.deleted = {}  # {place: "maybe" or "yes"}: removed by hand


def token_and_hash(raw):
    """Of a message as it was found, with whatever headers on top."""
    text = raw.replace(b"\r\n", b"\n")
    found = SUBJECT.search(text)
    if not found:
        return None, None
    return (found.group(1).decode(),
            hashlib.sha256(text[found.start():]).hexdigest())


class Book:
    """All mails of one round."""

    numbers = itertools.count(1)

    def __init__(self):
        self.mails = {}

    def write(self, places, size=300, sender="carol@elsewhere.test"):
        """places: {recipient: (where its copies end up, ...)}"""
        mail = Mail(f"m{next(self.numbers)}", places, size, sender)
        mail.recipe = (places, size, sender)
        self.mails[mail.token] = mail
        return mail


class Hop(Peer):
    """A next hop: takes everything, or defers or refuses every recipient."""

    def __init__(self, mode):
        self.mode = mode
        self.taken = collections.defaultdict(list)  # token: [(time, hash)]
        self.lock = threading.Lock()
        super().__init__({"RCPT": self.rcpt})

    def rcpt(self, conn, line):
        return {"take": b"250 2.1.5 ok\r\n", "defer": b"451 4.7.1 later\r\n",
                "refuse": b"550 5.1.1 no such user\r\n"}[self.mode]

    def body(self, conn, pending):
        data, rest = self.read_body(conn, pending)
        if not data:  # nobody was good enough
            conn.sendall(b"554 5.5.1 no recipients\r\n")
            return rest
        token, digest = token_and_hash(data)
        with self.lock:
            self.taken[token].append((time.monotonic(), digest))
        conn.sendall(b"250 2.0.0 taken\r\n")
        return rest


class Client:
    """Sends mails over SMTP until each one wanted has its 250."""

    def __init__(self, address):
        self.address = address
        self.sock = self.file = None

    def close(self):
        if self.sock:
            self.file.close()
            self.sock.close()
            self.sock = None

    def reply(self):
        while True:
            line = self.file.readline()
            if not line.endswith(b"\n"):
                raise ConnectionError("no reply")
            if line[3:4] != b"-":
                return line.decode("latin-1").strip()

    def ask(self, line):
        self.sock.sendall(line.encode() + b"\r\n")
        return self.reply()

    def open(self):
        if self.sock:
            return
        self.sock = socket.create_connection(self.address, timeout=25)
        self.file = self.sock.makefile("rb")
        if not self.reply().startswith("220"):
            raise ConnectionError("no greeting")
        self.ask("EHLO sweep.test")

    def transact(self, mail):
        """One transaction; True when it was accepted."""
        self.open()
        lines = [f"MAIL FROM:<{mail.sender}>"] + \
            [f"RCPT TO:<{r}>" for r in mail.places] + ["DATA"]
        for line in lines:
            answer = self.ask(line)
            if answer[:1] not in ("2", "3"):
                self.ask("RSET")
                return False
        wire = mail.raw.replace(b"\n", b"\r\n") + b".\r\n"
        mail.state = "unknown"
        self.sock.sendall(wire)
        answer = self.reply()
        if not answer.startswith("2"):
            mail.deferred = answer.startswith("4")
            mail.state = "unknown" if mail.deferred else "absent"
            return False
        mail.state = "accepted"
        found = re.search(r"\b([0-9a-f]{16})\b", answer)
        mail.id = found.group(1) if found else None
        return True

    def send(self, book, mail):
        """Until it, or another one like it, is accepted: the one that was."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                if self.transact(mail):
                    return mail
            except OSError:
                self.close()
            if time.monotonic() > end:
                raise Failure(f"no 250 for {PATIENCE} s")
            time.sleep(0.02)
            mail = book.write(*mail.recipe)

    def send_all(self, book, mails):
        return [self.send(book, m) for m in mails]
