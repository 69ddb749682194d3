"""The task `generate` on a tiny network and made-up pairs."""

import copy
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from neurodecode.core.errors import ConfigError, MismatchError
from neurodecode.core.targets import TargetSpace
from neurodecode.generators.openmoji_pipeline import BuiltInGenerator, load_pipeline
from neurodecode.training.generate_data import GenerateDataModule, PairDataset, write_pairs
from neurodecode.training.generate_export import export_pipeline, write_card
from neurodecode.training.generate_task import GenerateTask, disturb_embeddings, draw_levels
from neurodecode.training.quiet import quiet_lightning

TINY = {
    "embedding_dim": 6, "image_size": 16, "patch_size": 4, "outer_dim": 16, "inner_dim": 16, "inner_depth": 1,
    "head_dim": 8, "condition_dim": 12, "layout_dim": 4,
}  # fmt: skip
SPACE = TargetSpace("net", "00", "last", "mean", "224", False, "vector", (6,))


class Pairs(GenerateDataModule):
    """Eight pairs whose picture is one grey, told by the embedding's first number."""

    def prepare_data(self) -> None:
        """There is nothing to make."""

    def setup(self, stage: str | None = None) -> None:
        generator = np.random.default_rng(0)
        embeddings = generator.standard_normal((8, 6)).astype(np.float32) * 3 + 5
        grey = np.where(embeddings[:, :1] > 5, 255, 0).astype(np.uint8)
        pictures = np.broadcast_to(grey[:, :, None, None], (8, 16, 16, 3)).copy()
        self.train_pairs = self.val_pairs = PairDataset(pictures, embeddings)


