# SPDX-License-Identifier: ISC
"""make deb: builds, lintian minds nothing, and the package has what an
installation has.  (make check-install installs it on a bare machine.)"""
import os
import re
import subprocess

import pytest

from suite import TOP

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="once is enough")


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    build = tmp_path_factory.mktemp("build")
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    done = subprocess.run(["make", "-s", f"B={build}", "deb"], cwd=TOP, env=env,
                          capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done
    return next((build / "deb").glob("postern_*.changes"))


def test_lintian_minds_nothing(package):
    done = subprocess.run(["lintian", "--no-tag-display-limit", "--allow-root", package],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout == "", done


def test_what_is_in_it(package):
    deb = next(package.parent.glob("postern_*.deb"))
    text = subprocess.run(["dpkg", "-c", deb], capture_output=True, text=True,
                          check=True).stdout
    has = {p.rstrip("/"): (mode, owner) for mode, owner, p in re.findall(
        r"^(\S+) (\S+) +\d+ \S+ \S+ \.(\S+)", text, re.M)}
    programs = subprocess.run(["make", "-s", "-C", TOP, "list-programs"],
                              capture_output=True, text=True, check=True).stdout.split()
    assert len(programs) > 15
    for name in programs:
        assert has[f"/usr/libexec/postern/{name}"] == ("-rwxr-xr-x", "root/root")
    for path in ("/usr/sbin/sendmail", "/usr/lib/sendmail", "/usr/bin/mailq",
                 "/usr/bin/newaliases", "/usr/bin/postern", "/usr/sbin/postern-setup",
                 "/lib/systemd/system/postern.service", "/usr/lib/sysusers.d/postern.conf",
                 "/usr/lib/tmpfiles.d/postern.conf", "/etc/logrotate.d/postern",
                 "/usr/share/postern/users", "/usr/share/doc/postern/CHANGES.md.gz"):
        assert path in has, path
    assert {o for _, o in has.values()} == {"root/root"}
    assert not any("s" in mode[1:] for mode, _ in has.values())  # postinst does it
