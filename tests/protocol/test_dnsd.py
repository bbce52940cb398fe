# SPDX-License-Identifier: ISC
"""postern-dnsd with nsd as its resolver, as in the namespaces of the end-to-end
test: authoritative, no recursion offered; and with a signed root of our own."""
import os
import pathlib
import shutil
import socket
import threading
import time

import pytest

from dns_world import MX, Dnsd, Nsd, free_port, signed, zone
from roles import u32
from suite import wait_for

A, PTR, TXT, AAAA, TLSA = 1, 12, 16, 28, 52
OK, NO_NAME, NO_RECORD, FAILED, BOGUS = range(5)
INSECURE, SECURE, UNKNOWN = range(3)

RECORDS = """@ IN MX 20 MX2
@ IN MX 10 mx1
mx1 IN A 192.0.2.1
mx1 IN AAAA 2001:db8::1
null IN MX 0 .
alias IN CNAME mx1
text IN TXT "v=spf1" " -all"
bad IN MX 10 not\\032a\\032host
_25._tcp.mx1 IN TLSA 3 1 1 00010203
""" + "".join(f"big IN MX {i} a-rather-long-host-name-number-{i}\n"
              for i in range(100))

pytestmark = pytest.mark.skipif(shutil.which("nsd") is None,
                                reason="nsd is not installed")
needs_root = pytest.mark.skipif(os.geteuid() != 0,
                                reason="wants a large receive buffer")


def zones(*names):
    return {name: zone(name, RECORDS) for name in names}


@pytest.fixture(scope="module")
def dnsd():
    with Nsd(zones("test.example", "lab.test")) as nsd:
        with Dnsd(f"127.0.0.1@{nsd.port}") as d:
            yield d


V4 = socket.inet_aton


def test_answers(dnsd):
    assert dnsd.ask("Test.Example", MX)[:2] == (
        OK, [(10, "mx1.test.example"), (20, "mx2.test.example")]) or \
        sorted(dnsd.ask("test.example", MX)[1]) == [
            (10, "mx1.test.example"), (20, "mx2.test.example")]
    status, records, security, ttl = dnsd.ask("mx1.test.example", A)
    assert (status, records, security) == (OK, [V4("192.0.2.1")], UNKNOWN)
    assert 0 < ttl <= 60
    assert dnsd.ask("mx1.test.example.", AAAA)[1] == [
        socket.inet_pton(socket.AF_INET6, "2001:db8::1")]
    assert dnsd.ask("alias.test.example", A)[1] == [V4("192.0.2.1")]
    assert dnsd.ask("null.test.example", MX)[:2] == (OK, [(0, "")])
    assert dnsd.ask("text.test.example", TXT)[1] == [b"v=spf1 -all"]
    assert dnsd.ask("_25._tcp.mx1.test.example", TLSA)[1] == [
        bytes([3, 1, 1, 0, 1, 2, 3])]


def test_nothing_there(dnsd):
    assert dnsd.ask("nowhere.test.example", MX)[:2] == (NO_NAME, [])
    assert dnsd.ask("mx1.test.example", MX)[:2] == (NO_RECORD, [])
    # nsd refuses what it does not serve: not the same as "no such name"
    assert dnsd.ask("example.org", MX)[:2] == (FAILED, [])


def test_host_names_are_checked(dnsd):
    assert dnsd.ask("bad.test.example", MX)[:2] == (OK, [])


def test_long_answer_over_tcp_is_capped(dnsd):
    status, records, _, _ = dnsd.ask("big.test.example", MX)
    assert status == OK
    assert len(records) == 64


def test_private_names_are_asked(dnsd):
    assert len(dnsd.ask("lab.test", MX)[1]) == 2


def test_bad_questions(dnsd):
    for name, kind in (("a b", A), ("", A), ("x" * 64, A), ("test.example", 255),
                       ("test.example", 0)):
        assert dnsd.ask(name, kind)[0] == FAILED
    for junk in (b"Q", b"?", b"Q" + u32(1) + u32(1) + u32(1 << 30),
                 b"Q" * 5000):
        dnsd.dial.send(junk)
    assert dnsd.ask("mx1.test.example", A)[0] == OK


def test_many_at_once(dnsd):
    keys = {dnsd.send(f"n{i}.test.example", A) for i in range(150)}
    for _ in range(150):
        key, status, *_ = dnsd.answer()
        assert status == NO_NAME
        keys.remove(key)
    assert not keys


def test_a_new_link(dnsd):
    dnsd.send("mx1.test.example", A)
    dnsd.dial.close()
    dnsd.dial = dnsd.link("dial")
    assert dnsd.ask("mx1.test.example", A)[0] == OK


def test_silent_resolver_ends_in_time():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        with Dnsd(f"127.0.0.1@{silent.getsockname()[1]}") as d:
            began = time.time()
            assert d.ask("a.example", MX, 40)[:2] == (FAILED, [])
            assert time.time() - began < 30


