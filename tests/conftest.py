# SPDX-License-Identifier: ISC
"""Fixtures for all tests; this file's folder is where `import suite` looks."""
import resource

import pytest

from suite import Suite

# tests that play many clients need more descriptors than a login shell has
_hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (_hard, _hard))


@pytest.fixture(scope="module")
def suite():
    """A whole suite with bob@hamburger.edu, stopped after the module's tests."""
    with Suite("--domain", "hamburger.edu",
               "--user", "bob@hamburger.edu:hungry") as s:
        yield s
