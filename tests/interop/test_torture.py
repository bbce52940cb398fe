# SPDX-License-Identifier: ISC
"""Every kind of message through every way in, to every way out: byte for byte,
with exactly the lines on top that INTERNALS.md names, or refused with a reason.

All ways in are fed at once, then every way out is looked at, so that a test is
a comparison.  TORTURE=all (make check-torture) has the large ones everywhere.
"""
import contextlib
import os
import re
import socket
from random import Random

import pytest

import torture_model as model
from suite import wait_for
from torture_kinds import HEAD, KINDS, MIME, REFUSED, Kind, body, wire
from torture_world import BIG, BY, FROM, HOME, Dialogue, Pop, World

pytestmark = pytest.mark.skipif(os.geteuid() != 0,
                                reason="makes a user: needs root")
ALL = os.environ.get("TORTURE") == "all"

# way in: how it speaks, and the trace lines that it puts on top
LOOPBACK = FROM % rb"\[127\.0\.0\.1\]"
WAYS = {
    "drop_box": ("queue", BY % b"0"),
    "listen": ("smtp", LOOPBACK),
    "by_hand": ("smtp", FROM % rb"\[192\.0\.2\.7\]"),
    "sendmail_bs": ("smtp", FROM % rb"uid 0"),
    "queue": ("queue", BY % b"0"),
    "inject": ("inject", BY % b"0"),
    "sendmail_i": ("inject", BY % b"0"),
    "sendmail_dot": ("inject", BY % b"0"),
    "sendmail_t": ("inject", BY % b"0"),
    "filter": ("smtp", BY % rb"\d+" + LOOPBACK),
}
# with -t the recipients' field stands on top, and what is folded belongs to it
CELLS = [(way, kind) for way in WAYS for kind in KINDS
         if (way, kind.name) != ("sendmail_t", "folded first")]


def why_not(way, kind):
    """What is said when it is refused, or None."""
    if way == "filter" and kind.name == "100 hops":
        return REFUSED["smtp", "loop"]  # the filter's queue is a hop more
    return kind.why(WAYS[way][0])


class Run:
    """Everything sent, and what came of it."""

    def __init__(self, world):
        self.world = world
        self.sender = {cell: f"{world.user.name}-back-{n}@{HOME}"
                       for n, cell in enumerate(CELLS)}
        self.sent = {}
        to = list(world.recipients.values())
        world.suite.stop()
        self.send(["drop_box"], to)
        world.suite.start()
        self.send(["filter"], to)
        self.large = {"filter": send_large(world, "filter")}
        world.filter_off()
        self.send([w for w in WAYS if w not in ("drop_box", "filter")], to)
        self.collect()

    def send(self, ways, to):
        cells = [c for c in CELLS if c[0] in ways]
        jobs = [(*c, self.sender[c], to) for c in cells]
        self.sent.update(zip(cells, self.world.send_all(jobs)))

    def collect(self):
        w = self.world
        senders = [self.sender[c] for c, s in self.sent.items() if s.taken]
        self.count = len(senders)

        def done():
            self.came = {
                **{p: len(list(m.glob("new/*")))
                   for p, m in w.maildirs.items()},
                "program": len(os.listdir(f"{w.user.home}/out")),
                **{p: sum(len(w.sinks[p].mail.get(s, ())) for s in senders)
                   for p in ("full", "bare")}}
            return min(self.came.values()) >= self.count
        with contextlib.suppress(AssertionError):  # said by a test
            wait_for(done, 40, "all mail")
        self.boxes = {p: w.files(p) for p in w.maildirs}
        self.waiting = w.waiting()


@pytest.fixture(scope="module")
def run():
    with World() as world:
        yield Run(world)


@pytest.mark.parametrize("way,kind", CELLS,
                         ids=[f"{w}-{k.name}" for w, k in CELLS])
