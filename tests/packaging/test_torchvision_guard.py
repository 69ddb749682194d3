"""The guard that lets a CUDA build of torchvision import beside a torch without CUDA."""

import importlib.util
import multiprocessing
import subprocess
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path

import pytest

from neurodecode import _torchvision_guard as guard

needs_torchvision = pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed"
)


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)


def fake_torchvision(folder: Path, *, version: str) -> None:
    package = folder / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("loaded_by = type(__spec__.loader).__name__\n")
    (package / "version.py").write_text(f"__version__ = {version!r}\n")


def import_report(folder: Path) -> str:
    """Import a stand-in torchvision in a fresh process; say how many schemas were declared and who loaded it."""
    code = f"""
import sys
sys.path.insert(0, {str(folder)!r})
import neurodecode
from neurodecode import _torchvision_guard as guard
guard.declare_operators = lambda: guard._declared.append("declared")
import torchvision
print(len(guard._declared), torchvision.loaded_by, type(torchvision.__loader__).__name__)
"""
    done = run(code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@needs_torchvision
def test_canary_torchvision_fakes_no_other_operator() -> None:
    done = run("import neurodecode, torchvision, torchvision.transforms, torchvision.models")
    message = done.stderr.strip().splitlines()[-1:]
    assert done.returncode == 0, (
        f"torchvision no longer imports beside this torch: {message}. If the line says 'operator torchvision::NAME "
        f"does not exist', add NAME to FAKED_OPERATORS (now {guard.FAKED_OPERATORS}) with its schema"
    )


@pytest.mark.slow
@needs_torchvision
def test_the_libraries_that_import_torchvision_work() -> None:
    done = run("import neurodecode; import torchmetrics, timm; from diffusers import AutoencoderTiny; print('ok')")
    assert done.stdout.strip() == "ok", done.stderr


def import_torchvision_and_resize(side: int) -> int:
    """Work for a spawned process, which imports this module, and with it neurodecode, from scratch."""
    import torch
    import torchvision

    return int(torchvision.transforms.functional.resize(torch.zeros(3, 8, 8), [side, side]).shape[-1])


@needs_torchvision
def test_a_spawned_process_imports_torchvision(tmp_path: Path) -> None:
    # The worker's function must live in a module that the new process can import by name.
    code = f"""
import multiprocessing, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_torchvision_guard import import_torchvision_and_resize
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(import_torchvision_and_resize, (5,)))
"""
    script = tmp_path / "spawn.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "5", done.stderr
    assert "spawn" in multiprocessing.get_all_start_methods()


def test_importing_neurodecode_imports_no_torch() -> None:
    done = run("import sys, neurodecode; sys.exit('torch' in sys.modules)")
    assert done.returncode == 0, done.stderr


@needs_torchvision
def test_looking_for_torchvision_imports_no_torch() -> None:
    done = run("import sys, importlib.util, neurodecode; importlib.util.find_spec('torchvision'); "
               "sys.exit('torch' in sys.modules)")  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_installed_once() -> None:
    guard.install()
    guard.install()
    assert sum(isinstance(finder, guard.TorchvisionGuard) for finder in sys.meta_path) == 1


def test_a_cuda_build_is_guarded_and_gets_its_own_loader_back(tmp_path: Path) -> None:
    fake_torchvision(tmp_path, version="0.28.0+cu130")
    assert import_report(tmp_path) == "1 SourceFileLoader SourceFileLoader"


@pytest.mark.parametrize("version", ["0.28.0+cpu", "0.28.0"])
def test_other_builds_are_left_alone(version: str, tmp_path: Path) -> None:
    fake_torchvision(tmp_path, version=version)
    assert import_report(tmp_path) == "0 SourceFileLoader SourceFileLoader"


def test_without_a_version_file_it_is_no_cuda_build(tmp_path: Path) -> None:
    assert not guard.is_cuda_build(str(tmp_path / "__init__.py"))
    assert not guard.is_cuda_build(None)


def test_inert_where_torch_has_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(guard, "_declared", [])
    monkeypatch.setattr(torch.library, "Library", lambda *_: pytest.fail("a schema was declared"))
    guard.declare_operators()
    assert guard._declared == []


def test_other_modules_are_not_touched() -> None:
    assert guard.TorchvisionGuard().find_spec("json", None) is None


def test_absent_torchvision_stays_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [guard.TorchvisionGuard()])
    assert guard.TorchvisionGuard().find_spec("torchvision", None) is None


def test_the_wrapped_loader_creates_modules_like_its_own(tmp_path: Path) -> None:
    file = tmp_path / "plain.py"
    file.write_text("value = 1\n")
    own = SourceFileLoader("plain", str(file))
    assert guard._DeclaringLoader(own).create_module(ModuleSpec("plain", own)) is None
