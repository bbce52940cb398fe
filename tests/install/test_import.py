# SPDX-License-Identifier: ISC
"""postern import-qmail, from a netqmail with vpopmail domains."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

from suite import BIN, TOP

FILES = {
    "control/me": "mail.example.org\n",
    "control/locals": "localhost\nmail.example.org\nexample.org  \n",
    "control/rcpthosts": "mail.example.org\nexample.org\nexample.com\nbackup.example\n"
                         "shop.example\n.sub.example\n",
    "control/morercpthosts": "backup2.example\n",
    "control/virtualdomains": "example.com:example.com\nother.example:other.example\nshop.example:alice-shop\n"
                              "bob@one.example:alice\nnotours.example:\n"
                              "assigned.example:assigned\n",
    "control/smtproutes": "big.example:[192.0.2.9]\n:smart.example:587\n",
    "control/databytes": "20000000\n",
    "control/queuelifetime": "604800\n",
    "control/concurrencyremote": "60\n",
    "control/timeoutsmtpd": "600\n",
    "control/helohost": "out.example.org\n",
    "control/doublebounceto": "alice\n",
    "control/doublebouncehost": "example.com\n",
    "control/badmailfrom": "@spam.example\n",
    "control/defaultdelivery": "./Maildir/\n",
    "control/servercert.pem": "x\n",
    "control/smtpgreeting": "mail.example.org ready\n",
    "alias/.qmail-postmaster": "&alice@example.com\n",
    "alias/.qmail-root": "# who\nalice@example.com\n&bob@elsewhere.example\n",
    "alias/.qmail-john:smith": "&alice@example.com\n",
    "alias/.qmail-prog": "|/usr/bin/vacation\n",
    "alias/.qmail-box": "",
    "alias/.qmail-list-default": "|ezmlm\n",
    "pop/example.com/vpasswd":
        "alice:$1$abc$defghijk:1:0:Alice:POP/example.com/alice:NOQUOTA:hungry\n"
        "bob:$1$abc$xxxxxxxxx:1:0:Bob:POP/example.com/bob:50M\n"
        "postmaster:$1$abc$yyyyyyyyy:1:0:PM:POP/example.com/postmaster:NOQUOTA\n",
    "pop/example.com/.qmail-default": "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n",
    "pop/example.com/.qmail-info": "&alice@example.com\nPOP/example.com/bob/Maildir/\n",
    "pop/example.com/.qmail-bob": "&alice@example.com\n",
    "pop/example.com/alice/Maildir/new/1.x": "Subject: old\n\nkept\n",
    "pop/example.com/alice/Maildir/cur/2.x:2,S": "Subject: seen\n\nkept\n",
    "pop/example.com/bob/.qmail": "|true\n",
    "pop/eve/Maildir/new/3.x": "Subject: eve\n\nkept\n",
    "pop/other.example/vpasswd": "",
    "pop/other.example/.qmail-default":
        "| /home/vpopmail/bin/vdelivermail '' alice@example.com\n",
    "users/assign": "=nobody-here:nohere:1500:1500:/home/nohere:::\n"
                    "+example.com-:example.com:89:89:POP/example.com:-::\n"
                    "+other.example-:other.example:89:89:POP/other.example:-::\n"
                    "+team-:alice:1000:1000:/home/alice:-:team-:\n"
                    "=sys:daemon:1:1:/usr/sbin:-:x:\n"
                    "=assigned-eve:popuser:89:89:POP/eve:::\n"
                    "nonsense\n.\n",
}


def tree(folder):
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("POP", str(folder / "pop")))
    return folder


def state(folder):
    return sorted((str(p), p.lstat().st_mtime_ns, p.is_file() and p.read_bytes())
                  for p in folder.rglob("*"))


@pytest.fixture
def places(tmp_path):
    # the mailboxes' owner is to reach it, and pytest's own is closed
    root = pathlib.Path(tempfile.mkdtemp(prefix="postern-import-"))
    os.chmod(root, 0o755)
    env = {**os.environ, "POSTERN_ROOT": str(root), "PATH": f"{BIN}:{os.environ['PATH']}"}
    subprocess.run([BIN / "postern", "init"], env=env, check=True, stdout=subprocess.DEVNULL)
    (root / "etc/postern/me").unlink()
    yield tree(tmp_path / "qmail"), root, env
    shutil.rmtree(root)


def run(places, *args, code):
    done = subprocess.run([TOP / "install/import-qmail", *args, places[0]], env=places[2],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == code and done.stderr == "", done
    return done.stdout.replace(str(places[0]), "Q").replace(str(places[1]), "")


def test_a_dry_run_says_all_and_changes_nothing(places):
    qmail, root, _ = places
    before = state(qmail), state(root)
    dry = run(places, "--dry-run", "--mail", code=1)
    assert (state(qmail), state(root)) == before
    real = run(places, "--mail", code=1)
    assert state(qmail) == before[0]
    assert dry == real  # it said what it would do


def test_everything_is_told_and_what_maps_is_taken(places):
    qmail, root, env = places
    out = run(places, "--mail", code=1)
    for told in (
            r"took +Q/control/me -> me",
            r"took +Q/control/doublebounceto -> postmaster",
            r"took +Q/control/virtualdomains -> virtualdomains",
            r"none +Q/control/virtualdomains:3: shop.example:alice-shop: there is no user alice-shop.*",
            r"none +Q/control/virtualdomains:4: bob@one.example:alice: make an alias.*",
            r"none +Q/control/virtualdomains:5: notours.example:: .*",
            r"differs +Q/control/locals: localhost is not in rcpthosts: .*",
            r"took +Q/control/rcpthosts: all recipients of what is relayed -> users/relayrcpts",
            r"none +Q/control/badmailfrom: refuse by a filter.*",
            r"none +Q/control/servercert.pem: there is no TLS yet",
            r"none +Q/control/defaultdelivery: .*",
            r"took +Q/alias/.qmail-root -> alias root: alice@example.com bob@elsewhere.example",
            r"took +Q/alias/.qmail-john:smith -> alias john.smith: alice@example.com",
            r"none +Q/alias/.qmail-prog:1: \|/usr/bin/vacation: an alias leads to addresses.*",
            r"none +Q/alias/.qmail-box: it is empty.*",
            r"none +Q/alias/.qmail-list-default: .*",
            r"took +Q/pop/example.com/vpasswd:1 -> mailbox alice@example.com",
            r"password +bob@example.com: its hash is none of ours: postern user passwd .*",
            r"none +Q/pop/example.com/vpasswd:2: bob@example.com: quota 50M.*",
            r"same +Q/pop/example.com/.qmail-default:1: unknown recipients are refused at once",
            r"took +Q/pop/example.com/.qmail-info -> alias info@example.com: "
            r"alice@example.com bob@example.com",
            r"conflict +Q/pop/example.com/.qmail-bob: bob@example.com is a mailbox, too.*",
            r"none +Q/pop/example.com/bob/.qmail: .*",
            r"took +Q/pop/other.example/.qmail-default -> alias @other.example: alice@example.com",
            r"took +Q/users/assign:1 -> alias nobody-here: nobody-here@mail.example.org",
            r"took +Q/users/assign:1 -> mailbox nobody-here@mail.example.org",
            r"took +Q/users/assign:6 -> mailbox eve@assigned.example",
            r"took +Q/pop/eve/Maildir -> /var/mail/postern/assigned.example/eve",
            r"none +Q/users/assign:4: .*",
            r"none +Q/users/assign:5: daemon-x is no user of this host",
            r"wrong +Q/users/assign:7: not a line of qmail-users: nonsense",
            r"took +Q/pop/example.com/alice/Maildir -> /var/mail/postern/example.com/alice"):
        assert re.search(rf"^{told}$", out, re.M), (told, out)
    control = root / "etc/postern"
    assert (control / "virtualdomains").read_text() == "example.com\nother.example\nassigned.example\n"
    assert (control / "rcpthosts").read_text() == \
        "backup.example\n.sub.example\nbackup2.example\n"
    assert (control / "users/relayrcpts").read_text() == "@backup.example\n@backup2.example\n"
    assert (control / "postmaster").read_text() == "alice@example.com\n"
    assert (control / "databytes").read_text() == "20000000\n"
    new = root / "var/mail/postern/example.com/alice/new/1.x"
    assert new.read_text() == "Subject: old\n\nkept\n"
    done = subprocess.run([BIN / "postern", "check"], env=env, capture_output=True, text=True)
    wrong = [r for r in done.stdout.splitlines()
             if r.startswith("mistake") and "run/users" not in r]
    assert wrong == [], done


def test_a_second_one_takes_nothing(places):
    run(places, "--mail", code=1)
    before = state(places[1])
    out = run(places, "--mail", code=1)
    assert "took" not in re.sub(r"took +Q/users/assign:\d+: the domain.*", "", out), out
    assert [r[0] for r in state(places[1])] == [r[0] for r in before]
    assert [r[2] for r in state(places[1])] == [r[2] for r in before]


def test_what_postern_has_stays(places):
    control = places[1] / "etc/postern"
    (control / "databytes").write_text("1\n")
    subprocess.run([BIN / "postern", "alias", "add", "root", "me@elsewhere.example"],
                   env=places[2], check=True)
    out = run(places, code=1)
    assert re.search(r"^conflict +Q/control/databytes: .*says otherwise, and stays$", out, re.M)
    assert re.search(r"^conflict +Q/alias/.qmail-root: root is an alias here, and stays$",
                     out, re.M)
    assert (control / "databytes").read_text() == "1\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_a_users_link_leads_to_nobody_elses_mail(places):
    """Root's own links are followed."""
    pop = places[0] / "pop"
    (pop / "example.com/bob/Maildir").symlink_to(pop / "victim")
    os.lchown(pop / "example.com/bob/Maildir", 65533, 65533)
    (pop / "victim/new").mkdir(parents=True)
    (pop / "victim/new/4.x").write_text("Subject: secret\n\n")
    (pop / "moved").symlink_to(pop / "eve")
    assign = places[0] / "users/assign"
    assign.write_text(assign.read_text().replace("/pop/eve:", "/pop/moved:"))
    out = run(places, "--mail", code=1)
    assert re.search(r"^none +Q/pop/example.com/bob/Maildir: a symbolic link .*", out, re.M), out
    mail = places[1] / "var/mail/postern"
    assert not list(mail.glob("**/4.x")) and list(mail.glob("**/3.x"))


