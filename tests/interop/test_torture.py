# SPDX-License-Identifier: ISC
"""Every kind of message through every way in, to every way out: byte for byte,
with exactly the lines on top that INTERNALS.md names, or refused with a reason.

All ways in are fed at once, then every way out is looked at, so that a test is
a comparison.  TORTURE=all (make check-torture) has the large ones everywhere.
"""
import contextlib
import json
import os
import re

import pytest

import torture_model as model
from suite import wait_for
from torture_kinds import KINDS, REFUSED, wire
from torture_world import BY, FROM, HOME, World

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
        self.send([w for w in WAYS if w not in ("drop_box", "filter")], to)
        world.filter_on()
        self.send(["filter"], to)
        self.collect()

    def send(self, ways, to):
        cells = [c for c in CELLS if c[0] in ways]
        jobs = [(*c, self.sender[c], to) for c in cells]
        self.sent.update(zip(cells, self.world.send_all(jobs)))

    def collect(self):
        w = self.world
        self.count = sum(s.taken for s in self.sent.values())

        def done():
            self.came = {
                **{p: len(list(m.glob("new/*")))
                   for p, m in w.maildirs.items()},
                "program": len(os.listdir(f"{w.user.home}/out")),
                **{p: sum(map(len, w.sinks[p].mail.values()))
                   for p in ("full", "bare")}}
            return min(self.came.values()) >= self.count
        with contextlib.suppress(AssertionError):  # said by a test
            wait_for(done, 40, "all mail")
        self.boxes = {p: w.files(p) for p in w.maildirs}
        rows = w.suite.postern("queue", "list", "--json").stdout
        self.waiting = [json.loads(r) for r in rows.splitlines()]


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
        assert path.name.endswith(
            f",S={len(raw)},W={len(raw) + raw.count(10)}")
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
