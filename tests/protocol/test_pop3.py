# SPDX-License-Identifier: ISC
"""postern-popup and postern-pop3d, the real programs in their sandboxes; the neighbours are played by pop3lib.

The dialogues in pop3/ run against pop3d with two messages, one behaviour per file:
  # text      a comment
  C: text     the client sends text and CRLF
  C\\ text     the client sends text; \\r \\n \\xHH are escapes
  S: text     the server's next line
  S.          the server closes
"""
import glob, os, pathlib, poplib, random, shutil, signal, socket, struct, subprocess, tempfile, threading, time
import pytest
import pop3lib
from pop3lib import Client, Pop3d, Popup, maildir, tcp_pair, OWNER, ROOT, TIME

HERE = pathlib.Path(__file__).parent
FILES = sorted((HERE / "pop3").glob("*.txt"))
CLASSIC = {"1700000000.a": b"Subject: blah\n\nblah blah\n.blah\n", "1700000001.b": b"Subject: more\n\none\ntwo\n"}


@pytest.fixture(scope="module")
def bindir():
    d = pop3lib.programs()
    yield d
    shutil.rmtree(d)


@pytest.fixture
def base():
    d = tempfile.mkdtemp(prefix="pop3-mail-")
    if ROOT:
        os.chown(d, OWNER, 65534)
    yield d
    shutil.rmtree(d)


def wire(content):
    """What RETR must send, dots not doubled: the one transformation, written a second time."""
    lines = content.split(b"\n")
    last = lines.pop()
    out = b"".join((l[:-1] if l.endswith(b"\r") else l) + b"\r\n" for l in lines)
    return out + (last + b"\r\n" if last else b"")


def listing(base, box="bob"):
    return {f: sorted(os.listdir(os.path.join(base, box, f))) for f in ("new", "cur")}


def login(bindir, base, **kw):
    p = Pop3d(bindir, base, "bob", **kw)
    return p, p.client.line()


# ---- dialogues ----

def play(client, path):
    for number, line in enumerate(path.read_text("latin-1").split("\n"), 1):
        kind, text = line[:2], line[3:]
        where = "%s:%d" % (path.name, number)
        if not line or kind[0] == "#":
            continue
        if kind == "C:":
            client.send(text.encode("latin-1") + b"\r\n")
        elif kind == "C\\":
            client.send(text.encode("latin-1").decode("unicode_escape").encode("latin-1"))
        elif kind == "S:":
            got = client.line()
            assert got == text, where
        elif kind == "S.":
            assert client.line() is None, where
        else:
            raise AssertionError(where)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_dialogue(bindir, base, path):
    maildir(base + "/bob", CLASSIC)
    p = Pop3d(bindir, base, "bob")
    play(p.client, path)
    assert "event=pop3" in p.end()


def test_there_are_dialogues():
    assert len(FILES) >= 8


# ---- sizes and line ends ----

ODD = {
    "1.lf": b"A: b\n\nx\n", "2.crlf": b"A: b\r\n\r\nx\r\n", "3.mixed": b"A: b\r\n\nx\ny\r\n", "4.barecr": b"A: b\n\nx\ry\r\r\nz\n",
    "5.nofinal": b"A: b\n\nx", "6.nofinalcr": b"A: b\n\nx\r", "7.dots": b".\n..\n.a\n\n.\n", "8.empty": b"", "9.nul": b"a\0b\n\0\n", "10.eight": bytes(range(256)) + b"\n",
    "11.newlines": b"\n" * 5000, "12.longline": b"x" * 200000 + b"\n", "13.crs": b"\r" * 70000 + b"\n", "14.dotcut": b"y" * 65535 + b"\n.\n" + b"z" * 65533 + b"\r\n.",
}


