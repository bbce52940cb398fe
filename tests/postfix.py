# SPDX-License-Identifier: ISC
"""A Postfix instance in a folder of its own, as peer in tests and benchmarks."""
import pathlib
import shutil
import subprocess
import tempfile

from suite import free_port


def latest(settings):
    """Without the lines that a later line of the same name overrides."""
    last = {line.split(" =")[0]: line for line in settings.splitlines()}
    return "\n".join(last.values()) + "\n"


class Postfix:
    """An instance with configuration, queue and mailboxes in one folder."""

    def __init__(self, main, port=None, folder=None):
        """main: further main.cf lines, in which {mail} and {folder} stand for
        the mailbox folder and the instance's own."""
        self.port = port or free_port()
        self.folder = pathlib.Path(
            folder or tempfile.mkdtemp(prefix="postern-postfix-"))
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o755)
        conf, self.mail = self.folder / "etc", self.folder / "mail"
        for name in ("etc", "queue", "data", "mail"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        shutil.chown(self.mail, "nobody")
        self.conf = conf
        (conf / "main.cf").write_text(latest(f"""\
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
virtual_mailbox_base = {self.mail}
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 100
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
maillog_file = {self.folder}/log
maillog_file_prefixes = {self.folder}
{main}
"""))
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
local unix - n n - - local
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