def test_cell(run, way, kind):
    sent, sender = run.sent[way, kind], run.sender[way, kind]
    why = why_not(way, kind)
    if why is not None:
        assert not sent.taken and why in sent.said
        assert not any(sender in box for box in run.boxes.values())
        return
    assert sent.taken, sent.said
    head = f"Return-Path: <{sender}>\nDelivered-To: "
    (path, raw), = run.boxes["virtual"][sender]
    top = f"{head}bob@{HOME}\n".encode()
    assert raw.startswith(top)
    queued = raw[len(top):]
    trace = re.match(WAYS[way][1], queued)
    assert trace
    check_text(way, kind, sender, queued[trace.end():])
    check_maildirs(run, sender, head, queued)
    check_remote(run, sender, queued)
    check_bounce(run, sender, queued)


def test_nothing_is_lost_and_nothing_comes_twice(run):
    assert run.came == dict.fromkeys(run.came, run.count)


def check_text(way, kind, sender, came):
    if WAYS[way][0] == "smtp":
        assert came == kind.from_wire()
    elif WAYS[way][0] == "queue":
        assert came == kind.queued()
    else:
        text = model.lines_of(kind.text)
        if way == "sendmail_t":
            text = b"Bcc: x\n" + text
        if way == "sendmail_dot":
            text = model.up_to_dot(text)
        author = f"root@mail.{HOME}" if way == "inject" else sender
        model.completed(came, text, author.encode())


def check_maildirs(run, sender, head, queued):
    """The same in each, under a name that tells its size."""
    u = run.world.user
    for box, who in ("virtual", "bob"), ("system", u.name), \
            ("forward", "carol"):
        (path, raw), = run.boxes[box][sender]
        assert raw == f"{head}{who}@{HOME}\n".encode() + queued, box
        # W is told when there is but one way to count it
        octets = f",W={len(wire(raw))}" if raw.endswith(b"\n") else ""
        assert path.name.endswith(f",S={len(raw)}{octets}")
    with open(f"{u.home}/out/{sender}", "rb") as f:
        assert f.read() == queued


def check_remote(run, sender, queued):
    (line, raw), = run.world.sinks["full"].mail[sender]
    assert raw == wire(queued)
    eight = b" BODY=8BITMIME" * (not queued.isascii())
    assert line == b"MAIL FROM:<%s> SIZE=%d" % (sender.encode(), len(raw)) + \
        eight
    (line, raw), = run.world.sinks["bare"].mail[sender]
    assert raw == wire(queued)
    assert line == b"MAIL FROM:<%s>" % sender.encode()


def check_bounce(run, sender, queued):
    """It tells why, and has the header, if not all of a very large one."""
    (_, raw), = run.boxes["bounces"][sender]
    assert len(raw) <= 64 * 1024 + 200 and b"\r" not in raw
    assert b"\n<x@refusing.test>:\n    5.1.1 " in raw
    assert b"550 5.1.1 nobody of" in raw
    copy = raw.split(b"\nContent-Type: text/rfc822-headers\n")[1]
    copy = copy.partition(b"\n\n" if b"8bit\n\n" in copy[:60] else b"\n")[2]
    copy = copy[:copy.rindex(b"\n--postern-")]
    header = queued.split(b"\n\n")[0]
    if b"\n\n" not in queued:
        header = header.rpartition(b"\n")[0]  # whole lines
    header = b"".join(x[:990] + b"\n" for x in header.split(b"\n"))
    if len(header) < 60_000 and len(queued) < 60_000:
        assert copy == header
    assert header.startswith(copy) and (len(copy) > 50_000 or
                                        copy == header or
                                        max(map(len, queued.split(b"\n")))
                                        > 50_000)


def test_queue_cat(run):
    """The text of what waits, byte for byte."""
    cells = [c for c in CELLS if c[0] == "queue" and run.sent[c].taken]
    for cell in cells:
        sender = run.sender[cell]
        with open(f"{run.world.user.home}/out/{sender}", "rb") as f:
            assert run.world.in_queue(run.waiting[sender]) == f.read(), cell


