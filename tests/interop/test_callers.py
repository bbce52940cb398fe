# SPDX-License-Identifier: ISC
"""The programs that run sendmail: real ones where Debian has them, else their
command lines and texts; what is delivered, and the table of
postern-sendmail(8).  /usr/sbin/sendmail is ours in a mount namespace only."""
import email
import email.policy
import os
import pathlib
import re
import shlex
import smtplib
import subprocess
import sys

import pytest

from suite import BIN, TOP, Suite, children, wait_for

GREETING = "Schöne Grüße"
HOST = "hamburger.edu"


class Callers:
    """A suite, and a sendmail that writes down how it was called."""

    def __init__(self, suite, path):
        self.suite, self.path = suite, path
        self.args = path / "args"
        self.sendmail = path / "sendmail"
        self.sendmail.write_text(f"""#!/bin/sh
printf '%s\\n' "$*" >>{self.args}
export POSTERN_ROOT={shlex.quote(suite.folder)}
export ASAN_OPTIONS={os.environ.get("ASAN_OPTIONS", "")}
exec {BIN}/postern-sendmail "$@"
""")
        self.sendmail.chmod(0o755)
        self.boxes = {
            suite.env[f"USER_{n}"].split("@")[0]:
            pathlib.Path(suite.env[f"MAILDIR_{n}"]) for n in (1, 2)}

    def run(self, *args, stdin=b"", code=0, **env):
        if isinstance(stdin, str):
            stdin = stdin.encode()
        done = subprocess.run(
            [str(a) for a in args], input=stdin, capture_output=True,
            timeout=60, cwd=self.path, env={
                "PATH": os.environ["PATH"] + ":/usr/sbin", "LC_ALL": "C.UTF-8",
                "HOME": str(self.path),
                "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", ""), **env})
        assert done.returncode == code, done
        return done

    def run_sh(self, script, **kw):
        """As root with our sendmail in its place: nobody else sees that."""
        return self.run(
            "unshare", "-m", "--propagation", "private", "sh", "-ec",
            f"mount --bind {self.sendmail} /usr/sbin/sendmail\n{script}", **kw)

    def called(self):
        """With what sendmail was run, a line each time."""
        lines = self.args.read_text().splitlines()
        self.args.write_text("")
        return lines

    def mail(self, user="bob", uid=os.getuid(), parse=True):
        """The one message that came, parsed; and its bytes in .raw."""
        new = self.boxes[user] / "new"
        files = wait_for(lambda: list(new.glob("*")), 10, f"mail of {user}")
        assert len(files) == 1
        raw = files[0].read_bytes()
        files[0].unlink()
        m = email.message_from_bytes(raw, policy=email.policy.default)
        m.raw = raw
        m.sender = m["Return-Path"].strip("<>")
        m.text = m.get_payload(decode=True).decode() if parse else None
        m.author = m["From"].addresses[0].addr_spec
        assert m["Date"] and m["Message-ID"] and "Bcc" not in m
        header = raw.split(b"\n\n")[0]
        assert header.isascii() and b"\r" not in raw
        assert re.search(rb"^Received: by hamburger.edu \(postern-queue \d+ "
                         rb"invoked by uid %d\);" % uid, header, re.M)
        return m


@pytest.fixture(scope="module")
def callers():
    assert os.getuid() == 0, "real callers are run as root"
    with Suite("--no-first-message", "--domain", HOST,
               "--control", "concurrencyremote=0",  # that mail waits
               "--user", f"bob@{HOST}:hungry",
               "--user", f"carol@{HOST}:thirsty") as suite:
        suite.postern("alias", "add", "root", f"bob@{HOST}")
        path = pathlib.Path(suite.folder, "callers")
        path.mkdir()
        for folder in suite.folder, path:  # other users go there, too
            os.chmod(folder, 0o755)
        yield Callers(suite, path)


