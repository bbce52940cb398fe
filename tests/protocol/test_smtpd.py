# SPDX-License-Identifier: ISC
"""postern-smtpd beside its dialogues: ends of data, the template, inetd, loss of
neighbours, hostile clients, what the processes cost."""
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import pytest
from suite import free_port, wait_for
from smtpd_harness import ENV, SMTPD, Client, Lone, Place, Template, send_fds, pack_str


def start_data(client, sender="alice@crepes.fr"):
    assert client.cmd(f"MAIL FROM:<{sender}>").startswith("250 ")
    assert client.cmd("RCPT TO:<bob@hamburger.edu>").startswith("250 ")
    assert client.cmd("DATA").startswith("354 ")


def hello(client):
    assert client.reply().startswith(b"220 ")
    assert client.cmd("EHLO crepes.fr").startswith("250-")


def wipe_errors(client):
    """An accepted message wipes the count of errors out."""
    start_data(client)
    client.send(b".\r\n")
    assert client.reply().startswith(b"250 ")


# ---- every way to write an end of data ----

# (a) What an attacker puts in the middle of a message.  It ends the message only
# when it is CRLF.CRLF; with any bare CR or LF the whole message is refused.
ENDS = [
    "".join(p)
    for before in ("", "\r", "\n", "\r\n", "\n\r", "\r\r\n")
    for dot in (".", "..", ".\r", "\r.")
    for after in ("", "\r", "\n", "\r\n", "\n\r", "\r\r\n")
    for p in [(before, dot, after)]
]


def model(data):
    """What the bytes after DATA mean (RFC 5321 2.3.8, 4.5.2): the lines, whether
    a bare CR or LF is among them, and what follows the end of data."""
    lines, bad, at = [], False, 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        line, at = data[at:end], end + 2
        if line == b".":
            return lines, bad, data[at:]
        if line.startswith(b"."):
            line = line[1:]
        bad = bad or b"\r" in line or b"\n" in line or b"\0" in line
        lines.append(line)


@pytest.mark.parametrize("chunk", [0, 1, 2, 3])
def test_end_of_data_table(chunk):
    lone = Lone()
    c = lone.client
    hello(c)
    queued = 0
    for end in ENDS:
        start_data(c)
        smuggled = b"MAIL FROM:<evil@x.y>\r\nRCPT TO:<bob@hamburger.edu>\r\n"
        data = b"first line" + end.encode() + smuggled
        real_end = b"\r\n.\r\n"
        lines, bad, after = model(data + real_end)
        stream = data + real_end
        if chunk:
            for i in range(0, len(stream), chunk):
                c.send(stream[i : i + chunk])
        else:
            c.send(stream)
        expected = [b"554 5.6.0" if bad else b"250 2.0.0"]
        # the message may have ended early, as RFC 5321 says: then what follows
        # are commands of the same client, answered one by one
        mail = False
        for command in after.split(b"\r\n")[:-1]:
            if command[:4] == b"MAIL":
                mail = True
                expected.append(b"250 2.1.0")
            elif command[:4] == b"RCPT":
                expected.append(b"250 2.1.5" if mail else b"503 ")
            else:
                expected.append(b"500 ")
        got = [c.reply() for _ in expected]
        for g, e in zip(got, expected):
            assert g.startswith(e), (end, got, expected)
        assert c.cmd("RSET").startswith("250 ")
        if not bad:
            m = lone.queue.messages[queued]
            assert m.split()[1] == b"".join(x + b"\n" for x in lines)
            queued += 1
        assert len(lone.queue.messages) == queued, repr(end)
        wipe_errors(c)
        queued += 1
    lone.finish()
    assert queued > len(ENDS) + 5


