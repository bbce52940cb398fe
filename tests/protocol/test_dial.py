# SPDX-License-Identifier: ISC
"""postern-dial: the test plays start, qmgr, remote and dnsd."""
import contextlib
import os
import pathlib
import re
import socket
import subprocess
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import roles  # noqa: E402
from roles import Role, packet, receive, text, u8, u32, u64  # noqa: E402
from suite import TOP  # noqa: E402

A, MX, AAAA = 1, 15, 28
OK, NO_NAME, NO_RECORD, FAILED, BOGUS = range(5)


def mx(*records):
    return OK, b"".join(u32(p) + text(h) for p, h in records), len(records)


def ips(*addresses):
    return OK, b"".join(
        text(socket.inet_pton(socket.AF_INET6 if ":" in a else socket.AF_INET,
                              a)) for a in addresses), len(addresses)


class Dns(threading.Thread):
    """Answers on dial's link to dnsd from a table; None: no answer."""

    def __init__(self, sock, table):
        super().__init__(daemon=True)
        self.sock, self.table, self.asked = sock, table, []
        self.start()

    def run(self):
        while True:
            try:
                data = self.sock.recv(65536)
            except OSError:
                return
            if not data:
                return
            f = roles.Fields(data)
            assert f.type == "Q"
            key, kind, name = f.u32(), f.u32(), f.str()
            f.end()
            self.asked.append((kind, name))
            answer = self.table.get((kind, name), (NO_RECORD, b"", 0))
            if answer is None:
                continue
            status, records, n = answer
            try:
                self.sock.send(b"A" + u32(key) + u8(status) + u8(0) + u32(60)
                               + u32(n) + records)
            except OSError:
                return


class Dial(Role):
    def __init__(self, table=None, dns=True, remote=True, netns=None,
                 **control):
        super().__init__("postern-dial", control, netns=netns)
        self.table, self.key = table or {}, 0
        self.with_dns, self.with_remote = dns, remote

    def start(self):
        super().start()
        self.qmgr = self.link("qmgr")
        if self.with_remote:
            self.remote = self.link("remote")
        if self.with_dns:
            self.dns = Dns(self.link("dnsd"), self.table)
        return self

    def ask(self, domain, *tried, kind=b"C"):
        self.key += 1
        self.qmgr.send(kind + u64(self.key) + text(domain) + u32(len(tried))
                       + b"".join(text(t) for t in tried))
        return self.key

    def verdict(self, key, timeout=10):
        p = packet(self.qmgr, timeout)
        assert (p.type, p.u64()) == ("F", key)
        v = chr(p.u8()), p.str()
        p.end()
        return v

    def fails(self, domain, *tried, timeout=10):
        return self.verdict(self.ask(domain, *tried), timeout)

    def connected(self, key, timeout=10):
        """(domain, host, ip, port) and the socket."""
        p = packet(self.remote, timeout)
        assert (p.type, p.u64()) == ("C", key)
        got = p.str(), p.str(), p.str(), p.u32()
        p.end()
        assert len(p.fds) == 1
        return got, socket.socket(fileno=p.fds[0])


def closed_port():
    s = socket.create_server(("127.0.0.1", 0))
    port = s.getsockname()[1]
    s.close()
    return port


def test_routes():
    v4 = socket.create_server(("127.0.0.1", 0))
    v6 = socket.create_server(("::1", 0), family=socket.AF_INET6)
    p4, p6 = v4.getsockname()[1], v6.getsockname()[1]
    table = {(A, "smart.example"): ips("127.0.0.1"),
             (AAAA, "smart.example"): ips("::1")}
    with Dial(table, smtproutes=f"a.example:127.0.0.1:{p4}\n"
              f"b.example:[::1]:{p6}\n:smart.example:{p4}\n") as d:
        got, s = d.connected(d.ask("A.example"))
        assert got == ("a.example", "127.0.0.1", "127.0.0.1", p4)
        assert s.getpeername() == ("127.0.0.1", p4)
        assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        got, s = d.connected(d.ask("b.example"))
        assert got == ("b.example", "::1", "::1", p6)
        # ::1 is tried first, and refuses at that port
        got, s = d.connected(d.ask("elsewhere.example"))
        assert got == ("elsewhere.example", "smart.example", "127.0.0.1", p4)
        assert (MX, "elsewhere.example") not in d.dns.asked
        verdict, why = d.fails("a.example", "127.0.0.1")
        assert verdict == "Z" and why.startswith("4.4.1 no other address")


