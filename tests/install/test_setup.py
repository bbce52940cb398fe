# SPDX-License-Identifier: ISC
"""install/setup: a production installation, on a machine of its own (an overlay
of this one), under each supervisor; twice, and away again."""
import os
import re
import subprocess

import pytest

from machine import Machine, first_message
from manual import examples
from suite import BUILD, TOP

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an installation is root's")

sanitized = pytest.mark.skipif(
    "asan" in BUILD.name, reason="a sanitizer needs what the unit, or postern-queue, forbids")

WANTED = ["mail.example.org", "--domain", "example.org",
          "--user", "alice@example.org:secret"]
# (not the users: those of the machine below may come and go meanwhile)
LAID = ["/etc/postern", "/etc/sv", "/etc/systemd", "/etc/logrotate.d", "/usr/local",
        "/var/spool/postern", "/var/mail/postern", "/var/log/postern", "/usr/sbin",
        "/usr/lib/sendmail", "/usr/lib/systemd/system"]

@pytest.fixture(scope="module")
def machine():
    with Machine() as m:
        yield m


def test_dry_run_changes_nothing_and_a_second_run_neither(machine):
    m = machine
    before = m.listing(*LAID)
    out = m.setup(*WANTED, "--dry-run")
    assert "would have made mailbox alice@example.org" in out
    assert m.listing(*LAID) == before
    out = m.setup(*WANTED, "--supervisor", "none")
    assert "made mailbox alice@example.org" in out
    assert "0 mistakes, 0 warnings" in m.run("postern", "check")
    assert (m.path("/etc/postern/me").read_text(), m.path("/etc/postern/locals").read_text(),
            m.path("/etc/postern/postmaster").read_text()) == (
        "mail.example.org\n", "mail.example.org\nexample.org\n", "alice@example.org\n")
    before = m.listing(*LAID)
    assert len(before) > 100
    out = m.setup(*WANTED, "--supervisor", "none")
    assert m.listing(*LAID) == before
    assert re.match(r"Programs\n  as it was\nSettings\n  as it was\n"
                    r"Service \(none\)\n  as it was\n", out), out


def test_the_records_are_a_zone(machine, tmp_path):
    """nsd reads what it prints, once a zone's SOA and NS stand before it."""
    m = machine
    m.run("ip", "link", "add", "out", "type", "veth", "peer", "name", "there")
    m.run("ip", "link", "set", "out", "up")
    m.run("ip", "addr", "add", "198.51.100.7/24", "dev", "out")
    m.run("ip", "-6", "addr", "add", "2001:db8::7:1/64", "dev", "out", "nodad")
    out = m.setup(*WANTED, "--supervisor", "none")
    text = out.split("DNS records to publish:\n")[1].split("\n\n")[0]
    lines = [r.strip() for r in text.splitlines() if not r.strip().startswith(";")]
    assert "mail.example.org.            A     198.51.100.7" in lines
    assert "mail.example.org.            AAAA  2001:db8::7:1" in lines
    reverse = ("1.0.0.0.7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
               "8.b.d.0.1.0.0.2.ip6.arpa. PTR mail.example.org.")
    assert reverse.split() in [r.split() for r in lines], lines
    assert "7.100.51.198.in-addr.arpa.   PTR   mail.example.org." in lines
    for zone in "example.org", "ip6.arpa", "in-addr.arpa":
        file = tmp_path / zone
        file.write_text(
            f"$TTL 3600\n{zone}. SOA ns.{zone}. host.{zone}. 1 2 3 4 5\n{zone}. NS ns.test.\n"
            + "".join(r + "\n" for r in lines if f"{zone}. " in r))
        done = subprocess.run(["nsd-checkzone", zone, file], capture_output=True, text=True)
        assert done.returncode == 0, done
    # and everything that the MTA needs is among them
    for name, kind in ("example.org.", "MX"), ("example.org.", "TXT"), \
            ("_dmarc.example.org.", "TXT"), ("mail.example.org.", "TXT"):
        assert any(re.match(rf"{re.escape(name)} +{kind} ", r) for r in lines), (name, kind)


