# SPDX-License-Identifier: ISC
"""postern-remote against servers of every kind.  The test plays start, dial and
qmgr: it connects, hands the socket over, and gives jobs."""
import socket
import time

import pytest

from remote_world import Remote
from roles import packet, receive, u32, u64
from smtp_peer import Peer
from suite import wait_for

@pytest.fixture(scope="module")
def remote():
    with Remote(timeoutremote="2", helohost="crepes.fr") as r:
        yield r


SAID = "mx.hamburger.edu (127.0.0.1) said: "


@pytest.mark.parametrize("ehlo", [None, b"250 peer.example\r\n",
                                  b"502 5.5.2 no\r\n"])
def test_delivers(remote, ehlo):
    with Peer({"EHLO": ehlo} if ehlo else None) as peer:
        a = remote.connect(peer)
        assert a.one() == ("K", "2.0.0 " + SAID + "250 2.0.0 queued as X")
        assert a.one(sender="") == (
            "K", "2.0.0 " + SAID + "250 2.0.0 queued as X")
        a.sock.close()
        wire = b"Subject: crepes\r\n\r\n..hello\r\n...\r\nbye\r\n"
        assert peer.bodies == [wire, wire]
        assert peer.connections == 1
        time.sleep(0.2)
        assert peer.lines[0] == b"EHLO crepes.fr"
        assert peer.lines[-1] == b"QUIT"
        size = b" SIZE=%d" % len(wire.replace(b"\r\n.", b"\r\n")) \
            if ehlo is None else b""
        assert b"MAIL FROM:<alice@crepes.fr>" + size in peer.lines
        assert b"MAIL FROM:<>" + size in peer.lines
        assert (b"HELO crepes.fr" in peer.lines) == (
            ehlo is not None and ehlo[:1] == b"5")


@pytest.mark.parametrize("piped", [True, False])
@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "BODY"])
@pytest.mark.parametrize("code,verdict", [(b"450", "Z"), (b"550", "D")])
def test_refused(remote, stage, code, verdict, piped):
    own = code[:1] + b".7.1"
    # behind a refused MAIL or RCPT a good server refuses DATA
    replies = {stage: [code + b" " + own + b" no\r\n", b"250 2.0.0 ok\r\n"]}
    if stage == "MAIL" and piped:
        replies["RCPT"] = [b"503 5.5.1 MAIL first\r\n", b"250 ok\r\n"]
    if stage in ("MAIL", "RCPT") and piped:
        replies["DATA"] = [b"503 5.5.1 RCPT first\r\n", b"354 go\r\n"]
    if stage == "DATA":
        replies["DATA"][1] = b"354 go\r\n"
    if not piped:
        replies["EHLO"] = b"250 peer.example\r\n"
    with Peer(replies) as peer:
        a = remote.connect(peer)
        assert a.one() == (
            verdict, f"{own.decode()} {SAID}{code.decode()} {own.decode()} no")
        # and the connection serves the next message
        assert a.one()[0] == "K"
        assert peer.connections == 1
        assert len(peer.bodies) == (2 if stage == "BODY" else 1)


@pytest.mark.parametrize("piped", [True, False])
@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "BODY"])
@pytest.mark.parametrize("what", ["drop", "garbage", "hang", "endless", "lf"])
def test_broken(remote, stage, what, piped):
    def endless(conn, line):
        for _ in range(100000):
            conn.sendall(b"250-more\r\n" * 100)

    def hang(conn, line):
        time.sleep(10)

    replies = {stage: {"drop": None, "garbage": b"hello\r\n", "hang": hang,
                       "endless": endless, "lf": b"250 ok\n"}[what]}
    if not piped:
        replies["EHLO"] = b"250 peer.example\r\n"
    with Peer(replies) as peer:
        a = remote.connect(peer)
        verdict, why = a.one()
        assert verdict == "Z"
        assert why.startswith("4.4.2 mx.hamburger.edu (127.0.0.1) ")
        word = {"drop": "conne", "garbage": "no SMTP reply",
                "hang": "timed out", "endless": "no SMTP reply",
                "lf": "no SMTP reply"}[what]
        assert word in why
        assert ("duplicate" in why) == (stage == "BODY")
        assert a.ended()


