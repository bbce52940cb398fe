# SPDX-License-Identifier: ISC
"""The load of the power cuts: SMTP and POP3 clients, next hops, and the record
of what each of them knows.  All of it runs in one thread with an event loop."""
import asyncio
import contextlib
import dataclasses
import hashlib
import os
import random
import re
import threading
import time

USERS = 7               # the last one gets what the alias brings
ALIAS = "team@local.test", ["u6@local.test", "team@sink.test"]
LATER, NOW = False, True
LINE_MAX = 4 << 20
WRITERS = 8
# share by what the recipients are: l local, a alias, s next hop, w a next hop
# that says "later", x one that refuses; and by the sizes of SIZES
PROFILES = {
    "mixed": ((("l", 38), ("lll", 8), ("s", 16), ("w", 15), ("lsw", 6),
               ("sww", 3), ("x", 4), ("a", 6), ("law", 4)), (60, 30, 10, 0)),
    "spool": ((("s", 25), ("w", 55), ("sw", 12), ("www", 8)), (40, 10, 50, 0)),
    "large": ((("w", 1),), (0, 0, 0, 1)),
    "local": ((("l", 3), ("lll", 1)), (1, 0, 0, 0)),
    # by postern-queue, into the drop box
    "drop": ((("l", 4), ("lll", 2), ("s", 2), ("ww", 1), ("x", 1)),
             (60, 30, 10, 0)),
}
SIZES = ((100, 4000), (4000, 60000), (66000, 300000), (66000, 80000))
DOMAINS = {"l": "local.test", "s": "sink.test", "w": "later.test",
           "x": "refused.test"}


@dataclasses.dataclass
class Message:
    digest: str
    recipients: list
    began: int          # position when its first byte was sent
    acked: int = -1     # position when the client had the 250


@dataclasses.dataclass
class Taken:
    """By a next hop, before it said so."""
    name: str
    recipient: str
    position: int
    at: float
    whole: bool
    life: int           # of the suite: how many cuts had been before


@dataclasses.dataclass
class Record:
    sent: dict = dataclasses.field(default_factory=dict)
    taken: list = dataclasses.field(default_factory=list)
    # (name, user): [position before QUIT, position after its +OK or -1]
    deleted: dict = dataclasses.field(default_factory=dict)
    errors: int = 0

    def until(self, cut):
        """What holds for a disk that was cut there, in positions of a log that
        begins then."""
        out = Record()
        for name, m in self.sent.items():
            if m.began <= cut:
                out.sent[name] = dataclasses.replace(
                    m, began=0, acked=0 if 0 <= m.acked <= cut else -1)
        out.taken = [dataclasses.replace(t, position=0)
                     for t in self.taken if t.position <= cut]
        # it may come again, for the mark that it was delivered may be lost
        out.deleted = {key: [0, -1] for key, (began, _) in self.deleted.items()
                       if began <= cut}
        return out


def digest(text):
    return hashlib.sha256(text).hexdigest()


def identify(raw):
    """(name, digest) of a message with LF line ends, whose trace headers do not
    count; the name is None for what the load did not send."""
    head, _, _ = raw.partition(b"\n\n")
    found = re.search(rb"^Subject: (p-\S+)$", head, re.M)
    if not found:
        return None, ""
    return found.group(1).decode(), digest(raw[found.start():])


