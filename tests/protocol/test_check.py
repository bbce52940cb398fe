# SPDX-License-Identifier: ISC
"""`postern check`: a gallery of broken configurations.  A run shows every
mistake, with file and line and what to do; and nothing else."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

from suite import BIN, TOP

HASH = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$" + "A" * 43

# a suite in which nothing is wrong
SOUND = {
    "me": "mail.example.org\n",
    "locals": "example.org\n",
    "virtualdomains": "virtual.test\n",
    "rcpthosts": "relayed.test\n",
    "postmaster": "alice@example.org\n",
    "smtplisten": "127.0.0.1:2525\n",
    "pop3listen": "127.0.0.1:2110\n",
    "users/users": f"alice@example.org:{HASH}:example.org/alice\n",
    "users/relayrcpts": "@relayed.test\n",
    "tcp.smtp": ":allow\n",  # postern-smtpd(8), behind tcpserver
    "tcp.smtp.cdb": "",
}

# (file and line, kind, text)
M, W = "mistake", "warning"
GALLERY = {
    "settings": ({
        "databytes": "many\n",
        "timeoutsmtpd": "0\n",
        "concurrencypop3": "60001\n5\n",
        "timeoutpop3": "",
        "queuelifetime": "60\n",
        "concurrencyremote": "0\n",
        "concurrencylocal": "0\n",
        "concurrencyperip": "2000\n",
        "timeoutconnect": "100\n",
        "timeoutremote": "50\n",
        "queuememorymb": "65536\n",
        "journalsegmentmb": "1024\n",
        "journalsegments": "1024\n",
        "spoolfloormb": "1000000000\n",
        "bouncefrom": "mailer@example.org\n",
        "bouncehost": "two words\n",
        "helohost": "192.0.2.1\n",
        "defaultdomain": ".example.org\n",
        "idhost": "mail id\n",
        "smtpgreeting": "caf\xe9\n",
        "postmaster": "not an address\n",
        "strict7bit": "yes\n",
    }, [
        ("databytes:1", M, "must be a whole number from 0 to"),
        ("timeoutsmtpd:1", M, "must be a whole number from 1 to 86400"),
        ("concurrencypop3:1", M, "must be a whole number from 1 to 5000"),
        ("concurrencypop3:2", W, "only the first line counts: remove"),
        ("timeoutpop3:1", W, "is empty, so the default holds, 600: remove"),
        ("queuelifetime:1", W, "mail is returned after 60 seconds"),
        ("concurrencyremote:1", W, "with 0 no mail leaves this host"),
        ("concurrencylocal:1", W, "with 0 no mail is delivered here"),
        ("concurrencyperip:1", W, "2000 is never reached, for "
         "concurrencyincoming is 1000: lower"),
        ("concurrencyperip:1", W, "2000 is never reached, for "
         "concurrencyper64 is 500: lower"),
        ("timeoutconnect:1", W, "100 is never reached, for timeoutremote is"),
        ("queuememorymb:1", M, "65536 MiB are more than this machine's"),
        ("journalsegmentmb:1", M, "a journal of 1048576 MiB"),
        ("spoolfloormb", W, "and below 1000000000 no new mail is taken: make"),
        ("bouncefrom:1", M, "write what stands before the @"),
        ("bouncehost:1", M, "is no host name: write one"),
        ("helohost:1", M, "an address is no name: write the host's name"),
        ("defaultdomain:1", M, "is no host name: write one"),
        ("idhost:1", M, "is no host name: write one"),
        ("smtpgreeting:1", M, "only printable ASCII can be sent"),
        ("postmaster:1", M, "is no address: write one"),
        ("strict7bit:1", M, "must be a whole number from 0 to 1"),
        ("users", W, "not known whether postmaster and abuse arrive: mend"),
    ]),
    "names": ({
        "databyte": "1\n",
        "smtproute": "",
        "loclas": "",
        "concurrencyincomming": "5\n",
        "morercpthosts": "x.test\n",
        "concurrencysmtp": "5\n",
        "whatever": "5\n",
        "helohost": "mail\n",
    }, [
        ("databyte", M, "rename it, if databytes is meant"),
        ("smtproute", M, "rename it, if smtproutes is meant"),
        ("loclas", M, "rename it, if locals is meant"),
        ("concurrencyincomming", M, "rename it, if concurrencyincoming is"),
        ("morercpthosts", W, "not read: put its lines into rcpthosts"),
        ("concurrencysmtp", W, "the setting is concurrencyincoming"),
        ("whatever", W, "no setting has this name, so it does nothing"),
        ("helohost", W, "mail is no full name, and many servers refuse"),
    ]),
    "domains": ({
        "locals": "example.org\n# a comment\nEXAMPLE.org.\n",
        "virtualdomains": "virtual.test\nexample.org\nvirtual.test\n"
                          "list.test:no-such-user\nsys.test:daemon\n"
                          "none.test:nobody\n",
        "rcpthosts": "relayed.test\nunlisted.test\nrelayed.test\n",
        "smtproutes": "example.org:192.0.2.1\nrelayed.test:192.0.2.2\n"
                      "relayed.test:192.0.2.3\nother.test:127.0.0.1:2525\n"
                      "third.test:mail.example.org:2525\n"
                      "filter.test:127.0.0.1:10025\n",
        # what is wrong with list.test and sys.test is told once
        "users/aliases": "@list.test: alice@example.org\n"
                         "@sys.test: alice@example.org\n",
    }, [
        ("locals:3", W, "example.org stands in line 1 already: remove one"),
        ("virtualdomains:2", M, "example.org is in locals too, which wins"),
        ("virtualdomains:3", W, "virtual.test stands in line 1 already"),
        ("virtualdomains:4", M, "there is no system user no-such-user: make"),
        ("virtualdomains:5", M, "daemon is a user of the system's own"),
        ("virtualdomains:6", M, "nobody is a user of the system's own"),
        ("rcpthosts:2", W, "names no recipient of this domain, so all are"),
        ("rcpthosts:3", W, "relayed.test stands in line 1 already"),
        ("smtproutes:1", W, "mail for example.org stays here (it is in "
         "locals)"),
        ("smtproutes:3", W, "replaces line 2, which is for the same domain"),
        ("smtproutes:4", M, "127.0.0.1:2525 is this host, so mail would go "
         "round in a loop: name"),
        ("smtproutes:5", M, "mail.example.org:2525 is this host"),
    ]),
    "syntax of lists": ({
        "locals": "example.org\nnot a domain\n",
        "virtualdomains": "who@virtual.test\na.test:one\na.test:two\n",
        "rcpthosts": "..\n",
        "smtproutes": "relayed.test\nx.test:[::1\nx.test:h:99999\n",
        "destinations": "a.test\nb.test connections=0\nb.test rate=1/day\n"
                        "c.test messages=5\nc.test messages=6\n*x messages=1\n",
        "relayclients": "10.0.0.0/8\nhere\n",
        "dialrefuse": "10.0.0.0/99\n",
        "resolvers": "ns.example.org\n",
        "smtplisten": "25\n127.0.0.1:0\n127.0.0.1:2525\n",
    }, [
        ("locals:2", M, "not a domain name: write it as example.org"),
        ("smtproutes:1", M, "write domain:host or domain:host:port"),
        ("smtproutes:2", M, "a bracket is not closed"),
        ("smtproutes:3", M, "the port is not a number from 1 to 65535"),
        ("destinations:1", M, "write connections=N, messages=N or rate=N"),
        ("destinations:2", M, "connections is a number from 1 to 1000"),
        ("destinations:3", M, "a rate is a number a second, minute or hour"),
        ("destinations:5", M, "an earlier line has this name already: make"),
        ("destinations:6", M, "write a domain, .domain or * first"),
        ("relayclients:2", M, "write a network as 192.0.2.0/24"),
        ("dialrefuse:1", M, "write a network as 192.0.2.0/24"),
        ("resolvers:1", M, "write a DNS server as 192.0.2.53"),
        ("smtplisten:1", M, "write address:port, as 0.0.0.0:25"),
        ("smtplisten:2", M, "write address:port, as 0.0.0.0:25"),
        ("virtualdomains:1", M, "user@domain is not taken here: make an al"),
        ("virtualdomains:3", M, "the domain was listed before, with another"),
        ("virtualdomains:3", W, "a.test stands in line 2 already"),
        ("virtualdomains:2", M, "there is no system user one"),
        ("virtualdomains:3", M, "there is no system user two"),
        ("rcpthosts:1", M, "not a domain name"),
        ("users", W, "not known whether postmaster and abuse arrive: mend"),
    ]),
    "net": ({
        "smtplisten": "0.0.0.0:2525\n127.0.0.1:2525\n203.0.113.77:2526\n"
                      "127.0.0.1:2527\n127.0.0.1:2528\n",
        "pop3listen": "127.0.0.1:2527\n",
        "relayclients": "0.0.0.0/0\n192.0.2.5/24\n10.0.0.0/8\n10.0.0.0/8\n"
                        "::/0\n",
        "dialrefuse": "0.0.0.0/1\n",
        "resolvers": "192.0.2.53\n192.0.2.53\n",
    }, [
        ("smtplisten:2", M, "smtplisten:1 takes this address and port"),
        ("smtplisten:3", M, "this host has no such address: write one"),
        ("smtplisten:5", M, "a service has at most 4 addresses"),
        ("pop3listen:1", M, "smtplisten:4 takes this address and port"),
        ("relayclients:1", M, "strangers send their spam through this host"),
        ("relayclients:2", W, "stands for the whole network of 24 bits"),
        ("relayclients:4", W, "an earlier line says the same: remove one"),
        ("relayclients:5", M, "strangers send their spam through this host"),
        ("dialrefuse:1", M, "hardly any mail leaves: name smaller networks"),
        ("resolvers:2", W, "an earlier line says the same: remove one"),
    ]),
    "no address beside one": (
        {"smtplisten": "none\n127.0.0.1:2525\n", "pop3listen": "none\n"}, [
        ("smtplisten", M, "has both none and an address"),
    ]),
    "no address to listen on": ({"smtplisten": "# none\n"}, [
        ("smtplisten", M, "names no address, and so the suite does not start"),
    ]),
    "tables": ({
        "users/users":
            f"alice@example.org:{HASH}:example.org/alice\n"
            f"bob@example.org:plain:example.org/bob\nno colons\n"
            f"carol@example.org:{HASH}:/etc/passwd\n"
            f"ALICE@example.org:{HASH}:example.org/alice2\n"
            f"dan@elsewhere.test:{HASH}:elsewhere.test/dan\n"
            f"no-such-user:{HASH}:\n",
        "users/aliases":
            "info@example.org: alice@example.org\nnothing\n"
            "empty@example.org:\nlist@example.org: |program\n"
            "info@example.org: carol@example.org\n"
            "alice@example.org: carol@elsewhere.test\n"
            "x@nowhere.test: alice@example.org\n",
        "users/relayrcpts": "@relayed.test\nnobody\nx@unknown.test\n",
    }, [
        ("users/users:2", M, "the hash is not an Argon2id one of bearable"),
        ("users/users:3", M, "not address:hash:mailbox"),
        ("users/users:4", M, "not a mailbox path"),
        ("users/users:5", M, "line 1 has this address already: remove one"),
        ("users/users:6", W, "elsewhere.test is in none of locals and"),
        ("users/users:7", W, "there is no system user no-such-user"),
        ("users/aliases:2", M, "not address: target, target"),
        ("users/aliases:3", M, "an alias without a target"),
        ("users/aliases:4", M, "programs, files and lists belong into"),
        ("users/aliases:5", M, "line 1 has this address already: remove one"),
        ("users/aliases:6", W, "alice@example.org is a mail user "
         "(users/users:1), who goes before"),
        ("users/aliases:7", W, "nowhere.test is in none of locals and"),
        ("users/relayrcpts:2", M, "not an address or @domain"),
        ("users/relayrcpts:3", W, "unknown.test is in none of rcpthosts"),
        ("users", W, "not known whether postmaster and abuse arrive: mend"),
    ]),
    "addresses": ({
        "postmaster": "nobody@example.org\n",
        "users/aliases": "one@example.org: two@example.org\n"
                         "two@example.org: one@example.org\n"
                         "team@example.org: alice@example.org, gone@example.org"
                         ", x@elsewhere.test\nabuse: alice@example.org\n",
        "users/aliases.imported": "webmaster: gone2@example.org\n",
    }, [
        ("locals:1", M, "postmaster of this domain has no mailbox"),
        ("virtualdomains:1", M, "postmaster of this domain has no mailbox"),
        ("virtualdomains:1", M, "abuse of this domain is not accepted"),
        ("users/aliases:1", W, "refused, one@example.org: 5.4.6"),
        ("users/aliases:2", W, "refused, two@example.org: 5.4.6"),
        ("users/aliases:3", W, "its target gone@example.org: 5.1.1"),
        ("users/aliases.imported:1", W, "its target gone2@example.org: 5.1.1"),
    ]),
}


def postern(folder, *args):
    return subprocess.run(
        [str(BIN / "postern"), *args], stdin=subprocess.DEVNULL,
        capture_output=True, timeout=30, text=True,
        env={"PATH": os.environ["PATH"], "POSTERN_ROOT": folder})


@pytest.fixture(scope="module")
def folder():
    path = tempfile.mkdtemp(prefix="postern-check-")
    os.chmod(path, 0o755)
    try:
        done = postern(path, "init")
        assert done.returncode == 0, done
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture
def control(folder):
    """The control directory of a sound suite."""
    path = pathlib.Path(folder, "etc/postern")
    write(path, SOUND)
    yield path
    for f in path.glob("*"):
        if f.is_symlink() or not f.is_dir():
            f.unlink()
        elif f.name != "users":
            f.rmdir()
    for f in path.glob("users/*"):
        f.unlink()


def write(control, files):
    for name, text in files.items():
        path = control / name
        path.write_bytes(text.encode("latin-1"))
        path.chmod(0o640 if name.startswith("users/") else 0o644)
        if os.geteuid() == 0 and name.startswith("users/"):
            shutil.chown(path, group="posternu")


def findings(folder, control):
    """[(file:line, kind, text)] of the control directory, of both outputs."""
    out = postern(folder, "check", "--json")
    assert not out.stderr, out
    rows = [json.loads(line) for line in out.stdout.splitlines()]
    text = postern(folder, "check")
    assert not text.stderr and text.returncode == out.returncode, text
    assert text.returncode == (1 if any(r["kind"] == M for r in rows) else 0)
    lines = text.stdout.splitlines()
    for row, line in zip(rows, lines):
        place = row["file"] + (f":{row['line']}" if row["line"] else "")
        # others use the disk, too
        assert re.sub(r"\d+ MiB left", "", line) == re.sub(
            r"\d+ MiB left", "", f"{row['kind']}: {place}: {row['what']}")
    assert re.fullmatch(r"\d+ mistakes?, \d+ warnings?", lines[len(rows)])
    return [(r["file"][len(f"{control}/"):] +
             (f":{r['line']}" if r["line"] else ""), r["kind"], r["what"])
            for r in rows if r["file"].startswith(f"{control}/")]


def test_nothing_is_wrong(folder, control):
    assert findings(folder, control) == []


@pytest.mark.parametrize("name", GALLERY)
def test_gallery(folder, control, name):
    files, expected = GALLERY[name]
    write(control, files)
    left = findings(folder, control)
    for place, kind, text in expected:
        found = [f for f in left if f[:2] == (place, kind) and text in f[2]]
        assert len(found) == 1, (place, kind, text, left)
        # it says what to do, too
        assert re.search(
            r": \w|must be|write |is a number|a rate is|the port is|stays here"
            r"|5\.\d\.\d", found[0][2]), found
        left.remove(found[0])
    assert left == []


def test_nothing_but_printable_ascii_reaches_the_terminal(folder, control):
    (control / "a\x1b[2Jb\nc\x9b").write_text("1\n")
    write(control, {"smtpgreeting": "\x1b]0;title\x07 \x9b\n",
                    "locals": "example.org\n\x1b[2J.org\n"})
    for command in "check", "show":
        done = subprocess.run([BIN / "postern", command], capture_output=True,
                              env={**os.environ, "POSTERN_ROOT": str(folder)})
        assert re.fullmatch(rb"[ -~\n]*", done.stdout), (command, done.stdout)
        assert b"[2J" in done.stdout


def test_what_comes_from_me_is_said_of_me(folder, control):
    write(control, {"me": "mail example\n"})
    found = findings(folder, control)
    assert [f[:2] for f in found if f[1] == M] == [("me:1", M)], found
    assert all((control / f[0].split(":")[0]).exists() for f in found), found


@pytest.mark.skipif(os.geteuid() != 0, reason="mailboxes of another user are root's to make")
def test_a_mailbox_that_is_not_posternms(folder, control):
    mail = pathlib.Path(folder, "var/mail/postern")
    (mail / "example.org/alice/new").mkdir(parents=True)
    found = findings(folder, control)
    assert [f[:2] for f in found] == [("users/users:1", M)], found
    command = found[0][2].split(": run ")[1]
    assert command == f"chown -R posternm:posternm {mail}"
    subprocess.run(command.split(), check=True)
    assert findings(folder, control) == []


def test_files_of_the_wrong_kind(folder, control):
    (control / "databytes").mkdir()
    (control / "rcpthosts").unlink()
    (control / "rcpthosts").symlink_to("/dev/null")
    (control / "relayclients").write_bytes(b"10.0.0.0/8\0\n")
    (control / "smtproutes").write_bytes(b"#" + b"x" * (4 << 20))
    (control / "bouncehost").write_bytes(b"x" * 2000)
    (control / "me").write_bytes(b"x" * 70000)
    os.mkfifo(control / "destinations")
    write(control, {"users/aliases": "a@example.org: b\0\n",
                    "users/relayrcpts": "x" * 17000})
    found = findings(folder, control)
    for place, text in [
            ("databytes", "is no plain file"),
            ("rcpthosts", "is a symbolic link, which is not followed: put"),
            ("relayclients:1", "holds a NUL byte: write it anew"),
            ("smtproutes", "is larger than 4 MiB: take out"),
            ("me:1", "is longer than 1024 bytes: write a shorter"),
            ("bouncehost:1", "is longer than 1024 bytes: write a shorter"),
            ("destinations", "is no plain file"),
            ("users/aliases:1", "holds a NUL byte: write it anew"),
            ("users/relayrcpts:1", "has over 16384 bytes: make several")]:
        assert [f for f in found if f[0] == place and text in f[2]], (
            place, found)


def test_a_filter_with_too_little_memory(folder, control):
    write(control, {"databytes": "9000000\n", "filtermemorymb": "8\n"})
    assert findings(folder, control) == []
    write(control, {"filter": "/bin/true\n"})
    (place, kind, text), = findings(folder, control)
    assert (place, kind) == ("filtermemorymb:1", W)
    assert text.startswith("no message over 7340032 bytes gets through")


@pytest.mark.parametrize("name, most", [
    ("relayclients", 1024), ("dialrefuse", 1024), ("resolvers", 16)])
def test_more_lines_than_the_roles_take(folder, control, name, most):
    write(control, {name: "# all different\n" + "".join(
        f"192.0.{i // 256}.{i % 256}\n" for i in range(most))})
    assert findings(folder, control) == []
    with open(control / name, "a") as f:
        f.write("192.0.9.1\n192.0.9.2\n")
    assert findings(folder, control) == [(
        f"{name}:{most + 2}", M,
        f"is one line too many: write at most {most}")]


def test_modes(folder, control):
    (control / "me").chmod(0o600)
    (control / "locals").chmod(0o666)
    (control / "users/users").chmod(0o644)
    found = findings(folder, control)
    for place, now, wanted in (("me", "0600", "0644"),
                               ("locals", "0666", "0644"),
                               ("users/users", "0644", "0640")):
        row = [f for f in found if f[0] == place]
        assert len(row) == 1 and row[0][1] == M, found
        assert f"with mode {now}, and must be" in row[0][2]
        assert f"chmod {wanted} {control}/{place}" in row[0][2]
    assert len(found) == 3


def test_no_suite_here(folder):
    with tempfile.TemporaryDirectory() as empty:
        out = postern(empty, "check")
        assert out.returncode == 1
        assert f"{empty}/etc/postern: is missing: run postern init\n" \
            in out.stdout


def test_the_manuals_example(folder, control):
    page = (TOP / "install/postern-check.1").read_text()
    example = re.search(r"\$ postern check\n(.*?)\.Ed", page, re.S).group(1)
    write(control, {"smtproutes": "relayed.test:192.0.2.1\n\nx.test:h:0\n",
                    "virtualdomains": "virtual.test\nexample.org\n"})
    out = postern(folder, "check").stdout.replace(folder, "")
    assert sorted(out.splitlines()) == sorted(example.splitlines())