@pytest.fixture
def c(callers):
    """What a failed test has left is not the next one's."""
    callers.args.write_text("")
    callers.args.chmod(0o666)
    for box in callers.boxes.values():
        for f in box.glob("new/*"):
            f.unlink()
    return callers


# ---- what runs unattended ----

def test_cron(c):
    """Debian's cron itself: a job of @reboot runs at once."""
    c.run_sh(f"""
mount -t tmpfs -o mode=755 none /run
mount -t tmpfs -o mode=755 none /etc/cron.d
mount -t tmpfs -o mode=755 none /var/spool/cron/crontabs
mount --bind /dev/null /etc/crontab
echo '@reboot root echo "{GREETING}"' >/etc/cron.d/one
cron -f & pid=$!
for i in $(seq 100); do [ ! -s {c.args} ] || break; sleep 0.05; done
sleep 0.2
kill $pid
""")
    assert c.called() == ["-FCronDaemon -i -B8BITMIME -oem root"]
    m = c.mail()
    assert m.text == GREETING + "\n" and m.sender == f"root@{HOST}"
    assert f"\nFrom: root@{HOST} (Cron Daemon)\n".encode() in m.raw
    assert GREETING in m["Subject"] and m["To"] == f"root@{HOST}"
    assert m["Content-Transfer-Encoding"] == "8bit"


def test_cronie(c):
    """cronie's src/do_command.c."""
    c.run(c.sendmail, "-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f",
          "root", stdin=f"""From: "(Cron Daemon)" <root>
To: root
Subject: Cron <root@vm> echo x
MIME-Version: 1.0
Content-Type: text/plain; charset=UTF-8
Auto-Submitted: auto-generated
Precedence: bulk
X-Cron-Env: <XDG_SESSION_ID=1>

{GREETING}
.
""")
    m = c.mail()
    assert m.text == GREETING + "\n.\n" and m.sender == f"root@{HOST}"
    assert m["From"].addresses[0].display_name == "(Cron Daemon)"


def test_at(c):
    """atd itself."""
    c.run_sh(f"""
d=/var/spool/cron
for f in atjobs atspool; do
    mount -t tmpfs -o mode=1770,uid=$(id -u daemon),gid=$(id -g daemon) none $d/$f
done
install -o daemon -g daemon -m 600 /dev/null $d/atjobs/.SEQ
mount -t tmpfs -o mode=755 none /run
echo 'echo "{GREETING}"' | at now
atd -f -b 0 & pid=$!
for i in $(seq 100); do [ ! -s {c.args} ] || break; sleep 0.05; done
sleep 0.2
kill $pid
""")
    assert c.called() == ["-i root"]
    m = c.mail()
    assert m.text == GREETING + "\n" and m["To"] == f"root@{HOST}"
    assert m["Subject"].startswith("Output from your job")
    assert m["Content-Transfer-Encoding"] == "quoted-printable"


def test_logrotate(c):
    log = c.path / "x.log"
    log.write_text("one line\n")
    conf = c.path / "rotate"
    conf.write_text(f"{log} {{\nrotate 0\nmail bob\ndaily\n}}\n")
    c.run_sh(f"logrotate -f -s {c.path}/state {conf}")
    m = c.mail()
    assert m.text == "one line\n" and str(log) in m["Subject"]
    assert m["To"] == f"bob@{HOST}"


def test_mdadm(c):
    """mdadm's Monitor.c: popen("/usr/sbin/sendmail -t")."""
    c.run(c.sendmail, "-t", stdin="""From: mdadm monitoring <root>
To: root
Subject: DegradedArray event on /dev/md0:vm

This is an automatically generated mail message.

A DegradedArray event had been detected on md device /dev/md0.
""")
    m = c.mail()
    assert m.author == f"root@{HOST}" and "DegradedArray" in m["Subject"]
    assert m["From"].addresses[0].display_name == "mdadm monitoring"