def trainer(folder: Path, steps: int) -> lightning.Trainer:
    return lightning.Trainer(
        accelerator="cpu", max_steps=steps, default_root_dir=folder, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, log_every_n_steps=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[GenerateTask, Path]:
    folder = tmp_path_factory.mktemp("task")
    torch.manual_seed(0)
    task = GenerateTask(TINY)
    run = trainer(folder, 2)
    with quiet_lightning(watched=False):
        run.fit(task, datamodule=Pairs(batch_size=4))
    run.save_checkpoint(folder / "last.ckpt")
    return task, folder / "last.ckpt"


def test_two_steps_move_weights_and_average(trained: tuple[GenerateTask, Path]) -> None:
    task, _ = trained
    torch.manual_seed(0)
    fresh = GenerateTask(TINY)
    moved = (task.network.patch_out.weight - fresh.network.patch_out.weight).abs().max()
    averaged = (task.averaged.patch_out.weight - fresh.network.patch_out.weight).abs().max()
    assert 0 < averaged < moved
    assert not any(weight.requires_grad for weight in task.averaged.parameters())


def test_standardisation_comes_from_the_training_pairs(trained: tuple[GenerateTask, Path]) -> None:
    task, _ = trained
    data = Pairs()
    data.setup()
    assert data.train_pairs is not None
    standardised = task.averaged.standardise(torch.from_numpy(data.train_pairs.embeddings))
    torch.testing.assert_close(standardised.mean(dim=0), torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(standardised.std(dim=0), torch.ones(6))


def test_a_checkpoint_gives_the_same_generator(trained: tuple[GenerateTask, Path], tmp_path: Path) -> None:
    task, checkpoint = trained
    for number, source in enumerate((task, checkpoint)):
        settings = {"steps": 2, "guidance": 1.5, "shift": 2}
        export_pipeline(source, tmp_path / str(number), space=SPACE, unseen={"test": ["A"]}, **settings)
    embeddings = np.random.default_rng(1).standard_normal((2, 6)).astype(np.float32)
    first, second = (BuiltInGenerator.load(tmp_path / name) for name in ("0", "1"))
    assert np.array_equal(first.generate(embeddings, seed=0), second.generate(embeddings, seed=0))
    assert (first.steps, first.guidance, first.unseen, first.accepts) == (2, 1.5, {"A"}, SPACE)
    assert load_pipeline(tmp_path / "0").scheduler.config.shift == 2
    saved = load_pipeline(tmp_path / "0").network.state_dict()
    for name, values in task.averaged.state_dict().items():
        torch.testing.assert_close(saved[name], values, rtol=1e-3, atol=1e-6)
    write_card(tmp_path / "0", n_study=3, n_extra=4, measurements=[{"split": "val", "score": "0.9"}], command="measure")
    card = (tmp_path / "0" / "README.md").read_text(encoding="utf-8")
    assert "| val | 0.9 |" in card
    assert "`measure`" in card


def test_an_existing_folder_and_another_width_are_refused(trained: tuple[GenerateTask, Path], tmp_path: Path) -> None:
    task, _ = trained
    with pytest.raises(ConfigError, match="exists already"):
        export_pipeline(task, tmp_path, space=SPACE, unseen={})
    other = TargetSpace("net", "00", "last", "mean", "224", False, "vector", (7,))
    with pytest.raises(ConfigError, match=r"net/last/mean \(7,\).*\(6,\)"):
        export_pipeline(task, tmp_path / "new", space=other, unseen={})


def test_a_checkpoint_of_another_network_is_refused(trained: tuple[GenerateTask, Path], tmp_path: Path) -> None:
    _, checkpoint = trained
    with quiet_lightning(watched=False), pytest.raises(MismatchError, match="generator"):
        trainer(tmp_path, 3).fit(
            GenerateTask({**TINY, "inner_depth": 2}), datamodule=Pairs(batch_size=4), ckpt_path=checkpoint
        )


def test_it_learns_what_the_embedding_says() -> None:
    """From pure noise, where only the embedding helps, the error must fall far below that of the mean picture."""
    torch.manual_seed(0)
    data = Pairs(batch_size=8)
    data.setup()
    assert data.train_pairs is not None
    mean, scale = data.embedding_statistics()
    task = GenerateTask(TINY, drop_condition=0.0, noise=0.1, shrink=0.0)
    task.network.set_standardisation(mean, scale)
    optimizer = torch.optim.AdamW(task.network.parameters(), lr=1e-2)
    batch = next(iter(DataLoader(data.train_pairs, batch_size=8)))
    for _ in range(80):
        optimizer.zero_grad()
        task.loss(batch["picture"], batch["embedding"], network=task.network, train=True).backward()
        optimizer.step()
    noise = torch.randn(batch["picture"].shape)
    with torch.no_grad():
        drawn = task.network(noise, torch.ones(8), task.network.standardise(batch["embedding"]))
    assert (drawn - batch["picture"]).square().mean() < 0.2 * batch["picture"].var()


def test_the_loss_is_that_of_the_velocity() -> None:
    """Where the network predicts nothing but zeros, the loss can be computed by hand."""
    task = GenerateTask(TINY)
    picture = torch.full((64, 3, 16, 16), 0.5)
    found = task.loss(
        picture, torch.zeros(64, 6), network=task.network, train=False, generator=torch.Generator().manual_seed(3)
    )
    levels = draw_levels(64, torch.Generator().manual_seed(3))
    torch.testing.assert_close(found, (0.25 / (levels**2 + 0.1)).mean())


def test_disturbance_is_what_it_says() -> None:
    generator = torch.Generator().manual_seed(0)
    ones = torch.ones(4000, 50)
    assert torch.equal(disturb_embeddings(ones, 0.0, 0.0, generator), ones)
    shrunk = disturb_embeddings(ones, 0.5, 0.0, generator)
    assert 0.5 <= float(shrunk.min()) < 0.52
    assert abs(float((shrunk[:, 0] == 1).float().mean()) - 0.5) < 0.05
    noisy = disturb_embeddings(ones, 0.0, 0.6, generator)
    assert abs(float((noisy - 1).square().mean()) - 0.6**2 / 3) < 0.01


def test_wrong_settings_are_refused() -> None:
    for setting in ({"drop_condition": 1.0}, {"shrink": -0.1}, {"average": 1.5}, {"noise": -1.0}):
        with pytest.raises(ConfigError, match=next(iter(setting))):
            GenerateTask(TINY, **setting)
    with pytest.raises(ConfigError, match="n_pictures"):
        write_pairs(Path("nowhere"), n_pictures=700, image_size=64, seed=0)


def test_the_averaged_copy_is_its_own() -> None:
    task = GenerateTask(TINY)
    before = copy.deepcopy(task.averaged.state_dict())
    with torch.no_grad():
        for weight in task.network.parameters():
            weight.add_(1)
    assert all(torch.equal(values, before[name]) for name, values in task.averaged.state_dict().items())
