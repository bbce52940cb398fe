# SPDX-License-Identifier: ISC
"""Fixtures for all tests; this file's folder is where `import suite` looks."""
import resource
import smtplib
import socket

import pytest

from suite import Suite

# tests that play many clients need more descriptors than a login shell has
_hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (_hard, _hard))

# smtplib says EHLO with what DNS has for this machine's name: no resolver may
# answer that, and each session would wait 5 to 20 seconds for one
assert smtplib.socket is socket
socket.getfqdn = lambda name="": name or "client.test"


@pytest.fixture(scope="module")
def suite():
    """A whole suite with bob@hamburger.edu, stopped after the module's tests."""
    with Suite("--domain", "hamburger.edu",
               "--user", "bob@hamburger.edu:hungry") as s:
        yield s
