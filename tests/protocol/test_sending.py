# SPDX-License-Identifier: ISC
"""dnsd, dial and remote together, nsd behind them; the test plays start, qmgr and
the mail servers."""
import shutil
import time

import pytest

import roles
from dns_world import Dnsd, Nsd, zone
from remote_world import Agent
from roles import Role, packet, receive, text, u32, u64
from smtp_peer import Peer

RECORDS = """mx IN A 127.0.0.1
loop IN MX 10 mx
null IN MX 0 .
"""

pytestmark = pytest.mark.skipif(shutil.which("nsd") is None,
                                reason="nsd is not installed")


class Chain:
    """The three roles, linked as start links them."""

    def __init__(self, nsd, routes):
        self.dnsd = Dnsd(f"127.0.0.1@{nsd.port}")
        self.dial = Role("postern-dial", {"smtproutes": routes})
        self.remote = Role("postern-remote", {"timeoutremote": "5"})
        self.key = 0

    def __enter__(self):
        for role in (self.dnsd, self.dial, self.remote):
            role.__enter__()
        self.join(self.dial, "dnsd", self.dnsd, "dial")
        self.join(self.dial, "remote", self.remote, "dial")
        self.to_dial = self.dial.link("qmgr")
        self.to_remote = self.remote.link("qmgr")
        assert receive(self.to_remote)[0] == b"E"
        return self

    def __exit__(self, *why):
        for role in (self.remote, self.dial, self.dnsd):
            role.__exit__(*why)

    @staticmethod
    def join(a, b_name, b, a_name):
        near, far = roles.pair()
        a.give(b_name, near)
        b.give(a_name, far)

    def ask(self, domain):
        self.key += 1
        self.to_dial.send(b"C" + u64(self.key) + text(domain) + u32(0))

    def agent(self, peer):
        p = packet(self.to_remote)
        assert (p.type, p.u64(), p.u8()) == ("A", self.key, 0)
        self.named = p.str(), p.str(), p.str()
        import socket
        return Agent(socket.socket(fileno=p.fds[0]), peer)

    def verdict(self):
        p = packet(self.to_dial, 40)
        assert (p.type, p.u64()) == ("F", self.key)
        return chr(p.u8()), p.str()


@pytest.fixture(scope="module")
def nsd():
    with Nsd({"test.example": zone("test.example", RECORDS)}) as n:
        yield n


def test_a_message_through_all_three(nsd):
    with Peer() as peer:
        with Chain(nsd, f"b.example:mx.test.example:{peer.address[1]}") as c:
            c.ask("b.example")
            a = c.agent(peer)
            assert c.named == ("b.example", "mx.test.example", "127.0.0.1")
            for _ in range(10):
                verdict, why = a.one()
                assert verdict == "K" and why.startswith(
                    "2.0.0 mx.test.example (127.0.0.1) said: 250")
            assert peer.connections == 1
            assert len(peer.bodies) == 10
            a.sock.close()
            # the domain's own MX is this host
            c.ask("loop.test.example")
            assert c.verdict()[1].startswith("5.4.6")
            c.ask("null.test.example")
            assert c.verdict() == (
                "D", "5.1.10 null.test.example takes no mail")
            c.ask("nowhere.test.example")
            assert c.verdict()[1].startswith("5.1.2")


@pytest.mark.parametrize("order", ["H", "Q"])
def test_remote_is_replaced(nsd, order):
    """What runs is finished, and what comes meanwhile waits for the next."""
    slow = {"BODY": lambda conn, line: time.sleep(0.7) or b"250 ok\r\n"}
    with Peer(slow) as peer:
        with Chain(nsd, f":127.0.0.1:{peer.address[1]}") as c:
            c.ask("a.example")
            a = c.agent(peer)
            a.job()
            time.sleep(0.2)
            c.remote.channel.send(order.encode())
            assert c.remote.process.wait(5) == 0
            c.ask("b.example")
            time.sleep(0.3)
            assert a.reports(1)[0][0] == "K"
            old, c.remote = c.remote, Role("postern-remote")
            old.stop()
            c.remote.start()
            c.to_remote = c.remote.link("qmgr")  # start, too, makes it first
            c.join(c.dial, "remote", c.remote, "dial")
            assert receive(c.to_remote)[0] == b"E"
            b = c.agent(peer)
            assert c.named[0] == "b.example"
            assert b.one()[0] == "K"


def test_dnsd_dies_and_comes_back(nsd):
    with Peer() as peer:
        with Chain(nsd, f"b.example:mx.test.example:{peer.address[1]}") as c:
            c.dnsd.process.kill()
            c.dnsd.process.wait()
            c.ask("b.example")
            time.sleep(0.3)
            c.dnsd.stop()
            c.dnsd = Dnsd(f"127.0.0.1@{nsd.port}")
            c.dnsd.start()
            c.join(c.dial, "dnsd", c.dnsd, "dial")
            a = c.agent(peer)
            assert a.one()[0] == "K"
