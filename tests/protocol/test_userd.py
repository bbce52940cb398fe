# SPDX-License-Identifier: ISC
"""postern-userd against its wire format: R, W, Q, L, H, reload, workers."""
import ctypes
import os
import signal
import socket
import time

import pytest

from roles import packet, receive, text
from userd import (NOBODY, Userd, ask, become_takes, role_uid, send_login)

sodium = ctypes.CDLL("libsodium.so.23")
assert sodium.sodium_init() >= 0


def hashed(password, passes=1, memory=8 * 1024 * 1024):
    out = ctypes.create_string_buffer(128)
    p = password.encode()
    r = sodium.crypto_pwhash_str(out, p, ctypes.c_ulonglong(len(p)),
                                 ctypes.c_ulonglong(passes),
                                 ctypes.c_size_t(memory))
    assert r == 0
    return out.value.decode()


HUNGRY = hashed("hungry")

USERS = f"""# mail users
Bob@hamburger.edu:{HUNGRY}:hamburger.edu/bob
carol@hamburger.edu:{HUNGRY}:hamburger.edu/carol
carol@mx.example:{HUNGRY}:mx.example/carol
"a b"@hamburger.edu:{HUNGRY}:hamburger.edu/a_b
sysop:{HUNGRY}:
gone:{HUNGRY}:
"""
ALIASES = """info@hamburger.edu: bob@hamburger.edu, alice@crepes.fr
root: sysop
round@hamburger.edu: about@hamburger.edu
about@hamburger.edu: round@hamburger.edu
deep@hamburger.edu: round@hamburger.edu bob@hamburger.edu
@catch.example: bob@hamburger.edu
"""
CONTROL = {"virtualdomains": "hamburger.edu\ncatch.example\nqm.example:sysop\n"
                             "nouser.example:nobodyhere",
           "rcpthosts": "relay.example\nclosed.example",
           "postmaster": "bob@hamburger.edu"}
RELAYS = "alice@relay.example\n@all.example\n"
TABLES = {"users": USERS, "aliases": ALIASES, "relayrcpts": RELAYS}
ACCOUNTS = "sysop:1000:/home/sysop\nweb-master:1001:/home/w\n" \
           "daemon:1:/\nnobody:65534:/\n"

# address: what R says, what W says
EXPECTED = [
    ("bob@hamburger.edu", "K", ("V", "hamburger.edu/bob", "bob@hamburger.edu")),
    ("BOB@HAMBURGER.EDU", "K", ("V", "hamburger.edu/bob", "bob@hamburger.edu")),
    ('"bob"@hamburger.edu', "K",
     ("V", "hamburger.edu/bob", '"bob"@hamburger.edu')),
    ('"a b"@hamburger.edu', "K",
     ("V", "hamburger.edu/a_b", '"a b"@hamburger.edu')),
    ("nobody@hamburger.edu", "D5.1.1", ("D5.1.1",)),
    ("info@hamburger.edu", "K", ("A", "bob@hamburger.edu", "alice@crepes.fr")),
    ("root@mx.example", "K", ("A", "sysop@mx.example")),
    ("root@hamburger.edu", "D5.1.1", ("D5.1.1",)),
    ("round@hamburger.edu", "D5.4.6", ("D5.4.6",)),
    ("deep@hamburger.edu", "D5.4.6", ("D5.4.6",)),
    ("sysop@mx.example", "K", ("S", "sysop", "")),
    ("Sysop@mx.example", "K", ("S", "sysop", "")),
    ("sysop-list@mx.example", "D5.1.1", ("D5.1.1",)),
    ("daemon@mx.example", "D5.1.1", ("D5.1.1",)),
    ("nobody@mx.example", "D5.1.1", ("D5.1.1",)),
    ("sysop@hamburger.edu", "D5.1.1", ("D5.1.1",)),
    ("any.thing@catch.example", "K", ("A", "bob@hamburger.edu")),
    ("x-y@qm.example", "K", ("S", "sysop", "x-y")),
    ("x@nouser.example", "D5.1.1", ("D5.1.1",)),
    ("postmaster@hamburger.edu", "K", ("A", "bob@hamburger.edu")),
    ("abuse@mx.example", "K", ("A", "bob@hamburger.edu")),
    ("alice@relay.example", "K", ("N",)),
    ("other@relay.example", "D5.1.1", ("N",)),
    ("postmaster@relay.example", "K", ("N",)),
    ("alice@closed.example", "D5.1.1", ("N",)),
    ("alice@crepes.fr", "N", ("N",)),
    ("sysop", "K", ("S", "sysop", "")),
    ("", "D5.1.3", ("D5.1.3",)),
]