def test_only_one_sequence_ends_data():
    """Of all strings of CR, LF and dot up to seven bytes, at the start of the
    message and behind text."""
    lone = Lone({"timeoutsmtpd": "60"})
    c = lone.client
    hello(c)
    n_good = 0
    for n in range(0, 6):
        for text in itertools.product(b"\r\n.", repeat=n):
            for head in (b"", b"x"):
                data = head + bytes(text) + b"y\r\n.\r\n"
                lines, bad, after = model(data)
                if after:
                    continue  # ended early: the table above has those
                c.send(
                    b"MAIL FROM:<a@b.c>\r\nRCPT TO:<bob@hamburger.edu>\r\nDATA\r\n"
                )
                assert [c.reply()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
                c.send(data)
                reply = c.reply()
                if bad:
                    assert reply.startswith(b"554 5.6.0"), (data, reply)
                    wipe_errors(c)
                    assert lone.queue.messages.pop().split()[1] == b""
                else:
                    assert reply.startswith(b"250 2.0.0"), (data, reply)
                    body = lone.queue.messages.pop().split()[1]
                    assert body == b"".join(x + b"\n" for x in lines)
                    n_good += 1
    assert lone.queue.messages == []
    lone.finish()
    assert n_good > 2


def test_nul_is_refused():
    lone = Lone()
    c = lone.client
    hello(c)
    start_data(c)
    c.send(b"a\0b\r\n.\r\n")
    assert c.reply().startswith(b"554 5.6.0")
    assert c.cmd("NOOP").startswith("250")
    assert lone.queue.messages == []
    lone.finish()


# ---- bodies ----


def test_large_body_streams_through_unchanged():
    lone = Lone()
    c = lone.client
    hello(c)
    lines = [os.urandom(n % 3000).translate(None, b"\r\n\0") for n in range(2000)]
    start_data(c)
    wire = b"".join((b"." if x[:1] == b"." else b"") + x + b"\r\n" for x in lines)
    c.send(wire + b".\r\n")
    assert c.reply().startswith(b"250 2.0.0")
    assert lone.queue.messages[0].split()[1] == b"".join(x + b"\n" for x in lines)
    lone.finish()


def test_refused_large_body_is_forgotten_early():
    """queued hears X as soon as it is known, and gets nothing more of it."""
    lone = Lone({"databytes": "100000"})
    c = lone.client
    hello(c)
    start_data(c)
    for _ in range(40):
        c.send(b"x" * 9998 + b"\r\n")
    c.send(b".\r\n")
    assert c.reply().startswith(b"552 5.3.4")
    start_data(c)
    c.send(b"small\r\n.\r\n")
    assert c.reply().startswith(b"250 2.0.0")  # so the X before it was read
    assert lone.queue.forgets == 1
    assert [m.split()[1] for m in lone.queue.messages] == [b"small\n"]
    lone.finish()


def test_small_message_is_one_write():
    lone = Lone()
    c = lone.client
    hello(c)
    wait_for(lambda: lone.queue.facts, 5, "the facts")
    before = lone.queue.writes
    start_data(c)
    c.send(b"x" * 4000 + b"\r\n.\r\n")
    assert c.reply().startswith(b"250 ")
    assert lone.queue.writes == before + 1
    lone.finish()


def test_received_header():
    lone = Lone(env={"TCPREMOTEIP": "2001:db8::7"})
    c = lone.client
    hello(c)
    start_data(c)
    c.send(b".\r\n")
    assert c.reply().startswith(b"250 ")
    assert c.cmd("HELO a(b)<c>;d@e").startswith("250 ")
    start_data(c)
    c.send(b".\r\n")
    assert c.reply().startswith(b"250 ")
    date = rb"[A-Z][a-z][a-z], \d\d? [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d \+0000\n"
    for message, name, proto in zip(
        lone.queue.messages, [rb"crepes.fr", rb"a\?b\?\?c\?\?d\?e"], [b"ESMTP", b"SMTP"]
    ):
        sid = lone.queue.facts[0][0]
        assert re.fullmatch(
            rb"Received: from " + name + rb" \(\[IPv6:2001:db8::7\]\)\n"
            rb"\tby hamburger.edu with " + proto + rb" id " + sid + rb";\n"
            rb"\t" + date,
            message.split()[0],
        ), message.split()[0]
    lone.finish()


# ---- ways to start ----


def test_facts_are_told_before_anything():
    lone = Lone(env={"RELAYCLIENT": ""})
    hello(lone.client)
    wait_for(lambda: lone.queue.facts, 5, "the facts")
    lone.finish()
    assert [(f[1], f[2]) for f in lone.queue.facts] == [(b"192.0.2.7", 1)]
    lone = Lone(env={"TCPREMOTEIP": None})
    hello(lone.client)
    wait_for(lambda: lone.queue.facts, 5, "the facts")
    lone.finish()
    assert [(f[1], f[2]) for f in lone.queue.facts] == [(b"", 0)]


def test_plain_pipes():
    place = Place()
    place.start_services()
    dialogue = (
        b"HELO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<bob@hamburger.edu>\r\n"
        b"DATA\r\nhi\r\n.\r\nHELP\r\n" + b"HELP\r\n" * 500 + b"QUIT\r\n"
    )
    p = subprocess.run(
        [str(SMTPD)],
        input=dialogue,
        capture_output=True,
        timeout=20,
        env={**ENV, "POSTERN_ROOT": str(place.dir)},
    )
    codes = [line[:3] for line in p.stdout.split(b"\r\n")]
    assert codes[:6] == [b"220", b"250", b"250", b"250", b"354", b"250"], p
    assert codes[6:] == [b"214"] * 501 + [b"221", b""]
    assert p.returncode == 0
    assert [m.split()[1] for m in place.queue.messages] == [b"hi\n"]
    place.close()


def test_tcpserver_and_getpeername():
    place = Place()
    place.start_services()
    port = free_port()
    server = subprocess.Popen(
        ["tcpserver", "-RHl0", "127.0.0.1", str(port), str(SMTPD)],
        env={**ENV, "POSTERN_ROOT": str(place.dir)},
    )
    try:
        for _ in range(50):
            try:
                s = socket.create_connection(("127.0.0.1", port))
                break
            except ConnectionRefusedError:
                time.sleep(0.1)
        c = Client(s)
        hello(c)
        start_data(c)
        c.send(b"x\r\n.\r\n")
        assert c.reply().startswith(b"250 ")
        assert c.cmd("QUIT").startswith("221 ")
        assert c.line() == b""
        assert place.queue.facts[0][1] == b"127.0.0.1"
    finally:
        server.terminate()
        server.wait()
        place.close()


def test_inetd_keeps_the_log_off_the_network():
    place = Place()
    place.start_services()
    ours, theirs = socket.socketpair()
    p = subprocess.Popen(
        [str(SMTPD)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**ENV, "POSTERN_ROOT": str(place.dir)},
    )
    theirs.close()
    c = Client(ours)
    hello(c)  # with /dev/log or without
    assert c.cmd("RCPT").startswith("503")
    assert c.cmd("QUIT").startswith("221 ")
    assert b"event=" not in c.rest()
    p.wait(timeout=10)
    place.close()


def test_arguments():
    ok = subprocess.run([SMTPD, "--help"], capture_output=True, timeout=10)
    assert ok.returncode == 0 and b"usage: postern-smtpd" in ok.stdout
    ok = subprocess.run([SMTPD, "--version"], capture_output=True, timeout=10)
    assert ok.returncode == 0 and ok.stdout.startswith(b"postern ")
    for bad in (["-x"], ["--template", "x"], ["--template"]):
        p = subprocess.run(
            [SMTPD, *bad],
            capture_output=True,
            timeout=10,
            stdin=subprocess.DEVNULL,
            env={**ENV, "POSTERN_ROOT": "/nonexistent"},
        )
        assert p.returncode == 100, (bad, p)


def test_no_queue_is_421():
    lone = Lone(queue=False)
    assert lone.client.reply().startswith(b"421 4.3.0 ")
    assert lone.client.line() == b""
    lone.finish(status=111)


def test_no_users_is_451():
    lone = Lone(users=False)
    c = lone.client
    hello(c)
    assert c.cmd("MAIL FROM:<a@b.c>").startswith("250 ")
    assert c.cmd("RCPT TO:<bob@hamburger.edu>").startswith("451 4.3.0")
    assert c.cmd("QUIT").startswith("221 ")
    lone.finish()


def test_bad_configuration_is_refused():
    for name, value in (("databytes", "many"), ("timeoutsmtpd", "0"), ("me", "a b")):
        lone = Lone({name: value})
        assert lone.client.reply().startswith(b"421 4.3.0 ")
        assert lone.client.line() == b""
        lone.finish(status=100)


# ---- hostile clients ----


def test_client_that_leaves_in_the_middle():
    dialogue = (
        b"EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<bob@hamburger.edu>\r\n"
        b"DATA\r\n" + b"text\r\n" * 3 + b".\r"
    )
    for n in range(0, len(dialogue), 3):
        place = Place()
        place.start_services()
        lone = Lone(place=place)
        lone.client.send(dialogue[:n])
        lone.client.sock.shutdown(socket.SHUT_WR)
        lone.client.rest()
        assert lone.queue.messages == []
        lone.finish()


def test_client_that_never_reads_costs_no_more_than_the_timeout():
    lone = Lone({"timeoutsmtpd": "1"})
    c = lone.client
    c.sock.settimeout(10)
    started = time.monotonic()
    try:
        for _ in range(4000):
            c.send(b"HELP\r\n" * 1000)
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert lone.proc.wait(timeout=10) == 0
    assert time.monotonic() - started < 8
    lone.finish()


def test_trickle_is_cut_off():
    """A byte now and then does not renew the time for a command."""
    lone = Lone({"timeoutsmtpd": "1"})
    c = lone.client
    assert c.reply().startswith(b"220 ")
    started = time.monotonic()
    try:
        for _ in range(100):
            c.send(b"x")
            time.sleep(0.1)
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert time.monotonic() - started < 6
    assert c.rest().startswith(b"421 4.4.2")
    lone.finish()


def test_trickle_of_data_is_cut_off():
    """Slow typing is fine; a message that gets nowhere is not."""
    lone = Lone({"timeoutsmtpd": "1"})
    c = lone.client
    hello(c)
    start_data(c)
    started = time.monotonic()
    try:
        for _ in range(30):
            c.send(b"typing\r\n")
            time.sleep(0.4)
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert 2 < time.monotonic() - started < 8
    assert c.rest().startswith(b"421 4.4.2")
    assert lone.queue.messages == []
    lone.finish()


def test_last_reply_is_not_lost_to_a_reset():
    place = Place()
    place.start_services()
    listener = socket.create_server(("127.0.0.1", 0))
    s = socket.create_connection(listener.getsockname())
    net, _ = listener.accept()
    p = subprocess.Popen(
        [str(SMTPD)], stdin=net, stdout=net, env={**ENV, "POSTERN_ROOT": str(place.dir)}
    )
    net.close()
    c = Client(s)
    assert c.reply().startswith(b"220 ")
    c.send(b"NOOP\n" + b"x" * 300000)
    time.sleep(0.3)
    assert c.rest().startswith(b"500 5.5.2 ")
    assert p.wait(timeout=10) == 0
    listener.close()
    place.close()


# ---- the template ----


def test_template_serves_many():
    t = Template()
    clients = [t.session(sid=b"s%d" % i) for i in range(20)]
    for c, _ in clients:
        hello(c)
    for c, _ in clients:
        start_data(c)
        c.send(b"x\r\n.\r\n")
        assert c.reply().startswith(b"250 ")
    for c, life in clients:
        assert c.cmd("QUIT").startswith("221 ")
        assert c.line() == b""
        assert os.read(life, 1) == b""  # the session is over
        os.close(life)
    assert len(t.queue.messages) == 20
    sids = {re.search(rb" id (s\d+);", m.body)[1] for m in t.queue.messages}
    assert len(sids) == 20
    assert t.queue.facts == []  # listen says them, not we
    t.finish()


def test_template_relay_right():
    t = Template()
    for relay, code in ((0, "550 5.7.1"), (1, "250 2.1.5")):
        c, life = t.session(relay=relay)
        hello(c)
        assert c.cmd("MAIL FROM:<a@b.c>").startswith("250")
        assert c.cmd("RCPT TO:<x@elsewhere.example>").startswith(code)
        c.close()
        os.close(life)
    t.finish()


def test_template_finish_leaves_sessions_alone():
    t = Template()
    c, life = t.session()
    hello(c)
    t.start.send(b"Q")
    assert t.proc.wait(timeout=10) == 0
    start_data(c)
    c.send(b"x\r\n.\r\n")
    assert c.reply().startswith(b"250 ")
    assert c.cmd("QUIT").startswith("221 ")
    os.close(life)
    t.finish()


def test_template_survives_bad_packets():
    t = Template()
    for bad in (b"S", b"?", b"S" + pack_str(b"x" * 100), b"S" * 600):
        send_fds(t.link, bad, [0, 0, 0, 0])
    t.link.send(b"S" + pack_str(b"s"))
    c, life = t.session()
    hello(c)
    c.close()
    os.close(life)
    t.finish()


def test_queue_gone_ends_a_running_session():
    t = Template()
    c, life = t.session()
    hello(c)
    for s in t.queue.peers:
        s.shutdown(socket.SHUT_RDWR)
    start_data(c)
    c.send(b"x\r\n.\r\n")
    assert c.reply().startswith(b"421 4.3.0")
    assert c.line() == b""
    os.close(life)
    t.finish()


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(p) for p in f.read().split()]