def test_by_hand_and_the_log_is_rotated(machine):
    m = machine
    log = "/var/log/postern/log"
    start = m.start("/usr/local/sbin/postern-start", "--log", log)
    m.wait("postern", "status")
    first_message(m, "by-hand")
    # a setting is taken into use, programs are the postmaster's to
    more = [*WANTED, "--supervisor", "none"]
    assert "had it read the settings" in m.setup(*more, "--domain", "example.com")
    m.wait("sh", "-c", "postern why postmaster@example.com | grep -q ^accepted.*yes")
    m.run("sh", "-c", "cd /usr/local/libexec/postern && cp postern-dnsd x && "
          "echo >>x && mv x postern-dnsd")
    out = m.setup(*more)
    assert re.search(r"  - restart it, .*: kill \d+, and when .*: setsid ", out), out
    # an ordinary user: what only root can see is no mistake
    user = ["runuser", "-u", "nobody", "--"]
    out = m.run(*user, "postern", "check")
    assert "\n0 mistakes, " in out and "new: was not looked at (Permission denied): " in out, out
    out = m.run(*user, "postern", "trace", "alice@example.org", code=111)
    assert out == (f"postern trace: {log}: Permission denied: look as root, "
                   "or as a member of its group\n")
    m.run("userdel", "-f", "posternb")  # its role runs
    assert "no user posternb, and each role has one: run install/users" in m.run(
        "postern", "check", code=1)
    m.run(TOP / "install/users")
    assert "0 mistakes, 0 warnings" in m.run("postern", "check")
    out = m.setup("--uninstall", code=111)
    assert "the suite still runs (pid " in out and m.path("/usr/local/bin/postern").is_symlink()
    m.run("logrotate", "-f", "/etc/logrotate.d/postern")
    first_message(m, "rotated")
    assert "by-hand" not in m.path(log).read_text()
    assert "event=deliver" in m.path(log).read_text() + m.path(log + ".1").read_text()
    assert m.path(log).stat().st_size > 0 and m.path(log + ".1").stat().st_size > 0
    pid = m.run("awk", '$1 == "start" { print $2 }', "/run/postern/roles").strip()
    m.run("kill", pid)
    start.wait(30)


SCANS = {
    "s6": (["s6-svscan", "/scan"], ["s6-svstat", "-o", "up"], "true",
           ["s6-svc", "-r"], ["s6-svc", "-wd", "-T10000", "-d"], ["s6-svc", "-u"]),
    "runit": (["runsvdir", "/scan"], ["sv", "status"], "run: ",
              ["sv", "-w30", "restart"], ["sv", "-w30", "stop"], ["sv", "start"]),
    "daemontools": (["svscan", "/scan"], ["svstat"], ": up ",
                    ["svc", "-t"], ["svc", "-d"], ["svc", "-u"]),
}


