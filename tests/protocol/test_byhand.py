# SPDX-License-Identifier: ISC
"""postern-remote HOST SENDER RECIPIENT ..., as scripts call it."""
import os
import pathlib
import pty
import shutil
import socket
import subprocess
import tempfile

import pytest

from dns_world import Nsd, zone
from manual import example
from smtp_peer import Peer
from suite import BIN

MAIL = b"Subject: by hand\n\n.leading dot\nthe end\n"
RECORDS = """mx IN A 127.0.0.1
two IN A 127.0.0.3
two IN A 127.0.0.2
null IN MX 0 .
self IN MX 10 mx
"""


@pytest.fixture(scope="module")
def root():
    """A control directory that any user may read, with a DNS server."""
    if not shutil.which("nsd"):
        pytest.skip("nsd is not installed")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-byhand-"))
    folder.chmod(0o755)
    control = folder / "etc/postern"
    control.mkdir(parents=True)
    (control / "me").write_text("here.example\n")
    (control / "timeoutremote").write_text("5\n")
    (control / "timeoutconnect").write_text("2\n")
    (control / "databytes").write_text("3000000\n")
    with Nsd({"test.example": zone("test.example", RECORDS)}) as nsd:
        (control / "resolvers").write_text(f"127.0.0.1@{nsd.port}\n")
        yield folder
    shutil.rmtree(folder)


def run(root, *args, mail=MAIL, prefix=(), timeout=60):
    return subprocess.run(
        [*prefix, str(BIN / "postern-remote"), *args], input=mail,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
        env={**os.environ, "POSTERN_ROOT": str(root)})


def reports(done):
    """The recipients' and the message's, as (letter, text)."""
    assert done.returncode == 0 and done.stderr == b"", done
    assert done.stdout.endswith(b"\0")
    parts = [(p[:1].decode(), p[1:].decode())
             for p in done.stdout.split(b"\0")[:-1]]
    assert [p for p in parts if p[0] in "KZD"] == parts[-1:]
    return parts[:-1], parts[-1]


def at(peer):
    return "%s:%d" % peer.address


@pytest.mark.parametrize("mail", [MAIL, MAIL.replace(b"\n", b"\r\n")])
def test_taken(root, mail):
    with Peer() as peer:
        each, whole = reports(run(root, at(peer), "a@b.example",
                                  "x@y.example", "z@y.example", mail=mail))
    assert [e[0] for e in each] == ["r", "r"] and whole[0] == "K"
    assert "said: 250 2.0.0 queued as X" in whole[1]
    assert peer.bodies == [MAIL.replace(b"\n.", b"\n..").replace(b"\n",
                                                                 b"\r\n")]
    assert peer.lines[:4] == [b"EHLO here.example",
                              b"MAIL FROM:<a@b.example> SIZE=%d" % 43,
                              b"RCPT TO:<x@y.example>",
                              b"RCPT TO:<z@y.example>"]


def test_each_recipient_its_own(root):
    answers = [b"250 ok\r\n", b"550 5.1.1 nobody\r\n", b"451 4.2.1 busy\r\n"]
    with Peer({"RCPT": answers}) as peer:
        each, whole = reports(run(
            root, at(peer), "", "a@y.example", "b@y.example", "no address",
            "c@y.example"))
    assert [e[0] for e in each] == ["r", "h", "h", "s"] and whole[0] == "K"
    assert each[1][1].endswith("said: 550 5.1.1 nobody")
    assert each[2][1].startswith("5.1.3 ")
    assert b"MAIL FROM:<> SIZE=43" in peer.lines


def test_more_than_a_transaction_holds(root):
    """250 recipients: three transactions over one connection."""
    with Peer() as peer:
        each, whole = reports(run(root, at(peer), "a@b.example",
                                  *(f"u{i}@y.example" for i in range(250))))
    assert len(each) == 250 and {e[0] for e in each} == {"r"}
    assert whole[0] == "K"
    assert (peer.connections, len(peer.bodies)) == (1, 3)


@pytest.mark.parametrize("replies, each, whole", [
    ({"BODY": b"554 5.7.1 no\r\n"}, "h", "D"),
    ({"BODY": b"451 4.3.0 later\r\n"}, "s", "Z"),
    ({"MAIL": b"550 5.7.1 not you\r\n"}, "h", "D"),
    ({"GREETING": b"554 5.3.2 go away\r\n"}, "", "D"),
    ({"GREETING": b"421 4.3.2 busy\r\n"}, "", "Z"),
    ({"GREETING": None}, "", "Z"),
    ({"GREETING": b"\x00\xff\n" * 9}, "", "Z"),
    ({"EHLO": b"250-x\r\n" * 20000}, "", "Z"),
    ({"BODY": None}, "s", "Z"),
    ({"RCPT": b"250 ok\nQUIT\r\n"}, "s", "Z"),
    ({"RCPT": b"550 " + b"\x1b[2J\x00K" * 200 + b"\r\n"}, "h", "D"),
])
def test_refused_and_hostile(root, replies, each, whole):
    with Peer(replies) as peer:
        got = reports(run(root, at(peer), "a@b.example", "x@y.example"))
    assert ("".join(e[0] for e in got[0]), got[1][0]) == (each, whole), got
    for _, text in [*got[0], got[1]]:
        assert text[0] in "45" and text.isprintable()


