# SPDX-License-Identifier: ISC
"""Postfix as sender to us and as receiver from us, on loopback ports."""
import os
import poplib
import smtplib

import pytest

from postfix import Postfix
from suite import Suite, free_port, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0,
                                reason="Postfix starts as root only")


@pytest.fixture(scope="module")
def pair():
    reserved = free_port()
    with Suite("--no-first-message", "--domain", "hamburger.edu", "--user",
               "bob@hamburger.edu:hungry", "--control",
               "relayclients=127.0.0.1", "--route",
               f"crepes.fr=127.0.0.1:{reserved}") as suite:
        host, port = suite.smtp
        postfix = Postfix(
            "virtual_mailbox_domains = crepes.fr\n"
            f"transport_maps = inline:{{ hamburger.edu=smtp:[{host}]:{port} }}",
            port=reserved)
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