def acceptance(f):
    return f.type + (f.str()[:5] if f.type in "DZ" else "")


def way(f):
    if f.type in "DZ":
        return (f.type + f.str()[:5],)
    if f.type == "A":
        return ("A", *(f.str() for _ in range(f.u32())))
    return (f.type, *(f.str() for _ in range({"V": 2, "S": 2, "N": 0}[f.type])))


@pytest.fixture(scope="module")
def userd():
    with Userd(CONTROL, TABLES) as u:
        u.accounts(ACCOUNTS)
        yield u


@pytest.fixture
def session(userd):
    with userd.link("listen-smtp") as listen:
        yield userd.session(listen, "s1")


@pytest.mark.parametrize("address,good,_", EXPECTED)
def test_recipient(session, address, good, _):
    assert acceptance(ask(session, "R", address)) == good


def test_ways_are_answered_in_order(userd):
    qmgr = userd.link("qmgr")
    for address, _, _ in EXPECTED:
        qmgr.send(b"W" + text(address))
    for address, _, expected in EXPECTED:
        assert way(packet(qmgr)) == expected, address


def test_a_slow_reader_of_ways_loses_nothing(userd):
    qmgr = userd.link("qmgr")
    qmgr.settimeout(1)
    sent = 0
    while sent < 20000:
        try:
            qmgr.send(b"W" + text("info@hamburger.edu"), socket.MSG_DONTWAIT)
        except (BlockingIOError, TimeoutError):
            break
        sent += 1
    assert sent > 100
    for _ in range(sent):
        assert packet(qmgr).type == "A"


@pytest.mark.parametrize("address,good,_", EXPECTED)
def test_why_agrees_with_recipient(userd, address, good, _):
    if os.getuid() not in (0, userd.uid):
        pytest.skip("needs root or userd's uid")
    with userd.connect() as s:
        f = ask(s, "Q", address)
        assert f.type == "T"
        assert chr(f.u8()) == ("K" if good == "K" else "D")
        lines = f.str()
        f.end()
        assert "accepted: " in lines and "delivery: " in lines


def closed(sock):
    try:
        return receive(sock)[0] == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("bad", [
    b"", b"R", b"R\0\0\0\5ab", b"R" + text("a@b") + b"x", b"W" + text("a@b"),
    b"Q" + text("a@b"), b"H", b"L" + text("a") + text("b") + text(""), b"?",
    b"R" + text("a" * 300), b"P" + text("s") + text("i") + text("pop3"),
    b"R" + b"\xff\xff\xff\xff", b"x" * 30000])
def test_a_bad_question_closes_the_session_only(userd, bad):
    with userd.link("listen-smtp") as listen:
        s, other = userd.session(listen, "bad"), userd.session(listen, "good")
        if bad:
            s.send(bad)
        else:
            s.shutdown(socket.SHUT_WR)
        assert closed(s)
        assert ask(other, "R", "bob@hamburger.edu").type == "K"


def test_bad_packets_of_neighbours_do_no_harm(userd):
    listen, become = userd.link("listen-pop3"), userd.link("become")
    near, far = socket.socketpair()
    for bad in (b"S", b"X", b"S" + text("s") + text("i") + text("imap"),
                b"S" + text("s" * 99) + text("i") + text("smtp")):
        socket.send_fds(listen, [bad], [far.fileno()])
        listen.send(bad)
    far.close()
    near.settimeout(5)
    assert near.recv(1) == b""  # every copy was closed
    for bad in (b"K", b"K" + b"\0" * 7, b"Z" + b"\0" * 8, b"?" * 100,
                b"K" + b"\0" * 8):
        become.send(bad)
    with userd.session(listen, "s", service="smtp") as s:
        assert ask(s, "R", "bob@hamburger.edu").type == "K"