def test_every_line_end_is_served_and_counted(bindir, base):
    rng = random.Random(7)
    files = dict(ODD)
    for i in range(40):
        files["%d.r" % (100 + i)] = bytes(rng.choice(b"ab.\r\n\n\r.") for _ in range(rng.randrange(3000)))
    maildir(base + "/bob", files)
    p, reply = login(bindir, base)
    assert reply == "+OK %d messages" % len(files)
    c = p.client
    order = sorted(files, key=lambda n: int(n.split(".")[0]))
    c.send("LIST\r\n")
    assert c.line() == "+OK"
    sizes = dict(l.split() for l in c.multi().decode().split("\r\n")[:-1])
    for i, name in enumerate(order, 1):
        assert c.ask("RETR %d" % i).startswith("+OK"), name
        got = c.multi()
        assert got == wire(files[name]), name
        assert int(sizes[str(i)]) == len(got), name
        assert c.ask("LIST %d" % i) == "+OK %d %d" % (i, len(got))
    assert c.ask("STAT") == "+OK %d %d" % (len(files), sum(len(wire(f)) for f in files.values()))
    c.ask("QUIT")
    p.end()


def test_sizes_come_from_names(bindir, base):
    body = b"A: b\n\nhello\n"
    good, wrong, absurd = "1.a,S=%d,W=%d" % (len(body), len(body) + 3), "2.b,S=%d,W=%d" % (len(body), len(body) + 5), "3.c,S=%d,W=5" % len(body)
    maildir(base + "/bob", {good: body, wrong: body, absurd: body})
    p, _ = login(bindir, base)
    c, true = p.client, len(body) + 3
    # a plausible W= is believed without reading, an impossible one is not
    assert [c.ask("LIST %d" % i) for i in (1, 2, 3)] == ["+OK 1 %d" % true, "+OK 2 %d" % (true + 2), "+OK 3 %d" % true]
    for i in (1, 2, 3):
        # RETR says and sends what is there, and the size is right from then on
        assert c.ask("RETR %d" % i) == "+OK %d octets" % true
        assert c.multi() == wire(body)
        assert c.ask("LIST %d" % i) == "+OK %d %d" % (i, true)
    assert c.ask("STAT") == "+OK 3 %d" % (3 * true)
    c.ask("QUIT")
    p.end()


def test_large_message(bindir, base):
    body = b"A: b\n\n" + b".line of a big message\r\n\n" * 400000
    maildir(base + "/bob", {"1.a": body})
    p, _ = login(bindir, base)
    assert p.client.ask("RETR 1").startswith("+OK")
    assert p.client.multi() == wire(body)
    p.client.ask("QUIT")
    p.end()


# ---- unique-ids ----

def test_unique_ids(bindir, base):
    names = ["1.plain", "2.with space", "3." + "x" * 68, "4." + "x" * 69, "5.\u00fc", "6.~!"]
    maildir(base + "/bob", {n: b"x\n" for n in names})
    seen = []
    for session in range(2):
        p, _ = login(bindir, base)
        p.client.send("UIDL\r\n")
        assert p.client.line() == "+OK"
        uids = [l.split(" ", 1)[1] for l in p.client.multi().decode().split("\r\n")[:-1]]
        seen.append(uids)
        assert len(set(uids)) == len(names)
        assert all(1 <= len(u) <= 70 and all("!" <= ch <= "~" for ch in u) for u in uids)
        assert uids[0] == names[0] and uids[2] == names[2] and uids[5] == names[5]
        for i in range(1, 7):
            p.client.ask("RETR %d" % i)
            p.client.multi()
        p.client.ask("QUIT")
        p.end()
    assert seen[0] == seen[1]
    assert listing(base) == {"new": [], "cur": sorted(n + ":2,S" for n in names)}


def test_order_is_time_of_delivery(bindir, base):
    maildir(base + "/bob", {"1000000000.z": b"3\n", "999999999.a": b"2\n", "5.c": b"1\n"}, {"1000000001.a:2,S": b"4\n", "nonumber": b"5\n", ".hidden": b"no\n"})
    os.mkdir(base + "/bob/cur/1.directory")
    p, reply = login(bindir, base)
    assert reply == "+OK 5 messages"
    for i in range(1, 6):
        p.client.ask("RETR %d" % i)
        assert p.client.multi() == b"%d\r\n" % i
    p.client.ask("QUIT")
    p.end()


