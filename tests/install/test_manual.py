# SPDX-License-Identifier: ISC
"""The examples of every manual page, and README.md's recipes, run as they stand on
a machine of their own; tests/manual.py says how they are marked."""
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent)]
from machine import Machine  # noqa: E402
from manual import page_blocks, readme_blocks  # noqa: E402
from suite import BUILD, TOP, wait_for  # noqa: E402

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="an installation is root's"),
    pytest.mark.skipif("asan" in BUILD.name,
                       reason="a sanitizer needs what postern-queue forbids")]

PAGES = sorted(str(p.relative_to(TOP)) for p in TOP.glob("*/*.[1578]"))

OF_THEIR_OWN = ["install/postern-doctor.1", "install/postern-setup.8"]

# `suite start` and `suite stop` for the comments of examples
SUITE = r"""#!/bin/sh
set -eu
case $1 in
start)
	setsid -f postern-start --log /var/log/postern/log >/dev/null 2>&1
	timeout 20 sh -c 'until postern status >/dev/null; do sleep .05; done' ;;
stop)
	pkill -x postern-start
	flock -w 20 /run/postern/lock true ;;
esac
"""


def shell(m, text, code=0, folder="/root/work"):
    """Its output: what it says on both descriptors, in order."""
    return m.run("sh", "-euc", f"cd {folder}\n{text}", code=code, timeout=60)


class Examples:
    """Blocks on a machine, with what stays in the foreground of them."""

    def __init__(self, machine, folder="/root/work"):
        self.m, self.folder, self.stay = machine, folder, []

    def do(self, text, code=0):
        return shell(self.m, text, code, self.folder)

    def stays(self, block):
        """Its last line is in the foreground."""
        p = self.m.start("sh", "-euc", f"cd {self.folder}\n{block.text}",
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         start_new_session=True)
        self.stay.append(p)
        self.m.wait("sh", "-c", block.one("stays"), seconds=20)

    def transcript(self, block):
        """$ command, and what it prints."""
        code = int(block.one("exit") or 0)
        for part in re.split(r"^\$ ", block.text, flags=re.M)[1:]:
            command, _, wanted = part.partition("\n")
            said = self.do(command, code)
            assert said == wanted, f"{block}: {command}"

    def run(self, block):
        for command in block.all("after"):
            self.do(command)
        if block.one("file"):
            self.m.path(block.one("file")).write_text(block.text)
        elif block.one("stays"):
            self.stays(block)
        elif block.text.startswith("$ "):
            self.transcript(block)
        else:
            said = self.do(block.text, int(block.one("exit") or 0))
            for words in block.all("says"):
                assert words in said, f"{block}: it does not say {words}: {said}"
        for command in block.all("then"):
            self.do(command)

    def all(self, blocks, meanwhile=lambda: None):
        """meanwhile: while what stays is there."""
        try:
            for block in blocks:
                if block.one("tested"):
                    name = block.one("tested")
                    assert block.page in (TOP / name).read_text(), \
                        f"{block}: {name} does not name it"
                elif not block.one("read"):
                    try:
                        self.run(block)
                    except AssertionError as e:
                        raise AssertionError(f"{block}: {e}") from e
            meanwhile()
        finally:
            for p in self.stay:
                if p.poll() is None:
                    os.killpg(p.pid, signal.SIGTERM)
            for p in self.stay:
                p.wait(30)


def prepare(m):
    m.run("mkdir", "-p", "/root/work", "/var/log/postern")
    tool = m.path("/usr/local/bin/suite")
    tool.write_text(SUITE)
    tool.chmod(0o755)
    return Examples(m, str(TOP))


def password_in(said):
    return re.search(r"made mailbox alice@example.org\n +its password: (\S+)", said)[1]


# one message in over SMTP, and out over POP3
CLIENT = """
import poplib, smtplib, sys, time
user, password = sys.argv[1:]
with smtplib.SMTP("127.0.0.1", 25, "client.test", timeout=20) as s:
    s.sendmail("x@elsewhere.test", [user], "Subject: hello\\r\\n\\r\\nhi\\r\\n")
for i in range(200):
    p = poplib.POP3("127.0.0.1", 110, timeout=20)
    p.user(user), p.pass_(password)
    found = len(p.list()[1])
    p.quit()
    if found: sys.exit(0)
    time.sleep(0.1)
sys.exit("no mail")
"""


# all that this world's DNS has
ZONE = """\
. SOA ns. host. 1 2 3 4 5
. NS ns.
ns. A 127.0.0.1
mail.example.org. A 192.0.2.10
mail.example.org. MX 10 mail.example.org.
mail.example.org. TXT "v=spf1 a -all"
example.org. MX 10 mail.example.org.
example.org. TXT "v=spf1 mx -all"
_dmarc.example.org. TXT "v=DMARC1; p=none"
smtp.example.org. A 127.0.0.2
example.com. MX 10 mx.example.com.
mx.example.com. A 192.0.2.20
"""
NSD = """\
server:
 port: 5300
 ip-address: 127.0.0.1
 username: root
 database: ""
 pidfile: /run/nsd.pid
 xfrdfile: ""
 zonesdir: /root
remote-control:
 control-enable: no
zone:
 name: .
 zonefile: zone
"""