# ---- login ----

@pytest.fixture
def pop3(userd):
    with userd.link("listen-pop3") as listen:
        yield lambda ip="192.0.2.9": userd.session(listen, "p1", ip, "pop3")


@pytest.mark.parametrize("user,owner,maildir,login", [
    ("bob@hamburger.edu", "", "hamburger.edu/bob", "bob@hamburger.edu"),
    ("BOB@Hamburger.EDU", "", "hamburger.edu/bob", "bob@hamburger.edu"),
    ("bob", "", "hamburger.edu/bob", "bob@hamburger.edu"),
    ("sysop", "sysop", "Maildir", "sysop"),
    ('"a b"@hamburger.edu', "", "hamburger.edu/a_b", "a b@hamburger.edu"),
])
def test_login(userd, pop3, user, owner, maildir, login):
    become = userd.link("become")
    with pop3() as s:
        near, life = send_login(s, user, "hungry", b"STAT\r\nRETR 1\r\n")
        f = become_takes(become)
        assert (f.user, f.maildir, f.login) == (owner, maildir, login)
        assert (f.sid, f.ip) == ("p1", "192.0.2.9")
        assert f.already == b"STAT\r\nRETR 1\r\n"
        assert len(f.fds) == 3
        os.write(f.fds[1], b"+OK\r\n")
        assert near.recv(10) == b"+OK\r\n"
        answer = packet(s)
        assert answer.type == "K"
        answer.end()
        for fd in f.fds:
            os.close(fd)
        # nobody else kept a copy
        assert os.read(life, 1) == b""
        near.settimeout(5)
        assert near.recv(1) == b""
        os.close(life)
    assert f'user="{login}" result=ok' in userd.log() or \
        f"user={login} result=ok" in userd.log()


@pytest.mark.parametrize("user,password", [
    ("bob@hamburger.edu", "Hungry"), ("bob@hamburger.edu", ""),
    ("nobody@hamburger.edu", "hungry"), ("carol", "hungry"),
    ("gone", "hungry"), ("", "hungry"), ("bob@hamburger.edu", "hungry\0"),
    ("info@hamburger.edu", "hungry"), ("@hamburger.edu", "hungry"),
    ("\xff\xfe", "hungry"), ("x" * 254, "y" * 512)])
def test_login_refused(userd, pop3, user, password):
    with pop3() as s:
        near, life = send_login(s, user, password)
        f = packet(s)
        assert f.type == "D" and f.str().startswith("5.7.8 ")
        near.settimeout(5)
        assert near.recv(1) == b""
        os.close(life)
        # the session goes on: another try
        send_login(s, user, password)
        assert packet(s).type == "D"


def test_login_deferred_by_become(userd, pop3):
    become = userd.link("become")
    with pop3() as s:
        send_login(s, "bob", "hungry")
        become_takes(become, b"Z", "4.3.0 no process")
        f = packet(s)
        assert f.type == "Z" and f.str() == "4.3.0 no process"
        send_login(s, "bob", "hungry")
        packet(become)
        become.close()
        assert packet(s).type == "Z"
        send_login(s, "bob", "hungry")
        assert packet(s).type == "Z"  # no link at all


def test_an_smtp_session_may_not_log_in(userd):
    with userd.link("listen-smtp") as listen:
        s = userd.session(listen, "s1")
        send_login(s, "bob", "hungry")
        assert closed(s)


def test_a_session_that_goes_away_is_not_handed_over(userd, pop3):
    become = userd.link("become")
    s = pop3()
    workers = userd.workers()
    for pid in workers:  # else they may be quicker than we
        os.kill(pid, signal.SIGSTOP)
    _, life = send_login(s, "bob", "hungry")
    s.close()
    with userd.link("listen-smtp") as listen:
        other = userd.session(listen, "s1")
        for _ in range(3):  # it reads in turn: the end of s, too
            ask(other, "R", "bob@hamburger.edu")
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    assert os.read(life, 1) == b""
    os.close(life)
    become.settimeout(0.5)
    with pytest.raises(TimeoutError):
        become.recv(100)


