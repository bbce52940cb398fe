# SPDX-License-Identifier: ISC
"""Whatever the queue is busy with, a single message to anybody else is
delivered within a second of its acceptance (and twice what it takes in an idle
suite, since this machine may be busy with other tests)."""
import contextlib
import os
import pathlib
import socket
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from smtp_peer import Peer  # noqa: E402
from suite import Suite, wait_for  # noqa: E402

PLACES = 40


def frame(kind, data):
    return b"%d:%s%s," % (len(data) + 1, kind, data)


def inject(suite, sender, recipients, text=b"hello"):
    """One message through run/queue; returns when it is on disk."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(os.path.join(suite.folder, "run/postern/queue"))
        s.sendall(frame(b"F", sender.encode()) +
                  b"".join(frame(b"T", r.encode()) for r in recipients) +
                  frame(b"B", b"Subject: x\n\n" + text + b"\n") +
                  frame(b"C", b""))
        answer = s.recv(200)
        assert b":K" in answer, answer


class Silent:
    """Hosts that take a connection and never say a word."""

    def __init__(self, count):
        self.sockets = []
        for i in range(count):
            s = socket.socket()
            s.bind((f"127.7.{i >> 7}.{(i & 127) + 1}",
                    self.port if self.sockets else 0))
            s.listen(16)
            self.port = s.getsockname()[1]
            self.sockets.append(s)
        self.hosts = [s.getsockname()[0] for s in self.sockets]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self.sockets:
            s.close()


def route(domain, host, port):
    return ["--route", f"{domain}=[{host}]:{port}"]


def start(*routes):
    return Suite("--no-first-message", "--control",
                 f"concurrencyremote={PLACES}", *sum(routes, []))


def busy(suite):
    """Connections to other hosts, as start knows them."""
    out = suite.postern("status").stdout
    return int(out.split("agents")[1].split("local,")[1].split()[0])


def seconds_to_deliver(suite, peer, domain, sender="jane@here.example"):
    mark = os.urandom(8).hex().encode()
    inject(suite, sender, [f"bob@{domain}"], mark)
    begun = time.monotonic()
    wait_for(lambda: any(mark in b for b in peer.bodies), 30, "the message")
    return time.monotonic() - begun


class Clock:
    def __init__(self, suite, peer, domain):
        self.known = suite, peer, domain
        self.most = 1 + 2 * seconds_to_deliver(*self.known)

    def check(self):
        took = seconds_to_deliver(*self.known)
        assert took < self.most, (took, self.most)


@pytest.mark.parametrize("how", ["messages", "recipients"])
def test_hosts_that_accept_and_never_answer(how):
    with Silent(200) as dark, Peer() as good, start(
            *(route(f"d{i}.example", h, dark.port)
              for i, h in enumerate(dark.hosts)),
            *(route(f"good{i}.example", *good.address)
              for i in range(3))) as suite:
        clock = Clock(suite, good, "good0.example")
        everybody = [f"x@d{i}.example" for i in range(200)]
        if how == "recipients":
            inject(suite, "news@here.example", everybody)
        else:
            for r in everybody:
                inject(suite, "news@here.example", [r])
        clock.check()
        wait_for(lambda: busy(suite) >= PLACES // 2, 10, "busy")
        clock.known = suite, good, "good1.example"
        clock.check()
        time.sleep(1.5)
        clock.known = suite, good, "good2.example"
        clock.check()


def test_silent_hosts_of_many_senders_are_given_up():
    with Silent(120) as dark, Peer() as good, start(
            *(route(f"d{i}.example", h, dark.port)
              for i, h in enumerate(dark.hosts)),
            route("good.example", *good.address),
            route("fresh.example", *good.address)) as suite:
        clock = Clock(suite, good, "good.example")
        time.sleep(1.2)  # its connection is closed by now
        for i in range(120):
            inject(suite, f"s{i}@here.example", [f"x@d{i}.example"])
        # nothing tells it from the others but that its host answers
        clock.known = suite, good, "fresh.example"
        clock.check()
        suite.wait_log("event=given-up", 10)
        suite.wait_log("was given up, since other mail waited", 10)
        # and once all others have had their chance
        suite.wait_log("event=host-rests", 30, count=120 - PLACES)
        clock.known = suite, good, "good.example"
        clock.check()


def test_a_bulk_job_of_100000_recipients_to_slow_hosts():
    def slow(_, line):
        time.sleep(1)
        return b"250 2.0.0 at last\r\n"

    with Peer({"MAIL": slow, "RCPT": b"250 ok\r\n", "BODY": slow}) as lame, \
            Peer() as good, \
            contextlib.ExitStack() as stack:
        port = lame.address[1]
        hosts = [f"127.6.0.{i + 1}" for i in range(30)]
        for h in hosts:
            s = socket.create_server((h, port))
            lame.also(s)
            stack.callback(s.shutdown, socket.SHUT_RDWR)
        suite = stack.enter_context(start(
            *(route(f"slow{i}.example", h, port)
              for i, h in enumerate(hosts)),
            route("good.example", *good.address)))
        clock = Clock(suite, good, "good.example")
        for k in range(100):
            inject(suite, "news@here.example",
                   [f"u{k}x{i}@slow{i % 30}.example" for i in range(1000)])
        for _ in range(3):
            clock.check()
            time.sleep(1)
        assert busy(suite) >= PLACES // 2


def test_a_host_that_defers_everything():
    with Peer({"RCPT": b"451 4.7.1 later\r\n"}) as lame, Peer() as good, \
            start(route("lame.example", *lame.address),
                  route("good.example", *good.address)) as suite:
        clock = Clock(suite, good, "good.example")
        for k in range(20):
            inject(suite, "news@here.example",
                   [f"u{k}x{i}@lame.example" for i in range(1000)])
        for _ in range(3):
            clock.check()
            time.sleep(0.3)


def test_a_small_sender_beside_a_big_one_to_the_same_host():
    told = threading.Event()  # unset while mail piles up
    told.set()

    def steady(_, line):
        told.wait(30)
        time.sleep(0.03)
        return b"250 2.0.0 ok\r\n"

    with Peer({"BODY": steady}) as peer, start(
            route("there.example", *peer.address)) as suite:
        clock = Clock(suite, peer, "there.example")
        told.clear()
        for i in range(1000):
            inject(suite, "big@here.example", [f"u{i}@there.example"])
        told.set()
        clock.check()
        assert len(peer.bodies) < 800