def test_the_next_address_is_tried(root):
    """Of a host's addresses; nobody listens at one, one serves nobody."""
    listener = socket.create_server(("127.0.0.2", 0))
    port = listener.getsockname()[1]
    with Peer({"GREETING": b"421 4.3.2 busy\r\n"}, "127.0.0.9") as busy:
        other = socket.create_server(("127.0.0.3", port))
        busy.also(other)
        with Peer() as peer:
            peer.also(listener)
            each, whole = reports(run(root, f"two.test.example:{port}",
                                      "a@b.example", "x@y.example"))
        other.close()
        for s in (busy, peer):
            assert s.connections <= 1
    listener.close()
    assert each[0][0] == "r" and "two.test.example (127.0.0.2)" in each[0][1]


@pytest.mark.parametrize("host, letter, text", [
    ("null.test.example", "D", "5.1.10 null.test.example takes no mail"),
    ("nowhere.test.example", "D", "5.1.2 there is no domain"),
    ("self.test.example", "D", "5.4.6 the best MX of self.test.example is"),
    ("ns.test.example", "D", "5.4.6 the best MX of ns.test.example is this"),
    ("nowhere.test.example:25", "D",
     "5.1.2 the host nowhere.test.example has no address"),
    ("127.0.0.1:1", "Z", "4.4.1 127.0.0.1 (127.0.0.1) cannot be connected"),
    ("[::1]:1", "Z", "4.4.1 ::1 (::1) cannot be connected to"),
    ("[IPv6:::1]:1", "Z", "4.4.1 ::1 (::1) cannot be connected to")])
def test_no_host(root, host, letter, text):
    each, whole = reports(run(root, host, "a@b.example", "x@y.example"))
    assert each == [] and whole[0] == letter and whole[1].startswith(text)


def test_routes_hold(root):
    with Peer() as peer:
        routes = root / "etc/postern/smtproutes"
        routes.write_text("y.example:mx.test.example:%d\n" % peer.address[1])
        try:
            each, whole = reports(run(root, "y.example", "a@b.example",
                                      "x@y.example"))
        finally:
            routes.unlink()
    assert whole[0] == "K" and "mx.test.example (127.0.0.1)" in whole[1]


@pytest.mark.parametrize("mail, letter, text", [
    (b"a\0b\n", "D", "5.6.0 the message has a NUL"),
    (b"a\rb\n", "D", "5.6.0 the message has a carriage return"),
    (b"a\r\nb\n", "D", "5.6.0 the message has a carriage return"),
    (b"x" * 3000001, "D", "5.3.4 the message is larger")],
    ids=["nul", "cr", "mixed", "large"])