def test_a_flood_of_logins_is_bounded_and_all_are_answered(userd, pop3):
    socks = [pop3(f"192.0.2.{i % 10}") for i in range(400)]
    for s in socks:
        near, life = send_login(s, "bob", "wrong")
        near.close()
        os.close(life)
    with userd.link("listen-smtp") as listen:
        # recipients are answered meanwhile
        with userd.session(listen, "s") as other:
            began = time.monotonic()
            for _ in range(100):
                assert ask(other, "R", "bob@hamburger.edu").type == "K"
            assert time.monotonic() - began < 5
    assert len(userd.workers()) == 4
    kinds = [packet(s, 60).type for s in socks]
    assert kinds.count("Z") + kinds.count("D") == 400
    assert kinds.count("Z") > 0 and kinds.count("D") >= 200
    for s in socks:
        s.close()


def test_one_address_cannot_take_all_places(userd, pop3):
    socks = [pop3("198.51.100.1") for _ in range(200)]
    for s in socks:
        near, life = send_login(s, "bob", "wrong")
        near.close()
        os.close(life)
    with pop3("192.0.2.77") as s:
        send_login(s, "bob", "wrong")
        assert packet(s, 60).type == "D"
    for s in socks:
        packet(s, 60)
        s.close()


def test_one_net_cannot_take_all_places(userd, pop3):
    if os.getuid() not in (0, userd.uid):
        pytest.skip("may not stop them")
    workers = userd.workers()
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        socks = [pop3(f"2001:db8::{i:x}") for i in range(200)]
        for s in socks:
            near, life = send_login(s, "bob", "wrong")
            near.close()
            os.close(life)
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
    kinds = [packet(s, 60).type for s in socks]
    assert kinds.count("D") == 128 and kinds.count("Z") == 72
    for s in socks:
        s.close()


def test_dead_workers_are_replaced(userd, pop3):
    if os.getuid() not in (0, userd.uid):
        pytest.skip("may not kill them")
    before = userd.workers()
    assert len(before) == 4
    socks = [pop3() for _ in range(8)]
    for s in socks:
        send_login(s, "bob", "wrong")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    kinds = [packet(s, 60).type for s in socks]
    assert set(kinds) <= {"D", "Z"}
    deadline = time.monotonic() + 10
    while len(set(userd.workers()) - set(before)) < 4:
        assert time.monotonic() < deadline
    with pop3() as s:
        send_login(s, "bob", "wrong")
        assert packet(s).type == "D"
    for s in socks:
        s.close()


def test_workers_are_narrow(userd):
    for pid in userd.workers():
        status = dict(line.split(":", 1) for line in
                      open(f"/proc/{pid}/status").read().splitlines())
        assert status["Seccomp"].strip() == "2"
        assert int(status["Seccomp_filters"]) >= 2
        assert status["NoNewPrivs"].strip() == "1"
        assert status["CapEff"].strip() == "0" * 16
        if os.getuid() in (0,):
            fds = sorted(int(f) for f in os.listdir(f"/proc/{pid}/fd"))
            assert len(fds) == 4, fds  # 0, 1, 2 and its socket


def test_unknown_users_cost_as_much(pop3, userd):
    usual = hashed("hungry", 2, 64 * 1024 * 1024)
    path = userd.users / "users"
    old = path.read_text()
    path.write_text(old + f"usual@hamburger.edu:{usual}:u\n")
    userd.reload()
    userd.wait_log("users=7")

    def cost(user):
        with pop3() as s:
            began = time.monotonic()
            send_login(s, user, "wrong")
            assert packet(s).type == "D"
            return time.monotonic() - began

    # in turns, and the least of each: a busy machine only ever adds to it
    both = [(cost("usual@hamburger.edu"), cost("who@hamburger.edu"))
            for _ in range(7)]
    known, unknown = map(min, zip(*both))
    path.write_text(old)
    userd.reload()
    assert 0.5 < known / unknown < 2, (known, unknown)


# ---- callers at run/users ----

