# SPDX-License-Identifier: ISC
"""postern user, alias and why: the tables they write, and a running userd."""
import json
import os
import pty
import stat
import threading

import pytest

from roles import BIN, packet
from userd import ask, become_takes, send_login
from users_cli import HASH, Cli, running_userd

pytestmark = pytest.mark.skipif(not (BIN / "postern").exists(),
                                reason="postern is not built")


@pytest.fixture
def cli(tmp_path):
    return Cli.made(tmp_path, virtualdomains="hamburger.edu")


def test_add_keeps_comments_order_owner_and_mode(cli):
    path = cli.users / "users"
    before = f"# mine\n\na@hamburger.edu:{HASH}:hamburger.edu/a\n# end"
    path.write_text(before)
    os.chmod(path, 0o604)
    if os.getuid() == 0:
        os.chown(path, 65533, 65532)
    cli("user", "add", "Bob@HAMBURGER.edu", "--hash", HASH)
    assert path.read_text() == \
        before + f"\nbob@hamburger.edu:{HASH}:hamburger.edu/bob\n"
    st = path.stat()
    assert stat.S_IMODE(st.st_mode) == 0o604
    if os.getuid() == 0:
        assert (st.st_uid, st.st_gid) == (65533, 65532)
    cli("user", "passwd", "a@hamburger.edu", stdin="new\n")
    lines = path.read_text().split("\n")
    assert lines[0] == "# mine" and lines[2].startswith("a@hamburger.edu:$argon")
    assert lines[2].endswith(":hamburger.edu/a") and HASH not in lines[2]
    cli("user", "del", "A@hamburger.edu")
    assert path.read_text() == \
        f"# mine\n\n# end\nbob@hamburger.edu:{HASH}:hamburger.edu/bob\n"
    assert sorted(p.name for p in cli.users.iterdir()) == [".lock", "users"]


def test_a_new_table_belongs_to_the_group_of_the_folder(cli):
    if os.getuid() == 0:
        os.chown(cli.users, 0, 65532)
    cli("user", "add", "bob@hamburger.edu", "--hash", HASH)
    st = (cli.users / "users").stat()
    assert stat.S_IMODE(st.st_mode) == 0o640
    assert st.st_gid == cli.users.stat().st_gid


@pytest.mark.parametrize("args,says", [
    (("user", "add", "bob"), "no system user"),
    (("user", "add", "daemon"), "not an ordinary user"),
    (("user", "add", "a b@hamburger.edu"), "not an address"),
    (("user", "add", "a/b@hamburger.edu"), "give --mailbox"),
    (("user", "add", "x@hamburger.edu", "--mailbox", "../x"), "mailbox path"),
    (("user", "add", "x@hamburger.edu", "--mailbox", "/x"), "mailbox path"),
    (("user", "add", "x@hamburger.edu", "--hash", "secret"), "--hash wants"),
    (("user", "add", "#x@hamburger.edu"), "would be a comment"),
    (("alias", "add", "#x@hamburger.edu", "y"), "would be a comment"),
    (("user", "add", "x@hamburger.edu", "y@hamburger.edu"), "usage"),
    (("user", "add"), "usage"), (("user",), "usage"),
    (("user", "frob", "x"), "usage"),
    (("user", "del", "x@hamburger.edu"), "no such user"),
    (("user", "passwd", "x@hamburger.edu", "--hash", HASH), "no such user"),
    (("alias", "add", "x@hamburger.edu"), "a target"),
    (("alias", "add", "x@hamburger.edu", "|sh"), "belong into a .qmail"),
    (("alias", "add", "x@hamburger.edu", "a b"), "-"),
    (("alias", "add", "x y", "z"), "not an address"),
    (("alias", "del", "x@hamburger.edu"), "no such alias"),
    (("alias", "frob"), "usage"),
    (("why",), "usage"), (("why", "a b"), "not an address"),
])
def test_mistakes_are_named(cli, args, says):
    if says == "-":
        cli(*args)  # two targets in one argument: taken as two
        return
    cli(*args, stdin="hungry\n", code=100)
    assert says in cli.err
    assert not (cli.users / "users").exists()
    assert not (cli.users / "aliases").exists()


@pytest.mark.parametrize("password", ["", "\n", "a\tb\n", "x" * 600 + "\n"])
def test_bad_passwords_are_refused(cli, password):
    cli("user", "add", "bob@hamburger.edu", stdin=password, code=100)
    assert not (cli.users / "users").exists()


def test_the_password_is_asked_for_twice_at_a_terminal(cli):
    def add(first, second):
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(BIN / "postern", ["postern", "user", "add",
                                        "bob@hamburger.edu"], cli.env)
        seen = b""
        for answer in (first, second):
            while not seen.endswith(b": "):
                seen += os.read(fd, 100)
            os.write(fd, answer + b"\n")
            seen += b"|"
        while True:
            try:
                more = os.read(fd, 1000)
            except OSError:
                break
            seen += more
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen

    code, seen = add(b"hungry", b"thirsty")
    assert code == 100 and b"not the same" in seen and b"hungry" not in seen
    code, seen = add(b"hungry", b"hungry")
    assert code == 0 and b"hungry" not in seen


