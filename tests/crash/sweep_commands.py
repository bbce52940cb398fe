# SPDX-License-Identifier: ISC
"""The sweep of commands that an administrator runs: the users tables, and the
first init.  What they replace is old or new, whole."""
import os
import shutil

from sweep_mail import PATIENCE, Failure
from sweep_scenarios import scenario
from sweep_world import DOMAIN, Traced


class Commands:
    """One shell runs them all, in order; each is a process that may be stopped,
    or (all) the shell with it."""
    roles_apart = ()
    template = "used"

    def script(self, world):
        raise NotImplementedError

    def begin(self, world):
        world.fresh(self.template)

    def check(self, world):
        """After the stop; raises Failure."""

    def play(self, world, stop):
        """As sweep.play."""
        self.begin(world)
        script = "\n".join(self.script(world))
        traced = Traced([str(world.live)], str(world.folder / "log"),
                        ["/bin/sh", "-c", f"{script}\ntrue"],
                        world.environment(), stop)
        world.stopped = traced
        try:
            if not traced.over.wait(PATIENCE):
                raise Failure("the commands do not end")
        finally:
            traced.end()
        self.check(world)
        return traced.counts, {}, traced.fired.is_set(), traced.path

    @staticmethod
    def must(world, *args, stdin=None):
        done = world.postern(*args, stdin=stdin)
        if done.returncode != 0:
            raise Failure(f"postern {args} then: {done.stderr}")
        return done.stdout


@scenario
class Tables(Commands):
    """postern user and postern alias."""
    name = "tables"

    def begin(self, world):
        super().begin(world)
        folder = world.folder / "etc/postern/users"
        self.before = {t: (folder / t).read_text().splitlines()
                       for t in ("users", "aliases")}
        self.modes = {t: (folder / t).stat() for t in self.before}
        self.hash = self.before["users"][0].split(":")[1]

    def script(self, world):
        postern, hash_ = world.bin / "postern", self.hash
        return [f"{postern} {line} >/dev/null 2>&1" for line in (
            f"user add new@{DOMAIN} --hash '{hash_}'",
            f"user passwd alice@{DOMAIN} --hash '{hash_}'",
            f"alias add info@{DOMAIN} alice@{DOMAIN}",
            f"alias add info@{DOMAIN} bob@{DOMAIN}",
            f"alias del info@{DOMAIN}",
            f"user del new@{DOMAIN}")]

    def allowed(self, table):
        """Every line that some command writes."""
        if table == "users":
            for user in ("new", "alice"):
                yield f"{user}@{DOMAIN}:{self.hash}:{DOMAIN}/{user}"
        else:
            yield f"info@{DOMAIN}: alice@{DOMAIN}"
            yield f"info@{DOMAIN}: alice@{DOMAIN}, bob@{DOMAIN}"

    def check(self, world):
        folder = world.folder / "etc/postern/users"
        for table, before in self.before.items():
            text = (folder / table).read_text()
            if not text.endswith("\n"):
                raise Failure(f"{table} ends within a line", "torn")
            lines = text.splitlines()
            strange = set(lines) - set(before) - set(self.allowed(table))
            lost = [x for x in before if x not in lines and
                    not x.startswith(f"alice@{DOMAIN}:")]
            if strange or lost:
                raise Failure(f"{table}: lost {lost}, strange {strange}",
                              "lost" if lost else "torn")
            st, was = (folder / table).stat(), self.modes[table]
            if (st.st_mode, st.st_uid, st.st_gid) != (
                    was.st_mode, was.st_uid, was.st_gid):
                raise Failure(f"{table} has another owner or mode")
        self.must(world, "user", "add", f"next@{DOMAIN}", "--hash", self.hash)
        self.must(world, "alias", "add", f"next2@{DOMAIN}", f"bob@{DOMAIN}")
        left = [p.name for p in folder.iterdir()
                if p.name not in ("users", "aliases", ".lock")]
        if left:
            raise Failure(f"left over: {left}", "stray")


@scenario
class Init(Commands):
    """postern init, where nothing is yet."""
    name = "init"

    def begin(self, world):
        shutil.rmtree(world.live, ignore_errors=True)
        world.folder.mkdir(parents=True)

    def script(self, world):
        return [f"{world.bin / 'postern'} init >/dev/null 2>&1"]

    def check(self, world):
        self.must(world, "init")
        control = world.folder / "etc/postern"
        names = sorted(os.listdir(control))
        if names != ["me", "users"] or not (control / "me").read_text():
            raise Failure(f"init left {names}", "stray")
        # what a second look finds is nothing
        if self.must(world, "init").strip():
            raise Failure("a third init still had to mend something")
