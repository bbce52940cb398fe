# SPDX-License-Identifier: ISC
"""postern-listen: limits, the order of the handover, links that come and go."""
import os
import re
import shutil
import socket
import subprocess
import time

import pytest

from roles import BIN, Role, packet, receive
from suite import wait_for

QUIET = 0.3  # seconds in which nothing must come


def door(address="127.0.0.1"):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, 0))
    s.listen(4096)
    return s


class Listen(Role):
    """With all links made; names of the far ends: queued userd template."""

    def __init__(self, service="smtp", control=None, addresses=("127.0.0.1",),
                 linked=True, prefix=()):
        self.sockets = [door(a) for a in addresses]
        super().__init__("postern-listen", control, args=[service],
                         doors=self.sockets, prefix=prefix)
        self.service, self.linked = service, linked
        self.names = ["userd", "popup"] if service == "pop3" else [
            "queued", "userd", "smtpd"]

    def start(self):
        super().start()
        self.ends = {}
        if self.linked:
            for name in self.names:
                self.ends[name] = self.link(name)
        return self

    def stop(self):
        super().stop()
        for s in self.sockets:
            s.close()

    @property
    def address(self):
        return self.sockets[0].getsockname()[:2]

    def connect(self, index=0, source=None):
        address = self.sockets[index].getsockname()[:2]
        c = socket.create_connection(
            address, timeout=5,
            source_address=(source, 0) if source else None)
        return c

    def session(self):
        """The three (two) packets of one connection."""
        return [packet(self.ends[n]) for n in self.names]


def close(packets):
    for p in packets:
        for fd in p.fds:
            os.close(fd)


def told(p):
    """(sid, ip, *the rest) of a session packet."""
    fields = [p.str(), p.str()]
    return fields


def test_handover_smtp():
    with Listen(control={"relayclients": "127.0.0.1"}) as role:
        with role.connect() as c:
            q, u, t = role.session()
            sid, ip = told(q)
            assert re.fullmatch(r"s[0-9a-z]{11}", sid)
            assert (q.type, ip, q.u8(), len(q.fds)) == ("S", "127.0.0.1", 1, 1)
            assert told(u) == [sid, ip]
            assert (u.type, u.str(), len(u.fds)) == ("S", "smtp", 1)
            assert told(t) == [sid, ip]
            assert t.u32() == c.getsockname()[1]
            assert (t.str(), t.u32()) == role.address
            assert (t.u8(), len(t.fds)) == (1, 4)
            for p in (q, u, t):
                p.end()
            connection, stream, ask, life = [
                socket.socket(fileno=fd) if i < 3 else fd
                for i, fd in enumerate(t.fds)]
            connection.sendall(b"220 hello\r\n")
            assert c.recv(100) == b"220 hello\r\n"
            # the near ends belong to the far ends that queued and userd got
            stream.sendall(b"1:C,")
            assert socket.socket(fileno=q.fds[0]).recv(9) == b"1:C,"
            ask.send(b"R")
            assert socket.socket(fileno=u.fds[0]).recv(9) == b"R"
            os.close(life)


def test_handover_pop3():
    with Listen("pop3") as role:
        with role.connect():
            u, t = role.session()
            sid = u.str()
            assert sid[0] == "p" and u.str() == "127.0.0.1"
            assert u.str() == "pop3" and len(u.fds) == 1
            assert t.str() == sid and len(t.fds) == 3
            close([u, t])


def test_relay_only_for_listed_clients():
    with Listen(control={"relayclients": "127.0.0.2\n10."}) as role:
        for source, relay in (("127.0.0.1", 0), ("127.0.0.2", 1),
                              ("127.0.0.3", 0)):
            with role.connect(source=source):
                packets = role.session()
                told(packets[0])
                assert packets[0].u8() == relay, source
                close(packets)


def test_session_ids_are_unique_and_ordered():
    with Listen() as role:
        sids = []
        for _ in range(50):
            with role.connect():
                packets = role.session()
                sids.append(packets[0].str())
                close(packets)
        assert sids == sorted(set(sids))


@pytest.mark.parametrize("control,over", [
    ({"concurrencyincoming": "2"}, "total"),
    ({"concurrencyperip": "2"}, "address"),
])
def test_limit(control, over):
    with Listen(control=control) as role:
        a, b = role.connect(), role.connect()
        first, second = role.session(), role.session()
        c = role.connect()
        assert c.recv(100) == (b"421 4.7.0 Too many connections, "
                               b"try again later\r\n")
        assert c.recv(1) == b""
        wait_for(lambda: f"limit={over}" in role.log(), 5, "the log line")
        if over == "address":
            with role.connect(source="127.0.0.9"):
                close(role.session())
        close(first)  # that session is over: its place is free, soon
        time.sleep(QUIET)
        d = role.connect()
        close(role.session())
        for s in (a, b, c, d):
            s.close()
        close(second)


def test_limit_per_64():
    with Listen(control={"concurrencyper64": "1"},
                addresses=["::1"]) as role:
        a = role.connect()
        packets = role.session()
        b = role.connect()
        assert b.recv(100).startswith(b"421 4.7.0 ")
        wait_for(lambda: "limit=net64" in role.log(), 5, "the log line")
        close(packets)
        a.close()
        b.close()


def test_pop3_refusal():
    with Listen("pop3", control={"concurrencypop3": "1"}) as role:
        a = role.connect()
        packets = role.session()
        b = role.connect()
        assert b.recv(100).startswith(b"-ERR [SYS/TEMP] ")
        close(packets)
        a.close()
        b.close()


def test_ten_thousand_refusals_are_few_lines():
    with Listen(control={"concurrencyincoming": "1"}) as role:
        a = role.connect()
        packets = role.session()
        for _ in range(2000):
            with role.connect() as c:
                assert c.recv(100).startswith(b"421 ")
        assert role.log().count("event=refused") < 20
        close(packets)
        a.close()