# ---- UPDATE ----

def test_only_quit_deletes(bindir, base):
    maildir(base + "/bob", CLASSIC)
    for how in ("close", "reset", "kill"):
        p, _ = login(bindir, base)
        assert p.client.ask("DELE 1") == "+OK"
        assert p.client.ask("RETR 2").startswith("+OK")
        p.client.multi()
        if how == "reset":
            p.client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if how == "kill":
            p.process.kill()
        p.client.close()
        p.end()
        assert listing(base) == {"new": sorted(CLASSIC), "cur": []}


def test_quit_deletes_and_moves(bindir, base):
    maildir(base + "/bob", CLASSIC, {"1700000002.c:2,F": b"c\n", "1700000003.d:2,": b"d\n"})
    p, _ = login(bindir, base)
    c = p.client
    for i in (2, 3):
        c.ask("RETR %d" % i)
        c.multi()
    for i in (1, 4):
        assert c.ask("DELE %d" % i) == "+OK"
    assert c.ask("QUIT") == "+OK bye"
    assert c.line() is None
    # read: to cur/, seen; what is in cur/ keeps its flags
    assert listing(base) == {"new": [], "cur": ["1700000001.b:2,S", "1700000002.c:2,F"]}
    assert "deleted=2" in p.end()


def test_unread_mail_stays_new(bindir, base):
    maildir(base + "/bob", CLASSIC)
    p, _ = login(bindir, base)
    for cmd in ("STAT", "LIST 1", "UIDL 1"):
        assert p.client.ask(cmd).startswith("+OK")
    p.client.ask("TOP 1 0")
    p.client.multi()
    p.client.ask("QUIT")
    p.end()
    assert listing(base) == {"new": sorted(CLASSIC), "cur": []}


def test_a_deletion_that_fails_is_said(bindir, base):
    maildir(base + "/bob", {"1.a": b"a\n", "3.c": b"c\n"}, {"2.b:2,": b"b\n"})
    p, _ = login(bindir, base)
    for i in (1, 2, 3):
        assert p.client.ask("DELE %d" % i) == "+OK"
    # the name is a directory now: unlink fails, and the rest goes on
    os.unlink(base + "/bob/cur/2.b:2,")
    os.mkdir(base + "/bob/cur/2.b:2,")
    assert p.client.ask("QUIT") == "-ERR [SYS/TEMP] some deleted messages not removed"
    assert listing(base) == {"new": [], "cur": ["2.b:2,"]}
    assert "event=delete-failed" in p.end()


# ---- other readers, deliveries ----

def test_messages_moved_by_another_reader(bindir, base):
    files = {"%d.m" % i: b"%d\n" % i for i in range(1, 21)}
    maildir(base + "/bob", files)
    p, _ = login(bindir, base)
    c, box = p.client, base + "/bob"
    for i in range(1, 21):
        os.rename("%s/new/%d.m" % (box, i), "%s/cur/%d.m:2,S" % (box, i))
    for i in (1, 20):
        assert c.ask("RETR %d" % i).startswith("+OK")
        assert c.multi() == b"%d\r\n" % i
    os.rename(box + "/cur/5.m:2,S", box + "/cur/5.m:2,FS")
    os.unlink(box + "/cur/6.m:2,S")
    with open(box + "/new/99.late", "wb") as f:
        f.write(b"late\n")
    assert c.ask("RETR 5").startswith("+OK")
    assert c.multi() == b"5\r\n"
    assert c.ask("RETR 6").startswith("-ERR")
    assert c.ask("RETR 6") == "-ERR somebody else has removed that message"
    assert c.ask("STAT") == "+OK 19 %d" % sum(len(b"%d\r\n" % i) for i in range(1, 21) if i != 6)
    for i in range(1, 21):
        c.ask("DELE %d" % i)
    os.rename(box + "/cur/7.m:2,S", box + "/cur/7.m:2,RS")
    os.unlink(box + "/cur/8.m:2,S")
    assert c.ask("QUIT") == "+OK bye"
    assert listing(base) == {"new": ["99.late"], "cur": []}
    p.end()