def start_dns(m):
    m.path("/root/zone").write_text(ZONE)
    m.path("/root/nsd.conf").write_text(NSD)
    m.run("nsd", "-c", "/root/nsd.conf")


def use_dns(m):
    m.path("/etc/postern/resolvers").write_text("127.0.0.1@5300\n")


def send_and_read(m, user, password):
    m.client("/usr/bin/python3", "-c", CLIENT, user, password)


@pytest.fixture(scope="module")
def machine():
    """As postern-setup(8)'s first example makes it, with people who get mail."""
    with Machine() as m:
        here = prepare(m)
        here.run(next(page_blocks("install/postern-setup.8")))
        here.do("install/setup mail.example.org --sendmail")
        here.do("useradd -m sam && suite start && echo hamburger.edu >/etc/postern/virtualdomains &&"
                " pkill -HUP -x postern-start &&"
                " echo hungry | postern user add bob@hamburger.edu &&"
                " postern alias add bob bob@hamburger.edu")
        here.do("postern check")
        yield m


@pytest.mark.parametrize("page", [p for p in PAGES if p not in OF_THEIR_OWN])
def test_page(machine, page):
    blocks = list(page_blocks(page))
    assert blocks, f"{page} has no example"
    Examples(machine).all(blocks)
    # what comes next finds it as it was
    assert "0 mistakes, 0 warnings" in shell(machine, "postern check")
    machine.wait("postern", "status", seconds=20)


RECIPES = {"A mail server with POP3", "A host that only sends", "Behind tcpserver", "By hand"}


def recipe(heading):
    return [b for h, b in readme_blocks() if h == heading]


def test_readme_has_no_other_blocks():
    for heading, block in readme_blocks():
        if heading in RECIPES or block.one("read"):
            continue
        name = block.text.split()[0].removeprefix("./")
        assert name in (TOP / str(block.one("tested"))).read_text(), block


def test_recipe_of_a_mail_server():
    with Machine() as m:
        here = prepare(m)
        install, *rest = recipe("A mail server with POP3")
        password = password_in(here.do(install.text))
        here.do("suite start")
        assert len(rest) == 2
        here.all(rest)
        assert "192.0.2.0/24" in here.do("postern show relayclients")
        send_and_read(m, "alice@example.org", password)
        send_and_read(m, "bob@example.org", "a good password")


def test_recipe_of_a_host_that_sends():
    """smtp.example.org is a sink here, and nsd knows where."""
    with Machine() as m:
        here = prepare(m)
        install, send = recipe("A host that only sends")
        start_dns(m)
        m.run("sh", "-c", "mkdir /root/sink; cd /root/sink && "
              "setsid -f smtp-sink -u root -d m. 127.0.0.2:25 10 >/dev/null 2>&1")
        here.run(install)
        use_dns(m)
        here.do("suite start && postern check")
        here.run(send)
        text = wait_for(lambda: [f.read_text() for f in m.path("/root/sink").iterdir()
                                 if "It works." in f.read_text()], 20, "the message")[0]
        assert "root@example.org" in text and "web.example.org" in text
        # nothing of ours listens: the sink and nsd alone
        assert set(re.findall(r"LISTEN +\d+ +\d+ +(\S+)", here.do("ss -Hltn"))) == {
            "127.0.0.2:25", "127.0.0.1:5300"}
        here.do("pkill nsd; pkill smtp-sink; suite stop")


def test_recipe_behind_tcpserver():
    with Machine() as m:
        here = prepare(m)
        install, smtp, pop3 = recipe("Behind tcpserver")
        password = password_in(here.do(install.text))
        here.do("suite start")

        def use():
            send_and_read(m, "alice@example.org", password)
            assert "0 mistakes" in here.do("postern check")
        here.all([smtp, pop3], use)


def test_recipe_by_hand():
    with Machine() as m:
        m.run("mkdir", "-p", "/root/work")
        block, = recipe("By hand")
        Examples(m, str(TOP)).all(
            [block], lambda: send_and_read(m, "alice@example.org", "a good password"))


def test_page_of_doctor():
    """Where all is well, but that the address has no name."""
    with Machine() as m:
        here = prepare(m)
        start_dns(m)
        m.run("ip", "address", "add", "192.0.2.10/24", "dev", "lo")  # and others there
        here.run(next(page_blocks("install/postern-setup.8")))
        use_dns(m)
        here.do("suite start")
        here.all(page_blocks("install/postern-doctor.1"))
        here.do("pkill nsd; suite stop")


def test_page_of_setup():
    with Machine() as m:
        prepare(m).all(page_blocks("install/postern-setup.8"))