VERDICTS = {
    "null.example": (("D", "5.1.10"), {(MX, "null.example"): mx((0, ""))}),
    "nowhere.example": (("D", "5.1.2"),
                        {(MX, "nowhere.example"): (NO_NAME, b"", 0)}),
    "broken.example": (("Z", "4.4.3"),
                       {(MX, "broken.example"): (FAILED, b"", 0)}),
    "bogus.example": (("Z", "4.7.0"),
                      {(MX, "bogus.example"): (BOGUS, b"", 0)}),
    "bare.example": (("D", "5.1.2"), {}),
    "empty.example": (("D", "5.4.4"),
                      {(MX, "empty.example"): mx((1, "mx.empty.example"))}),
    # more hosts than are looked at: the rest may have an address
    "many.example": (("Z", "4.4.4"), {
        (MX, "many.example"): mx(*((n, f"mx{n}.many.example")
                                   for n in range(17)))}),
    "half.example": (("Z", "4.4.3"), {
        (MX, "half.example"): mx((1, "mx.half.example")),
        (A, "mx.half.example"): (FAILED, b"", 0)}),
    "self.example": (("D", "5.4.6"), {
        (MX, "self.example"): mx((10, "other.example"),
                                 (10, "Tester.Example")),
        (A, "other.example"): ips("192.0.2.1")}),
    "local.example": (("D", "5.4.6"), {
        (MX, "local.example"): mx((10, "lo.example")),
        (A, "lo.example"): ips("127.0.0.1")}),
    "lo2.example": (("D", "5.4.4"), {(A, "lo2.example"): ips(
        "127.9.9.9", "0.0.0.0", "169.254.1.1", "224.0.0.5",
        "255.255.255.255")}),
    "lo6.example": (("D", "5.4.4"), {(AAAA, "lo6.example"): ips(
        "::", "fe80::1", "ff02::1", "::ffff:127.0.0.2")}),
    "net.example": (("D", "5.4.4"), {(A, "net.example"): ips("10.1.2.3")}),
    "garbage.example": (("Z", "4.4.3"),
                        {(MX, "garbage.example"): (OK, b"\xff" * 10, 3)}),
    "[127.0.0.9]": (("D", "5.4.4"), {}),
    "[127.0.0.1]": (("D", "5.4.6"), {}),
    "not a domain": (("D", "5.1.2"), {}),
    "": (("D", "5.1.2"), {}),
}


def test_verdicts():
    table = {k: v for _, t in VERDICTS.values() for k, v in t.items()}
    with Dial(table, dialrefuse="10.0.0.0/8") as d:
        for domain, ((verdict, code), _) in VERDICTS.items():
            got, why = d.fails(domain)
            assert (got, why.split(" ")[0]) == (verdict, code), (domain, why)


def test_refused_and_next():
    port = closed_port()
    with Dial(smtproutes=f"a.example:127.0.0.1:{port}") as d:
        verdict, why = d.fails("a.example")
        assert verdict == "Z"
        assert why == ("4.4.1 127.0.0.1 (127.0.0.1) cannot be connected to: "
                       "Connection refused")


def test_a_dead_address_is_not_tried_for_every_domain():
    port = closed_port()
    with Dial(smtproutes="a.example:127.0.0.1:%d\nb.example:127.0.0.1:%d\n"
              "c.example:127.0.0.1:%d" % (port, port, port + 1 if port < 65535
                                          else port - 1)) as dial:
        assert dial.fails("a.example") == (
            "Z", "4.4.1 127.0.0.1 (127.0.0.1) cannot be connected to: "
            "Connection refused")
        verdict, why = dial.fails("b.example")
        assert verdict == "Z" and "Connection refused (0 s ago; not" in why
        # another port is another server
        assert "ago" not in dial.fails("c.example")[1]
        with socket.create_server(("127.0.0.1", port)):
            assert "not tried again yet" in dial.fails("a.example")[1]
            # by hand it is tried, and then all is well
            dial.connected(dial.ask("b.example", kind=b"D"))[1].close()
            dial.connected(dial.ask("a.example"))[1].close()
            # qmgr met a server there that serves nobody
            dial.qmgr.send(b"B" + text("127.0.0.1") + text("4.4.2 is mute"))
            assert "4.4.2 is mute (0 s ago" in dial.fails("a.example")[1]
            # a new qmgr begins anew
            dial.qmgr.close()
            dial.qmgr = dial.link("qmgr")
            dial.connected(dial.ask("a.example"))[1].close()