def as_uid(uid, what):
    """Runs what() in a child of that uid; its result's repr."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            os.write(w, repr(what()).encode())
        finally:
            os._exit(0)
    os.close(w)
    os.waitpid(pid, 0)
    out = os.read(r, 1000)
    os.close(r)
    return eval(out.decode())  # our own repr


def answers(userd, *packets):
    with userd.connect() as s:
        kinds = []
        for p in packets:
            try:
                s.send(p)
                data = b"" if p[:1] == b"P" else receive(s)[0]
            except OSError:
                data = b""
            kinds.append(data[:1])
        return kinds


R = b"R" + text("bob@hamburger.edu")
Q = b"Q" + text("bob@hamburger.edu")
W = b"W" + text("bob@hamburger.edu")
P = b"P" + text("sid") + text("192.0.2.1")


@pytest.mark.skipif(os.getuid() != 0, reason="needs several users")
def test_what_callers_may_ask(userd):
    import pwd
    try:
        smtpd, popup = (pwd.getpwnam(n).pw_uid for n in ("posternd", "posternp"))
    except KeyError:
        pytest.skip("the postern users are not there")
    stranger = NOBODY - 1
    assert as_uid(stranger, lambda: answers(userd, R, R)) == [b"K", b"K"]
    for packets in ((Q,), (W,), (b"H",), (P + text("smtp"), R)):
        assert as_uid(stranger, lambda: answers(userd, *packets))[-1] == b""
    assert as_uid(smtpd, lambda: answers(userd, P + text("smtp"), R))[1] == b"K"
    assert as_uid(smtpd, lambda: answers(userd, R, P + text("smtp"), R))[2] == b""
    assert as_uid(smtpd, lambda: answers(userd, Q)) == [b""]
    assert as_uid(popup, lambda: answers(userd, R)) == [b""]
    assert as_uid(role_uid(), lambda: answers(userd, R, Q, b"H")) == \
        [b"K", b"T", b"K"]
    assert answers(userd, R, Q, b"H") == [b"K", b"T", b"K"]
    assert answers(userd, W) == [b""]

    def login():
        with userd.connect() as s:
            s.send(P + text("pop3"))
            send_login(s, "bob", "wrong")
            return packet(s).type

    assert as_uid(popup, login) == "D"


@pytest.mark.skipif(os.getuid() != 0, reason="needs a stranger")
def test_silent_strangers_make_room(userd):
    def many():
        socks = [userd.connect() for _ in range(200)]
        socks[-1].send(R)
        newest = receive(socks[-1])[0][:1]
        gone = closed(socks[0])
        return newest, gone

    assert as_uid(NOBODY - 1, many) == (b"K", True)
    with userd.connect() as s:
        assert ask(s, "R", "bob@hamburger.edu").type == "K"


# ---- reload ----

def test_reload_is_all_or_nothing():
    with Userd(CONTROL, TABLES) as u:
        with u.link("listen-smtp") as listen, u.session(listen, "s") as s:
            assert ask(s, "R", "bob@hamburger.edu").type == "K"
            (u.users / "users").write_text(f"new@hamburger.edu:{HUNGRY}:n\n")
            (u.users / "aliases").write_text("# fine\n\nnonsense\n")
            u.reload()
            u.wait_log("file=aliases line=3")
            assert ask(s, "R", "new@hamburger.edu").type == "D"
            assert ask(s, "R", "bob@hamburger.edu").type == "K"
            if os.getuid() in (0, u.uid):
                with u.connect() as c:
                    c.send(b"H")
                    f = packet(c)
                    assert f.type == "D" and f.str().startswith("aliases:3: ")
            (u.users / "aliases").write_text("")
            u.reload()
            u.wait_log("event=tables users=1")
            assert ask(s, "R", "new@hamburger.edu").type == "K"
            assert ask(s, "R", "bob@hamburger.edu").type == "D"
            (u.etc / "locals").write_text("not a domain\n")
            u.reload()
            u.wait_log("file=locals")
            assert ask(s, "R", "new@hamburger.edu").type == "K"


def test_wrong_tables_at_the_start_defer_everything():
    with Userd(CONTROL, {"users": "nonsense\n"}) as u:
        with u.link("listen-smtp") as listen, u.session(listen, "s") as s:
            assert acceptance(ask(s, "R", "bob@hamburger.edu")) == "Z4.3.5"
            (u.users / "users").write_text(USERS)
            u.reload()
            u.wait_log("event=tables")
            assert ask(s, "R", "bob@hamburger.edu").type == "K"


def test_accounts_come_and_go():
    with Userd(CONTROL, TABLES) as u, u.link("qmgr") as qmgr:
        # not yet: a mail for sysop must not bounce, whatever comes first
        assert way(ask(qmgr, "W", "sysop@mx.example")) == ("Z4.3.0",)
        with u.link("listen-pop3") as pop3, \
                u.session(pop3, "p", service="pop3") as p:
            send_login(p, "sysop", "hungry")
            assert packet(p).type == "Z"
        u.accounts(ACCOUNTS)
        assert way(ask(qmgr, "W", "sysop@mx.example")) == ("S", "sysop", "")
        u.accounts("garbage\n::\nother:1000:/home/other")
        assert way(ask(qmgr, "W", "sysop@mx.example")) == ("D5.1.1",)
        assert way(ask(qmgr, "W", "other@mx.example")) == ("S", "other", "")


def test_extensions_when_asked_for():
    control = {**CONTROL, "extensions": "1"}
    with Userd(control, TABLES) as u, u.link("qmgr") as qmgr:
        u.accounts(ACCOUNTS)
        for address, expected in (
                ("sysop-list@mx.example", ("S", "sysop", "list")),
                ("sysop-a-b@mx.example", ("S", "sysop", "a-b")),
                ("web-master-x@mx.example", ("S", "web-master", "x")),
                ("web-x@mx.example", ("D5.1.1",))):
            assert way(ask(qmgr, "W", address)) == expected


def test_postmaster_is_always_accepted():
    control = {**CONTROL, "postmaster": "lost@hamburger.edu"}
    with Userd(control, TABLES) as u, u.link("qmgr") as qmgr:
        u.accounts(ACCOUNTS)
        with u.link("listen-smtp") as listen, u.session(listen, "s") as s:
            assert ask(s, "R", "postmaster@mx.example").type == "K"
            assert way(ask(qmgr, "W", "postmaster@mx.example")) == ("Z4.3.5",)
            u.wait_log("event=config-warning file=postmaster")
            if os.getuid() in (0, u.uid):
                with u.connect() as c:
                    assert chr(ask(c, "Q", "postmaster").u8()) == "Z"
            assert acceptance(ask(s, "R", "abuse@mx.example")) == "D5.1.1"


def test_one_user_suite():
    with Userd(CONTROL, TABLES, one_user=True) as u:
        with u.link("listen-smtp") as listen, u.session(listen, "s") as s:
            assert ask(s, "R", "bob@hamburger.edu").type == "K"
        become = u.link("become")

        def login():
            with u.connect() as s:
                s.send(P + text("pop3"))
                send_login(s, "bob", "hungry")
                become_takes(become)
                return packet(s).type

        assert (as_uid(NOBODY, login) if os.getuid() == 0 else login()) == "K"


def test_it_ends_with_start_and_leaves_no_child():
    with Userd(CONTROL, TABLES) as u:
        keeper = open(f"/proc/{u.process.pid}/task/{u.process.pid}/children")
        pids = [int(p) for p in keeper.read().split()] + u.workers()
        keeper.close()
    deadline = time.monotonic() + 5
    while any(os.path.exists(f"/proc/{p}") and
              " Z" not in open(f"/proc/{p}/stat").read() for p in pids):
        assert time.monotonic() < deadline, pids
        time.sleep(0.05)


def test_without_its_keeper_it_asks_to_be_started_anew():
    with Userd(CONTROL, TABLES) as u:
        if os.getuid() not in (0, u.uid):
            pytest.skip("may not kill it")
        pid = u.process.pid
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            os.kill(int(f.read()), signal.SIGKILL)
        assert u.process.wait(10) == 111
        assert "the hash keeper is gone" in u.log()
        u.channel.close()
        u.start()
        with u.link("listen-pop3") as pop3, \
                u.session(pop3, "p", service="pop3") as p:
            send_login(p, "bob@hamburger.edu", "wrong")
            assert packet(p).type == "D"
