# SPDX-License-Identifier: ISC
"""postern alias import: /etc/aliases as sendmail's users know it."""
import json
import os
import subprocess

import pytest

from roles import BIN
from userd import ask
from users_cli import HASH, Cli, running_userd

TABLE = "aliases.imported"

# what Debian's exim4-config makes of an installation where alice is the user
DEBIAN = """# /etc/aliases
mailer-daemon: postmaster
postmaster: root
nobody: root
hostmaster: root
usenet: root
news: root
webmaster: root
www: root
ftp: root
abuse: root
noc: root
security: root
root: alice
"""


@pytest.fixture
def cli(tmp_path):
    c = Cli.made(tmp_path)
    (c.users / "users").write_text(
        "".join(f"{n}@mx.example:{HASH}:mx/{n}\n"
                for n in ("alice", "bob", "carol")))
    c.file = tmp_path / "aliases"
    return c


@pytest.fixture
def running():
    with running_userd() as it:
        yield it


def imports(cli, text):
    """The new table's lines, without the comment."""
    cli.file.write_text(text)
    said = cli("alias", "import", str(cli.file))
    lines = (cli.users / TABLE).read_text().splitlines()
    assert lines[0].startswith("# postern alias import makes this of ")
    n = len(lines) - 1
    assert said == f"{cli.file}: {n} alias{'' if n == 1 else 'es'}\n"
    return lines[1:]


def mistakes(cli, text, code=100):
    """What is said, without the file's name and the last line."""
    cli.file.write_text(text)
    assert cli("alias", "import", str(cli.file), code=code) == ""
    assert not (cli.users / TABLE).exists()
    lines = [l.removeprefix(f"{cli.file}:") for l in cli.err.splitlines()]
    n = len(lines) - 1
    assert lines[-1] == f"postern: {n} mistake{'' if n == 1 else 's'} in " \
        f"{cli.file}: nothing was changed"
    return lines[:-1]


def test_syntax(cli):
    assert imports(cli, """
# comment
Info :  alice ,BOB@MX.example,
\t"x y"@far.example
# between
  , Carol C <carol@mx.example>
"big boss": alice
owner-list: bob""") == [
        'Info: alice@mx.example, BOB@mx.example, "x y"@far.example, '
        'carol@mx.example',
        '"big boss": alice@mx.example',
        'owner-list: bob@mx.example']


def test_include(cli):
    folder = cli.file.parent
    (folder / "members").write_text(
        f"# the list\nalice, x@far.example\n\"bob\"\n:include:{folder}/more\n")
    (folder / "more").write_text("carol\n")
    assert imports(cli, f"list: :include:{folder}/members, y@far.example\n") \
        == ["list: alice@mx.example, x@far.example, bob@mx.example, "
            "carol@mx.example, y@far.example"]
    (folder / "more").write_text(f"alice\n:include:{folder}/members\n")
    os.remove(cli.users / TABLE)
    wrong = mistakes(cli, f"list: :include:{folder}/members\n"
                     f"other: \":include: {folder}/none\"\n"
                     f"third: :include:relative\n"
                     f"device: :include:/dev/zero\n")
    assert any("more than 8 deep" in l for l in wrong)
    assert any(l.startswith("2: ") and "No such file" in l for l in wrong)
    assert any(l.startswith("3: ") and "write :include:/path" in l
               for l in wrong)
    assert any(l.startswith("4: ") for l in wrong)


def test_every_mistake_at_once(cli):
    wrong = mistakes(cli, """\
 first: alice
a: |"/usr/bin/vacation alice"
b: "|prog, with comma", /var/mail/b
c: /dev/null
d: \\d, x@far.example
e: :fail: gone
f: nobody-here
g: daemon
h@mx.example: alice
a: alice
i:
j: two words
no colon
k: bob, k
l: m
m: l
n: ghost, alice
o: ghost
p: lost@far.example
""")
    said = {}
    for line in wrong:
        number, _, text = line.partition(": ")
        said.setdefault(int(number), []).append(text)
    for number, word in (
            (1, "begins in the first column"),
            (2, '|"/usr/bin/vacation alice": programs are run by a user'),
            (3, "|prog, with comma: programs are run by a user"),
            (3, "/var/mail/b: mail goes into Maildirs"),
            (4, "leave the alias out and the mail is refused"),
            (5, "put ./Maildir/ and &OTHER@ADDRESS"),
            (6, "another mail system's"),
            (7, "nobody-here@mx.example: nobody has this address"),
            (8, "daemon@mx.example: a system account gets no mail"),
            (9, "use `postern alias add`"),
            (10, "a: the alias stands in an earlier line, too"),
            (11, "i: an alias without a target"),
            (12, "two words: not an address"),
            (13, "not `name: target, target`"),
            (14, "k: the alias leads back to itself"),
            (15, "l: the alias leads back to itself"),
            (16, "m: the alias leads back to itself"),
            (17, "ghost@mx.example: nobody has this address")):
        assert any(word in t for t in said.get(number, [])), (number, said)
    # one line for an address that nobody has; none for other hosts' people
    assert 18 not in said and 19 not in said
    assert sum(map(len, said.values())) == 18, said