def descriptors(pid):
    return os.listdir(f"/proc/{pid}/fd")


@pytest.mark.skipif(os.geteuid() != 0, reason="/proc/PID/fd of a process that "
                    "is not dumpable is root's to read")
def test_session_holds_only_its_descriptors_and_is_small():
    t = Template()
    sessions = [t.session(sid=b"s%d" % i) for i in range(10)]
    for c, _ in sessions:
        hello(c)
    # the others wait for a session: their descriptors are the link to listen
    # and the pipe to the template; not yet those of one that was just born
    def serving():
        return [p for p in children(t.proc.pid) if len(descriptors(p)) != 3 + 2]

    wait_for(lambda: len(serving()) == len(sessions), 5, "a full house")
    (pid, *others) = serving()
    assert len(others) == 9
    fds = descriptors(pid)
    assert len(fds) == 3 + 4, fds
    with open(f"/proc/{pid}/status") as f:
        status = f.read()
    assert "Seccomp:\t2" in status and "NoNewPrivs:\t1" in status
    with open(f"/proc/{pid}/limits") as f:
        assert re.search(r"Max processes +0 +0 ", f.read())
    pss = []
    for p in children(t.proc.pid):
        with open(f"/proc/{p}/smaps_rollup") as f:
            pss.append(int(re.search(r"\nPss: +(\d+)", f.read())[1]))
    print("PSS of idle sessions, KiB:", pss)
    if b"__asan_init" not in SMTPD.read_bytes():
        assert max(pss) <= 120, pss
    for c, life in sessions:
        c.close()
        os.close(life)
    t.finish()


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_spares_die_with_their_template_and_sessions_do_not():
    t = Template()
    c, life = t.session()
    hello(c)
    # one at least waits for the next session
    wait_for(lambda: len(children(t.proc.pid)) > 1, 5, "a spare")
    everyone = set(children(t.proc.pid))
    t.proc.kill()
    t.proc.wait()
    wait_for(lambda: sum(is_gone(p) for p in everyone) == len(everyone) - 1,
             5, "the end of those that waited")
    # or listen would go on handing sessions to nobody
    with pytest.raises(BrokenPipeError):
        t.session()
    c.send(b"NOOP\r\n")
    assert c.reply().startswith(b"250")
    c.send(b"QUIT\r\n")
    assert c.reply().startswith(b"221")
    os.close(life)
    t.finish(-signal.SIGKILL)


