# SPDX-License-Identifier: ISC
"""What chaos.py adds to its senders: local users who hand in through
postern-queue, whether Postern runs or not, and a program before the queue that
is anything but reliable."""
import contextlib
import os
import pathlib
import random
import subprocess

from queue_caller import install_setgid

WRITERS = [65533, 65533, 65532]  # their uids: two contend for the same slots
FIRST = 10                       # number of the first; SMTP senders are below
EXPECTED = {51, 52, 53, 56, 71, 74}
PATIENCE_S = 60

# What it says with 0 is queued: it never throws a message away.  Its pid decides.
FILTER = """#!/bin/sh
go_on() { "$QMAILQUEUE" </dev/stdin; }
case $(($$ % 40)) in
0) kill -KILL $$ ;;
1) kill -SEGV $$ ;;
2) sleep 1; exec "$QMAILQUEUE" </dev/stdin ;;
3) exec sleep 60 ;;
4 | 5) echo 'D5.7.1 Not this one' >&4; exit 31 ;;
6 | 7) echo 'Z4.7.1 Not now' >&4; exit 71 ;;
8) exit 99 ;;
9) go_on; kill -KILL $$ ;;
10) go_on; exec sleep 60 ;;
11) sleep 30 & go_on; exit ;;
12 | 13 | 14)
	set -e
	copy=$(mktemp)
	exec 5>"$copy" 6<"$copy"
	rm "$copy"
	{ echo "X-Filter: $$" && cat; } >&5
	exec "$QMAILQUEUE" <&6 5>&- 6<&- ;;
*) exec "$QMAILQUEUE" </dev/stdin ;;
esac
"""


def install_filter(folder):
    """The program, where a filter's may lie."""
    path = pathlib.Path(folder, "filter-program")
    path.write_text(FILTER)
    path.chmod(0o755)
    return path


def content(data):
    fd = os.memfd_create("content")
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


class Hand:
    """postern-queue as it is installed: set-gid, in the suite's folder as its
    root, by a user of no group."""

    def __init__(self, root):
        self.root = str(root)
        install_setgid(root)

    def give(self, uid, message, recipients, sender, kill_after=None):
        """(exit code, report); killed after so many seconds, unless None."""
        paths = [f"F{sender}", *(f"T{r}" for r in recipients), "", ""]
        with contextlib.ExitStack() as stack:
            def kept(fd):
                stack.callback(os.close, fd)
                return fd
            m = kept(content(message))
            e = kept(content("\0".join(paths).encode()))
            report_r, report_w = os.pipe()
            report = stack.enter_context(os.fdopen(report_r, "rb"))
            with open(report_w, "wb"):
                process = subprocess.Popen(
                    ["chroot", "--groups=", f"--userspec={uid}:{uid}",
                     self.root, "/postern-queue"], stdin=m, stdout=e,
                    stderr=subprocess.DEVNULL, pass_fds=(report_w,),
                    env={"PATH": os.environ["PATH"],
                         "POSTERN_QUEUE_REPORT": str(report_w)})
            try:
                process.wait(kill_after or PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            return process.returncode, report.read().decode("latin-1")


class Writers:
    """The part of chaos.World that has to do with them."""

    def writer(self, number, uid):
        rng = random.Random(f"{self.seed}-writer-{number}")
        n = 0
        while not self.over.is_set():
            lines = rng.choice([1, 5, 5, 40, 200, 900])
            if rng.random() < 0.01:
                lines = 12000
            mark = f"c{number}.{n}-{lines}"
            n += 1
            names, final, _ = self.choose(rng)
            while not self.boxes & set(final):  # a mailbox tells copies apart
                names, final, _ = self.choose(rng)
            impatient = rng.random() < 0.05
            try:
                code, report = self.hand.give(
                    uid, self.text_of(mark).encode(), names, self.local_sender,
                    rng.uniform(0.001, 0.05) if impatient else None)
            except OSError as e:
                self.wrong.append(f"{mark} cannot be handed in: {e}")
                return
            self.handed(mark, final, code, report, impatient)
            self.over.wait(rng.uniform(0, 0.2))

    def handed(self, mark, final, code, report, impatient):
        """What the ledger says of it now."""
        self.promised[mark] = final
        if code == 0:
            where = "drop box" if report == "K\n" else "queued"
            self.handed_in[where] += 1
            if report[:1] != "K":
                self.wrong.append(f"{mark}: exit 0 and says {report!r}")
            return
        # Written, perhaps, and not told: there once or not at all.
        self.unsure.add(mark)
        self.handed_in["killed" if code == -9 else code] += 1
        if code == -9 and not impatient:
            self.wrong.append(f"{mark}: postern-queue does not end")
        elif code != -9 and code not in EXPECTED:
            self.wrong.append(f"{mark}: postern-queue exits {code}: {report}")

    def drop_box(self):
        """What lies there, but for what dead writers left."""
        folder = self.folder / "var/spool/postern-drop"
        return [p for part in ("new", "work", "bad")
                for p in (folder / part).iterdir() if p.suffix != ".tmp"]

    def switch_filter(self, on):
        """control/filter, whole or not at all; for the next reload."""
        path = self.folder / "etc/postern/filter"
        if on:
            new = pathlib.Path(self.base, "filter-line")
            new.write_text(f"{self.program}\n")
            os.replace(new, path)
        else:
            path.unlink(missing_ok=True)