def compose(rng, name, sizes):
    """The message on the wire's side of CRLF, but with LF."""
    low, high = rng.choices(SIZES, sizes)[0]
    data = rng.randbytes(rng.randint(low, high) // 2).hex()
    lines = [data[i:i + 76] for i in range(0, len(data), 76)]
    return "\n".join([f"Subject: {name}", "", *lines, ".", ".end", ""]).encode()


def on_wire(text):
    return text.replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")


class Net:
    """The clients and next hops of one world."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.record = Record()
        self.position = lambda: 0
        self.stage = LATER
        self.ports = {}
        self.smtp = self.pop3 = None
        self.counter = 0
        self.life = 0
        self.password = ""
        self.queue = []         # a command: postern-queue of a stopped suite
        self.running = []
        self.stopping = True
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.call(self.listen())

    def call(self, coroutine, timeout=60):
        return asyncio.run_coroutine_threadsafe(
            coroutine, self.loop).result(timeout)

    def close(self):
        self.halt()
        self.loop.call_soon_threadsafe(self.loop.stop)

    # ---- next hops ----

    async def listen(self):
        for kind in "swx":
            async def serve(reader, writer, kind=kind):
                try:
                    await self.hop(kind, reader, writer)
                except (OSError, asyncio.IncompleteReadError):
                    pass
                finally:
                    writer.close()
            server = await asyncio.start_server(
                serve, "127.0.0.1", 0, limit=LINE_MAX)
            self.ports[kind] = server.sockets[0].getsockname()[1]

    async def hop(self, kind, reader, writer):
        recipients = []
        writer.write(b"220 hop ESMTP\r\n")
        while True:
            line = await reader.readline()
            verb = line[:4].upper()
            if verb in (b"", b"QUIT"):
                return
            if verb == b"EHLO":
                answer = b"250-hop\r\n250-PIPELINING\r\n250 8BITMIME"
            elif verb == b"RCPT" and kind == "x":
                answer = b"550 5.1.1 nobody"
            elif verb == b"RCPT" and kind == "w" and self.stage == LATER:
                answer = b"451 4.7.1 later"
            elif verb == b"RCPT":
                recipients.append(
                    re.search(rb"<(.*?)>", line).group(1).decode())
                answer = b"250 2.1.5 good"
            elif verb == b"DATA" and not recipients:
                answer = b"503 5.5.1 no recipient"
            elif verb == b"DATA":
                writer.write(b"354 go on\r\n")
                self.take(recipients, await reader.readuntil(b"\r\n.\r\n"))
                recipients, answer = [], b"250 2.0.0 taken"
            else:
                recipients, answer = [], b"250 2.0.0 good"
            writer.write(answer + b"\r\n")
            await writer.drain()

    def take(self, recipients, raw):
        text = raw[:-3].replace(b"\r\n", b"\n").replace(b"\n..", b"\n.")
        name, found = identify(text)
        sent = self.record.sent.get(name)
        whole = sent is not None and sent.digest == found
        for r in recipients:
            self.record.taken.append(Taken(
                str(name), r, self.position(), time.time(), whole, self.life))

    # ---- SMTP ----

    def recipients(self, rng, kinds, name):
        """The addresses, and who gets it at last."""
        users = rng.sample(range(USERS - 1), kinds.count("l"))
        to, finally_ = [], []
        for i, kind in enumerate(kinds):
            if kind == "a":
                to.append(ALIAS[0])
                finally_ += ALIAS[1]
                continue
            local = {"l": f"u{users.pop()}" if kind == "l" else "",
                     "x": name}.get(kind, f"r{i}")
            to.append(f"{local}@{DOMAINS[kind]}")
            finally_.append(to[-1])
        return to, finally_

    async def reply(self, reader):
        while True:
            line = await reader.readline()
            if not line.endswith(b"\r\n"):
                raise ConnectionError("closed")
            if line[3:4] != b"-":
                return line

    async def send(self, reader, writer, rng, profile):
        kinds, sizes = PROFILES[profile]
        name = f"p-{self.life}-{self.counter}"
        self.counter += 1
        kind = rng.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
        to, finally_ = self.recipients(rng, kind, name)
        text = compose(rng, name, sizes)
        self.record.sent[name] = message = Message(
            digest(text), finally_, self.position())
        writer.write(b"MAIL FROM:<u0@local.test>\r\n" + b"".join(
            b"RCPT TO:<%s>\r\n" % r.encode() for r in to) + b"DATA\r\n")
        replies = [await self.reply(reader) for _ in range(len(to) + 2)]
        if replies[-1][:3] != b"354":
            raise ConnectionError(str(replies))
        writer.write(on_wire(text) + b".\r\n")
        await writer.drain()
        if (await self.reply(reader))[:3] != b"250":
            raise ConnectionError("refused")
        message.acked = self.position()

    async def sender(self, seed, profile, rate):
        rng = random.Random(seed)
        while not self.stopping:
            writer = None
            try:
                reader, writer = await asyncio.open_connection(*self.smtp)
                await self.reply(reader)
                writer.write(b"EHLO load.test\r\n")
                await self.reply(reader)
                for _ in range(rng.randint(1, 30)):
                    if self.stopping:
                        break
                    await self.send(reader, writer, rng, profile)
                    await asyncio.sleep(rng.expovariate(rate))
            except (OSError, asyncio.IncompleteReadError):
                self.record.errors += 1
                await asyncio.sleep(0.05)
            finally:
                if writer:
                    writer.close()

    # ---- postern-queue ----

    async def hand_in(self, rng):
        kinds, sizes = PROFILES["drop"]
        name = f"p-{self.life}-{self.counter}"
        self.counter += 1
        kind = rng.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
        to, finally_ = self.recipients(rng, kind, name)
        text = compose(rng, name, sizes)
        paths = b"Fu0@local.test\0" + b"".join(
            b"T%s\0" % r.encode() for r in to) + b"\0"
        self.record.sent[name] = message = Message(
            digest(text), finally_, self.position())
        with contextlib.ExitStack() as stack:
            fds = []
            for content in (text, paths):
                f = stack.enter_context(os.fdopen(
                    os.memfd_create("given"), "w+b"))
                f.write(content)
                f.seek(0)
                fds.append(f)
            child = await asyncio.create_subprocess_exec(
                *self.queue, stdin=fds[0], stdout=fds[1],
                stderr=asyncio.subprocess.DEVNULL)
            if await child.wait() == 0:
                message.acked = self.position()
            else:
                self.record.errors += 1

    async def writer(self, seed, rate):
        rng = random.Random(seed)
        while not self.stopping:
            await self.hand_in(rng)
            await asyncio.sleep(rng.expovariate(rate))

    # ---- POP3 ----

    async def pop_line(self, reader, writer, command):
        if command:
            writer.write(command + b"\r\n")
        line = await reader.readline()
        if line[:3] != b"+OK":
            raise ConnectionError(str(line))

    async def drop(self, reader, writer, rng, user):
        """One session: reads some messages, deletes some of these."""
        await self.pop_line(reader, writer, b"")
        await self.pop_line(reader, writer, b"USER %s@local.test" % user)
        await self.pop_line(reader, writer, b"PASS " + self.password.encode())
        await self.pop_line(reader, writer, b"LIST")
        count = 0
        while await reader.readline() != b".\r\n":
            count += 1
        gone = []
        for n in rng.sample(range(1, count + 1), min(count, 8)):
            await self.pop_line(reader, writer, b"RETR %d" % n)
            raw = await reader.readuntil(b"\r\n.\r\n")
            name, _ = identify(raw.replace(b"\r\n", b"\n"))
            if name and rng.random() < 0.6:
                await self.pop_line(reader, writer, b"DELE %d" % n)
                gone.append((name, user.decode()))
        for key in gone:
            self.record.deleted[key] = [self.position(), -1]
        await self.pop_line(reader, writer, b"QUIT")
        for key in gone:
            self.record.deleted[key][1] = self.position()

    async def reader(self, seed):
        rng = random.Random(seed)
        while not self.stopping:
            writer = None
            user = b"u%d" % rng.randrange(USERS)
            try:
                reader, writer = await asyncio.open_connection(
                    *self.pop3, limit=LINE_MAX)
                await self.drop(reader, writer, rng, user)
            except (OSError, asyncio.IncompleteReadError):
                self.record.errors += 1
            finally:
                if writer:
                    writer.close()
            await asyncio.sleep(rng.uniform(0, 0.2))

    # ---- the whole ----

    def begin(self, seed, profile="mixed", sessions=50, readers=2, rate=0):
        """A load that goes on writing the record until halt(), at this many
        messages a second of each session, or one of some rates."""
        rate = rate or random.Random(seed).choice([3, 8, 20])

        async def start():
            self.stage, self.stopping = LATER, False
            if profile == "drop":
                self.running = [asyncio.create_task(self.writer(
                    f"{seed}-{i}", rate)) for i in range(WRITERS)]
                return
            self.running = [asyncio.create_task(self.sender(
                f"{seed}-{i}", profile, rate)) for i in range(sessions)]
            if profile in ("mixed", "local"):
                self.running += [asyncio.create_task(
                    self.reader(f"{seed}-p{i}")) for i in range(readers)]
        self.call(start())

    def halt(self, gently=0.0):
        """Ends the load at once, or lets it end by itself for some seconds."""
        async def stop():
            self.stopping = True
            if self.running:
                if gently:
                    await asyncio.wait(self.running, timeout=gently)
                for task in self.running:
                    task.cancel()
                await asyncio.wait(self.running)
            self.running = []
        self.call(stop())
