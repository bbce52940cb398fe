#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Stops Postern at every n-th call that changes a file, and looks what became
of the mail: `make check-crash`.  Run as root; see --help."""
import argparse
import collections
import json
import multiprocessing
import os
import pathlib
import pwd
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import sweep_check  # noqa: E402
import sweep_commands  # noqa: E402,F401 (their workloads register themselves)
import sweep_drop  # noqa: E402,F401
from sweep_mail import Client, Failure  # noqa: E402
from sweep_scenarios import SCENARIOS  # noqa: E402
from sweep_world import STOP, Stop, World  # noqa: E402

FORMS = [("entry", "all"), ("exit", "all"), ("exit", "one"), ("entry", "one")]
FOREIGN = ("dash", "sh", "bash", "grep")  # of users' programs
TRIES = 3           # of a stop that was not reached
SECOND_MOST = 120   # calls of a start and what it has to do at once
COUNT_PASSES = 3    # 1 for a sample


def second_stop(stop, seed):
    """Somewhere in what comes up after the first one."""
    rng = random.Random(f"{seed} {stop}")
    return Stop(stop.scenario, "any", "any", rng.randint(1, SECOND_MOST),
                rng.choice(("entry", "exit")), "all")


def play(world, scenario, stop, options):
    """One round.  Returns (calls counted, {cause: duplicates}, reached, path
    of the call's file); raises Failure."""
    if hasattr(scenario, "play"):
        return scenario.play(world, stop)
    world.fresh(scenario.template)
    try:
        scenario.before(world)
        if stop and stop.scope == "all" and options.twice is not None:
            world.second = second_stop(stop, options.twice)
        nothing = Stop(scenario.name, "none", "none", 0, "entry", "one")
        if scenario.from_start:
            world.launch(stop or nothing)
        else:
            world.arm(stop or nothing)
        counting = world.traced
        world.settle_down()
        client = Client(world.address("SMTP"))
        scenario.act(world, client)
        client.close()
        world.shutdown()
        world.launch()
        world.wait_ready()
        world.wait(lambda: world.queue() == [], "a queue that stays empty")
        world.wait_mess_gone()
        world.end()
        causes = sweep_check.check(world, stop, scenario)
        return counting.counts, causes, world.fired(), world.stopped.path
    finally:
        world.end()


def keep(world, stop, why, folder):
    """Puts aside what a failed round left."""
    if not folder:
        return
    to = pathlib.Path(folder, str(stop).replace(": ", "-").replace(" ", "-"))
    shutil.rmtree(to, ignore_errors=True)
    try:
        shutil.copytree(world.live, to, symlinks=True,
                        ignore=lambda d, names: [
                            n for n in names
                            if pathlib.Path(d, n).is_socket()])
        (to / "why").write_text(why + "\n")
    except (OSError, shutil.Error) as e:
        print(f"sweep: cannot keep {to}: {e}", file=sys.stderr)


def one(world, job, options):
    """Does a job: (scenario name, Stop or None).  A dictionary, for the table
    and --json."""
    name, stop = job
    scenario = SCENARIOS[name]
    result = {"scenario": name, "result": "ok"}
    if stop:
        result.update(role=stop.role, call=stop.call, n=stop.n,
                      when=stop.when, scope=stop.scope)
    begun = time.monotonic()
    try:
        if not world.has(scenario.template):
            scenario.prepare(world)
        for _ in range(TRIES):
            counts, causes, fired, path = play(world, scenario, stop,
                                               options)
            if fired or not stop:
                break
        result.update(duplicates=dict(causes), file=path,
                      twice=len(world.fired_at) > 1)
        if stop and not fired:
            result["result"] = "not reached"
        if not stop:
            result["counts"] = [[*k, v] for k, v in counts.items()]
    except Exception as e:  # whatever it is: this stop failed
        why = str(e) if isinstance(e, Failure) else traceback.format_exc()
        result.update(result="failed", why=why,
                      kind=getattr(e, "kind", "other"))
        if world.stopped:
            result["file"] = world.stopped.path
        keep(world, stop or name, why + "\n\n" + log_tail(world),
             options.keep)
    result["seconds"] = round(time.monotonic() - begun, 2)
    return result


def log_tail(world):
    text = ""
    for path in (world.base / "stderr", world.folder / "log"):
        try:
            text += path.read_text(errors="replace")[-4000:]
        except OSError as e:
            text += f"{e}\n"
    return text


def work(base, user, host, jobs, results, options):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    world = None
    while True:
        job = jobs.get()
        if job is None:
            break
        try:
            if world is None:
                world = World(base, user, host, options.bin)
                world.prepare()
            results.put(one(world, job, options))
        except BaseException:
            results.put({"scenario": job[0], "result": "failed",
                         "why": traceback.format_exc()})
            if world is not None:
                world.close()
                world = None
    if world is not None:
        world.close()


# ---- what is to be done ----

def sample(most, want, index, forms):
    """Which n of 1..most, and in which form: all, or want of them."""
    if not want:
        return [(n, *f) for n in range(1, most + 1) for f in forms]
    picks = sorted({1 + round(k * (most - 1) / max(want - 1, 1))
                    for k in range(want)})
    return [(n, *forms[(index + k) % len(forms)]) for k, n in enumerate(picks)]


def stops(counts, options):
    """{(scenario, role, call): most} to the list of jobs."""
    jobs = []
    forms = [f for f in FORMS if options.when in (None, f[0]) and
             options.scope in (None, f[1])]
    for index, ((name, role, call), most) in enumerate(sorted(counts.items())):
        for n, when, scope in sample(most, options.sample, index, forms):
            s = Stop(name, role, call, n, when, scope)
            if all(getattr(options, f) in (None, getattr(s, f))
                   for f in ("role", "call", "n")):
                jobs.append((name, s))
    return jobs


def clear_old():
    """What sweeps left that were killed themselves."""
    for account in pwd.getpwall():
        found = re.fullmatch(r"psw(\d+)w\d+", account.pw_name)
        if not found or os.path.exists(f"/proc/{found.group(1)}"):
            continue
        subprocess.run(["userdel", account.pw_name], check=True)
        folder = pathlib.Path(account.pw_dir).parents[2]
        if folder.name.startswith("psweep-"):
            shutil.rmtree(folder, ignore_errors=True)


class Workers:
    def __init__(self, options):
        clear_old()
        context = multiprocessing.get_context("fork")
        self.jobs, self.results = context.Queue(), context.Queue()
        self.base = tempfile.mkdtemp(prefix="psweep-", dir=options.base)
        os.chmod(self.base, 0o755)
        self.users, self.processes = [], []
        for k in range(options.jobs):
            user = f"psw{os.getpid()}w{k}"
            folder = f"{self.base}/w{k}"
            subprocess.run(["useradd", "-M", "-U", "-d", f"{folder}/live/home",
                            "-s", "/bin/sh", user], check=True)
            self.users.append(user)
            pid = os.getpid()
            host = f"127.{64 + pid % 128}.{pid // 128 % 256}.{k + 1}"
            self.processes.append(context.Process(
                target=work, args=(folder, user, host, self.jobs,
                                   self.results, options)))

    def start(self):
        for p in self.processes:
            p.start()

    def do(self, jobs):
        for job in jobs:
            self.jobs.put(job)
        for _ in jobs:
            yield self.results.get(timeout=300)

    def finish(self):
        for _ in self.processes:
            self.jobs.put(None)
        for p in self.processes:
            p.join(30)

    def close(self):
        """Those that still work end, and with them what they started: stop
        kills all when its standard input ends."""
        for p in self.processes:
            if p.is_alive():
                p.terminate()
            p.join(30)
        for user in self.users:
            subprocess.run(["userdel", user], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.base, ignore_errors=True)


# ---- what is shown ----

class Progress:
    def __init__(self, most, what):
        self.most, self.what, self.begun = most, what, time.monotonic()
        self.done = self.failed = 0
        self.shown = sys.stderr.isatty()

    def step(self, result):
        self.done += 1
        self.failed += result["result"] == "failed"
        if self.shown:
            spent = time.monotonic() - self.begun
            left = spent / self.done * (self.most - self.done)
            print(f"\r{self.what}: {self.done} of {self.most}, "
                  f"{self.failed} failed, {left:.0f} s to go\x1b[K",
                  end="", file=sys.stderr, flush=True)

    def end(self):
        if self.shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


COLUMNS = (  # heading, what is counted, width
    ("CALLS", "calls", 6), ("STOPS", "stops", 6), ("OK", "ok", 6),
    ("MISSED", "not reached", 7), ("LOST", "lost", 5), ("TORN", "torn", 5),
    ("TWICE", "twice", 6), ("STRAY", "stray", 6), ("OTHER", "other", 6),
    ("DUP 1", "1", 6), ("DUP 2", "2", 6), ("CUT", "cut", 5))

LEGEND = """
Each stop is one call of one role, met on entry or exit; then that process or
the whole suite is killed, comes back, and ends the workload.
OK      every 250 was kept, whole and once; nothing is left over
MISSED  the call did not come this time: nothing was proven
LOST    accepted, and nowhere        TORN   other bytes than were sent
TWICE   copies without a cause       STRAY  left over, or never accepted
DUP     second copies that INTERNALS.md names, by cause: 1, the reply to the
        last dot was lost, and the client sent again; 2, it was relayed (or a
        user's program had run), and the mark was not yet durable
CUT     records that were being written as all died, put aside: nobody had a
        250 for them"""


def table(counts, results):
    rows = collections.defaultdict(collections.Counter)
    for r in results:
        if "role" not in r:
            continue
        row = rows[r["scenario"], r["role"], r["call"]]
        row["stops"] += 1
        row[r.get("kind", r["result"])] += 1
        for cause, n in r.get("duplicates", {}).items():
            row[cause] += n
    print(f"{'WORKLOAD':<9}{'ROLE':<11}{'CALL':<16}" +
          "".join(f"{h:>{w}}" for h, _, w in COLUMNS))
    total = collections.Counter()
    for key, row in sorted(rows.items()):
        row["calls"] = counts[key]
        total.update(row)
        print(f"{key[0]:<9}{key[1]:<11}{key[2]:<16}" + numbers(row))
    print(f"{'all':<36}" + numbers(total))
    print(LEGEND)


def numbers(row):
    return "".join(f"{row[what]:>{w}}" for _, what, w in COLUMNS)


def arguments():
    p = argparse.ArgumentParser(
        description="Stops every role that touches the disk at each of its "
        "calls, with SIGKILL, and checks that nothing is lost, torn or left.")
    p.add_argument("--workload", action="append", choices=list(SCENARIOS),
                   help="only this one (repeatable)")
    p.add_argument("--sample", type=int, metavar="K",
                   help="only K stops for each role and call")
    p.add_argument("--jobs", type=int, default=2 * (os.cpu_count() or 1),
                   help="suites at a time (%(default)s)")
    for name in ("role", "call"):
        p.add_argument(f"--{name}", help="only stops of this one")
    p.add_argument("--when", choices=("entry", "exit"))
    p.add_argument("--scope", choices=("one", "all"),
                   help="what dies: the process, or the whole suite")
    p.add_argument("--n", type=int, help="only the n-th call")
    p.add_argument("--twice", type=int, metavar="SEED",
                   help="after a stop of the whole suite another one, at a "
                   "random call of what comes up")
    p.add_argument("--bin", help="programs from this folder")
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    p.add_argument("--base", default=memory or tempfile.gettempdir(),
                   help="where the suites live (%(default)s)")
    p.add_argument("--keep", metavar="DIR", help="keep what failed there")
    p.add_argument("--json", action="store_true",
                   help="a line of JSON for each stop, no table")
    p.add_argument("--log", type=argparse.FileType("w"), metavar="FILE",
                   help="the lines of --json into a file, beside the table")
    p.epilog = "Exit status: 0 all is well, 1 something failed, 100 usage."
    options = p.parse_args()
    if os.geteuid() != 0:
        p.exit(100, "sweep: only root can run each role as its own user\n")
    if not STOP.exists():
        p.exit(100, f"sweep: {STOP} is missing; build it with make tools\n")
    return options


def count_calls(workers, options, results):
    """{(scenario, role, call): how many}, the most of some passes."""
    names = options.workload or list(SCENARIOS)
    passes = 1 if options.sample else COUNT_PASSES
    counts = collections.Counter()
    progress = Progress(len(names) * passes, "counting")
    for r in workers.do([(n, None) for n in names * passes]):
        progress.step(r)
        if r["result"] == "failed":
            results.append(r)
        for role, call, n in r.get("counts", ()):
            key = r["scenario"], role, call
            if role not in SCENARIOS[r["scenario"]].roles_apart + FOREIGN:
                counts[key] = max(counts[key], n)
    progress.end()
    return counts


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    subprocess.run([str(pathlib.Path(__file__).resolve().parents[2] /
                        "install/users")], check=True,
                   stdout=subprocess.DEVNULL)
    workers = Workers(options)
    results = []
    begun = time.monotonic()
    try:
        workers.start()
        counts = count_calls(workers, options, results)
        jobs = stops(counts, options)
        progress = Progress(len(jobs), "stops")
        for r in workers.do(jobs):
            progress.step(r)
            results.append(r)
            for out in (options.json and sys.stdout, options.log):
                if out:
                    print(json.dumps(r), file=out, flush=True)
        progress.end()
        workers.finish()
    finally:
        workers.close()
    total = collections.Counter(r["result"] for r in results)
    if not options.json:
        table(counts, results)
        for r in results:
            if r["result"] == "failed":
                print("\nFAILED " + " ".join(
                    str(r[k]) for k in ("scenario", "role", "call", "n",
                                        "when", "scope", "file") if k in r)
                    + ":\n  " + r["why"].strip().replace("\n", "\n  "))
        bare = sum("role" not in r for r in results)
        if bare:
            print(f"\n{bare} rounds without a stop failed")
        twice = sum(r.get("twice", False) for r in results)
        if twice:
            print(f"\n{twice} were stopped a second time as they came up")
        print(f"\n{total['ok']} ok, {total['not reached']} not reached, "
              f"{total['failed']} failed; {time.monotonic() - begun:.0f} s")
    return 0 if total["ok"] and not total["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