def top(raw, lines):
    """What TOP has of a message on the wire."""
    header, blank, text = raw.partition(b"\r\n\r\n")
    return header + blank + b"".join(
        x + b"\r\n" for x in text.split(b"\r\n")[:-1][:lines])


def test_pop3(run):
    """RETR and TOP of each, and sizes that are those of what is sent."""
    pop = Pop(run.world.suite.pop3, f"bob@{HOME}", "hungry")
    sizes = dict(x.split() for x in pop.lines(b"LIST"))
    assert len(sizes) == run.count
    expected = {raw.split(b"\n", 1)[0]: wire(raw) for box in
                run.boxes["virtual"].values() for _, raw in box}
    for n, octets in sizes.items():
        came = b"".join(pop.lines(b"RETR " + n))
        wanted = expected.pop(came.split(b"\r\n", 1)[0])
        assert came == wanted and len(came) == int(octets)
        for lines in (0, 3):
            came = b"".join(pop.lines(b"TOP %s %d" % (n, lines)))
            assert came == top(wanted, lines)
    assert expected == {}
    pop.close()


# ---- postern-remote by hand ----

@pytest.mark.parametrize("kind", KINDS, ids=[k.name for k in KINDS])
def test_remote_by_hand(run, kind):
    """What SMTP can carry, byte for byte; the rest is refused with a reason."""
    sink = run.world.sinks["full"]
    sender = f"hand-{KINDS.index(kind)}@{HOME}"
    done = run.world.remote("%s:%d" % sink.address, sender, kind.text)
    if kind.refused["queue"] in ("bare", "nul", "mixed"):
        assert done.startswith(b"D5.6.0 the message "), done
        assert sender not in sink.mail
        return
    assert re.search(rb"\0K.* said: 250 ", done), done
    (line, raw), = sink.mail[sender]
    assert raw == wire(kind.text.replace(b"\r\n", b"\n"))
    assert b" SIZE=%d" % len(raw) in line


# ---- 50 MB ----

