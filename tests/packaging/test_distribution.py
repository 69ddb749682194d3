"""What a user installs: wheel and sdist hold everything, and work away from the repository."""

import importlib.metadata
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FOLDERS = ("neurodecode", "datasets", "encoders", "generators", "ui", "configs")
MAX_GENERATOR_BYTES = 20_000_000

pytestmark = pytest.mark.slow


def run(command: Sequence[str | Path], *, cwd: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))[:300]}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the project without what git ignores, so that building leaves the repository alone."""
    copy = tmp_path_factory.mktemp("source") / "project"
    copy.mkdir()
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def distributions(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build the sdist, and the wheel from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    # From another folder: at the root, `datasets/` would shadow other people's package.
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source], cwd=folder)
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def shipped(distributions: tuple[Path, Path]) -> dict[str, int]:
    """Names and sizes of the files in the wheel, its metadata left out."""
    with zipfile.ZipFile(distributions[0]) as wheel:
        return {item.filename: item.file_size for item in wheel.infolist() if ".dist-info/" not in item.filename}


@pytest.fixture(scope="module")
def environment(distributions: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel in an empty environment that borrows only the dependencies from this one."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    run([sys.executable, "-m", "venv", "--without-pip", folder], cwd=folder.parent)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install", "--no-deps"]
    run([*pip, "--no-index", distributions[0]], cwd=folder.parent)
    (packages,) = folder.glob("lib/python*/site-packages")
    # A folder named in a .pth file is only searched: its own .pth files, such as that of an editable install of
    # this project, are not read.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def test_wheel_holds_every_file_of_the_packages_and_nothing_else(source: Path, shipped: dict[str, int]) -> None:
    expected = set()
    for top in FOLDERS:
        for file in (source / top).rglob("*"):
            if file.is_file():
                name = file.relative_to(source).as_posix()
                expected.add(name if top == "neurodecode" else f"neurodecode/{name}")
    assert set(shipped) == expected


def test_data_files_are_shipped(shipped: dict[str, int]) -> None:
    assert "neurodecode/py.typed" in shipped
    assert shipped["neurodecode/datasets/openmoji_concepts.csv"] > 10_000
    assert [name for name in shipped if name.startswith("neurodecode/configs/") and name.endswith(".yaml")]


def test_the_generator_is_shipped_and_small(shipped: dict[str, int]) -> None:
    generator = {name: size for name, size in shipped.items() if name.startswith("neurodecode/generators/openmoji/")}
    assert "neurodecode/generators/openmoji/model_index.json" in generator
    assert [name for name in generator if name.endswith(".safetensors")]
    assert "neurodecode/generators/LICENSE-weights.md" in shipped
    assert sum(generator.values()) <= MAX_GENERATOR_BYTES


def test_licences_are_in_the_metadata(distributions: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(distributions[0]) as wheel:
        names = [name for name in wheel.namelist() if "/licenses/" in name]
    assert sorted(name.split("/licenses/")[1] for name in names) == ["LICENSE", "generators/LICENSE-weights.md"]


def test_sdist_is_complete(distributions: tuple[Path, Path]) -> None:
    with tarfile.open(distributions[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "Makefile", "constraints.txt", "tests/conftest.py"} <= names


def test_console_script_answers_from_another_folder(environment: Path, tmp_path: Path) -> None:
    text = run([environment / "bin" / "neurodecode", "--help"], cwd=tmp_path)
    assert text.startswith("usage: neurodecode COMMAND")
    version = run([environment / "bin" / "neurodecode", "--version"], cwd=tmp_path).split()[1]
    assert version == tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def test_console_script_answers_at_the_root_of_the_repository(environment: Path) -> None:
    assert run([environment / "bin" / "neurodecode", "--help"], cwd=ROOT).startswith("usage: neurodecode COMMAND")


def test_every_command_shows_its_help(environment: Path, tmp_path: Path) -> None:
    script = environment / "bin" / "neurodecode"
    names = [line.split()[0] for line in run([script, "--help"], cwd=tmp_path).splitlines() if line[:3].strip()
             and line.startswith("  ") and not line.strip().startswith("-")]  # fmt: skip
    for name in names:
        assert "usage: neurodecode" in run([script, name, "--help"], cwd=tmp_path)


def test_every_module_can_be_imported_from_the_wheel(
    environment: Path, shipped: dict[str, int], tmp_path: Path
) -> None:
    modules = sorted(
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in shipped if name.endswith(".py")
    )
    code = """
import importlib, sys, traceback
import neurodecode
assert sys.prefix in neurodecode.__file__, neurodecode.__file__
failed = 0
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception:
        failed += 1
        print(name, traceback.format_exc().splitlines()[-1], file=sys.stderr)
sys.exit(failed)
"""
    run([environment / "bin" / "python", "-c", code, *modules], cwd=tmp_path)


def test_declared_dependencies_are_those_installed_here(environment: Path, tmp_path: Path) -> None:
    code = "import importlib.metadata as m; print('\\n'.join(m.requires('neurodecode-studio')))"
    lines = run([environment / "bin" / "python", "-c", code], cwd=tmp_path).splitlines()
    declared = [Requirement(line) for line in lines if line]
    plain = [requirement for requirement in declared if requirement.marker is None]
    assert len(plain) > 10
    for requirement in plain:
        installed = importlib.metadata.version(requirement.name)
        assert requirement.specifier.contains(installed, prereleases=True), f"{requirement} but {installed}"