@pytest.mark.parametrize("reply,verdict,word", [
    (b"554 5.7.1 go away\r\n", "D", "5.7.1 " + SAID + "554"),
    (b"421 4.3.2 busy\r\n", "Z", "4.3.2 " + SAID + "421"),
    (b"450 later\r\n", "Z", "4.0.0 " + SAID + "450"),
    (b"\x00\xff\r\n", "Z", "no SMTP reply"),
    (None, "Z", "before its greeting"),
])
def test_greeting(remote, reply, verdict, word):
    with Peer({"GREETING": reply}) as peer:
        a = remote.connect(peer)
        p = packet(a.sock)
        assert p.type == "F"
        assert chr(p.u8()) == verdict
        assert word in p.str()
        p.end()
        assert a.ended()


def test_hello_refused(remote):
    with Peer({"EHLO": b"550 no\r\n", "HELO": b"550 5.7.0 no\r\n"}) as peer:
        a = remote.connect(peer)
        p = packet(a.sock)
        assert (p.type, chr(p.u8())) == ("F", "D")
        assert p.str() == "5.7.0 " + SAID + "550 5.7.0 no"


def test_many_recipients(remote):
    replies = [b"250 ok\r\n"] * 96 + [
        b"550 5.1.1 unknown\r\n", b"450 4.2.1 later\r\n",
        b"552 too many\r\n", b"452 4.5.3 too many\r\n"]
    with Peer({"RCPT": replies}) as peer:
        a = remote.connect(peer)
        found = a.deliver([f"user{i}@hamburger.edu" for i in range(100)])
        assert all(found[i][0] == "K" for i in range(96))
        assert found[96] == ("D", f"5.1.1 {SAID}550 5.1.1 unknown")
        assert found[97] == ("Z", f"4.2.1 {SAID}450 4.2.1 later")
        assert found[98] == ("Z", f"4.5.3 {SAID}552 too many")
        assert found[99] == ("Z", f"4.5.3 {SAID}452 4.5.3 too many")
        assert len(peer.bodies) == 1


def test_all_refused_but_354(remote):
    # 354 although nobody was taken: a lone dot, and nobody hears of it
    with Peer({"RCPT": [b"550 5.1.1 no\r\n", b"250 ok\r\n"]}) as peer:
        a = remote.connect(peer)
        assert a.one()[0] == "D"
        assert a.one()[0] == "K"
        assert peer.bodies[0] == b""
        assert len(peer.bodies) == 2
        assert b"RSET" in peer.lines


def test_recipient_without_sender(remote):
    # MAIL refused, RCPT and DATA taken: a dot would deliver an empty message
    with Peer({"MAIL": b"550 5.7.1 no\r\n"}) as peer:
        a = remote.connect(peer)
        assert a.one()[0] == "D"
        assert a.ended()
        assert peer.bodies == []


def test_answers_ahead(remote):
    # replies to what was not asked yet end the connection
    replies = {"EHLO": b"250 peer.example\r\n",
               "MAIL": b"250 ok\r\n250 ok\r\n250 ok\r\n"}
    with Peer(replies) as peer:
        a = remote.connect(peer)
        verdict, why = a.one()
        assert verdict == "Z" and "not asked" in why
        assert a.ended()


def test_size(remote):
    with Peer({"EHLO": b"250-x\r\n250 SIZE 100\r\n"}) as peer:
        a = remote.connect(peer)
        verdict, why = a.one(body=b"0123456789\n" * 20)
        assert (verdict, why[:5]) == ("D", "5.3.4")
        assert a.one(body=b"small\n")[0] == "K"


@pytest.mark.parametrize("body", [b"a\rb\n", b"a\0b\n", b"a\r\nb\n"])
def test_unsendable(remote, body):
    with Peer() as peer:
        a = remote.connect(peer)
        verdict, why = a.one(body=body)
        assert (verdict, why[:5]) == ("D", "5.6.0")
        assert a.one()[0] == "K"
        assert len(peer.bodies) == 1