def test_nothing_is_accepted_while_a_link_is_missing():
    with Listen(linked=False) as role:
        c = role.connect()  # the kernel's backlog takes it
        for name in ("queued", "userd"):
            role.ends[name] = role.link(name)
            role.ends[name].settimeout(QUIET)
            with pytest.raises(TimeoutError):
                role.ends[name].recv(1)
        role.ends["smtpd"] = role.link("smtpd")
        close(role.session())
        c.close()


@pytest.mark.parametrize("lost", ["queued", "userd", "smtpd"])
def test_a_link_comes_back(lost):
    with Listen() as role:
        with role.connect():
            close(role.session())
        role.ends[lost].close()
        time.sleep(0.1)
        c = role.connect()
        for name, end in role.ends.items():
            if name != lost:
                end.settimeout(QUIET)
                with pytest.raises(TimeoutError):
                    end.recv(1)
        role.ends[lost] = role.link(lost)
        close(role.session())
        c.close()


def test_a_template_that_retires_loses_no_connection():
    """SHUT_RD: listen's next send fails; that connection waits and goes on."""
    with Listen() as role:
        old = role.ends["smtpd"]
        old.shutdown(socket.SHUT_RD)
        with role.connect() as c:
            close([packet(role.ends["queued"]), packet(role.ends["userd"])])
            assert receive(old) == (b"", [])
            role.ends["smtpd"] = role.link("smtpd")
            t = packet(role.ends["smtpd"])
            assert len(t.fds) == 4
            with socket.socket(fileno=os.dup(t.fds[0])) as s:
                s.sendall(b"220 x\r\n")
            assert c.recv(10) == b"220 x\r\n"
            close([t])


def test_a_slow_template_is_waited_for():
    """More connections than fit into the link: none is lost, none refused."""
    with Listen() as role:
        clients = [role.connect() for _ in range(100)]
        time.sleep(0.3)
        seen = 0
        for _ in clients:
            packets = role.session()
            seen += len(packets[2].fds) == 4
            close(packets)
        assert seen == 100
        for c in clients:
            c.close()
        assert "event=refused" not in role.log()


def test_reload_is_all_or_nothing():
    with Listen(control={"concurrencyincoming": "1"}) as role:
        a = role.connect()
        first = role.session()
        path = os.path.join(role.folder, "concurrencyincoming")

        def reload_with(value):
            with open(path, "w") as f:
                f.write(value + "\n")
            role.channel.send(b"H")
            time.sleep(0.2)

        reload_with("many")
        assert "event=config-error" in role.log()
        with role.connect() as c:
            assert c.recv(9).startswith(b"421")
        reload_with("2")
        with role.connect():
            close(role.session())
        close(first)
        a.close()


def test_few_descriptors_are_few_sessions():
    """queued and userd have no more than listen, and not for sessions alone."""
    with Listen(prefix=["prlimit", "--nofile=61"]) as role:
        assert "few-descriptors limit=61 sessions=20 wanted=1000" in role.log()
        clients, sessions = [], []
        for _ in range(20):
            clients.append(role.connect())
            sessions.append(role.session())
        with role.connect() as c:
            assert c.recv(9).startswith(b"421")
        for c in clients:
            c.close()
        for s in sessions:
            close(s)


def test_a_list_of_mistakes_does_not_fill_the_log():
    with Listen() as role:
        for text, first, last in (
                ("here\n" * 1000, 'line=1 what="write a network',
                 'line=0 what="has more mistakes: postern check shows them'),
                ("10.0.0.1\n" * 5000, 'line=1025 what="is one line too many: write at '
                 'most 1024"', "")):
            with open(os.path.join(role.folder, "relayclients"), "w") as f:
                f.write(text)
            before = len(role.log())
            role.channel.send(b"H")
            wait_for(lambda: first in role.log()[before:] and
                     last in role.log()[before:], 5, "its lines")
            time.sleep(0.1)
            assert role.log()[before:].count("config-error") == (
                21 if last else 1)


def test_finish_ends_it():
    with Listen() as role:
        role.channel.send(b"Q")
        assert role.process.wait(5) == 0


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("strace"),
                    reason="fault injection needs root and strace")
def test_out_of_descriptors():
    """EMFILE: one client is told, nothing spins, and it heals."""
    with Listen() as role:
        strace = subprocess.Popen(
            ["strace", "-qq", "-p", str(role.process.pid), "-o",
             os.path.join(role.folder, "trace"), "-e", "trace=accept4",
             "-e", "inject=accept4:error=EMFILE:when=1"],
            stderr=subprocess.PIPE)
        try:
            wait_for(lambda: "TracerPid:\t0" not in open(
                f"/proc/{role.process.pid}/status").read(), 5, "strace")
            with role.connect() as c:
                assert c.recv(100).startswith(b"421 ")
            wait_for(lambda: "event=refused" in role.log(), 5, "the log line")
            begun = time.monotonic()
            with role.connect():
                close(role.session())
            assert time.monotonic() - begun < 3
            calls = open(os.path.join(role.folder, "trace")).read()
            assert calls.count("accept4(") < 10, calls
        finally:
            strace.terminate()
            strace.wait(5)


def test_usage():
    for args in ([], ["imap"], ["smtp", "x"]):
        out = subprocess.run([str(BIN / "postern-listen"), *args],
                             capture_output=True, text=True)
        assert out.returncode == 100, (args, out)
    out = subprocess.run([str(BIN / "postern-listen"), "--help"],
                         capture_output=True, text=True)
    assert out.returncode == 0 and out.stdout.startswith("usage:")
