# SPDX-License-Identifier: ISC
"""Fixtures for all tests; this file's folder is where `import suite` looks."""
import pytest

from suite import Suite


@pytest.fixture(scope="module")
def suite():
    """A whole suite with bob@hamburger.edu, stopped after the module's tests."""
    with Suite("--domain", "hamburger.edu",
               "--user", "bob@hamburger.edu:hungry") as s:
        yield s
