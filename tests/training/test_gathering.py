"""Losses of two processes equal those of one, in value and in gradient."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, nn

from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.brain.outputs import EncoderOutput
from neurodecode.training.batches import Batch, Mix
from neurodecode.training.contrastive import Contrastive, MixCo, SoftContrastive
from neurodecode.training.objectives import Objective
from neurodecode.training.regression import Regression
from neurodecode.training.sigmoid_pairs import SigmoidPairs

CANDIDATES = [0, 1, 2, 0, 3, 4, 1]


def objectives() -> dict[str, Objective]:
    return {
        "ignored": Contrastive(duplicates="ignored"),
        "masked": Contrastive(duplicates="masked", normalise="image", temperature="softplus"),
        "positive": Contrastive(duplicates="positive", directions="one"),
        "mixco": MixCo(duplicates="masked"),
        "soft": SoftContrastive(temperature=0.3),
        "sigmoid": SigmoidPairs(),
        "segments": Contrastive(normalise="image", temperature="none", directions="one", duplicates="ignored"),
        "regression": Regression(),
    }


def losses(rows: slice) -> dict[str, tuple[Tensor, list[Tensor]]]:
    """Loss of some rows and the gradients of a shared map and of the scale."""
    generator = torch.Generator().manual_seed(0)
    signal = torch.randn(len(CANDIDATES), 3, 1, generator=generator)
    image = torch.randn(len(CANDIDATES), 4, generator=generator)
    weights = torch.randn(4, 3, generator=generator)
    partner = torch.tensor([1, 0, 3, 2, 5, 6, 4])[rows] - (rows.start or 0)
    keep = torch.tensor([0.7, 1.0, 0.6, 0.9, 0.5, 1.0, 0.8])[rows]
    results = {}
    for name, objective in objectives().items():
        layer = nn.Linear(3, 4, bias=False)
        layer.weight.data.copy_(weights)
        brain = layer(signal[rows].flatten(1))
        candidates = torch.tensor(CANDIDATES)[rows]
        batch = Batch(
            [SubjectBatch("a", signal[rows])],
            {"x": image[rows]},
            [str(int(c)) for c in candidates],
            candidates,
            torch.ones_like(candidates),
            candidates,
            Mix(partner, keep) if name == "mixco" else None,
        )
        loss = objective(EncoderOutput({"x": brain}, brain), batch.targets, batch, 0.0)
        loss.backward()
        gradients = [layer.weight.grad, *(parameter.grad for parameter in objective.parameters())]
        results[name] = (loss.detach(), [gradient for gradient in gradients if gradient is not None])
    return results


def one_of_two(rank: int, folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    results = losses(slice(0, 4) if rank == 0 else slice(4, 7))
    averaged = {}
    for name, (loss, gradients) in results.items():
        for tensor in (loss, *gradients):
            distributed.all_reduce(tensor)
            tensor /= 2  # what distributed training does with losses and gradients
        averaged[name] = [loss, *gradients]
    if rank == 0:
        torch.save(averaged, f"{folder}/results.pt")
    distributed.barrier()
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    # The file runs itself: a spawned interpreter cannot import a test module by name.
    commands = [[sys.executable, "-P", str(Path(__file__)), str(rank), str(tmp_path)] for rank in range(2)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, cwd=tmp_path, text=True) for command in commands]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    found = torch.load(tmp_path / "results.pt", weights_only=True)
    for name, (loss, gradients) in losses(slice(0, len(CANDIDATES))).items():
        for value, expected in zip(found[name], [loss, *gradients], strict=True):
            torch.testing.assert_close(value, expected, msg=lambda text, name=name: f"{name}: {text}")


if __name__ == "__main__":
    one_of_two(int(sys.argv[1]), sys.argv[2])
