# SPDX-License-Identifier: ISC
"""A machine of our own to install on: this one's files under an overlay, with
its own network, processes and /run.  Nothing of it outlives the test."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from suite import BUILD, TOP, children

PREPARE = r"""
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$5,upperdir=$1/up,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
if [ "$5" = / ]; then
	mkdir -p "./$2" "./$3"
	mount --bind "$2" "./$2"
	mount --bind "$3" "./$3"
fi
ip link set lo up
# nothing that somebody installed on the machine below
rm -rf etc/postern var/spool/postern* var/mail/postern var/log/postern etc/sv/postern \
	usr/local/libexec/postern usr/libexec/postern
if [ "$4" = no ]; then
	# an init that waits for whoever is left
	exec chroot . sh -c 'echo ready; sleep 600 & wait'
fi
mount -t tmpfs tmpfs sys
mkdir -p sys/fs/cgroup
mount -t cgroup2 cgroup2 sys/fs/cgroup
# no service of the machine below
rm -rf etc/systemd/system/*.wants etc/rc?.d
ln -sfn /lib/systemd/system/multi-user.target etc/systemd/system/default.target
for unit in resolved timesyncd networkd; do
	ln -sfn /dev/null etc/systemd/system/systemd-$unit.service
done
echo ready
container=test exec chroot . /lib/systemd/systemd --log-target=null </dev/null >/dev/null 2>&1
"""


# one message in over SMTP, and out over POP3
FIRST_MESSAGE = """
import poplib, smtplib, socket, sys, time
socket.getfqdn = lambda name="": "client.test"
with smtplib.SMTP("127.0.0.1", 25, timeout=20) as s:
    s.sendmail("x@elsewhere.test", ["alice@example.org"], "Subject: TOKEN\\r\\n\\r\\nhi\\r\\n")
for i in range(100):
    p = poplib.POP3("127.0.0.1", 110, timeout=20)
    p.user("alice@example.org"); p.pass_("secret")
    n = len(p.list()[1])
    found = any(b"Subject: TOKEN" in p.retr(k + 1)[1] for k in range(n))
    p.quit()
    if found: sys.exit(0)
    time.sleep(0.1)
sys.exit("no mail")
"""


def first_message(machine, token):
    machine.client("/usr/bin/python3", "-c", FIRST_MESSAGE.replace("TOKEN", token))


class Machine:
    """systemd: it runs there.  lower: other files than this machine's."""

    def __init__(self, systemd=False, lower="/"):
        self.folder = tempfile.mkdtemp(prefix="postern-machine-")
        self.holder = subprocess.Popen(
            ["unshare", "-mnpfuC", "--kill-child", "sh", "-c", PREPARE, "sh",
             self.folder, str(TOP), str(BUILD), "yes" if systemd else "no", str(lower)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n"
        self.pid = str(children(self.holder.pid)[0])
        if systemd:
            # degraded: one of its own services cannot run here
            self.wait("sh", "-c", "case $(systemctl is-system-running) in "
                      "running | degraded) ;; *) false ;; esac")

    def run(self, *args, code=0, timeout=120, **kw):
        """Runs a command there; its output.  network False: with this machine's."""
        done = self.start(*args, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **kw)
        try:
            out = done.communicate(timeout=timeout)[0]
        except BaseException:
            done.kill()
            raise
        assert code is None or done.returncode == code, \
            f"{args}: exit {done.returncode}, not {code}\n{out}"
        return out

    def start(self, *args, network=True, **kw):
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
               "B": str(BUILD), "HOME": "/root",
               "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")}
        return subprocess.Popen(
            ["nsenter", "-t", self.pid, "-m", *(["-n"] if network else []), "-p", "-u",
             "-C", "-r", "-w", *map(str, args)], env=env, stdin=subprocess.DEVNULL, text=True, **kw)

    def client(self, *args, timeout=60):
        """Runs a command of this machine on its network."""
        done = subprocess.run(["nsenter", "-t", self.pid, "-n", *map(str, args)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout)
        assert done.returncode == 0, done

    def setup(self, *args, **kw):
        return self.run(TOP / "install/setup", *args, **kw)

    @staticmethod
    def end(process):
        """Kills what start() began: nsenter waits for a child of its own."""
        for pid in children(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()

    def path(self, path):
        return pathlib.Path(f"/proc/{self.pid}/root{path}")

    def listing(self, *folders):
        """A line for all that is below them; another one when it is changed."""
        out = self.run("find", *folders, "-printf", "%p %M %u:%g %l %i %s %T@\n", code=None)
        return sorted(out.splitlines())

    def wait(self, *args, seconds=30):
        """Until the command succeeds."""
        end = time.monotonic() + seconds
        while True:
            done = self.start(*args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            out = done.communicate(timeout=30)[0]
            if done.returncode == 0:
                return out
            assert time.monotonic() < end, f"{args}: {out}"
            time.sleep(0.1)

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


assert os.path.isabs(str(BUILD))