def test_smartd(c):
    """smartd's warning script: mail(1) with the text on its input."""
    c.run_sh("""
exec mail -s "SMART error (ErrorCount) detected on host: vm" root <<EOF
This message was generated by the smartd daemon running on:

   host name:  vm
EOF
""")
    m = c.mail()
    assert m["Subject"] == "SMART error (ErrorCount) detected on host: vm"
    assert m.text.startswith("This message was generated by the smartd")


def test_logwatch(c):
    """logwatch.pl: open(OUTFILE, "|sendmail -t")."""
    body = "".join(f" {n:06} ######## Logwatch ########\n"
                   for n in range(10000))
    c.run(c.sendmail, "-t", stdin=f"""To: root
From: Logwatch <root>
Subject: Logwatch for vm (Linux)
Auto-Submitted: auto-generated
Precedence: bulk
MIME-Version: 1.0
Content-Transfer-Encoding: 7bit
Content-Type: text/plain; charset="iso-8859-1"

{body}""")
    assert c.mail().text == body


def test_nagios(c):
    """Its stock notify-service-by-email."""
    c.run_sh(r"""
/usr/bin/printf "%b" "***** Nagios *****\n\nState: CRITICAL\n" |
    /usr/bin/mail -s "** PROBLEM Service Alert: vm/Disk is CRITICAL **" bob
""")
    m = c.mail()
    assert m["Subject"] == "** PROBLEM Service Alert: vm/Disk is CRITICAL **"
    assert m.text == "***** Nagios *****\n\nState: CRITICAL\n"


def test_mailman_and_rt(c):
    """A list's robot with the null sender, a ticket system with its own."""
    c.run(c.sendmail, "-f", "<>", "-oi", "bob",
          stdin="From: list-bounces\nTo: bob\nSubject: m\n\nx\n")
    m = c.mail()
    assert m.sender == "" and m.author == f"list-bounces@{HOST}"
    c.run(c.sendmail, "-oi", "-t", "-f", "rt@hamburger.edu", stdin="""\
From: "Carol via RT" <rt@hamburger.edu>
To: "AdminCc of hamburger.edu Ticket #1":;
Bcc: bob
Subject: [hamburger.edu #1] x
RT-Originator: carol@hamburger.edu

.
""")
    m = c.mail()
    assert m.sender == "rt@hamburger.edu" and m.text == ".\n"
    assert m["To"].groups[0].display_name == \
        "AdminCc of hamburger.edu Ticket #1"


# ---- what people use ----

@pytest.mark.parametrize("mail, args", [
    ("bsd-mailx", "-i -t"), ("mail.mailutils",
     f"-oi -f root@{os.uname().nodename} -t")])
def test_mail(c, mail, args):
    c.run_sh(f"exec {mail} -s '{GREETING}' bob", stdin=GREETING + "\n")
    called = c.called()
    assert called == [args]
    m = c.mail()
    assert m.text == GREETING + "\n" and m["Subject"] == GREETING
    assert m["To"] == f"bob@{HOST}" and m.sender.startswith("root@")


def test_s_nail(c):
    c.run("s-nail", "-n", "-S", f"mta={c.sendmail}", "-S", "ttycharset=utf-8",
          "-S", f"from=Carol <carol@{HOST}>", "-S", "sendcharsets=utf-8",
          "-r", f"carol@{HOST}", "-s", GREETING, "-b", f"carol@{HOST}",
          f"bob@{HOST}", stdin=GREETING + "\n")
    assert c.called() == [
        f"-i -f carol@{HOST} -- bob@{HOST} carol@{HOST}"]
    for user in "bob", "carol":
        m = c.mail(user)
        assert m.text == GREETING + "\n" and m["Subject"] == GREETING
        assert m.sender == m.author == f"carol@{HOST}"