def test_what_qmgr_gives_up():
    with Dial({(15, "far.example"): None}) as dial:
        key = dial.ask("far.example")
        time.sleep(0.1)
        dial.qmgr.send(b"X" + u64(key))
        assert dial.verdict(key) == (
            "Z", "4.4.1 no connection yet when other mail needed its place")
        dial.qmgr.send(b"X" + u64(key))  # late
        dial.qmgr.send(b"X")
        assert dial.fails("nowhere.invalid..")[0] in "DZ"


@pytest.fixture
def silent_port():
    """A full backlog does not answer."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        for _ in range(4):
            s = stack.enter_context(socket.socket())
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", port))
        yield port


def test_as_many_at_once_as_concurrencyremote_may_say(silent_port):
    """None is refused for a limit of ours, which would pass for the host's."""
    most = int(re.search(r"\bLIMIT_REMOTES = (\d+)", (
        TOP / "common/limits.h").read_text())[1])
    with Dial(timeoutconnect="2",
              smtproutes=f"slow.example:127.0.0.1:{silent_port}\n") as d:
        keys = {d.ask("slow.example") for _ in range(most)}
        for _ in range(most):
            p = packet(d.qmgr, 10)
            keys.remove(p.u64())
            assert chr(p.u8()) == "Z"
            assert p.str().endswith("Connection timed out")
        assert not keys


def test_timeout_and_many_at_once(silent_port):
    good = socket.create_server(("127.0.0.1", 0), backlog=200)
    with Dial(timeoutconnect="3",
              smtproutes=f"slow.example:127.0.0.1:{silent_port}\n"
              f"good.example:127.0.0.1:{good.getsockname()[1]}") as d:
        began = time.time()
        slow = {d.ask("slow.example") for _ in range(50)}
        quick = [d.ask("good.example") for _ in range(50)]
        for key in quick:
            d.connected(key)
        assert time.time() - began < 2.5  # none waits for the slow ones
        told = set()
        for _ in slow:
            p = packet(d.qmgr)
            told.add(p.u64())
            assert chr(p.u8()) == "Z"
            assert p.str().endswith("Connection timed out")
        assert told == slow
        assert 2.9 < time.time() - began < 6


def test_neighbours_come_and_go():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    table = {(A, "late.example"): ips("127.0.0.1")}
    with Dial(table, dns=False, remote=False,
              smtproutes=f":late.example:{port}") as d:
        key = d.ask("x.example")
        time.sleep(0.3)
        silent = d.link("dnsd")       # takes the questions, and dies
        assert receive(silent)[0][:1] == b"Q"
        silent.close()
        d.dns = Dns(d.link("dnsd"), table)
        time.sleep(0.3)
        d.remote = d.link("remote")
        got, s = d.connected(key)
        assert got[1] == "late.example"
        # what an earlier qmgr asked is forgotten
        d.remote.close()
        time.sleep(0.1)
        d.ask("x.example")
        time.sleep(0.2)
        d.qmgr.close()
        d.qmgr = d.link("qmgr")
        d.remote = d.link("remote")
        key = d.ask("x.example")
        got, s = d.connected(key)


def test_bad_packets():
    with Dial({}) as d:
        for bad in (b"C", b"C\0\0\0\0\0\0\0\1\xff\xff\xff\xff", b"?x",
                    b"C" + u64(1) + text("a") + u32(1 << 30)):
            d.qmgr.send(bad)
        d.dns.sock.send(b"A" + u32(0xffffffff) + b"\0")
        d.dns.sock.send(b"junk")
        d.remote.send(b"junk")
        key = d.ask("b.example")
        for _ in range(3):
            p = packet(d.qmgr)
            if p.u64() == key:
                break
        else:
            assert False