def test_a_copy_in_both_folders_is_two_messages(bindir, base):
    maildir(base + "/bob", {"1.a": b"new\n", "2.b": b"b\n"}, {"1.a:2,S": b"cur\n"})
    p, reply = login(bindir, base)
    assert reply == "+OK 3 messages"
    p.client.send("UIDL\r\n")
    p.client.line()
    uids = [l.split(" ")[1] for l in p.client.multi().decode().split("\r\n")[:-1]]
    assert len(set(uids)) == 3 and "1.a" in uids and "2.b" in uids
    for i in (1, 2):
        p.client.ask("RETR %d" % i)
        p.client.multi()
    p.client.ask("QUIT")
    p.end()
    assert sorted(open(f, "rb").read() for f in glob.glob(base + "/bob/*/1.a*")) == [b"cur\n", b"new\n"]


def test_opening_while_another_reader_moves(bindir, base):
    """However the folders change while they are read, nothing is doubled, and nothing that stays is unreadable."""
    box = base + "/bob"
    maildir(box, {"%d.m" % i: b"%d\n" % i for i in range(2000)})
    stop = threading.Event()

    def mover():
        for name in sorted(os.listdir(box + "/new"), key=lambda n: hash(n)):
            if stop.is_set():
                return
            os.rename(box + "/new/" + name, box + "/cur/" + name + ":2,")

    t = threading.Thread(target=mover)
    t.start()
    while t.is_alive():
        p, reply = login(bindir, base)
        p.client.send("UIDL\r\n")
        p.client.line()
        uids = [l.split(" ")[1] for l in p.client.multi().decode().split("\r\n")[:-1]]
        assert len(set(uids)) == len(uids) <= 2000
        for i in (1, len(uids) // 2, len(uids)):
            assert p.client.ask("RETR %d" % i).startswith("+OK")
            p.client.multi()
        p.client.close()
        p.end()
    stop.set()
    t.join()
    p, reply = login(bindir, base)
    assert reply == "+OK 2000 messages"
    p.client.close()
    p.end()


def test_one_session_at_a_time(bindir, base):
    maildir(base + "/bob", CLASSIC)
    first, _ = login(bindir, base)
    second, reply = login(bindir, base)
    assert reply == "-ERR [IN-USE] maildrop locked by another session"
    assert second.client.line() is None
    second.end()
    assert first.client.ask("STAT") == "+OK 2 62"
    first.process.kill()
    first.end()
    third, reply = login(bindir, base)  # the lock died with its process
    assert reply == "+OK 2 messages"
    third.client.ask("QUIT")
    third.end()


def test_fifo_link_and_directory_are_no_trap(bindir, base):
    box = maildir(base + "/bob", {"1.a": b"a\n", "2.b": b"b\n", "3.c": b"c\n"})
    p, reply = login(bindir, base)
    assert reply == "+OK 3 messages"
    for name in ("1.a", "2.b"):
        os.unlink(box + "/new/" + name)
    os.mkfifo(box + "/new/1.a", 0o666)
    os.symlink("/etc/passwd", box + "/new/2.b")
    assert p.client.ask("RETR 2") == "-ERR [SYS/TEMP] cannot read that message"
    p.client.send("RETR 1\r\n")  # a FIFO has no bytes, or cannot be read: in no case it hangs
    assert p.client.line()[:4] in ("+OK ", "-ERR")
    p.process.kill()
    p.end()


# ---- a maildrop that is not there yet, paths ----

@pytest.mark.parametrize("path", ["bob", "example.test/bob", "a/b/c/d"])
def test_mailbox_is_made_on_demand(bindir, base, path):
    p = Pop3d(bindir, base, path)
    assert p.client.line() == "+OK 0 messages"
    assert p.client.ask("STAT") == "+OK 0 0"
    p.client.ask("QUIT")
    p.end()
    assert set(os.listdir(base + "/" + path)) >= {"new", "cur", "tmp"}
    assert os.stat(base + "/" + path).st_mode & 0o777 == 0o700


@pytest.mark.parametrize("path", ["/etc", "../bob", "bob/../../x", "bob//x", "x/./y", "link/bob", "a\0b"])
def test_bad_paths_are_refused(bindir, base, path):
    os.symlink("/tmp", base + "/link")
    p = Pop3d(bindir, base, path)
    assert p.client.line() == "-ERR [SYS/TEMP] the maildrop cannot be opened"
    assert p.client.line() is None
    assert "event=maildrop" in p.end()


# ---- time ----

def by_hand(bindir, *args, stdin, stdout=None):
    return subprocess.Popen([bindir + "/postern-pop3d", *args], stdin=stdin, stdout=stdout or stdin, stderr=subprocess.PIPE)


def test_by_hand_as_qmail_pop3d(bindir, base):
    maildir(base + "/bob", CLASSIC)
    r = subprocess.run([bindir + "/postern-pop3d", base + "/bob"], input=b"STAT\r\nRETR 2\r\nDELE 1\r\nQUIT\r\n", stdout=subprocess.PIPE, timeout=TIME)
    assert r.stdout == b"+OK 2 messages\r\n+OK 2 62\r\n+OK 27 octets\r\nSubject: more\r\n\r\none\r\ntwo\r\n.\r\n+OK\r\n+OK bye\r\n"
    assert r.returncode == 0
    assert listing(base) == {"new": [], "cur": ["1700000001.b:2,S"]}
    r = subprocess.run([bindir + "/postern-pop3d", base + "/nobody"], input=b"STAT\r\n", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=TIME)
    assert r.stdout == b"-ERR [SYS/PERM] this user has no Maildir\r\n" and r.returncode == 111
    assert subprocess.run([bindir + "/postern-pop3d"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=TIME).returncode == 100


@pytest.mark.parametrize("sockets", [True, False])
def test_silence_ends_the_session_and_deletes_nothing(bindir, base, sockets):
    maildir(base + "/bob", CLASSIC)
    if sockets:
        client, far = tcp_pair()
        p = by_hand(bindir, "-t", "1", base + "/bob", stdin=far)
        far.close()
        c = Client(client)
        assert c.line() == "+OK 2 messages"
        assert c.ask("DELE 1") == "+OK"
        start = time.time()
        assert c.line() is None
    else:
        p = subprocess.Popen([bindir + "/postern-pop3d", "-t", "1", base + "/bob"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        p.stdin.write(b"DELE 1\r\n")
        p.stdin.flush()
        start = time.time()
        assert p.stdout.read() == b"+OK 2 messages\r\n+OK\r\n"
    assert 0.8 < time.time() - start < 10
    assert b"end=timeout" in p.stderr.read()
    p.wait(TIME)
    assert listing(base)["new"] == sorted(CLASSIC)


def test_a_client_that_does_not_read(bindir, base):
    maildir(base + "/bob", {"1.a": b"x" * 80_000_000})
    client, far = tcp_pair()
    p = by_hand(bindir, "-t", "1", base + "/bob", stdin=far)
    far.close()
    client.sendall(b"RETR 1\r\nDELE 1\r\nQUIT\r\n")
    start = time.time()
    _, err = p.communicate(timeout=TIME)
    assert time.time() - start < 10 and b"end=lost" in err and b"deleted=0" in err
    assert listing(base)["new"] == ["1.a"]


# ---- popup ----

USERS = {"bob": ("hungry", "bob"), "carol@x.test": ("p\u00e4ss w\u00f6rd ", "carol"), "busy": "Z"}


@pytest.fixture
def popup(bindir, base):
    maildir(base + "/bob", CLASSIC)
    p = Popup(bindir, base, USERS, {"timeoutpop3": "2"})
    yield p
    p.stop()


def ended(c):
    """The life pipe says that the session is over."""
    assert os.read(c.life, 1) == b""


def test_everything_in_one_segment(popup):
    c = popup.open()
    c.send("USER bob\r\nPASS hungry\r\nSTAT\r\nRETR 2\r\nQUIT\r\n")
    assert c.rest() == (b"+OK Postern POP3 ready\r\n+OK\r\n+OK 2 messages\r\n+OK 2 62\r\n+OK 27 octets\r\n"
                        b"Subject: more\r\n\r\none\r\ntwo\r\n.\r\n+OK bye\r\n")
    ended(c)
    assert popup.logins == [("bob", "hungry", b"STAT\r\nRETR 2\r\nQUIT\r\n")]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 11])
def test_however_it_is_cut(popup, step):
    c = popup.open()
    text = "USER bob\r\nPASS hungry\r\nSTAT\r\nRETR 2\r\nQUIT\r\n"
    for i in range(0, len(text), step):
        c.send(text[i:i + step])
        time.sleep(0.002)
    assert c.rest().endswith(b"+OK 2 62\r\n+OK 27 octets\r\nSubject: more\r\n\r\none\r\ntwo\r\n.\r\n+OK bye\r\n")


def test_poplib(popup):
    c = popup.open()
    port = socket.create_server(("127.0.0.1", 0))

    def relay():  # poplib connects by itself
        a, _ = port.accept()
        def copy(x, y):
            try:
                while b := x.recv(65536):
                    y.sendall(b)
                y.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # the other side closed first
        threading.Thread(target=copy, args=(a, c.sock), daemon=True).start()
        copy(c.sock, a)

    t = threading.Thread(target=relay, daemon=True)
    t.start()
    m = poplib.POP3("127.0.0.1", port.getsockname()[1], timeout=TIME)
    assert "TOP" in m.capa() and m.capa()["IMPLEMENTATION"] == ["Postern"]
    m.user("bob")
    assert m.pass_("hungry") == b"+OK 2 messages"
    assert m.stat() == (2, 62)
    assert m.list()[1] == [b"1 35", b"2 27"]
    assert m.uidl()[1] == [b"1 1700000000.a", b"2 1700000001.b"]
    assert m.retr(1)[1] == [b"Subject: blah", b"", b"blah blah", b".blah"]
    assert m.top(2, 1)[1] == [b"Subject: more", b"", b"one"]
    m.dele(1)
    m.rset()
    m.dele(2)
    m.noop()
    assert m.quit() == b"+OK bye"
    port.close()
    assert listing(popup.base) == {"new": [], "cur": ["1700000000.a:2,S"]}


def test_wrong_password_and_unknown_user_look_alike(popup):
    c = popup.open()
    c.line()
    replies, delays = [], []
    for user in ("bob", "nobody", "bob"):
        assert c.ask("USER " + user) == "+OK"
        t = time.time()
        replies.append(c.ask("PASS wrong"))
        delays.append(time.time() - t)
    assert set(replies) == {"-ERR [AUTH] user name or password is wrong"}
    assert delays[0] > 0.5 and delays[1] > delays[0] and delays[2] > delays[1]
    assert c.line() == "-ERR too many mistakes"
    assert c.line() is None
    ended(c)


def test_login_after_a_failure(popup):
    c = popup.open()
    c.send("USER bob\r\nPASS wrong\r\nUSER carol@x.test\r\n")
    assert [c.line() for _ in range(4)] == ["+OK Postern POP3 ready", "+OK", "-ERR [AUTH] user name or password is wrong", "+OK"]
    assert c.ask("PASS p\u00e4ss w\u00f6rd ") == "+OK 0 messages"
    c.ask("QUIT")
    ended(c)


def test_before_login(popup):
    c = popup.open()
    c.line()
    assert c.ask("PASS hungry") == "-ERR USER first"
    assert c.ask("STAT") == "-ERR log in first"
    assert c.ask("RETR 1") == "-ERR log in first"
    assert c.ask("APOP bob x") == "-ERR no such command"
    assert c.ask("USER") == "-ERR wrong arguments"
    assert c.ask("USER " + "x" * 255) == "-ERR that name is too long"
    assert c.ask("PASS " + "x" * 600) == "-ERR line too long"
    assert c.ask("capa") == "+OK"
    assert b"PIPELINING\r\n" in c.multi()
    assert c.ask("USER busy") == "+OK"
    assert c.ask("PASS x") == "-ERR [SYS/TEMP] no login now, try again later"
    assert c.ask("PASS x") == "-ERR USER first"
    assert c.ask("QUIT") == "+OK bye"
    assert c.line() is None
    ended(c)


def test_longest_password(popup):
    popup.users["long"] = ("y" * 512, "long")
    c = popup.open()
    c.line()
    c.ask("USER long")
    assert c.ask("PASS " + "y" * 512) == "+OK 0 messages"


def test_mistakes_are_counted(popup):
    c = popup.open()
    assert c.line() == "+OK Postern POP3 ready"
    for _ in range(59):
        assert c.ask("NONSENSE") == "-ERR no such command"
    c.send("NONSENSE\r\n")
    assert c.rest() == b"-ERR no such command\r\n-ERR too many mistakes\r\n"
    ended(c)


def test_silence_before_login_and_after(popup):
    """control/timeoutpop3 holds in popup, and goes along to pop3d with the socket."""
    c = popup.open()
    assert c.line() == "+OK Postern POP3 ready"
    t = time.time()
    assert c.line() is None
    assert 1.5 < time.time() - t < 10
    c = popup.open()
    c.line()
    c.ask("USER bob")
    assert c.ask("PASS hungry") == "+OK 2 messages"
    t = time.time()
    assert c.line() is None
    assert 1.5 < time.time() - t < 10
    ended(c)


@pytest.mark.parametrize("login", [False, True])
def test_single_bytes_are_no_sign_of_life(popup, login):
    """The timeout is for a whole command, or a byte now and then holds a place for hours."""
    c = popup.open()
    c.line()
    if login:
        c.ask("USER bob")
        assert c.ask("PASS hungry") == "+OK 2 messages"
    t = time.time()
    with pytest.raises(OSError):
        while time.time() - t < 8:
            c.send("N")
            time.sleep(0.2)
    ended(c)


def test_userd_that_goes_away_or_talks_nonsense(popup):
    for answer in (None, b"", b"?", b"Kkk", b"\xff" * 100):
        c = popup.open(answer=False)
        c.line()
        c.ask("USER bob")
        c.send("PASS hungry\r\n")
        ask = popup.asks[-1]
        _, fds = pop3lib.recv(ask)
        assert len(fds) == 3
        for fd in fds:
            os.close(fd)
        if answer:
            ask.send(answer)
        else:
            ask.close()
        if answer and answer[:1] == b"K":
            assert c.line() is None  # it believes K only as far as to leave
        else:
            assert c.line() == "-ERR [SYS/TEMP] no login now, try again later"
            assert c.line() is None
        ended(c)


def test_session_keeps_no_foreign_descriptor(popup):
    c = popup.open()
    c.line()
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(popup.process.pid)], capture_output=True, text=True).stdout.split()
    # the others wait for sessions
    if ROOT:
        children = [p for p in children if len(os.listdir("/proc/%s/fd" % p)) != 5]
        assert len(children) == 1
        fds = sorted(os.readlink("/proc/%s/fd/%s" % (children[0], f)).split(":")[0] for f in os.listdir("/proc/%s/fd" % children[0]))
        assert len(fds) == 6 and fds.count("socket") == 2 and fds.count("pipe") == 1, fds
        limits = open("/proc/%s/limits" % children[0]).read()
        assert "Max processes             0                    0" in limits
        assert "Seccomp:\t2" in open("/proc/%s/status" % children[0]).read()


