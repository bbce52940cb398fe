# SPDX-License-Identifier: ISC
"""Real clients against a whole suite: swaks, curl, smtplib, poplib."""
import email
import poplib
import re
import shutil
import smtplib
import subprocess

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
