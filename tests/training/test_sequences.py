"""Words in sentences: whole sentences in batches, context for the encoder, and scores without it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import DataError, MismatchError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.recording import Recording
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.training.command_line import run
from neurodecode.training.data_module import BrainDataModule
from neurodecode.training.decode_task import DecodeTask
from neurodecode.training.items import plan_batches
from neurodecode.training.loading import RequestSampler

CONFIG = """
model:
  class_path: DecodeTask
  init_args:
    encoder:
      class_path: BrainEncoder
      init_args:
        front_end: {{class_path: FourierAttention, init_args: {{virtual: 8, width: 8, n_frequencies: 3}}}}
        backbone:
          class_path: GatedConvolutions
          init_args: {{width: 8, n_layers: 2, projection: 8, pooling: attention}}
        context: {{class_path: SequenceContext, init_args: {{n_layers: 1, n_heads: 2}}}}
        heads: {{class_path: LinearHeads}}
    objectives: ascoli
    optimizer: {{class_path: torch.optim.AdamW, init_args: {{lr: 0.01}}}}
data:
  class_path: BrainDataModule
  init_args: {{study: {study}, targets: {targets}, sequence: sentence, batch_size: 16}}
trainer: {{max_epochs: 2, accelerator: cpu}}
"""


@pytest.fixture(scope="module")
def spoken(tiny_study_class: type, tmp_path_factory: pytest.TempPathFactory) -> PreparedStudy:
    class Spoken(tiny_study_class):  # type: ignore[misc]
        def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
            recording = super().load(subject, sfreq=sfreq, store=store)
            windows = recording.windows.copy()
            # Sentences of four words of one part each (parts are runs of eight stimuli), in the order of the table.
            windows["sentence"] = [f"{row // 4}" for row in range(len(windows))]
            windows["onset"] = np.arange(len(windows)) * 0.4
            block = recording.blocks["all"]
            count = len(block.sensors)
            circle = np.linspace(0, 2 * np.pi, count, endpoint=False)
            placed = replace(block.sensors, layout=np.stack([np.cos(circle), np.sin(circle)], axis=1))
            return replace(recording, blocks={"all": replace(block, sensors=placed)}, windows=windows)

    return prepare_study(Spoken(tmp_path_factory.mktemp("source")), tmp_path_factory.mktemp("cache") / "spoken")


@pytest.fixture(scope="module")
def config(spoken: PreparedStudy, tiny_targets: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("config") / "run.yaml"
    path.write_text(CONFIG.format(study=spoken.folder, targets=json.dumps(tiny_targets)))
    return str(path)


def test_items_are_single_words_in_their_order(spoken: PreparedStudy, tiny_targets: dict[str, str]) -> None:
    data = BrainDataModule(str(spoken.folder), tiny_targets, sequence="sentence", batch_size=16)
    table = data.items("train").table
    assert len(table) == 2 * 3 * 24
    assert (table["repetitions"] == 1).all()
    windows = spoken.recording("sub-01").windows
    for sequence, rows in table[table["subject"] == "sub-01"].groupby("sequence"):
        assert rows["position"].tolist() == [0, 1, 2, 3]
        shown = np.concatenate([data.items("train").windows[row] for row in rows.index])
        assert windows["onset"].to_numpy()[shown].tolist() == sorted(windows["onset"].to_numpy()[shown])
        assert set(windows["sentence"].to_numpy()[shown]) == {str(sequence).rsplit("/", 1)[1]}


def test_batches_hold_whole_sentences(spoken: PreparedStudy, tiny_targets: dict[str, str]) -> None:
    data = BrainDataModule(str(spoken.folder), tiny_targets, sequence="sentence", batch_size=16)
    data.setup("fit")
    loader = data.train_dataloader()
    seen: list[int] = []
    assert len(loader) == len(list(loader)) == 9
    for batch in loader:
        assert len(batch) == 16
        sequences = []
        for group in batch.groups:
            assert group.sequence is not None
            assert group.position is not None
            for sequence in group.sequence.unique():
                members = group.sequence == sequence
                assert sorted(group.position[members].tolist()) == [0, 1, 2, 3]
                sequences.append(int(sequence))
        assert len(sequences) == len(set(sequences)) == 4
        seen += batch.items.tolist()
    assert sorted(seen) == list(range(144))


@pytest.mark.parametrize("processes", [1, 2])
def test_sequences_of_any_length_are_dealt_once(processes: int) -> None:
    generator = np.random.default_rng(0)
    sequences = generator.permutation(np.repeat(np.arange(20), generator.integers(1, 9, size=20)))
    subjects = np.where(sequences < 9, "a", "b").astype(str)
    shares = plan_batches(subjects, batch_size=12, shuffle=True, generator=generator, processes=processes,
                          sequences=sequences)  # fmt: skip
    assert len({len(share) for share in shares}) == 1
    sampler = RequestSampler(subjects, batch_size=12, shuffle=True, seed=0, sequences=sequences)
    assert len(sampler) == len(list(sampler))
    rows = np.concatenate([batch for share in shares for batch in share])
    assert sorted(rows.tolist()) == list(range(len(sequences)))
    for batch in (batch for share in shares for batch in share):
        for sequence in set(sequences[batch]):
            assert set(np.flatnonzero(sequences == sequence)) <= set(batch.tolist())


def test_words_train_and_scores_without_context_are_logged(config: str, tmp_path: Path) -> None:
    done = run("fit", ["--config", config, "--trainer.default_root_dir", str(tmp_path)])
    assert done is not None
    assert isinstance(done.model, DecodeTask)
    assert done.model.uses_context
    metrics = pd.read_csv(tmp_path / "metrics.csv")
    assert {"val/mrr", "val/mrr_alone", "val/top5_alone", "train/sigmoid_pairs"} <= set(metrics)
    # Trials without a sequence are decoded one by one: company makes no difference.
    (checkpoint,) = (tmp_path / "checkpoints").glob("*.ckpt")
    task = DecodeTask.load_from_checkpoint(checkpoint)
    signals = np.random.default_rng(0).normal(size=(3, 7, 6)).astype(np.float32)
    together, single = task.decode("sub-01", signals)["first"], task.decode("sub-01", signals[:1])["first"]
    np.testing.assert_allclose(together[:1], single, rtol=1e-4, atol=1e-5)
    with pytest.raises(MismatchError, match="without a sequence"):
        task([SubjectBatch("sub-01", torch.zeros(2, 7, 6))])
    # In sequences they see each other, whatever the size of batches and the order of rows.
    sequence, position = np.array([0, 1, 0]), np.array([0, 0, 1])
    seen = task.decode("sub-01", signals, sequence=sequence, position=position)["first"]
    assert np.abs(seen[0] - together[0]).max() > 1e-4
    np.testing.assert_allclose(seen[1], together[1], rtol=1e-4, atol=1e-5)
    small = task.decode("sub-01", signals, sequence=sequence, position=position, batch_size=1)["first"]
    np.testing.assert_allclose(small, seen, rtol=1e-4, atol=1e-5)
    with pytest.raises(MismatchError, match="expected both or none"):
        task.decode("sub-01", signals, sequence=sequence)


def test_a_missing_column_is_named(tiny_study: PreparedStudy, tiny_targets: dict[str, str]) -> None:
    with pytest.raises(DataError, match="no column 'sentence'"):
        BrainDataModule(str(tiny_study.folder), tiny_targets, sequence="sentence")
