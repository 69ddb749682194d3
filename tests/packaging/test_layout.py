"""The lists in pyproject.toml agree with the folders on disk, and no folder is imported under a bare name."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MAPPED = ("datasets", "encoders", "generators", "ui", "configs")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def distribution(requirement: str) -> str:
    """Normalised name of the distribution in a requirement or a constraint."""
    name = re.match(r"[\w.-]+", requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def test_package_list_equals_the_folders(project: dict[str, Any]) -> None:
    listed = project["tool"]["setuptools"]["packages"]
    found = []
    for top in ("neurodecode", *MAPPED):
        for file in (ROOT / top).rglob("__init__.py"):
            name = ".".join(file.parent.relative_to(ROOT).parts)
            found.append(name if top == "neurodecode" else f"neurodecode.{name}")
    assert sorted(listed) == sorted(found)


def test_every_folder_with_modules_is_a_package() -> None:
    for top in ("neurodecode", *MAPPED):
        folders = {file.parent for file in (ROOT / top).rglob("*.py")}
        assert not [folder for folder in folders if not (folder / "__init__.py").exists()]


def test_mapping_names_every_sibling_folder(project: dict[str, Any]) -> None:
    mapping = {f"neurodecode.{name}": name for name in MAPPED} | {"neurodecode": "neurodecode"}
    assert project["tool"]["setuptools"]["package-dir"] == mapping


@pytest.mark.parametrize("folder", MAPPED)
def test_a_bare_import_fails_loudly(folder: str) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {folder}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"ImportError: import neurodecode.{folder} instead" in done.stderr


def test_every_dependency_is_pinned(project: dict[str, Any]) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.+]+", line) for line in pins)
    names = [distribution(line) for line in pins]
    assert len(names) == len(set(names))
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *(item for extra in extras.values() for item in extra)]
    unpinned = {distribution(item) for item in wanted if "==" not in item} - set(names)
    assert unpinned == set()


def test_version_is_stated_once_and_the_same(project: dict[str, Any]) -> None:
    from neurodecode import __version__

    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert project["project"]["version"] == __version__
    assert f"\nversion: {__version__}\n" in citation


def test_every_test_file_has_a_name_of_its_own_folder() -> None:
    tested = {file.parent.name for file in (ROOT / "tests").rglob("test_*.py")} - {"tests", "packaging", "benchmarks"}
    packages = {folder.parent.name for folder in (ROOT / "neurodecode").glob("*/__init__.py")} | set(MAPPED)
    assert tested <= packages, "tests/ mirrors the packages"