def test_messages_that_cannot_be_sent(root, mail, letter, text):
    with Peer() as peer:
        each, whole = reports(run(root, at(peer), "a@b.example",
                                  "x@y.example", mail=mail))
    assert (each, whole[0]) == ([], letter) and whole[1].startswith(text)
    assert peer.connections == 0


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 2900000])
def test_sizes(root, size):
    body = (b"0123456789" * 7 + b"\n") * (size // 71 + 1)
    body = body[:size]
    with Peer({"EHLO": b"250 x\r\n"}) as peer:
        assert reports(run(root, at(peer), "a@b.example", "x@y.example",
                           mail=body))[1][0] == "K"
    want = body.replace(b"\n", b"\r\n")
    if want and not want.endswith(b"\r\n"):
        want += b"\r\n"
    assert peer.bodies == [want]


@pytest.mark.skipif(os.geteuid() != 0, reason="root becomes another user")
def test_any_user_may(root):
    with Peer() as peer:
        each, whole = reports(run(
            root, at(peer), "a@b.example", "x@y.example",
            prefix=("setpriv", "--reuid=nobody", "--regid=nogroup",
                    "--clear-groups")))
    assert whole[0] == "K"


@pytest.mark.parametrize("replies, code, word", [
    ({}, 0, b"taken"),
    ({"RCPT": b"550 5.1.1 nobody\r\n"}, 1, b"refused"),
    ({"RCPT": b"450 4.2.1 busy\r\n"}, 111, b"not yet"),
    ({"GREETING": b"421 busy\r\n"}, 111, b"not yet")])
def test_for_people_and_for_scripts(root, replies, code, word):
    with Peer(replies) as peer:
        done = run(root, "--text", "--exit-status", at(peer), "a@b.example",
                   "x@y.example")
        assert done.returncode == code and done.stderr == b""
        who = b"%s" % at(peer).encode() if "GREETING" in replies \
            else b"x@y.example"
        assert done.stdout.startswith(who + b": " + word + b": ")
        assert done.stdout.count(b"\n") == 1 and b"\0" not in done.stdout


def test_a_terminal_gets_lines(root):
    leader, follower = pty.openpty()
    with Peer() as peer:
        done = subprocess.run(
            [str(BIN / "postern-remote"), at(peer), "a@b.example",
             "x@y.example"], input=MAIL, stdout=follower,
            stderr=subprocess.PIPE, timeout=60,
            env={**os.environ, "POSTERN_ROOT": str(root)})
    os.close(follower)
    assert done.returncode == 0
    assert os.read(leader, 4096).startswith(b"x@y.example: taken: 2.0.0 ")
    os.close(leader)


@pytest.mark.parametrize("args, code, word", [
    ((), 100, b"run by postern-start"),
    (("h",), 100, b"usage: "),
    (("h", "a@b.example"), 100, b"usage: "),
    (("--nonsense", "h", "a@b.example", "c@d.example"), 100, b"usage:"),
    (("h", "not an address", "c@d.example"), 100, b"the sender is no mail"),
    (("[1.2.3", "a@b.example", "c@d.example"), 100, b"HOST is a domain"),
    (("h:port", "a@b.example", "c@d.example"), 100, b"HOST is a domain")])
def test_usage(root, args, code, word):
    done = run(root, *args)
    assert done.returncode == code and done.stdout == b""
    assert word in done.stderr


def test_wrong_settings(root):
    path = root / "etc/postern/timeoutremote"
    old = path.read_text()
    path.write_text("soon\n")
    try:
        done = run(root, "127.0.0.1:1", "a@b.example", "c@d.example")
    finally:
        path.write_text(old)
    assert done.returncode == 100 and done.stdout == b""
    assert b"etc/postern/timeoutremote:1: " in done.stderr
    done = run("/nonexistent", "127.0.0.1:1", "a@b.example", "c@d.example")
    assert done.returncode == 111 and b"/nonexistent/etc/postern" in \
        done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="others may not look inside")
def test_the_parser_is_confined(root):
    """Who speaks to the server has a filter, and no descriptor but its own."""
    seen = {}

    def look(conn, line):
        # both ends: others have the same port at another address
        ends = [f":{conn.getpeername()[1]:04X}", f":{conn.getsockname()[1]:04X}"]
        inode = next(l.split()[9] for l in open("/proc/net/tcp")
                     if [w[-5:] for w in l.split()[1:3]] == ends)
        for p in pathlib.Path("/proc").iterdir():
            if not p.name.isdigit():
                continue
            try:
                fds = {f.name: os.readlink(f) for f in (p / "fd").iterdir()}
                if f"socket:[{inode}]" in fds.values():
                    seen["fds"] = fds
                    seen["status"] = (p / "status").read_text()
            except OSError:
                pass
        return b"250 ok\r\n"
    with Peer({"MAIL": look}) as peer:
        assert reports(run(root, at(peer), "a@b.example",
                           "x@y.example"))[1][0] == "K"
    assert "\nSeccomp:\t2\n" in seen["status"]
    assert "\nNoNewPrivs:\t1\n" in seen["status"]
    names = sorted(seen["fds"].values())
    assert sum(n == "/dev/null" for n in names) == 3
    assert sum(n.startswith("socket:") for n in names) == 3
    assert sum(n.startswith("/memfd:message") for n in names) == 1
    assert len(names) == 7, names


def test_examples_of_the_manual(root):
    """As they stand, but for the program's and the servers' places."""
    page = "send/postern-remote.8"
    path = f"PATH={BIN}:$PATH; cd {root}; "
    (root / "message").write_bytes(MAIL)
    routes = root / "etc/postern/smtproutes"

    def shell(line):
        return subprocess.run(
            ["bash", "-c", path + line], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=60,
            env={**os.environ, "POSTERN_ROOT": str(root)})
    with Peer() as peer:
        routes.write_text("example.net:127.0.0.1:%d\n" % peer.address[1])
        try:
            done = shell(example(page, "--text"))
            assert done.stdout.startswith(b"bob@example.net: taken: 2.0.0 ")
            done = shell(example(page, "tr "))
            assert [l[:1] for l in done.stdout.splitlines()] == [b"r", b"K"]
        finally:
            routes.unlink()
        line = example(page, "mv ", put={"192.0.2.1]:25": "%s]:%d" %
                                         peer.address})
        assert shell(line).stderr == b"" and (root / "message").exists()
    assert shell(line).returncode == 0 and (root / "later").exists()
    assert len(peer.bodies) == 3