def test_mutt(c):
    rc = c.path / "muttrc"
    rc.write_text(f"""set sendmail="{c.sendmail} -oem -oi"
set use_envelope_from=yes envelope_from_address=carol@{HOST}
set from="Carol <carol@{HOST}>" realname="Carol" copy=no
set charset=utf-8 send_charset="utf-8" write_bcc=yes
""")
    attachment = c.path / "all.bin"
    attachment.write_bytes(bytes(range(256)) * 10)
    c.run("mutt", "-n", "-F", rc, "-s", GREETING, "-b", f"carol@{HOST}", "-a",
          attachment, "--", f"bob@{HOST}", stdin=f"{GREETING}\n.\nend\n")
    called = c.called()
    assert len(called) == 1 and called[0].startswith(
        f"-oem -oi -f carol@{HOST}"), called
    assert called[0].endswith(f"-- bob@{HOST} carol@{HOST}")
    for user in "bob", "carol":
        raw = c.boxes[user] / "new"
        wait_for(lambda: list(raw.glob("*")), 10, user)
        m = email.message_from_bytes(
            next(raw.glob("*")).read_bytes(), policy=email.policy.default)
        assert "Bcc" not in m and m["Subject"] == GREETING
        assert m["Return-Path"] == f"<carol@{HOST}>"
        assert m.get_body().get_content() == f"{GREETING}\n.\nend\n"
        assert next(m.iter_attachments()).get_content() == \
            bytes(range(256)) * 10
        next(raw.glob("*")).unlink()


def test_git_send_email(c):
    repo = c.path / "repo"
    git = ["git", "-C", repo, "-c", "user.name=Jörg", "-c",
           "user.email=joerg@x.example"]
    c.run("git", "init", "-q", repo)
    (repo / "file").write_text(GREETING + "\n")
    c.run(*git, "add", "file")
    c.run(*git, "commit", "-qm", f"Add {GREETING}\n\nFrom here on.")
    c.run(*git, "send-email", "--quiet", "--confirm=never",
          f"--to=Bob <bob@{HOST}>", f"--cc=carol@{HOST}", f"--bcc=bob@{HOST}",
          f"--from=Jörg <joerg@{HOST}>", "--suppress-cc=all",
          f"--envelope-sender=carol@{HOST}",
          f"--sendmail-cmd={c.sendmail} -v", "--transfer-encoding=8bit", "-1")
    called = c.called()
    assert called == [f"-v -f carol@{HOST} -i bob@{HOST} carol@{HOST}"]
    for user in "bob", "carol":
        m = c.mail(user)
        assert GREETING in m["Subject"] and m.sender == f"carol@{HOST}"
        assert f"+{GREETING}\n" in m.text and "From here on." in m.text


# ---- libraries ----

def test_php(c):
    """mail(): header lines with CRLF, the body's as they are."""
    code = f"""exit(mail("Bob <bob@{HOST}>",
        mb_encode_mimeheader_or("{GREETING}"), "{GREETING}\\n.\\nend",
        array("From" => "web@{HOST}", "X-Mailer" => "PHP",
        "Content-Type" => "text/plain; charset=utf-8"), "-fweb@{HOST}")
        ? 0 : 1);
        function mb_encode_mimeheader_or($s) {{
            return "=?utf-8?B?" . base64_encode($s) . "?="; }}"""
    c.run("php", "-n", "-d", f"sendmail_path={c.sendmail} -t -i", "-r", code)
    assert c.called() == [f"-t -i -fweb@{HOST}"]
    m = c.mail()
    assert m.text == f"{GREETING}\n.\nend\n" and m["Subject"] == GREETING
    assert m.sender == m.author == f"web@{HOST}"
    # no From, raw 8-bit, and a message that is refused
    c.run("php", "-n", "-d", f"sendmail_path={c.sendmail} -t -i", "-r",
          f'exit(mail("bob@{HOST}", "{GREETING}", "{GREETING}") ? 0 : 1);')
    m = c.mail()
    assert m.text == GREETING + "\n" and m["Subject"] == GREETING
    c.run("php", "-n", "-d", f"sendmail_path={c.sendmail} -t -i", "-r",
          'exit(mail("no@-address", "s", "b") ? 0 : 1);', code=1)
    c.called()


