"""Versions are looked up, not guessed, and cost no import."""

import subprocess
import sys

import numpy as np

from neurodecode import __version__
from neurodecode.core.provenance import versions


def test_versions_are_the_installed_ones() -> None:
    found = versions()
    assert found["neurodecode"] == __version__
    assert found["numpy"] == np.__version__
    assert found["python"].split(".")[:2] == [str(part) for part in sys.version_info[:2]]


def test_absent_packages_are_left_out() -> None:
    assert "no-such-package-at-all" not in versions(["no-such-package-at-all"])


def test_nothing_is_imported() -> None:
    script = "import sys; from neurodecode.core import provenance as p; p.versions(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
