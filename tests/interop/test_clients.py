# SPDX-License-Identifier: ISC
"""Real clients against a whole suite: swaks, curl, msmtp, s-nail, fetchmail,
mpop, mutt, and the libraries of Python and Perl."""
import asyncio
import email
import os
import poplib
import pty
import re
import shutil
import smtplib
import subprocess
import threading

import pytest

from suite import Suite, wait_for


@pytest.fixture(scope="module")
def suite():
    with Suite("--no-first-message", "--domain", "hamburger.edu", "--user",
               "bob@hamburger.edu:hungry", "--user",
               "carol@hamburger.edu:thirsty") as s:
        yield s


def read_all(suite, user="bob@hamburger.edu", password="hungry"):
    p = poplib.POP3(*suite.pop3, timeout=20)
    p.user(user)
    p.pass_(password)
    count, octets = p.stat()
    sizes = [int(row.split()[1]) for row in p.list()[1]]
    assert sum(sizes) == octets
    mail = []
    for n in range(1, count + 1):
        lines = p.retr(n)[1]
        assert sum(len(l) + 2 for l in lines) == sizes[n - 1]
        mail.append(b"\n".join(lines) + b"\n")
        p.dele(n)
    p.quit()
    return mail


def need(program):
    path = shutil.which(program)
    assert path, f"{program} is missing: tests/check installs it"
    return path


def test_swaks(suite):
    done = subprocess.run(
        [need("swaks"), "--server", suite.env["SMTP"], "--from",
         "alice@crepes.fr", "--to", "bob@hamburger.edu", "--helo", "crepes.fr",
         "--pipeline", "--header", "Subject: from swaks", "--body",
         "line one\n.leading dot\n..two\n"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=60)
    assert done.returncode == 0, done.stdout
    mail = wait_for(lambda: read_all(suite), 10, "the message")
    assert b"\n.leading dot\n..two\n" in mail[0]


def test_curl_both_ways(suite, tmp_path):
    source = tmp_path / "mail"
    source.write_bytes(b"Subject: from curl\r\n\r\nfirst\r\n.\r\n..\r\nlast")
    subprocess.run(
        [need("curl"), "-sS", "--mail-from", "alice@crepes.fr", "--mail-rcpt",
         "bob@hamburger.edu", "--mail-rcpt", "carol@hamburger.edu",
         "--upload-file", str(source), f"smtp://{suite.env['SMTP']}/crepes.fr"],
        check=True, timeout=60)
    def listed():
        done = subprocess.run(
            ["curl", "-sS", "-u", "carol@hamburger.edu:thirsty",
             f"pop3://{suite.env['POP3']}/"], stdout=subprocess.PIPE,
            text=True, timeout=60)
        return done.stdout.split()
    size = int(wait_for(listed, 10, "Carol's message")[1])
    done = subprocess.run(
        ["curl", "-sS", "-u", "carol@hamburger.edu:thirsty",
         f"pop3://{suite.env['POP3']}/1"], stdout=subprocess.PIPE, timeout=60,
        check=True)
    assert len(done.stdout) == size
    assert done.stdout.endswith(b"\r\nfirst\r\n.\r\n..\r\nlast\r\n")
    assert len(read_all(suite)) == 1


def test_smtplib_and_poplib(suite):
    message = email.message.EmailMessage()
    message["From"] = "Alice <alice@crepes.fr>"
    message["To"] = "bob@hamburger.edu"
    message["Subject"] = "Grüße"
    message.set_content("Schöne Grüße\n" * 50, cte="8bit")
    message.add_attachment(bytes(range(256)) * 400, maintype="application",
                           subtype="octet-stream", filename="x.bin")
    with smtplib.SMTP(*suite.smtp, timeout=20) as s:
        assert s.ehlo()[0] == 250
        assert s.has_extn("8bitmime") and s.has_extn("pipelining")
        assert s.esmtp_features["size"] == "52428800"
        s.send_message(message)
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            s.sendmail("a@crepes.fr", "nobody@hamburger.edu", "x")
        assert refused.value.recipients["nobody@hamburger.edu"][0] == 550
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            s.sendmail("a@crepes.fr", "x@elsewhere.example", "x")
        code, text = refused.value.recipients["x@elsewhere.example"]
        assert code == 550 and text.startswith(b"5.7.1")
        s.sendmail("a@crepes.fr", "postmaster@hamburger.edu", "Subject: p\n\n")
        with pytest.raises(smtplib.SMTPDataError) as refused:
            s.sendmail("a@crepes.fr", "bob@hamburger.edu",
                       "Received: x\r\n" * 101 + "\r\n")
        assert refused.value.smtp_code == 554
    mail = wait_for(lambda: read_all(suite), 10, "the message")
    got = email.message_from_bytes(mail[0], policy=email.policy.default)
    assert got["Subject"] == "Grüße"
    assert got.get_body().get_content() == "Schöne Grüße\n" * 50
    assert list(got.iter_attachments())[0].get_content() == \
        bytes(range(256)) * 400


def test_bytes_survive(suite):
    """What goes in comes out, line for line, below the trace headers."""
    for text in (b"", b"\r\n", b"x", b"\r\n\r\n", b".", b"..\r\n.x\r\n",
                 b"A: b\r\n\r\n" + b"y" * 990 + b"\r\n",
                 b"A: b\r\n\r\n" + bytes(range(128, 256)) + b"\r\n",
                 b"A: b\r\n\r\n" + b"tab\tand space \r\n \r\n"):
        with smtplib.SMTP(*suite.smtp, timeout=20) as s:
            s.ehlo()
            s.mail("alice@crepes.fr")
            s.rcpt("bob@hamburger.edu")
            assert s.data(text)[0] == 250
        mail = wait_for(lambda: read_all(suite), 10, "the message")[0]
        body = re.sub(rb"^(Return-Path|Delivered-To): .*\n", b"", mail,
                      flags=re.M)
        body = re.sub(rb"\AReceived: .*\n([ \t].*\n)*", b"", body)
        sent = text.replace(b"\r\n", b"\n")
        if not sent.endswith(b"\n"):  # as smtplib does, for b"" too
            sent += b"\n"
        assert body == sent, text


def test_login_by_bare_name_and_wrong_password(suite):
    p = poplib.POP3(*suite.pop3, timeout=20)
    p.user("bob")
    p.pass_("hungry")
    p.quit()
    p = poplib.POP3(*suite.pop3, timeout=20)
    p.user("bob")
    with pytest.raises(poplib.error_proto):
        p.pass_("wrong")
    p.close()


def run(command, **kw):
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60, **kw)
    assert done.returncode == 0, (command, done.stdout.decode("latin-1"))
    return done.stdout.decode("latin-1")


