# SPDX-License-Identifier: ISC
"""The main job, as the textbook tells it.

Alice's program sends to crepes.fr's server; it looks up hamburger.edu's MX and
sends; hamburger.edu puts the message into Bob's mailbox; Bob reads it over POP3.
Three hosts in network namespaces: crepes.fr, hamburger.edu, and one whose nsd
serves both zones.
"""
import json
import os
import pathlib
import poplib
import re
import shutil
import socket
import subprocess
import tempfile
import time

import pytest

from suite import Suite, wait_for

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0,
                       reason="network namespaces need root"),
]

HOSTS = {"dns": "10.77.0.53", "crepes": "10.77.0.1", "burger": "10.77.0.2"}

ZONES = {
    "crepes.fr": """$ORIGIN crepes.fr.
$TTL 60
@ IN SOA ns.crepes.fr. root.crepes.fr. 1 60 60 60 60
@ IN NS ns.crepes.fr.
@ IN MX 10 mx.crepes.fr.
ns IN A 10.77.0.53
mx IN A 10.77.0.1
""",
    "hamburger.edu": """$ORIGIN hamburger.edu.
$TTL 60
@ IN SOA ns.hamburger.edu. root.hamburger.edu. 1 60 60 60 60
@ IN NS ns.hamburger.edu.
@ IN MX 10 mx.hamburger.edu.
ns IN A 10.77.0.53
mx IN A 10.77.0.2
""",
}


def run(*args, **kw):
    subprocess.run([str(a) for a in args], check=True, timeout=30, **kw)


class Net:
    """A bridge in a namespace of its own, and a namespace for each host."""

    def __init__(self):
        self.tag = f"pt{os.getpid() % 10000}"
        self.names = []

    def ns(self, host):
        return f"{self.tag}{host}"

    def up(self):
        hub = self.ns("hub")
        self.add(hub)
        run("ip", "-n", hub, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", hub, "link", "set", "br0", "up")
        for i, (host, address) in enumerate(HOSTS.items()):
            name = self.ns(host)
            self.add(name)
            run("ip", "-n", hub, "link", "add", f"p{i}", "type", "veth",
                "peer", "name", "eth0", "netns", name)
            run("ip", "-n", hub, "link", "set", f"p{i}", "master", "br0", "up")
            run("ip", "-n", name, "addr", "add", f"{address}/24", "dev",
                "eth0")
            run("ip", "-n", name, "link", "set", "eth0", "up")

    def add(self, name):
        run("ip", "netns", "add", name)
        self.names.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")

    def down(self):
        for name in reversed(self.names):
            subprocess.run(["ip", "netns", "del", name])


class NameServer:
    def __init__(self, net):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-nsd-"))
        self.folder.chmod(0o755)
        conf = ["server:", f"  ip-address: {HOSTS['dns']}", "  username: \"\"",
                "  chroot: \"\"", f"  zonesdir: {self.folder}",
                f"  database: \"\"", f"  pidfile: {self.folder}/pid",
                f"  xfrdfile: {self.folder}/xfrd", "  xfrdir: \"/tmp\"",
                f"  zonelistfile: {self.folder}/zonelist",
                "remote-control:", "  control-enable: no"]
        for zone, text in ZONES.items():
            (self.folder / zone).write_text(text)
            conf += ["zone:", f"  name: {zone}", f"  zonefile: {zone}"]
        (self.folder / "nsd.conf").write_text("\n".join(conf) + "\n")
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", net.ns("dns"), "nsd", "-d", "-c",
             str(self.folder / "nsd.conf")],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(0.5)
        assert self.process.poll() is None, self.process.stderr.read()

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.folder)


def host(net, name, domain, user, *options):
    return Suite(
        "--no-first-message", "--domain", domain, "--user", user,
        "--resolver", f"{HOSTS['dns']}:53",
        "--control", f"me=mx.{domain}", "--control", f"locals={domain}",
        "--control", f"smtplisten={HOSTS[name]}:25",
        "--control", f"pop3listen={HOSTS[name]}:110",
        "--control", f"relayclients={HOSTS[name]}",
        *options, netns=net.ns(name))


class In:
    """Runs Python's sockets inside a namespace (this thread only)."""

    def __init__(self, net, name):
        self.path = f"/run/netns/{net.ns(name)}"

    def __enter__(self):
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(self.path, os.O_RDONLY)
        setns(there)
        os.close(there)

    def __exit__(self, *_):
        setns(self.home)
        os.close(self.home)


def setns(fd):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@pytest.fixture(scope="module")
def net():
    n = Net()
    try:
        n.up()
        server = NameServer(n)
        try:
            yield n
        finally:
            server.stop()
    finally:
        n.down()


@pytest.fixture
def crepes(net):
    with host(net, "crepes", "crepes.fr", "alice@crepes.fr:wonder") as s:
        yield s


@pytest.fixture
def burger(net):
    with host(net, "burger", "hamburger.edu", "bob@hamburger.edu:hungry") as s:
        yield s