def test_eight_bit(remote):
    with Peer() as peer:
        a = remote.connect(peer)
        assert a.one(body=b"caf\xe9\n", flags=2)[0] == "K"
        assert peer.bodies == [b"caf\xe9\r\n"]
        assert any(line.endswith(b" BODY=8BITMIME") for line in peer.lines)
    with Peer({"EHLO": b"250 x\r\n"}) as peer:
        a = remote.connect(peer)
        assert a.one(body=b"caf\xe9\n", flags=2)[0] == "K"
        assert peer.bodies == [b"caf\xe9\r\n"]
        assert not any(b"BODY" in line for line in peer.lines)


def test_strict7bit():
    with Remote(strict7bit="1") as r:
        with Peer({"EHLO": b"250 x\r\n"}) as peer:
            a = r.connect(peer)
            verdict, why = a.one(body=b"caf\xe9\n", flags=2)
            assert (verdict, why[:5]) == ("D", "5.6.3")
            assert a.one(body=b"plain\n")[0] == "K"


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 3000000])
def test_bodies_of_any_size(remote, size):
    body = (b".x\n..\n" * (size // 6 + 1))[:size]
    with Peer({"EHLO": b"250-x\r\n250 PIPELINING\r\n"}) as peer:
        a = remote.connect(peer)
        assert a.one(body=body, offset=17)[0] == "K"
        wire = b"".join((b"." if line[:1] == b"." else b"") + line + b"\r\n"
                        for line in body.split(b"\n"))
        if body.endswith(b"\n") or not body:
            wire = wire[:-2]
        assert peer.bodies == [wire]


def test_body_shorter_than_told(remote):
    with Peer() as peer:
        a = remote.connect(peer)
        verdict, why = a.one(body=b"short\n", size=100)
        assert (verdict, why[:5]) == ("Z", "4.3.0")
        assert peer.bodies == []


def test_bad_addresses(remote):
    with Peer() as peer:
        a = remote.connect(peer)
        bad = "bob@x>\r\nRCPT TO:<eve@x"
        found = a.deliver([bad, "bob@hamburger.edu"])
        assert found[0][0] == "D" and found[0][1].startswith("5.1.3")
        assert found[1][0] == "K"
        assert a.one(sender="a@b>\r\nQUIT")[1].startswith("5.1.7")
        assert a.one(sender="#@[]")[0] == "K"
        assert not any(b"eve" in line for line in peer.lines)


def test_hostile_text_is_escaped(remote):
    with Peer({"RCPT": b"550-5.1.1 a\tb\x1b[31m\\\r\n550 5.1.1 \xff"
                       + b"y" * 3000 + b"\r\n"}) as peer:
        a = remote.connect(peer)
        verdict, why = a.one()
        assert verdict == "D"
        assert f"5.1.1 {SAID}550 5.1.1 a\\x09b\\x1b[31m\\x5c 5.1.1 \\xffy" \
            in why
        assert len(why) <= 1024


def test_refused_while_body_is_sent(remote):
    def early(conn, line):
        conn.sendall(b"354 go\r\n")
        conn.recv(1000)
        conn.sendall(b"552 5.3.4 too big\r\n")
        conn.shutdown(socket.SHUT_RD)
        time.sleep(0.5)
        return None

    with Peer({"DATA": early, "EHLO": b"250 x\r\n"}) as peer:
        a = remote.connect(peer)
        verdict, why = a.one(body=b"0123456789\n" * 3000000)
        assert verdict in "DZ"
        assert a.ended()


def test_slow_drip_ends_in_time(remote):
    def drip(conn, line):
        for _ in range(100):
            conn.sendall(b"2")
            time.sleep(0.1)

    with Peer({"EHLO": lambda c, l: [c.sendall(b"250-a\r\n") or time.sleep(.3)
                                     for _ in range(30)] and b""}) as peer:
        began = time.time()
        a = remote.connect(peer)
        p = packet(a.sock)
        assert (p.type, chr(p.u8())) == ("F", "Z")
        assert "timed out at EHLO" in p.str()
        assert time.time() - began < 5


def test_kept_connection_gone_stale(remote):
    # the server closes the kept connection: the job stays unreported
    with Peer({"MAIL": [b"250 ok\r\n", None]}) as peer:
        a = remote.connect(peer)
        assert a.one()[0] == "K"
        a.job()
        assert a.gave_back() and a.ended()
    with Peer({"MAIL": [b"250 ok\r\n", b"421 4.4.2 enough\r\n"]}) as peer:
        a = remote.connect(peer)
        assert a.one()[0] == "K"
        a.job()
        assert a.gave_back() and a.ended()


def test_idle_server_closes(remote):
    with Peer() as peer:
        a = remote.connect(peer)
        assert a.one()[0] == "K"
        peer.live[0].shutdown(socket.SHUT_RDWR)
        assert a.gave_back() and a.ended()
    with Peer() as peer:
        # a report that is not acknowledged keeps the agent, but F is said
        a = remote.connect(peer)
        a.job()
        a.reports(1)
        peer.live[0].shutdown(socket.SHUT_RDWR)
        assert a.gave_back()
        time.sleep(0.2)
        a.take(a.id, [0])
        assert a.ended()


def test_reports_are_kept_for_a_new_qmgr():
    with Remote(timeoutremote="5") as r:
        slow = {"BODY": [b"250 ok\r\n",
                         lambda c, l: time.sleep(1) or b"250 ok\r\n"]}
        with Peer(slow) as peer:
            a = r.connect(peer)
            first = a.job()
            a.reports(1)
            second = a.job()
            time.sleep(0.3)
            a.sock.close()
            r.qmgr.close()
            r.qmgr = r.link("qmgr")
            b = r.agent(peer, 0, 1)
            assert receive(r.qmgr)[0] == b"E"
            p = packet(b.sock)
            assert (p.type, p.u64(), p.u32(), p.u32()) == ("I", second, 1, 0)
            p = packet(b.sock)
            assert (p.type, p.u32(), p.u64(), p.u32()) == ("R", 1, first, 0)
            assert packet(b.sock).type == "E"
            p = packet(b.sock)
            assert (p.type, p.u32(), p.u64(), p.u32()) == ("R", 1, second, 0)
            b.take(first, [0])
            b.take(second, [0])
            b.id = 5000
            assert b.one()[0] == "K"
            b.sock.close()
            time.sleep(0.3)
            assert peer.lines[-1] == b"QUIT"


def test_reports_that_nobody_can_take_keep_nobody():
    """The template is gone: no new job socket can come."""
    with Remote(timeoutremote="5") as r:
        with Peer() as peer:
            a = r.connect(peer)
            a.job()
            a.reports(1)
            r.channel.send(b"Q")
            r.dial.close()
            assert r.process.wait(5) == 0
            a.sock.close()
            wait_for(lambda: "reports-lost count=1" in r.log(), 5,
                     "the child's last word")


def test_the_job_socket_ends_behind_the_connection(remote):
    """Who counts connections can go by it."""
    quit = {"QUIT": lambda c, l: time.sleep(0.7) or b"221 bye\r\n"}
    with Peer(quit) as peer:
        a = remote.connect(peer)
        assert a.one()[0] == "K"
        a.sock.shutdown(socket.SHUT_WR)
        begun = time.monotonic()
        assert packet(a.sock, 5) is None
        assert time.monotonic() - begun > 0.6


def test_bad_packets_from_the_neighbours(remote):
    with Peer() as peer:
        a = remote.connect(peer)
        for bad in (b"J", b"J" + b"\xff" * 60, b"?", b"K\0",
                    b"K" + u32(0xffffffff) + u64(1)):
            try:
                a.sock.send(bad)
            except BrokenPipeError:
                pass
        remote.dial.send(b"C\xff")
        remote.dial.send(b"")if False else None
        remote.qmgr.send(b"hello")
        b = remote.connect(peer)
        assert b.one()[0] == "K"


def test_one_write_for_the_envelope(remote):
    """MAIL, RCPT and DATA come in one segment where the server pipelines."""
    sizes = []
    peer = Peer()
    plain = peer.talk

    class Spy:
        def __init__(self, conn):
            self.conn = conn

        def recv(self, n):
            data = self.conn.recv(n)
            sizes.append(data)
            return data

        def __getattr__(self, name):
            return getattr(self.conn, name)

    peer.talk = lambda conn: plain(Spy(conn))
    with peer:
        a = remote.connect(peer)
        assert a.one()[0] == "K"
        assert any(s.startswith(b"MAIL") and s.endswith(b"DATA\r\n")
                   for s in sizes)