def large(n, door):
    """A text that comes to n bytes as that door counts them."""
    head = HEAD + MIME + b"\n"
    line = b"0123456789" * 70_000 + b"\n"  # no CRs to speak of
    if door == "smtp":
        head, line = wire(head), wire(line)
    text = (head + line * (n // len(line) + 1))[:n - 2 * len(line)]
    text = text[:text.rindex(b"\n") + 1]
    end = b"\r\n" if door == "smtp" else b"\n"
    text += b"e" * (n - len(text) - len(end)) + end
    assert len(text) == n
    return text.replace(b"\r\n", b"\n")


def send_large(world, way):
    """What is said of a byte too much, and of just databytes."""
    door, sender = WAYS[way][0], f"large-{way}@{HOME}"
    return [getattr(world, way)(Kind("large", large(n, door)), sender,
                                ["x@full.test", f"{world.user.name}-many-l@"
                                 f"{HOME}"]) for n in (BIG + 1, BIG)]


# with -t the recipients' field counts, too
@pytest.mark.parametrize("way", [
    w for w in WAYS if w not in ("drop_box", "sendmail_t")] if ALL else
    ["listen", "queue", "sendmail_i", "filter"])
def test_50_mib(run, way):
    """At databytes it passes, and with one more byte it is refused."""
    w = run.world
    over, just = run.large.get(way) or send_large(w, way)
    door, sender = WAYS[way][0], f"large-{way}@{HOME}"
    assert not over.taken and REFUSED[door, "large"] in over.said
    assert just.taken, just.said
    head = f"Return-Path: <{sender}>\n".encode()
    text = large(BIG, door)

    def find():
        for path in w.many.glob("*"):
            with open(path, "rb") as f:
                if f.read(len(head)) == head:
                    return path
    path = wait_for(find, 60, "it")
    queued = path.read_bytes().split(b"\n", 2)[2]
    assert queued[-len(text):] == text
    assert re.fullmatch(WAYS[way][1], queued[:-len(text)])
    wait_for(lambda: sender in w.sinks["full"].mail, 60, "the large one")
    (line, raw), = w.sinks["full"].mail.pop(sender)
    assert f" SIZE={len(raw)}".encode() in line and raw == wire(queued)
    path.unlink()


def test_size_announced(run):
    d = Dialogue(socket.create_connection(run.world.suite.smtp, 60))
    assert d.say(b"MAIL FROM:<> SIZE=%d" % (BIG + 1))[0].startswith(
        "552 5.3.4 ")
    assert d.say(b"MAIL FROM:<> SIZE=%d" % BIG)[0].startswith("250 ")
    d.close()


# ---- many recipients ----

def many(run, way, count):
    """Sends to so many, each of which files it; who got it."""
    w = run.world
    for path in w.many.glob("*"):
        path.unlink()
    to = [f"{w.user.name}-many-{i}@{HOME}" for i in range(count)]
    # without a To, which would be one more with -t
    sent = getattr(w, way)(Kind("many", b"\nx\n"), f"carol@{HOME}", to)
    return to, sent


@pytest.mark.parametrize("way", [w for w in WAYS if w not in (
    "drop_box", "filter")])
def test_1000_recipients(run, way):
    to, sent = many(run, way, 1000)
    assert sent.taken, sent.said
    try:
        wait_for(lambda: len(list(run.world.many.glob("*"))) >= 1000, 20, way)
    except AssertionError:
        print(*re.findall(r".*event=deferred .*-many-.*",
                          run.world.suite.log())[-5:], sep="\n")
        raise
    got = [re.search(rb"^Delivered-To: (.*)$", p.read_bytes(), re.M)[1]
           for p in run.world.many.glob("*")]
    assert sorted(got) == sorted(t.encode() for t in to)


TOO_MANY = {"smtp": "452 4.5.3 Too many recipients",
            "queue": "31 D5.5.3 More than 1000 recipients; send it in parts",
            "inject": "more than 1000 recipients; send it in parts"}


@pytest.mark.parametrize("way", [w for w in WAYS if w not in (
    "drop_box", "filter")])
def test_1001_recipients(run, way):
    sent = many(run, way, 1001)[1]
    assert not sent.taken and TOO_MANY[WAYS[way][0]] in sent.said


def test_1000_failures_are_all_told(run):
    """However long their reasons; in several reports."""
    w = run.world
    w.sinks["refusing"].replies["RCPT"] = \
        b"550 5.1.1 " + b"a long reason " * 30 + b"\r\n"
    sender = f"{w.user.name}-many-told@{HOME}"
    for path in w.many.glob("*"):
        path.unlink()
    to = [f"r{i}@refusing.test" for i in range(1000)]
    sent = w.queue(Kind("many", body(b"x")), sender, to)
    assert sent.taken, sent.said

    def told():
        return re.findall(rb"^<(r\d+@refusing.test)>:$", b"".join(
            p.read_bytes() for p in w.many.glob("*")), re.M)
    wait_for(lambda: len(told()) >= 1000, 30, "the reports")
    assert sorted(told()) == sorted(t.encode() for t in to)
    assert all(p.stat().st_size < 65 * 1024 for p in w.many.glob("*"))


# ---- odd addresses ----

LONG = "l" * 64
ADDRESSES = [  # as written, and as it is on the wire; None: refused
    (f"{LONG}@full.test", f"{LONG}@full.test"),
    (f"l{LONG}@full.test", None),
    ('"two words"@full.test', '"two words"@full.test'),
    ('"plain"@full.test', "plain@full.test"),
    (r'"a\"b\\c"@full.test', r'"a\"b\\c"@full.test'),
    ('"(),:;<>[]@"@full.test', '"(),:;<>[]@"@full.test'),
    ('"."@full.test', '"."@full.test'),
    ('""@full.test', '""@full.test'),
    ("!#$%&'*+/=?^_`{|}~-@full.test", "!#$%&'*+/=?^_`{|}~-@full.test"),
    ("x@[192.0.2.1]", "x@[192.0.2.1]"),
    ("x@[192.0.2.256]", None),
    ("x@FULL.Test", "x@full.test"),
    ("two words@full.test", None),
    ("x@full..test", None),
    ("x@" + "d" * 64 + ".test", None),
    ("ü@full.test", None),
    ('"unclosed@full.test', None),
]
MISTAKE = re.compile(
    "^(501 5.1.[37] |55[03] 5.1.[123] |501 5.5.4 Say (MAIL|RCPT) |500 5.5.2 "
    "Only printable ASCII)|: (this is no address|not ASCII: such addresses need"
    " SMTPUTF8|unbalanced quotes, parentheses or brackets|put a comma between "
    "addresses, or <> around one|the address is too long)")
ADDRESS_WAYS = ["listen", "by_hand", "sendmail_bs", "sendmail_t", "inject"]


@pytest.mark.parametrize("way", ADDRESS_WAYS)
@pytest.mark.parametrize("given,out", ADDRESSES)
def test_addresses(run, way, given, out):
    """As recipient and as sender; what is refused, with a reason."""
    w = run.world
    paths = w.sinks["full"].paths
    del paths[:]
    kind = Kind("address", body(b"x"))
    kind.sysexits = (0, 64, 65)  # EX_USAGE: on the command line
    for sender, to in (given, f"carol@{HOME}"), (f"carol@{HOME}", given):
        sent = getattr(w, way)(kind, sender, [to])
        assert sent.taken == (out is not None), sent.said
        if out is None:
            assert re.search(MISTAKE, sent.said), sent.said
    if out is not None:
        wanted = b"<" + out.encode() + b">"
        wait_for(lambda: wanted in paths, 10, out)


# ---- line ends ----

PIECES = [b"\r\n"] * 30 + [b"."] * 12 + [b"x", b"\xff", b" ", b":", b"\t"] * 6


def random_wire(random):
    """Mostly good; one of four may have bytes that may not be."""
    pieces = PIECES + [b"\r", b"\n", b"\0"] * (random.random() < 0.25)
    raw = b"".join(random.choice(pieces) for _ in range(random.randrange(60)))
    raw += b"\r\n" * (raw != b"")
    return (b"\r\n" + raw).replace(b"\r\n.", b"\r\n..")[2:]


def test_line_ends_go_there_and_back(run):
    """Whatever stands on the wire is the same again at the next host: smtpd
    and remote are each other's inverse.  What cannot be is refused."""
    w = run.world
    random = Random(os.environ.get("SEED", "5"))
    d = Dialogue(socket.create_connection(w.suite.smtp, 60))
    taken = {}
    for i in range(5000 if ALL else 400):
        raw, sender = random_wire(random), f"ends-{i}@{HOME}"
        said = d.send(sender.encode(), [b"x@full.test"], raw)
        bad = re.search(rb"\r(?!\n)|(?<!\r)\n|\0", raw)
        assert said[:4] == ("554 " if bad else "250 "), (raw, said)
        if not bad:
            taken[sender] = b"\r\n".join(
                x[1:] if x[:1] == b"." else x for x in raw.split(b"\r\n"))
    d.close()
    mail = w.sinks["full"].mail
    wait_for(lambda: taken.keys() <= mail.keys(), 60, "all of them")
    for sender, text in taken.items():
        (_, raw), = mail[sender]
        trace = re.match(WAYS["listen"][1], raw.replace(b"\r\n", b"\n"))[0]
        assert raw == wire(trace) + text
    assert len(taken) > 100


def test_nobody_died_of_it(run):
    log = run.world.suite.log()
    for word in ("role-died", "forbidden-call", "session-crashed", "level=bug",
                 "AddressSanitizer", "runtime error"):
        assert word not in log, log[log.index(word) - 500:][:1000]