def test_a_bad_packet_from_listen_costs_one_session(popup):
    for bad in (b"S", b"X" + b"\0" * 30, b"S" + b"\xff" * 200, b"S" + b"x" * 5000):
        pop3lib.send(popup.link, bad)
    c = popup.open()
    assert c.line() == "+OK Postern POP3 ready"


def test_finish_lets_sessions_live(popup):
    c = popup.open()
    assert c.line() == "+OK Postern POP3 ready"
    late = popup.open()  # queued on the link when the template is told
    pop3lib.send(popup.channel, b"Q")
    assert popup.process.wait(TIME) == 0
    for s in (c, late):
        s.send("USER bob\r\nPASS hungry\r\nQUIT\r\n")
        assert s.rest().endswith(b"+OK 2 messages\r\n+OK bye\r\n")
    with pytest.raises(BrokenPipeError):
        popup.open()


def test_a_crash_retires_the_template(popup):
    c = popup.open()
    c.line()
    child = subprocess.run(["ps", "-o", "pid=", "--ppid", str(popup.process.pid)], capture_output=True, text=True).stdout.split()[0]
    os.kill(int(child), signal.SIGSEGV)
    assert popup.process.wait(TIME) == 0
    assert "event=session-crashed" in popup.logged()


@pytest.mark.skipif(not ROOT, reason="as an ordinary user the run directory belongs to whoever tests")
def test_by_hand_under_tcpserver(bindir, base):
    """Connects to run/users by path, says who the client is, and stays until the session has ended."""
    maildir(base + "/bob", CLASSIC)
    root = tempfile.mkdtemp(prefix="pop3-root-")
    os.chmod(root, 0o755)
    os.makedirs(root + "/run/postern")
    srv = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    srv.bind(root + "/run/postern/users")
    os.chmod(root + "/run/postern/users", 0o666)
    srv.listen()
    srv.settimeout(TIME)
    client, far = tcp_pair()
    p = subprocess.Popen([bindir + "/postern-popup"], stdin=far, stdout=far, stderr=subprocess.PIPE, env={**pop3lib.ENV, "POSTERN_ROOT": root, "TCPREMOTEIP": "2001:db8::7"})
    far.close()
    ask, _ = srv.accept()
    ask.settimeout(TIME)
    data, _ = pop3lib.recv(ask)
    sid, ip, service = pop3lib.fields(data, "sss")
    assert data[:1] == b"P" and ip == b"2001:db8::7" and service == b"pop3" and len(sid) == 16
    c = Client(client)
    c.send("USER bob\r\nPASS hungry\r\nSTAT\r\n")
    data, fds = pop3lib.recv(ask)
    assert pop3lib.fields(data, "sss") == [b"bob", b"hungry", b"STAT\r\n"]
    fake = Popup.__new__(Popup)
    fake.bindir, fake.base, fake.log = bindir, base, None
    pop3d = fake.become("bob", b"STAT\r\n", fds)
    pop3lib.send(ask, b"K")
    for fd in fds:
        os.close(fd)
    assert [c.line() for _ in range(4)] == ["+OK Postern POP3 ready", "+OK", "+OK 2 messages", "+OK 2 62"]
    time.sleep(0.2)
    assert p.poll() is None
    c.ask("QUIT")
    pop3d.wait(TIME)
    assert p.wait(TIME) == 0
    shutil.rmtree(root)


def test_help_and_arguments(bindir):
    for prog in ("postern-popup", "postern-pop3d"):
        r = subprocess.run([bindir + "/" + prog, "--help"], capture_output=True, timeout=TIME)
        assert r.returncode == 0 and r.stdout.startswith(b"usage: " + prog.encode())
        assert subprocess.run([bindir + "/" + prog, "--version"], capture_output=True, timeout=TIME).stdout.startswith(b"postern ")
        assert subprocess.run([bindir + "/" + prog, "--nonsense"], capture_output=True, timeout=TIME).returncode == 100
