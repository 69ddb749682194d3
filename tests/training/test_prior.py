"""The diffusion prior: it draws what a target may be where regression gives the mean of all."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from neurodecode.core.errors import ConfigError, MismatchError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.brain.diffusion_prior import DiffusionPriorNetwork, signal_shares
from neurodecode.encoders.brain.outputs import EncoderOutput
from neurodecode.training.batches import Batch
from neurodecode.training.command_line import run
from neurodecode.training.decode_task import DecodeTask
from neurodecode.training.prior import DiffusionPrior

CONFIGS = Path(str(files("neurodecode.configs")))
SIZE = {"width": 32, "n_layers": 2, "n_heads": 2, "head_width": 16}


def batch_of(targets: torch.Tensor) -> Batch:
    rows = torch.arange(len(targets))
    group = SubjectBatch("a", torch.zeros(len(targets), 1, 1))
    return Batch([group], {"image": targets}, [str(row) for row in rows], rows, torch.ones_like(rows), rows)


def output_of(prediction: torch.Tensor) -> EncoderOutput:
    return EncoderOutput({"image": prediction}, prediction.flatten(1))


def test_the_signal_fades_step_by_step() -> None:
    shares = signal_shares(100)
    assert shares[0] > 0.99
    assert shares[-1] < 0.01
    assert (shares.diff() < 0).all()
    network = DiffusionPriorNetwork(2, 3, n_layers=1, n_heads=1, head_width=2)
    clean, noise = torch.randn(4000, 2, 3), torch.randn(4000, 2, 3)
    assert network.noised(clean, torch.full((4000,), 50), noise).var() == pytest.approx(1.0, abs=0.05)


def test_it_draws_one_of_two_answers_where_regression_takes_their_mean() -> None:
    """The target is the brain's answer plus or minus two, which the brain does not tell."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    prior = DiffusionPrior(1, 2, n_steps=50, condition_drop=0.1, **SIZE)
    optimizer = torch.optim.AdamW(prior.parameters(), lr=3e-3)
    losses = []
    for _ in range(250):
        told = torch.randn(128, 1, generator=generator)
        sign = 2.0 * torch.randint(0, 2, (128, 1), generator=generator) - 1
        targets = torch.cat([told, 2 * sign], dim=1)
        prediction = torch.cat([told, torch.zeros(128, 1)], dim=1)
        loss = prior(output_of(prediction), {"image": targets}, batch_of(targets), 0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:5])
    prior.eval()
    told = torch.linspace(-1, 1, 9)[:, None]
    asked = output_of(torch.cat([told, torch.zeros(9, 1)], dim=1))
    drawn = []
    for seed in range(6):
        prior.seed = seed
        drawn.append(prior.for_generator(asked)["image"])
    found = torch.stack(drawn)
    torch.testing.assert_close(found[:, :, 0], told[:, 0].expand(6, 9), atol=0.35, rtol=0)
    torch.testing.assert_close(found[:, :, 1].abs(), torch.full((6, 9), 2.0), atol=0.4, rtol=0)
    assert (found[:, :, 1] > 0).any()
    assert (found[:, :, 1] < 0).any()
    # A row does not depend on those beside it, and the same seed gives the same answer.
    prior.seed = 0
    alone = prior.for_generator(EncoderOutput({"image": asked.heads["image"][3:4]}, torch.zeros(1, 1)))["image"]
    torch.testing.assert_close(alone, drawn[0][3:4], atol=1e-5, rtol=1e-5)


def test_the_gradient_reaches_the_encoder_and_values_of_validation_repeat() -> None:
    torch.manual_seed(0)
    prior = DiffusionPrior(3, 4, **SIZE)
    prediction = torch.randn(5, 3, 4, requires_grad=True)
    targets = torch.randn(5, 3, 4)
    batch = batch_of(targets)
    prior(output_of(prediction), {"image": targets}, batch, 0.0).backward()
    assert prediction.grad is not None
    assert prediction.grad.abs().sum() > 0
    prior.eval()
    values = {float(prior(output_of(prediction), {"image": targets}, batch, 1.0).detach()) for _ in range(3)}
    assert len(values) == 1


def test_a_prediction_that_is_left_out_is_not_seen() -> None:
    torch.manual_seed(0)
    network = DiffusionPriorNetwork(2, 3, **SIZE)
    noised, step = torch.randn(4, 2, 3), torch.zeros(4, dtype=torch.long)
    absent = torch.tensor([True, True, False, False])
    first, second = (network(noised, step, condition, absent) for condition in torch.randn(2, 4, 2, 3))
    torch.testing.assert_close(first[:2], second[:2])
    assert not torch.allclose(first[2:], second[2:])
    assert not torch.allclose(network.draw(noised, guidance=2.0), network.draw(noised))


def test_a_task_gives_a_generator_what_the_prior_draws_and_ranks_without_it(
    tiny_study: PreparedStudy, tiny_targets: dict[str, str], tmp_path: Path
) -> None:
    name, place = next(iter(tiny_targets.items()))
    small = yaml.safe_load((CONFIGS / "size" / "small" / "mindeye2.yaml").read_text())
    prior = {"n_tokens": 1, "dim": 3, "head": name, "drawn_steps": 3, **SIZE}
    small["model"]["init_args"]["objectives"].append({"class_path": "DiffusionPrior", "init_args": prior})
    small["data"]["init_args"].update(components=3, batch_size=12)
    small["trainer"].update(max_steps=4, accelerator="cpu")
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small))
    run("fit", ["--config", str(CONFIGS / "recipe" / "mindeye2.yaml"), "--config", str(tmp_path / "small.yaml"),
                "--data.study", str(tiny_study.folder), "--data.targets", str({name: place}),
                "--trainer.default_root_dir", str(tmp_path)])  # fmt: skip
    task = DecodeTask.load_from_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    subject = tiny_study.subjects[0]
    signals = tiny_study.recording(subject).read(np.arange(3))
    given = task.decode(subject, signals)
    ranked = task.decode(subject, signals, ranking=True)
    (term,) = [term for term in task.objectives.objectives if isinstance(term, DiffusionPrior)]
    assert any(key.startswith("objectives.") and "network.blocks" in key for key in task.state_dict())
    term.seed = 1
    assert not np.allclose(task.decode(subject, signals)[name], given[name])
    np.testing.assert_array_equal(task.decode(subject, signals, ranking=True)[name], ranked[name])


def test_what_does_not_fit_is_refused() -> None:
    prior = DiffusionPrior(3, 4, **SIZE)
    targets = torch.zeros(2, 5)
    with pytest.raises(ConfigError, match=r"got head 'image' of shape \(5,\), expected \(3, 4\)"):
        prior(output_of(targets), {"image": targets}, batch_of(targets), 0.0)
    with pytest.raises(MismatchError, match="heads: got 'image'"):
        prior(EncoderOutput({}, torch.zeros(2, 1)), {"image": targets}, batch_of(targets), 0.0)
    with pytest.raises(ConfigError, match="drawn_steps of 'prior': got 200, expected 1 to 100"):
        DiffusionPrior(3, 4, drawn_steps=200)
    with pytest.raises(ConfigError, match="got condition_drop 1"):
        DiffusionPrior(3, 4, condition_drop=1.0)
    with pytest.raises(ConfigError, match="got 0 tokens"):
        DiffusionPriorNetwork(0, 4)