def test_all_or_nothing(cli):
    before = imports(cli, "info: alice\n")
    cli.file.write_text("info: bob\nsales: nobody-here\n")
    cli("alias", "import", str(cli.file), code=100)
    assert (cli.users / TABLE).read_text().splitlines()[1:] == before
    assert imports(cli, "sales: bob\n") == ["sales: bob@mx.example"]
    assert imports(cli, "") == []
    cli("alias", "import", "/nonexistent/aliases", code=100)
    assert "/nonexistent/aliases: No such file" in cli.err


def test_root_has_no_mailbox(cli):
    """Debian's file without `root: alice`: one line, and what to do."""
    wrong = mistakes(cli, DEBIAN.replace("root: alice\n", ""))
    assert wrong == ["3: root@mx.example: root gets no mail by itself: add a "
                     "line `root: YOU`, or set control/postmaster"]
    (cli.root / "etc/postern/postmaster").write_text("bob@mx.example\n")
    assert len(imports(cli, DEBIAN.replace("root: alice\n", ""))) == 12


def test_bare_names_where_me_is_not_local(cli):
    (cli.root / "etc/postern/locals").write_text("example.org\nb.example\n")
    (cli.users / "users").write_text(f"al@example.org:{HASH}:al\n")
    assert imports(cli, "root: al\n") == ["root: al@example.org"]
    (cli.root / "etc/postern/locals").write_text("# none\n")
    cli("alias", "import", str(cli.file), code=100)
    assert "control/locals names no domain" in cli.err


def test_bounds(cli):
    long = ", ".join(f"user{i:04}@some.far.example" for i in range(700))
    assert any("more than 16384 bytes of targets" in l
               for l in mistakes(cli, f"list: {long}\n"))
    own = cli.file.parent / "own"
    own.write_text(f":include:{own}\n" * 10)
    wrong = mistakes(cli, f"list: :include:{own}\n")
    assert any("more than 1000 files are included" in l for l in wrong)
    many = "".join(f"n{i}: alice\n" for i in range(20000))
    assert len(imports(cli, many)) == 20000


def test_list_shows_where_they_came_from(cli):
    imports(cli, "info: alice, bob\n")
    cli("alias", "add", "sales@mx.example", "bob@mx.example")
    assert cli("alias", "list").splitlines() == [
        "sales@mx.example  bob@mx.example",
        "info              alice@mx.example, bob@mx.example  (imported)"]
    rows = [json.loads(l) for l in cli("alias", "list", "--json").splitlines()]
    assert [(r["address"], r["imported"]) for r in rows] == [
        ("sales@mx.example", False), ("info", True)]


def test_an_imported_one_is_changed_in_its_file(cli):
    imports(cli, "info: alice\n")
    cli("alias", "del", "info", code=100)
    assert "it comes from /etc/aliases: change it there" in cli.err
    cli("alias", "del", "other", code=100)
    assert "no such alias" in cli.err


def test_check_reads_the_table(cli):
    imports(cli, "info: alice\n")
    path = cli.users / TABLE
    path.write_text(path.read_text() + "broken line\n")
    r = subprocess.run([str(BIN / "postern"), "check"], env=cli.env,
                       capture_output=True, text=True, timeout=60)
    assert f"{path}:3: " in r.stdout
    assert f"{path}:2: " not in r.stdout


def test_what_never_gets_mail_is_told(cli):
    cli("alias", "add", "info", "bob@mx.example")
    assert imports(cli, "info: alice\nalice: bob\nnews: alice\n")
    notes = cli.err.splitlines()
    assert len(notes) == 2
    assert f"{cli.file}:1: info: note: " in notes[0]
    assert f"{cli.file}:2: alice: note: " in notes[1]


def test_userd_knows_at_once(running):
    """Debian's file, whole; why says which rule it was."""
    u, cli = running
    u.accounts("sys:1000:/home/sys\n")
    cli("user", "add", "alice@mx.example", "--hash", HASH)
    file = u.root / "aliases"
    file.write_text(DEBIAN)
    with u.link("listen-smtp") as smtp, u.session(smtp, "s") as s:
        assert ask(s, "R", "webmaster@mx.example").type == "D"
        assert cli("alias", "import", str(file)) == f"{file}: 13 aliases\n"
        for name in ("webmaster", "ROOT", "Postmaster", "mailer-daemon"):
            assert ask(s, "R", f"{name}@mx.example").type == "K"
        # the system's names are the locals' alone
        assert ask(s, "R", "webmaster@hamburger.edu").type == "D"
    said = cli("why", "webmaster@mx.example")
    assert "imported alias       yes, to root@mx.example" in said
    assert "alice@mx.example: virtual user" in said