class Slow:
    """A resolver that knows no name, and says so late; of names that begin
    with x never."""

    def __init__(self, seconds):
        self.seconds, self.due, self.over = seconds, [], False
        so_rcvbufforce = 33
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, so_rcvbufforce, 1 << 24)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.settimeout(0.05)
        self.thread = threading.Thread(target=self.serve)

    def serve(self):
        while not self.over:
            try:
                q, peer = self.sock.recvfrom(4096)
                if q[13:14] != b"x":
                    self.due.append((time.monotonic() + self.seconds, peer, q))
            except TimeoutError:
                pass
            while self.due and self.due[0][0] <= time.monotonic():
                _, peer, q = self.due.pop(0)
                end = q.index(b"\0", 12) + 5  # of the question
                self.sock.sendto(q[:2] + b"\x81\x83\0\1" + bytes(6) +
                                 q[12:end], peer)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()
        self.sock.close()


@needs_root
def test_more_questions_than_it_has_room_for_wait():
    """As many as dial's requests may have, at a slow resolver: of none it is
    said that the DNS failed.  Answers that nobody reads now are there later."""
    count = 6000
    with Slow(0.2) as slow, \
            Dnsd(f"127.0.0.1@{slow.sock.getsockname()[1]}") as d:
        d.dial.settimeout(30)
        sender = threading.Thread(target=lambda: [
            d.send(f"n{i}.test", A) for i in range(count)])
        sender.start()
        time.sleep(1)
        answers = [d.answer() for _ in range(count)]
        sender.join()
        assert len({key for key, *_ in answers}) == count
        assert {status for _, status, *_ in answers} == {NO_NAME}
        assert "answer-dropped" not in d.log()


@needs_root
def test_silent_domains_do_not_stop_the_others():
    with Slow(0) as slow, \
            Dnsd(f"127.0.0.1@{slow.sock.getsockname()[1]}") as d:
        for i in range(200):
            d.send(f"x{i}.test", MX)
        began = time.monotonic()
        assert d.ask("a.test", MX)[0] == NO_NAME
        assert time.monotonic() - began < 2


def test_wrong_resolvers_at_a_reload_change_nothing(dnsd):
    path = pathlib.Path(dnsd.folder, "resolvers")
    good = path.read_text()
    for wrong in ("nonsense\n", "127.0.0.1\n" * 17):
        path.write_text(wrong)
        seen = dnsd.log().count("event=reload ")
        dnsd.channel.send(b"H")
        wait_for(lambda: dnsd.log().count("event=reload ") > seen, 5, "it")
        assert dnsd.ask("mx1.test.example", A)[0] == OK
    path.write_text(good)


def test_second_resolver_is_used():
    with Nsd(zones("test.example")) as nsd:
        with Dnsd(f"127.0.0.1@{free_port()}\n127.0.0.1@{nsd.port}") as d:
            assert d.ask("mx1.test.example", A)[0] == OK


def test_wrong_resolvers():
    with pytest.raises(AssertionError, match="config-error"):
        Dnsd("not an address").start()


# ---- DNSSEC, with a root of our own ----

@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ldns-signzone"),
                    reason="needs root and ldnsutils")
def test_dnssec(tmp_path):
    good, ds = signed("good.example.", zone("good.example", RECORDS),
                      tmp_path)
    root, anchor = signed(".", f"""$ORIGIN .
$TTL 60
@ IN SOA ns.example. root.example. 1 60 60 60 60
@ IN NS ns.example.
ns.example. IN A 127.0.0.1
good.example. IN NS ns.example.
bogus.example. IN NS ns.example.
plain.example. IN NS ns.example.
{ds}{ds.replace("good.example.", "bogus.example.")}""", tmp_path)
    (tmp_path / "root.key").write_text(anchor)
    os.chmod(tmp_path, 0o755)
    for parent in tmp_path.parents[:2]:
        if not parent.stat().st_mode & 0o001:  # not of /tmp
            os.chmod(parent, 0o755)
    # dnsd reads the anchor of the distribution; here it is ours
    mine = ["unshare", "-m", "sh", "-c",
            f"mount --bind {tmp_path}/root.key /usr/share/dns/root.key && "
            'exec "$0"']
    with Nsd({".": root, "good.example": good,
              **zones("bogus.example", "plain.example")}) as nsd:
        with Dnsd(f"127.0.0.1@{nsd.port}", prefix=mine) as d:
            time.sleep(1)
            assert "state=validating" in d.log()
            assert d.ask("good.example", MX)[::2] == (OK, SECURE)
            assert d.ask("nowhere.good.example", MX)[::2] == (NO_NAME, SECURE)
            assert d.ask("plain.example", MX)[::2] == (OK, INSECURE)
            assert d.ask("bogus.example", MX)[0] == BOGUS
    # an upstream without signatures: unknown, never bogus
    with Nsd({**zones("good.example"),
              "example": "$TTL 60\nexample. IN SOA a b 1 1 1 1 1\n"}) as nsd:
        with Dnsd(f"127.0.0.1@{nsd.port}", prefix=mine) as d:
            time.sleep(1)
            assert "state=unknown" in d.log()
            assert d.ask("good.example", MX)[::2] == (OK, UNKNOWN)