@pytest.mark.parametrize("args, said", [
    ([], "which DIR?"), (["/nonexistent"], "there is no /nonexistent/control"),
    (["--x"], "unknown option"), (["/a", "/b"], "more than one DIR")])
def test_wrong_arguments(args, said):
    done = subprocess.run([TOP / "install/import-qmail", *args], capture_output=True, text=True)
    assert done.returncode == 100 and said in done.stderr


@pytest.mark.parametrize("files", [
    {},
    {"control/me": "\n", "control/rcpthosts": "@\n*\n]\n$(x)\n", "control/locals": "*\n@\n",
     "control/virtualdomains": ":x\n*:x\n@:x\n]:]\n:\n"},
    {"users/assign": "=*:a:1:1:/:::\n+*:a:1:1:/:-::\n=:::::::\n=x:y:z:z:/nowhere:::\n:\n=\n.\n",
     "alias/.qmail-*": "&x@y\n", "alias/.qmail-@": "&*\n", "alias/.qmail-$(x)": "&a\n",
     "alias/.qmail-": "&a\n", "alias/.qmail-a'b": "&a@b.example\n"},
    {"control/me": "m.example", "control/virtualdomains": "d.example:d.example",
     "users/assign": "+d.example-:d.example:1:1:POP:-::\n",
     "pop/vpasswd": "*:x:::::\n\n:\n../x:y:::::\na b:::::\nok\n.x:::\n",
     "pop/.qmail-default": "| vdelivermail '' /etc\n| vdelivermail '' x y\n|\n&\n\x01\x1b[2J\n"},
])
def test_nonsense_is_told_and_harms_nothing(places, files):
    qmail = places[0]
    shutil.rmtree(qmail)
    (qmail / "control").mkdir(parents=True)
    for name, text in files.items():
        (qmail / name).parent.mkdir(exist_ok=True)
        (qmail / name).write_text(text.replace("POP", str(qmail / "pop")))
    out = run(places, "--mail", code=1 if len(files) > 0 else 0)
    assert "\x1b" not in out
    subprocess.run([BIN / "postern", "user", "list"], env=places[2], check=True,
                   stdout=subprocess.DEVNULL)