@pytest.mark.parametrize("name", SCANS)
def test_under(machine, name):
    """Start, mail, status, a changed setting, restart, stop, start, away."""
    m = machine
    scan, status, is_up, restart, stop, start = SCANS[name]
    folder = "/etc/sv/postern"
    m.run("mkdir", "-p", "/scan")
    wanted = [*WANTED, "--supervisor", name, "--scan", "/scan"]
    if name != "s6":  # they look every five seconds, s6 when it is told
        assert "which starts it" in m.setup(*wanted)
    supervisor = m.start(*scan, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        if name == "s6":
            m.wait("test", "-e", "/scan/.s6-svscan/control")
            assert "which starts it" in m.setup(*wanted)
        m.wait("postern", "status")
        assert is_up in m.run(*status, folder)
        first_message(m, name)
        current = m.path("/var/log/postern/current")
        assert "event=start " in current.read_text() and current.owner() == "posternlog"
        before = m.listing(*LAID)
        out = m.setup(*wanted)
        assert f"Service ({name})\n  as it was\n" in out
        # the supervisor's own state and the log move on
        still = [r for r in before if "/supervise" not in r and "/var/log" not in r
                 and "/event" not in r and "/var/spool" not in r and "/var/mail" not in r]
        after = set(m.listing(*LAID))
        assert [r for r in still if r not in after] == []
        assert "had it read the settings" in m.setup(*wanted, "--domain", f"{name}.example")
        pid = m.run("awk", '$1 == "start" { print $2 }', "/run/postern/roles")
        m.run(*restart, folder)
        m.wait("sh", "-c", f'''n=$(awk '$1 == "start" {{ print $2 }}' /run/postern/roles) &&
            test -n "$n" && test "$n" != {pid.strip()} && postern status''')
        m.run(*stop, folder)
        m.wait("sh", "-c", "flock -n /run/postern/lock true")
        m.run(*start, folder)
        m.wait("postern", "status")
        m.setup("--uninstall")
        m.run("flock", "-n", "/run/postern/lock", "true")
        assert not m.path(folder).exists() and not m.path("/scan/postern").exists()
        assert m.path("/var/mail/postern/example.org/alice/new").is_dir()
    finally:
        m.end(supervisor)
        m.run("rm", "-rf", "/scan")


@sanitized
def test_under_systemd():
    """A real systemd, with the hardened unit: virtual and system users' mail, a
    program of a user's, reload, restart after a crash, stop, away."""
    with Machine(systemd=True) as m:
        out = m.setup(*WANTED)
        assert "Service (systemd)\n  enabled postern.service\n  started postern" in out
        m.run("postern", "status")  # Type=notify: it is ready now
        first_message(m, "systemd")
        assert "Service (systemd)\n  as it was\n" in m.setup(*WANTED)
        # home, a program below it, and /tmp can be written; /usr and /etc not
        m.run("useradd", "-m", "-u", "4242", "carol")
        m.path("/home/carol/.qmail").write_text(
            "./Maildir/\n| cat >/tmp/carol; touch /etc/carol /usr/carol; true\n")
        m.run("chown", "-R", "carol:", "/home/carol")
        assert "had postern.service read the settings" in m.setup(
            *WANTED, "--domain", "example.net")
        m.wait("postern", "why", "carol@example.net")
        m.run("/usr/bin/python3", "-c", """
import smtplib, socket
socket.getfqdn = lambda name="": "client.test"
with smtplib.SMTP("127.0.0.1", 25, timeout=20) as s:
    s.sendmail("x@elsewhere.test", ["carol@example.net"], "Subject: x\\r\\n\\r\\nhi\\r\\n")
""")
        m.wait("sh", "-c", "test -s /tmp/carol && ls /home/carol/Maildir/new/*")
        assert not m.path("/etc/carol").exists() and not m.path("/usr/carol").exists()
        # a program that is not as it was is installed, and taken into use
        m.run("sh", "-c", "cd /usr/local/libexec/postern && "
              "cp postern-dnsd x && echo >>x && mv x postern-dnsd")
        out = m.setup(*WANTED)
        assert "installed programs" in out and "restarted postern.service" in out, out
        m.run("postern", "status")
        log = m.run("journalctl", "--no-pager", "-u", "postern")
        assert "event=deliver" in log and "level=error" not in log, log
        pid = m.run("systemctl", "show", "-P", "MainPID", "postern").strip()
        m.run("kill", "-9", pid)
        m.wait("sh", "-c", f"""test "$(systemctl show -P MainPID postern)" != {pid} &&
            postern status""")
        first_message(m, "after-kill")
        m.run("systemctl", "stop", "postern")
        m.run("flock", "-n", "/run/postern/lock", "true")
        # what is wrong is said, and not tried again and again
        m.path("/etc/postern/smtplisten").write_text("nonsense\n")
        out = m.setup(*WANTED, code=111)
        assert "mistake: " in out and re.search("level=error .*smtplisten", out), out
        assert m.run("systemctl", "show", "-P", "NRestarts", "postern") == "0\n"
        m.path("/etc/postern/smtplisten").unlink()
        assert "started postern.service" in m.setup(*WANTED)
        m.setup("--uninstall")
        m.run("systemctl", "status", "postern", code=4)  # no such unit
        m.run("flock", "-n", "/run/postern/lock", "true")


@pytest.mark.parametrize("name, program", [
    ("systemd", "systemctl"), ("s6", "s6-svscan"), ("runit", "runsvdir"),
    ("daemontools", "svscan")])
def test_a_supervisor_that_is_not_installed(machine, name, program):
    m = machine
    path = m.run("sh", "-c", f"command -v {program}").strip()
    m.run("mv", path, path + ".away")
    try:
        out = m.setup(*WANTED, "--supervisor", name, code=1)
        m.setup("--uninstall")
    finally:
        m.run("mv", path + ".away", path)
    assert f"{name} is not installed here, so nothing is started" in out
    assert f"\nLeft to do:\n  - install {name}, as by apt-get install {name}, " in out


@sanitized
def test_sendmail_is_taken_and_given_back(machine):
    m = machine
    m.setup(*WANTED, "--no-start")
    names = ["/usr/sbin/sendmail", "/usr/lib/sendmail", "/usr/bin/mailq",
             "/usr/bin/newaliases"]
    m.run("rm", "-f", names[0])
    assert "find no sendmail: with --sendmail they find" in m.setup(*WANTED, "--no-start")
    m.run("sh", "-c", "printf x >$0 && chmod 755 $0", names[0])
    m.run("rm", "-f", names[1])
    m.path("/etc/aliases").write_text("root: alice@example.org\n")
    before = m.listing(*names)
    assert not m.path("/usr/local/sbin/sendmail").is_symlink()
    for again in False, True:
        out = m.setup(*WANTED, "--no-start", "--sendmail")
        assert again or f"taken {names[0]} (the one before is {names[0]}.distrib)\n" in out, out
        assert again or f"taken {names[1]}\n" in out, out
        assert again == ("/etc/aliases, too: newaliases" not in out), out
        m.run("newaliases")
        for name in names:
            assert os.readlink(m.path(name)) == "/usr/local/libexec/postern/postern-sendmail"
    assert "as it was" in out and "sendmail" not in out.split("DNS")[0]
    assert m.path(names[0] + ".distrib").read_text() == "x"
    m.run("sh", "-c", "printf 'Subject: x\n\nhi\n' | /usr/sbin/sendmail alice@example.org")
    assert len(list(m.path("/var/spool/postern-drop/new").iterdir())) == 1
    m.setup("--uninstall")
    assert m.listing(*names) == before
    assert "postern" not in m.run("dpkg-divert", "--list", "*sendmail*")
    m.run("rm", "/etc/aliases", "/etc/postern/users/aliases.imported")


def test_uninstall_leaves_nothing_but_what_is_the_users(machine):
    m = machine
    m.setup("--uninstall")
    left = m.run("find", "/usr/local", "/etc", "-path", "/etc/postern", "-prune", "-o",
                 "-name", "*postern*", "-print")
    assert left.split() == []
    assert m.path("/etc/postern/users/users").read_text().startswith("alice@example.org:")
    # and all of it is there again after the next one
    m.setup(*WANTED, "--no-start")
    assert "mailbox" not in m.setup(*WANTED, "--no-start")


def test_another_server_on_the_port_is_told_and_left_alone(machine):
    m = machine
    other = m.start("/usr/bin/python3", "-c", "import socket,time; s=socket.socket(); "
                    "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('0.0.0.0', 25)); s.listen(); time.sleep(60)")
    try:
        m.wait("sh", "-c", "grep -q :0019 /proc/net/tcp")
        out = m.setup(*WANTED, code=1)
        assert re.search(r"port 25 is taken by python3 \(pid \d+\), which was left alone", out)
        assert other.poll() is None
    finally:
        m.end(other)


@pytest.mark.parametrize("page", ["setup.8", "import-qmail.8", "layout.1"])
def test_the_manuals_examples(machine, page):
    m = machine
    m.setup(*WANTED, "--no-start")
    m.run("sh", "-c", "mkdir -p /var/qmail/control; echo x >/var/qmail/control/badmailfrom")
    blocks = examples(f"install/postern-{page}")
    for block in blocks:
        m.run("sh", "-ec", f"cd {TOP}\n{block}")
    assert blocks
    m.setup("--uninstall")


@pytest.mark.parametrize("args, said", [
    ([], "which HOSTNAME?"),
    (["localhost"], "a full name"),
    (["mail.example.org;x"], "a full name"),
    (["a.example", "b.example"], "more than one HOSTNAME"),
    (["a.example", "--domain", "x y"], "--domain wants a domain"),
    (["a.example", "--user", "nobody"], "--user wants"),
    (["a.example", "--supervisor", "upstart"], "--supervisor is one of"),
    (["a.example", "--prefix", "relative"], "--prefix wants a full path"),
    (["a.example", "--import-qmail", "/nonexistent"], "there is no /nonexistent/control"),
    (["a.example", "--what"], "unknown option --what"),
    (["a.example", "--uninstall"], "--uninstall wants no HOSTNAME"),
    (["a.example", "--domain"], "--domain needs a value"),
])
def test_wrong_arguments(args, said):
    done = subprocess.run([TOP / "install/setup", *args], capture_output=True, text=True)
    assert done.returncode == 100 and said in done.stderr and not done.stdout, done


def test_help():
    out = subprocess.run([TOP / "install/setup", "--help"], capture_output=True, text=True)
    assert out.returncode == 0 and max(map(len, out.stdout.splitlines())) <= 80


@pytest.mark.parametrize("path, text", [
    ("/etc/postern/me", "/etc/postern/me is a symbolic link"),
    ("/etc/postern", "/etc/postern: Not a directory"),
    ("/var/spool/postern", "/var/spool/postern: Not a directory"),
    ("/var/log/postern", "/var/log/postern: Not a directory"),
])
def test_a_link_in_the_way_is_not_followed(machine, path, text):
    m = machine
    m.run("sh", "-c", """set -e; rm -rf /kept /there; mkdir -p /there "${0%/*}"
        [ ! -e "$0" ] || mv "$0" /kept; ln -s /there "$0" """, path)
    try:
        out = m.setup(*WANTED, "--no-start", code=111)
        assert text in out, out
        assert m.run("find", "/there", "-type", "f") == ""
        assert (m.path("/there").stat().st_uid, m.path("/there").stat().st_mode) == (0, 0o40755)
    finally:
        m.run("sh", "-c", 'rm "$0"; [ ! -e /kept ] || mv /kept "$0"', path)
