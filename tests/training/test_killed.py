"""A training that is killed at any moment and resumed ends in the same weights as one that was left alone."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from neurodecode.core.prepared import PreparedStudy

CONFIG = """
model:
  class_path: DecodeTask
  init_args:
    encoder:
      class_path: BrainEncoder
      init_args:
        front_end: {{class_path: SubjectLinear, init_args: {{width: 8}}}}
        backbone: {{class_path: GatedConvolutions, init_args: {{width: 8, n_layers: 2, dropout: 0.3, pooling: linear}}}}
    image_side: {{class_path: LinearImageSide, init_args: {{width: 6}}}}
    objectives:
      - {{class_path: MixCo, init_args: {{heads: [retrieval], stop: 0.5}}}}
      - {{class_path: Contrastive, init_args: {{heads: [retrieval], start: 0.5}}}}
      - {{class_path: Regression}}
    optimizer: {{class_path: torch.optim.AdamW, init_args: {{lr: 0.01}}}}
    schedule: cosine
    warm_up: 0.1
data:
  class_path: BrainDataModule
  init_args: {{study: {study}, targets: {targets}, average_training: random, batch_size: 8}}
trainer:
  max_epochs: 40
  accelerator: cpu
  callbacks:
    - class_path: ModelCheckpoint
      init_args: {{monitor: val/mrr, mode: max, filename: best, enable_version_counter: false}}
    - {{class_path: ModelCheckpoint, init_args: {{filename: last, enable_version_counter: false}}}}
"""


def start(config: Path, folder: Path) -> subprocess.Popen[str]:
    last = folder / "checkpoints" / "last.ckpt"
    words = ["fit", "--config", str(config), "--trainer.default_root_dir", str(folder)]
    words += ["--ckpt_path", str(last)] if last.exists() else []
    code = "import sys; from neurodecode.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-P", "-c", code, *words]
    quiet = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=config.parent, text=True, **quiet)


def finish(config: Path, folder: Path) -> dict[str, torch.Tensor]:
    process = start(config, folder)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["epoch"] == 39
    state: dict[str, torch.Tensor] = checkpoint["state_dict"]
    return state


@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted(
    tiny_study: PreparedStudy, tiny_targets: dict[str, str], tmp_path: Path
) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(CONFIG.format(study=tiny_study.folder, targets=json.dumps(tiny_targets)))
    whole = finish(config, tmp_path / "whole")
    folder = tmp_path / "killed"
    last = folder / "checkpoints" / "last.ckpt"
    for delay in (0.0, 0.137):  # right behind a checkpoint, and somewhere within an epoch
        before = last.stat().st_mtime_ns if last.exists() else 0
        process = start(config, folder)
        limit = time.monotonic() + 60
        while (last.stat().st_mtime_ns if last.exists() else 0) == before:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < limit
            time.sleep(0.002)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        assert torch.load(last, weights_only=True)["epoch"] < 39
    resumed = finish(config, folder)
    assert whole.keys() == resumed.keys()
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