def test_lists(cli):
    cli("user", "add", "bob@hamburger.edu", "--hash", HASH)
    cli("user", "add", "carol.long@hamburger.edu", "--hash", HASH,
        "--mailbox", "x/carol")
    assert cli("user", "list") == (
        "bob@hamburger.edu         virtual  hamburger.edu/bob\n"
        "carol.long@hamburger.edu  virtual  x/carol\n")
    rows = [json.loads(r) for r in cli("user", "list", "--json").splitlines()]
    assert rows[1] == {"address": "carol.long@hamburger.edu",
                       "kind": "virtual", "mailbox": "x/carol"}
    assert HASH not in cli("user", "list", "--json")


def test_alias_add_and_del(cli):
    path = cli.users / "aliases"
    cli("alias", "add", "info@hamburger.edu", "a@x.example", "b@x.example")
    cli("alias", "add", "INFO@hamburger.edu", "B@X.example", "c")
    assert path.read_text() == \
        "INFO@hamburger.edu: a@x.example, b@x.example, c\n"
    cli("alias", "add", "@hamburger.edu", "a@x.example")
    cli("alias", "add", "root", "a@x.example")
    rows = [json.loads(r) for r in cli("alias", "list", "--json").splitlines()]
    assert rows[0]["targets"] == ["a@x.example", "b@x.example", "c@mx.example"]
    cli("alias", "del", "info@hamburger.edu", "A@x.example", "c@mx.example")
    assert path.read_text().startswith("info@hamburger.edu: b@x.example\n@")
    cli("alias", "del", "info@hamburger.edu", "b@x.example")
    cli("alias", "del", "@hamburger.edu")
    assert path.read_text() == "root: a@x.example\n"


def test_a_user_and_an_alias_of_one_address(cli):
    cli("user", "add", "bob@hamburger.edu", "--hash", HASH)
    cli("alias", "add", "bob@hamburger.edu", "x@x.example", code=100)
    assert "there is a user" in cli.err
    cli("alias", "add", "carol@hamburger.edu", "x@x.example")
    cli("user", "add", "carol@hamburger.edu", "--hash", HASH)
    assert "hides the alias" in cli.err
    cli("user", "add", "x@else.example", "--hash", HASH)
    assert "no mail is accepted" in cli.err


def test_concurrent_adds_lose_nothing(cli):
    def some(n):
        for i in range(10):
            cli("user", "add", f"u{n}-{i}@hamburger.edu", "--hash", HASH)

    threads = [threading.Thread(target=some, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    have = {r.split()[0] for r in cli("user", "list").splitlines()}
    assert have == {f"u{n}-{i}@hamburger.edu"
                    for n in range(8) for i in range(10)}


def test_a_stuck_lock_is_waited_for(cli):
    import fcntl
    with open(cli.users / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        timer = threading.Timer(0.5, lambda: fcntl.flock(lock, fcntl.LOCK_UN))
        timer.start()
        cli("user", "add", "bob@hamburger.edu", "--hash", HASH)
        timer.join()


# ---- with a running userd ----

@pytest.fixture
def running():
    with running_userd() as it:
        yield it


def test_userd_knows_at_once(running):
    u, cli = running
    with u.link("listen-smtp") as smtp, u.session(smtp, "s") as s:
        assert ask(s, "R", "bob@hamburger.edu").type == "D"
        cli("user", "add", "bob@hamburger.edu", stdin="hungry\n")
        assert ask(s, "R", "bob@hamburger.edu").type == "K"
        cli("alias", "add", "info@hamburger.edu", "bob@hamburger.edu")
        assert ask(s, "R", "info@hamburger.edu").type == "K"
        become = u.link("become")
        with u.link("listen-pop3") as pop3, \
                u.session(pop3, "p", service="pop3") as p:
            send_login(p, "bob", "hungry")
            assert become_takes(become).maildir == "hamburger.edu/bob"
            assert packet(p).type == "K"
            cli("user", "passwd", "bob@hamburger.edu", stdin="thirsty\n")
            send_login(p, "bob", "hungry")
            assert packet(p).type == "D"
        cli("user", "del", "bob@hamburger.edu")
        assert ask(s, "R", "bob@hamburger.edu").type == "D"


def test_a_broken_table_is_told(running):
    u, cli = running
    (u.users / "relayrcpts").write_text("nonsense\n")
    cli("user", "add", "bob@hamburger.edu", "--hash", HASH, code=111)
    assert "relayrcpts:1: " in cli.err


def test_why(running):
    u, cli = running
    cli("user", "add", "bob@hamburger.edu", "--hash", HASH)
    cli("alias", "add", "info@hamburger.edu", "bob@hamburger.edu",
        "x@far.example", "lost@hamburger.edu")
    text = cli("why", "bob@hamburger.edu")
    assert "by control/virtualdomains" in text
    assert "yes, mailbox hamburger.edu/bob" in text
    assert "the mailbox owner" in text
    text = cli("why", "info@hamburger.edu")
    assert "lost@hamburger.edu: no such user here" in text
    assert ["accepted", "yes"] in [row.split() for row in text.splitlines()]
    text = cli("why", "nobody@hamburger.edu", code=1)
    assert "no, 5.1.1" in text
    assert "only from who may relay" in cli("why", "a@b.example", code=1)
    assert "neither the address nor" in cli("why", "a@relay.example", code=1)
    answer = json.loads(cli("why", "--json", "bob@hamburger.edu"))
    assert answer["accepted"] is True
    assert {"rule": "virtual user",
            "said": "yes, mailbox hamburger.edu/bob"} in answer["rules"]


def test_why_without_userd(cli):
    cli("why", "bob@hamburger.edu", code=111)
    assert "see postern status" in cli.err
    for command in ("user", "alias", "why"):
        assert cli(command, "--help").startswith("usage: postern " + command)