def test_reload():
    a = socket.create_server(("127.0.0.1", 0))
    with Dial(smtproutes=f":127.0.0.1:{closed_port()}") as d:
        assert d.fails("x.example")[0] == "Z"
        route = os.path.join(d.folder, "smtproutes")
        with open(route, "w") as f:
            f.write("nonsense")
        d.channel.send(b"H")
        assert d.fails("x.example")[0] == "Z"      # the old ones hold
        with open(route, "w") as f:
            f.write(f":127.0.0.1:{a.getsockname()[1]}")
        d.channel.send(b"H")
        time.sleep(0.2)
        d.connected(d.ask("x.example"))


# ---- unrouted, between two network namespaces ----

def run(*args):
    subprocess.run(args, check=True, timeout=10)


@pytest.fixture(scope="module")
def network():
    """dial's namespace holds 10.99.0.1; the mail hosts 10.99.0.2 .. 5."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    here, there = f"pd{os.getpid()}a", f"pd{os.getpid()}b"
    try:
        for ns in (here, there):
            run("ip", "netns", "add", ns)
            run("ip", "-n", ns, "link", "set", "lo", "up")
        run("ip", "-n", here, "link", "add", "eth0", "type", "veth", "peer",
            "name", "eth0", "netns", there)
        run("ip", "-n", here, "addr", "add", "10.99.0.1/24", "dev", "eth0")
        for i in range(2, 6):
            run("ip", "-n", there, "addr", "add", f"10.99.0.{i}/24", "dev",
                "eth0")
        for ns in (here, there):
            run("ip", "-n", ns, "link", "set", "eth0", "up")
        yield here, there
    finally:
        for ns in (here, there):
            subprocess.run(["ip", "netns", "del", ns], timeout=10)


def listen_in(ns, address):
    back = roles.enter_netns(ns)
    try:
        return socket.create_server((address, 25))
    finally:
        os.close(roles.enter_netns(back))


def test_mx_walk(network):
    here, there = network
    table = {
        (MX, "two.example"): mx((20, "b.example"), (10, "a.example")),
        (A, "a.example"): ips("10.99.0.2", "10.99.0.3"),
        (A, "b.example"): ips("10.99.0.4"),
        (A, "implicit.example"): ips("10.99.0.4"),
        (MX, "between.example"): mx((10, "a.example"), (20, "me.example"),
                                    (30, "b.example")),
        (A, "me.example"): ips("10.99.0.1"),
        (MX, "equal.example"): mx((5, "b.example"), (5, "c.example")),
        (A, "c.example"): ips("10.99.0.5"),
        (MX, "loop.example"): mx((10, "me.example"), (20, "b.example")),
    }
    b, c = listen_in(there, "10.99.0.4"), listen_in(there, "10.99.0.5")
    with Dial(table, netns=here) as d:
        got, s = d.connected(d.ask("two.example"))
        assert got == ("two.example", "b.example", "10.99.0.4", 25)
        # names in order of preference, each group when its turn comes
        assert d.dns.asked[0] == (MX, "two.example")
        assert [n for _, n in d.dns.asked[1:]] == \
            ["a.example"] * 2 + ["b.example"] * 2
        verdict, why = d.fails("two.example", "10.99.0.4")
        assert verdict == "Z" and "a.example (10.99.0.3)" in why
        got, s = d.connected(d.ask("implicit.example"))
        assert got[1:3] == ("implicit.example", "10.99.0.4")
        got, s = d.connected(d.ask("[10.99.0.4]"))
        assert got == ("[10.99.0.4]", "[10.99.0.4]", "10.99.0.4", 25)
        # only better ones than this host, which is never connected to
        verdict, why = d.fails("between.example")
        assert verdict == "Z" and "a.example" in why
        assert d.fails("loop.example")[1].startswith("5.4.6")
        assert d.fails("[10.99.0.1]")[1].startswith("5.4.6")
        first = {d.connected(d.ask("equal.example"))[0][1]
                 for _ in range(40)}
        assert first == {"b.example", "c.example"}
        # an address that came after dial was started
        run("ip", "-n", here, "addr", "add", "10.99.0.77/24", "dev", "eth0")
        mine = listen_in(here, "10.99.0.77")
        assert d.fails("[10.99.0.77]")[1].startswith("5.4.6")