def test_perl_email_sender(c):
    c.run("perl", "-e", f"""
use utf8;
use Email::Sender::Simple qw(sendmail);
use Email::Sender::Transport::Sendmail;
use Email::Simple;
my $m = Email::Simple->create(header => [To => 'bob@{HOST}',
    From => 'Carol <carol@{HOST}>', Subject => 'from Perl'],
    body => "one\\n.\\n..two\\n");
sendmail($m, {{ from => 'carol@{HOST}', to => 'bob@{HOST}', transport =>
    Email::Sender::Transport::Sendmail->new({{ sendmail => '{c.sendmail}' }})
}});""")
    assert c.called() == [f"-i -f carol@{HOST} -- bob@{HOST}"]
    m = c.mail()
    assert m.text == "one\n.\n..two\n" and m.sender == f"carol@{HOST}"


def test_perl_mail_sendmail(c):
    """It speaks SMTP, whatever its name is."""
    host, port = c.suite.smtp
    c.run("perl", "-e", f"""
use Mail::Sendmail;
$Mail::Sendmail::mailcfg{{smtp}} = ['{host}'];
$Mail::Sendmail::mailcfg{{port}} = {port};
sendmail(To => 'bob@{HOST}', From => 'carol@{HOST}', Subject => 's',
    Message => "one\\n.\\ntwo\\n") or die $Mail::Sendmail::error;""")
    new = c.boxes["bob"] / "new"
    wait_for(lambda: list(new.glob("*")), 10, "mail")
    raw = next(new.glob("*")).read_bytes()
    next(new.glob("*")).unlink()
    assert b"\n\none\n.\ntwo\n" in raw


def test_python(c):
    """As in Python's documentation."""
    c.run(sys.executable, "-c", f"""
import subprocess
from email.message import EmailMessage
m = EmailMessage()
m["To"], m["From"] = "bob@{HOST}", "Jörg <carol@{HOST}>"
m["Subject"] = "{GREETING}"
m.set_content("{GREETING}\\n" * 3)
subprocess.run([{str(c.sendmail)!r}, "-t", "-oi"], input=m.as_bytes(),
               check=True)""")
    m = c.mail()
    assert m.text == f"{GREETING}\n" * 3 and m["Subject"] == GREETING
    assert m["From"].addresses[0].display_name == "Jörg"


# ---- SMTP by a pipe, and the other names ----