class Typed:
    """A dialogue typed by hand: send a line, see the reply."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=30)
        self.file = self.socket.makefile("rb")

    def line(self):
        return self.file.readline().decode()

    def __call__(self, text, expect=None):
        self.socket.sendall(text.encode() + b"\r\n")
        if expect is None:
            return None
        got = self.line()
        assert got.startswith(expect), f"{text!r} -> {got!r}"
        return got


def send(net, subject, count=1):
    """Alice's dialogue, `count` messages in one session."""
    with In(net, "crepes"):
        c = Typed((HOSTS["crepes"], 25))
    assert c.line().startswith("220 ")
    c("HELO crepes.fr", "250 ")
    for i in range(count):
        c("MAIL FROM: <alice@crepes.fr>", "250 ")
        c("RCPT TO: <bob@hamburger.edu>", "250 ")
        c("DATA", "354 ")
        c(f"Subject: {subject}{i if count > 1 else ''}")
        c("")
        c("Do you like ketchup?")
        c("How about pickles?")
        c(".", "250 ")
    c("QUIT", "221 ")


def mailbox(net, name, user, password):
    """All messages of a mailbox, read and deleted over POP3."""
    with In(net, name):
        p = poplib.POP3(HOSTS[name], 110, timeout=20)
    p.user(user)
    p.pass_(password)
    found = []
    for n in range(1, p.stat()[0] + 1):
        found.append(b"\n".join(p.retr(n)[1]).decode())
        p.dele(n)
    p.quit()
    return found


def bobs(net):
    return mailbox(net, "burger", "bob@hamburger.edu", "hungry")


def test_alice_to_bob(net, crepes, burger):
    send(net, "crepes")
    mail = wait_for(lambda: bobs(net), 20, "Bob's message")
    assert len(mail) == 1
    assert "Do you like ketchup?\nHow about pickles?" in mail[0]
    assert mail[0].startswith("Return-Path: <alice@crepes.fr>\n")
    received = re.findall(r"^Received: ", mail[0], re.M)
    assert len(received) == 2


def test_classic_pop3_dialogue(net, crepes, burger):
    send(net, "one")
    send(net, "two")
    wait_for(lambda: burger.log().count("event=delivered") >= 2, 20,
             "both messages")
    with In(net, "burger"):
        p = Typed((HOSTS["burger"], 110))
    assert p.line().startswith("+OK")
    p("USER bob", "+OK")
    p("PASS hungry", "+OK")
    p("LIST", "+OK")
    sizes = [p.line(), p.line()]
    assert [s.split()[0] for s in sizes] == ["1", "2"]
    assert p.line() == ".\r\n"
    p("RETR 1", "+OK")
    body = ""
    while (line := p.line()) != ".\r\n":
        body += line
    assert len(body) == int(sizes[0].split()[1])
    p("DELE 1", "+OK")
    p("RETR 2", "+OK")
    while p.line() != ".\r\n":
        pass
    p("QUIT", "+OK")
    assert len(bobs(net)) == 1


def test_server_down_then_up(net, crepes):
    send(net, "waiting")
    crepes.wait_log("event=deferred", 40)
    waiting = [json.loads(l) for l in
               crepes.postern("queue", "list", "--json").stdout.splitlines()]
    assert len(waiting) == 1
    with host(net, "burger", "hamburger.edu", "bob@hamburger.edu:hungry"):
        crepes.postern("queue", "retry", "--all")
        mail = wait_for(lambda: bobs(net), 30, "the message")
        assert "Subject: waiting" in mail[0]
    wait_for(lambda: not crepes.postern("queue", "list").stdout.count("bob@"),
             10, "an empty queue")


def test_ten_messages_over_one_connection(net, crepes):
    send(net, "many", count=10)
    crepes.wait_log("event=deferred", 40)
    with host(net, "burger", "hamburger.edu",
              "bob@hamburger.edu:hungry") as burger:
        accepted = burger.log().count("event=accept")
        crepes.postern("queue", "retry", "--all")
        wait_for(lambda: burger.log().count("event=delivered") >= 10, 60,
                 "ten deliveries")
        assert burger.log().count("event=accept") - accepted == 1
        subjects = [re.search(r"^Subject: (.*)$", m, re.M).group(1)
                    for m in bobs(net)]
        assert sorted(subjects) == sorted(f"many{i}" for i in range(10))


def test_bounce_after_a_short_lifetime(net):
    with host(net, "crepes", "crepes.fr", "alice@crepes.fr:wonder",
              "--control", "queuelifetime=25",
              "--control", "timeoutconnect=5") as crepes:
        begun = time.monotonic()
        send(net, "lost")
        crepes.wait_log("event=deferred", 40)
        mail = wait_for(
            lambda: mailbox(net, "crepes", "alice@crepes.fr", "wonder"), 60,
            "the bounce")
        took = time.monotonic() - begun
        assert 24 <= took < 45, took
        assert mail[0].startswith("Return-Path: <>\n")
        assert "multipart/report" in mail[0]
        assert "Final-Recipient: rfc822; bob@hamburger.edu" in mail[0]
        assert "Action: failed" in mail[0]
        assert "Subject: lost" in mail[0]  # the original's headers
        assert "ketchup" not in mail[0]    # and not its body