def test_killed_spares_are_replaced():
    t = Template()
    for _ in range(3):
        wait_for(lambda: children(t.proc.pid), 5, "a spare")
        for pid in children(t.proc.pid):
            os.kill(pid, signal.SIGKILL)
            # or it takes the session with it
            wait_for(lambda: is_gone(pid), 5, "the end of a spare")
        c, life = t.session()
        hello(c)
        c.close()
        os.close(life)
    t.finish()


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("strace") is None,
                    reason="root's strace makes fork fail")
def test_client_without_a_process_is_told_so():
    """And service resumes with the processes."""
    t = Template()
    wait_for(lambda: children(t.proc.pid), 5, "a spare")
    nofork = subprocess.Popen(
        ["strace", "-q", "-p", str(t.proc.pid), "-o", "/dev/null", "-e",
         "trace=clone", "-e", "inject=clone:error=EAGAIN"])
    wait_for(lambda: re.search(r"\nTracerPid:\s+[1-9]",
             open(f"/proc/{t.proc.pid}/status").read()), 5, "strace")
    clients, lives = zip(*[t.session() for _ in range(20)])
    greetings = [c.reply() for c in clients]
    served = [c for c, g in zip(clients, greetings) if g.startswith(b"220 ")]
    assert served  # by spares
    assert any(g.startswith(b"421 4.3.2 ") for g in greetings)
    assert all(g[:4] in (b"220 ", b"421 ") for g in greetings)
    nofork.terminate()
    nofork.wait()
    c, life = t.session()
    hello(c)
    for client in (c, *served):
        client.close()
    for fd in (life, *lives):
        os.close(fd)
    t.finish()


def test_killed_session_harms_nobody():
    t = Template()
    a, life_a = t.session(sid=b"a")
    b, life_b = t.session(sid=b"b")
    hello(a)
    hello(b)
    pid = children(t.proc.pid)[0]
    os.kill(pid, signal.SIGKILL)
    assert a.rest() == b""
    assert b.cmd("NOOP").startswith("250")
    c, life_c = t.session(sid=b"c")
    hello(c)
    for fd in (life_a, life_b, life_c):
        os.close(fd)
    t.finish()