class Pipe(smtplib.SMTP):
    """smtplib over the pipe of a program, as alpine does."""

    class Socket:
        def __init__(self, p):
            self.p = p

        def sendall(self, data):
            self.p.stdin.write(data)
            self.p.stdin.flush()

        def makefile(self, mode):
            return self.p.stdout

        def close(self):
            pass

    def __init__(self, *args):
        self.p = subprocess.Popen(args, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
        super().__init__(local_hostname="localhost")
        self.sock = Pipe.Socket(self.p)
        assert self.getreply()[0] == 220


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_alpine(c, user):
    """alpine's sendmail-path: -bs -odb -oem; anybody may send to anywhere."""
    s = Pipe("runuser", "-u", user, "--", str(c.sendmail), "-bs", "-odb",
             "-oem")
    refused = s.sendmail(f"carol@{HOST}", [f"bob@{HOST}", f"x@{HOST}"],
                         f"Subject: {user}\r\n\r\n.dot\r\n")
    assert list(refused) == [f"x@{HOST}"]
    assert s.docmd("MAIL FROM:<a@x.example>")[0] == 250
    assert s.docmd("RCPT TO:<b@far.example>")[0] == 250  # relayed
    s.quit()
    assert s.p.wait(10) == 0
    c.called()
    new = c.boxes["bob"] / "new"
    wait_for(lambda: list(new.glob("*")), 10, "mail")
    raw = next(new.glob("*")).read_bytes()
    next(new.glob("*")).unlink()
    uid = {"root": 0, "nobody": 65534}[user]
    assert raw.endswith(b"\n\n.dot\n")
    assert f"Received: from localhost (uid {uid})\n".encode() in raw


def test_mailq_and_queue_runs(c):
    links = {}
    for name in "mailq", "newaliases", "sendmail":
        links[name] = c.path / f"link-{name}" / name
        links[name].parent.mkdir()
        links[name].symlink_to(BIN / "postern-sendmail")
    root = {"POSTERN_ROOT": c.suite.folder}
    wait_for(lambda: b"empty" in c.run(links["mailq"], **root).stdout, 10,
             "an empty queue")
    c.run(links["sendmail"], "-i", "x@far.example", stdin="Subject: q\n\n",
          **root)
    wait_for(lambda: b"x@far.example" in c.run(links["mailq"], **root).stdout,
             10, "the message in the list")
    c.run(links["sendmail"], "-q", **root)
    c.run(links["sendmail"], "-qRx@", **root)
    c.run(links["sendmail"], "-qSnobody@at.all", **root)
    assert b"bob" in c.run(links["sendmail"], "-bv", f"bob@{HOST}",
                           **root).stdout
    assert c.run(links["sendmail"], "-bv", f"no@{HOST}", code=67, **root)
    for args in ([links["mailq"]], [links["sendmail"], "-q"],
                 [links["sendmail"], "-bv", "bob"]):
        done = c.run("runuser", "-u", "nobody", "--", *args, code=77, **root)
        assert done.stderr.startswith(b"sendmail: only root"), done
    c.suite.postern("queue", "delete", "--all", check=False)


def test_newaliases(c):
    """The system's /etc/aliases, as this test has it."""
    aliases = c.path / "aliases"
    aliases.write_text("postmaster: root\nstaff: bob,\n\tcarol\n")
    script = f"""
mount -t tmpfs -o mode=755 none /mnt
cp -a /etc/passwd /etc/group /etc/nsswitch.conf /mnt/
cp {aliases} /mnt/aliases
mount --rbind /mnt /etc
exec {c.path}/newaliases
"""
    (c.path / "newaliases").symlink_to(BIN / "postern-sendmail")
    root = {"POSTERN_ROOT": c.suite.folder}
    c.run_sh(script, **root)
    c.run(c.sendmail, "-i", "staff", stdin="Subject: all\n\nx\n")
    assert c.mail("bob")["Subject"] == c.mail("carol")["Subject"] == "all"
    aliases.write_text("staff: |/bin/false\n: x\n")
    done = c.run_sh(script, code=65, **root)
    assert b"aliases:1:" in done.stderr + done.stdout, done
    # and for somebody who may not
    done = c.run("runuser", "-u", "nobody", "--", c.path / "newaliases",
                 code=77, **root)
    assert done.stderr.startswith(b"sendmail: only root may change"), done


def test_any_user_sends(c):
    c.run("runuser", "-u", "nobody", "--", c.sendmail, "-i", "--id", "bob",
          stdin="x\n")
    m = c.mail(uid=65534)
    assert m.author == f"nobody@{HOST}" and m.sender == m.author


def test_while_the_suite_is_stopped(c):
    """The drop box takes the mail; it is sent when the suite runs again."""
    c.suite.stop()
    try:
        done = c.run(c.sendmail, "-i", "--id", "bob", stdin="Subject: s\n\n")
        assert done.stdout == b"-\n"
        done = c.run(c.sendmail, "-bs", stdin="QUIT\r\n", code=111)
        assert done.stdout.startswith(b"421 ")
        # a user without the program's group, and so without the drop box
        done = c.run("runuser", "-u", "nobody", "--", c.sendmail, "-i", "bob",
                     stdin="Subject: s\n\n", code=75)
        assert done.stderr.startswith(b"sendmail: not now, try again"), done
    finally:
        c.suite.start()
    assert c.mail()["Subject"] == "s"


def test_full_name_of_the_password_file(c):
    """Up to the first comma, & for the login name, 8-bit letters and all."""
    lines = pathlib.Path("/etc/passwd").read_text().splitlines()
    users = c.path / "passwd"
    users.write_text("".join(
        "root:x:0:0:Jürg &, Room 1:/root:/bin/sh\n" if l.startswith("root:")
        else l + "\n" for l in lines))
    c.run_sh(f"mount --bind {users} /etc/passwd\n"
             f"exec {c.sendmail} -i bob", stdin="x\n")
    m = c.mail()
    assert m["From"].addresses[0].display_name == "Jürg Root"


def ended(pid):
    """Gone, or waiting for whoever is its parent now."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rsplit(")", 1)[1].split()[0] == "Z"


@pytest.mark.parametrize("mime", [True, False])
def test_killed_half_way(c, mime):
    """Nothing is sent of a message whose writer, or whose sendmail, has died;
    what sendmail's death leaves behind ends, too."""
    before = c.suite.log().count("event=queued")
    p = subprocess.Popen(
        [str(BIN / "postern-sendmail"), "-i", "bob"], stdin=subprocess.PIPE,
        env={**os.environ, "POSTERN_ROOT": c.suite.folder})
    p.stdin.write((MIME if mime else b"") + b"\n" + b"half\n" * 100_000)
    p.stdin.flush()
    child = wait_for(lambda: children(p.pid), 10, "the queue program")[0]
    p.kill()
    p.wait()
    p.stdin.close()
    wait_for(lambda: ended(child), 10, "its end")
    assert c.suite.log().count("event=queued") == before
    assert not list(c.boxes["bob"].glob("new/*"))


MIME = b"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
BODIES = {
    "empty": b"", "one empty line": b"\n", "empty lines": b"\n\n\n",
    "dots": b".\n..\n.x\n...\n", "From": b"From x\n>From x\n",
    "8-bit": bytes(range(128, 256)) + b"\n",
    "controls": bytes(set(range(1, 32)) - {10, 13}) + b"\x7f\n",
    "blanks": b" \n\t\n  x \t \n", "998": b"y" * 998 + b"\n",
    "2000": b"z" * 2000 + b"\n", "100,000": b"z" * 100_000 + b"\n",
    "parts": b"--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nx\n"
             b"--c--\n--b--\n",
    "header-like": b"Subject: not one\nBcc: nobody@x\n\n",
    "64 KiB": b"0123456789abcde\n" * 4096 + b"x\n",
    "20 MB": b"0123456789abcde\n" * 1_310_720,
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("way", ["sendmail", "postern-inject"])
def test_bytes_survive(c, name, way):
    """With MIME fields byte for byte; without, what they decode to."""
    body = BODIES[name]
    program = c.sendmail if way == "sendmail" else BIN / way
    for header in MIME, b"":
        if len(body) > 1_000_000 and not header and way != "sendmail":
            continue
        c.run(program, *["-i"] * (way == "sendmail"), "bob",
              stdin=b"Subject: t\n" + header + b"\n" + body,
              POSTERN_ROOT=c.suite.folder)
        m = c.mail(parse=False)
        if header:
            assert m.raw.split(b"\n\n", 1)[1] == body
        else:
            assert m.get_payload(decode=True) == body


def test_manual_names_every_caller():
    """The table of postern-sendmail(8) has who is tested here."""
    page = (TOP / "inject/postern-sendmail.8").read_text()
    table = page[page.index(".Sh CALLERS"):page.index(".Sh ENVIRONMENT")]
    for name in ("cron (Debian)", "cronie", "at", "git send-email", "mutt",
                 "s-nail", "bsd-mailx", "mailutils", "PHP", "mdadm", "smartd",
                 "logwatch", "logrotate", "Email::Sender", "Mail::Sendmail",
                 "Python", "Mailman", "RT", "Nagios", "alpine"):
        assert re.search(rf"^\.It \"?{re.escape(name)}", table, re.M), name