def put(suite, *subjects, to="bob@hamburger.edu"):
    """Messages of these subjects, in the mailbox when this returns."""
    with smtplib.SMTP(*suite.smtp, timeout=20) as s:
        for subject in subjects:
            s.sendmail("alice@crepes.fr", to,
                       f"From: alice@crepes.fr\r\nSubject: {subject}\r\n"
                       f"\r\n.dot\r\n{subject} text\r\n")

    def all_there():
        p = poplib.POP3(*suite.pop3, timeout=20)
        p.user(to)
        p.pass_("hungry")
        n = p.stat()[0]
        p.quit()
        return n >= len(subjects)
    wait_for(all_there, 10, "the messages")


def subjects(suite):
    """What is left in the mailbox; it is emptied."""
    return [email.message_from_bytes(m)["Subject"] for m in read_all(suite)]


def test_msmtp(suite, tmp_path):
    host, port = suite.smtp
    run([need("msmtp"), "--file=/dev/null", f"--host={host}",
         f"--port={port}", "--from=alice@crepes.fr", "--tls=off",
         "bob@hamburger.edu", "carol@hamburger.edu"],
        input=b"Subject: from msmtp\n\n.leading\nlast",
        env={**os.environ, "HOME": str(tmp_path)})
    mail = wait_for(lambda: read_all(suite), 10, "the message")
    assert mail[0].endswith(b"Subject: from msmtp\n\n.leading\nlast\n")
    assert any(b"Subject: from msmtp" in m for m in
               read_all(suite, "carol@hamburger.edu", "thirsty"))
    done = subprocess.run(
        ["msmtp", "--file=/dev/null", f"--host={host}", f"--port={port}",
         "--from=alice@crepes.fr", "nobody@hamburger.edu"], input=b"x\n",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert done.returncode == 65  # EX_DATAERR
    assert b"550 5.1.1" in done.stdout


def snail(suite, tmp_path, *args, text=b"", **kw):
    host, port = suite.smtp
    return run([need("s-nail"), "-:/", "-S", "v15-compat=yes", "-S",
                f"mta=smtp://{host}:{port}", "-S", "smtp-auth=none", "-S",
                "from=alice@crepes.fr", "-S", "hostname=crepes.fr", "-S",
                f"DEAD={tmp_path}/dead", *args], input=text,
               env={**os.environ, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8",
                    "TERM": "dumb"}, **kw)


def test_s_nail_both_ways(suite, tmp_path):
    snail(suite, tmp_path, "-s", "from s-nail", "bob@hamburger.edu",
          text="Grüße\n.dot\n".encode())
    put(suite, "second")
    host, port = suite.pop3
    said = snail(
        suite, tmp_path, "-S", "pop3-auth=plain", "-R", "-f",
        f"pop3://bob%40hamburger.edu:hungry@{host}:{port}",
        text=b"from *\ntype 1\nquit\n")
    assert "from s-nail" in said and "second" in said and "dot" in said
    assert sorted(subjects(suite)) == ["from s-nail", "second"]


def fetchmail(suite, tmp_path, *args, code=0):
    host, port = suite.pop3
    rc = tmp_path / "rc"
    rc.write_text(
        f'poll {host} protocol pop3 service {port} user "bob@hamburger.edu" '
        f'password "hungry" sslproto "" mda "cat >>{tmp_path}/got"\n')
    rc.chmod(0o600)
    done = subprocess.run(
        [need("fetchmail"), "-f", str(rc), "--pidfile", str(tmp_path / "pid"),
         "--idfile", str(tmp_path / "ids"), "--nosyslog", *args],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
        env={**os.environ, "HOME": str(tmp_path), "FETCHMAILHOME":
             str(tmp_path)})
    assert done.returncode == code, done.stdout
    path = tmp_path / "got"
    got = path.read_text() if path.exists() else ""
    path.unlink(missing_ok=True)
    return re.findall(r"^Subject: (.*)$", got, re.M)


def test_fetchmail(suite, tmp_path):
    """keep with UIDL (a second look brings only what is new), then all."""
    put(suite, "one", "two")
    assert sorted(fetchmail(suite, tmp_path, "--keep", "--uidl")) == [
        "one", "two"]
    assert fetchmail(suite, tmp_path, "--keep", "--uidl", code=1) == []
    put(suite, "one", "two", "three")
    assert sorted(fetchmail(suite, tmp_path, "--keep", "--uidl")) == [
        "one", "three", "two"]
    assert len(fetchmail(suite, tmp_path, "--all")) == 5  # and deletes
    assert fetchmail(suite, tmp_path, code=1) == []
    put(suite, "old")
    # seen already: --flush deletes before it fetches
    fetchmail(suite, tmp_path, "--keep", "--uidl")
    fetchmail(suite, tmp_path, "--flush", "--uidl", code=1)
    assert subjects(suite) == []


def test_mpop(suite, tmp_path):
    host, port = suite.pop3
    put(suite, "to mpop", "again")
    maildir = tmp_path / "Maildir"
    for sub in ("cur", "new", "tmp"):
        (maildir / sub).mkdir(parents=True)
    command = [need("mpop"), "--file=/dev/null", f"--host={host}",
               f"--port={port}", "--user=bob@hamburger.edu",
               "--auth=user", "--passwordeval=echo hungry", "--tls=off",
               f"--uidls-file={tmp_path}/uidls", f"--delivery=maildir,{maildir}"]
    env = {**os.environ, "HOME": str(tmp_path)}
    run([*command, "--keep=on"], env=env)
    assert len(list((maildir / "new").iterdir())) == 2
    run([*command, "--keep=on"], env=env)  # nothing is new
    assert len(list((maildir / "new").iterdir())) == 2
    texts = [p.read_bytes() for p in (maildir / "new").iterdir()]
    assert all(b"\n.dot\n" in t for t in texts)
    put(suite, "x", "y", "new one")
    run([*command, "--keep=off"], env=env)
    assert len(list((maildir / "new").iterdir())) == 5
    assert subjects(suite) == []


def test_mutt_reads_by_pop3(suite, tmp_path):
    """Opens the mailbox there, saves all messages into a file, deletes them."""
    host, port = suite.pop3
    put(suite, "for mutt", "also")
    rc = tmp_path / "muttrc"
    rc.write_text(
        'set pop_pass="hungry"\nset pop_authenticators="user"\n'
        'set ssl_starttls=no\nset ssl_force_tls=no\n'
        'set pop_checkinterval=0\nset confirmappend=no\nset confirmcreate=no\n'
        'set delete=yes\nset mbox_type=mbox\n'
        f'set folder={tmp_path}\nset quit=yes\n'
        f'push "<tag-pattern>~A<enter><tag-prefix><save-message>'
        f'<kill-line>{tmp_path}/spool<enter><quit>"\n')
    env = {**os.environ, "HOME": str(tmp_path), "TERM": "vt100",
           "LC_ALL": "C.UTF-8"}
    leader, follower = pty.openpty()
    p = subprocess.Popen([need("mutt"), "-n", "-F", str(rc), "-f",
                          f"pop://bob%40hamburger.edu@{host}:{port}/"],
                         stdin=follower, stdout=follower, stderr=follower,
                         env=env)
    os.close(follower)
    screen = []
    threading.Thread(
        target=drain, args=(leader, screen), daemon=True).start()
    try:
        assert p.wait(30) == 0
    finally:
        p.kill()
        print(b"".join(screen).decode("latin-1"))
    text = (tmp_path / "spool").read_text()
    assert "\nSubject: for mutt\n" in text and "\nSubject: also\n" in text
    assert text.count("\n.dot\n") == 2
    assert subjects(suite) == []


def drain(fd, into):
    try:
        while True:
            into.append(os.read(fd, 65536))
    except OSError:
        pass


PERL = r"""
use strict; use Net::SMTP; use Net::POP3;
my ($smtp, $pop3) = @ARGV;
my $s = Net::SMTP->new($smtp, Hello => 'crepes.fr', Timeout => 20) or die;
print "banner ", $s->banner;
$s->mail('alice@crepes.fr') && $s->to('bob@hamburger.edu') or die;
print "refused\n" unless $s->to('nobody@hamburger.edu');
$s->data; $s->datasend("Subject: from Perl\n\n.dot\nlast\n");
$s->dataend or die; $s->quit;
my $n = 0; my $p;
for (1 .. 100) {
    $p = Net::POP3->new($pop3, Timeout => 20) or die;
    $n = $p->login('bob@hamburger.edu', 'hungry'); defined $n or die;
    last if $n > 0; $p->quit; select undef, undef, undef, 0.05;
}
my $list = $p->list; my $uidl = $p->uidl;
for my $m (keys %$list) {
    print "message $uidl->{$m}\n", @{$p->get($m)}, @{$p->top($m, 0)};
    $p->delete($m) or die;
}
$p->quit;
"""


def test_perl(suite):
    said = run(["perl", "-e", PERL, suite.env["SMTP"], suite.env["POP3"]])
    assert "banner hamburger.edu ESMTP" in said and "refused\n" in said
    assert said.count("Subject: from Perl") == 2  # RETR and TOP
    assert "\n.dot\nlast\n" in said
    assert subjects(suite) == []


def test_curl_lists_and_deletes(suite):
    put(suite, "for curl")
    curl = [need("curl"), "-sS", "-u", "bob@hamburger.edu:hungry"]
    url = f"pop3://{suite.env['POP3']}/"
    uid = run([*curl, "-X", "UIDL", url]).split()
    assert uid[0] == "1" and len(uid) == 2
    assert "Subject: for curl" in run([*curl, "-X", "TOP 1 0", url])
    assert "text" not in run([*curl, "-X", "TOP 1 0", url])
    run([*curl, "-X", "DELE 1", "--head", url])
    assert subjects(suite) == []


def test_many_python_clients_at_once(suite):
    """As an asyncio program has them: all of them open, each in its turn."""
    async def one(n):
        reader, writer = await asyncio.open_connection(*suite.smtp)

        async def reply():
            while True:
                line = await asyncio.wait_for(reader.readline(), 20)
                if line[3:4] != b"-":
                    return line
        assert (await reply()).startswith(b"220 ")
        for command, code in (
                (b"EHLO client.test", b"250"), (b"MAIL FROM:<a@b.example>",
                                                b"250"),
                (b"RCPT TO:<bob@hamburger.edu>", b"250"), (b"DATA", b"354"),
                (b"Subject: %d\r\n\r\nx\r\n." % n, b"250"), (b"QUIT", b"221")):
            writer.write(command + b"\r\n")
            assert (await reply()).startswith(code), command
        assert await reader.read() == b""
        writer.close()

    async def everybody():
        await asyncio.gather(*(one(n) for n in range(40)))
    asyncio.run(everybody())
    seen = []
    wait_for(lambda: seen.extend(subjects(suite)) or len(seen) >= 40, 20,
             "all of them")
    assert sorted(map(int, seen)) == list(range(40))
