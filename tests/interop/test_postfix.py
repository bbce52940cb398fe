# SPDX-License-Identifier: ISC
"""Postfix as sender to us and as receiver from us, on loopback ports."""
import os
import pathlib
import poplib
import shutil
import smtplib
import socket
import subprocess
import tempfile

import pytest

from suite import Suite, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0,
                                reason="Postfix starts as root only")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Postfix:
    """An instance with configuration, queue and mailboxes in one folder."""

    def __init__(self, relay_to):
        self.port = free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-postfix-"))
        self.folder.chmod(0o755)
        conf, self.mail = self.folder / "etc", self.folder / "mail"
        for name in ("etc", "queue", "data", "mail"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        shutil.chown(self.mail, "nobody")
        self.conf = conf
        host, port = relay_to
        (conf / "main.cf").write_text(f"""\
compatibility_level = 3.6
queue_directory = {self.folder}/queue
data_directory = {self.folder}/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.crepes.fr
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
virtual_mailbox_domains = crepes.fr
virtual_mailbox_base = {self.mail}
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 100
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
maillog_file = {self.folder}/log
maillog_file_prefixes = {self.folder}
import_environment = MAIL_LOGTAG
transport_maps = inline:{{ hamburger.edu=smtp:[{host}]:{port} }}
""")
        (conf / "master.cf").write_text(f"""\
127.0.0.1:{self.port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
""")

    def command(self, *args):
        subprocess.run(["postfix", "-c", str(self.conf), *args], check=True,
                       timeout=60, stdout=subprocess.DEVNULL)

    def __enter__(self):
        self.command("start")
        return self

    def __exit__(self, kind, *_):
        if kind and (self.folder / "log").exists():
            print((self.folder / "log").read_text())
        subprocess.run(["postfix", "-c", str(self.conf), "stop"], timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def messages(self):
        return [p.read_bytes() for p in self.mail.glob("box/new/*")]


@pytest.fixture(scope="module")
def pair():
    reserved = free_port()
    with Suite("--no-first-message", "--domain", "hamburger.edu", "--user",
               "bob@hamburger.edu:hungry", "--control",
               "relayclients=127.0.0.1", "--route",
               f"crepes.fr=127.0.0.1:{reserved}") as suite:
        postfix = Postfix(suite.smtp)
        main = (postfix.conf / "master.cf")
        main.write_text(main.read_text().replace(
            f"127.0.0.1:{postfix.port} ", f"127.0.0.1:{reserved} "))
        postfix.port = reserved
        with postfix:
            yield suite, postfix


def test_postfix_receives_from_us(pair):
    suite, postfix = pair
    body = "Subject: to postfix\r\n\r\n.dots\r\n..\r\n\xe4\xf6\r\n"
    with smtplib.SMTP(*suite.smtp, timeout=20) as s:
        s.sendmail("bob@hamburger.edu",
                   [f"user{i}@crepes.fr" for i in range(30)],
                   body.encode("latin-1"), mail_options=["BODY=8BITMIME"])
    wait_for(lambda: len(postfix.messages()) >= 30, 40,
             "30 messages at Postfix")
    assert all(b"\n.dots\n..\n\xe4\xf6\n" in m for m in postfix.messages())


def test_postfix_sends_to_us(pair):
    suite, postfix = pair
    with smtplib.SMTP("127.0.0.1", postfix.port, timeout=20) as s:
        for n in range(20):
            s.sendmail("alice@crepes.fr", "bob@hamburger.edu",
                       f"Subject: {n}\r\n\r\n.line\r\n" + "z" * 70000)
        s.sendmail("alice@crepes.fr", "nobody@hamburger.edu", "Subject: x\n\n")
    def count():
        p = poplib.POP3(*suite.pop3, timeout=20)
        p.user("bob")
        p.pass_("hungry")
        n = p.stat()[0]
        p.quit()
        return n
    wait_for(lambda: count() == 20, 40, "20 messages from Postfix")
    # the refused one comes back to Alice, from Postfix itself
    wait_for(lambda: any(b"nobody@hamburger.edu" in m and b"5.1.1" in m
                         for m in postfix.messages()), 40, "the bounce")
