"""Objectives on what an encoder holds beside its heads, against references."""

import pytest
import torch
from torch.nn import functional

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.brain.outputs import EncoderOutput
from neurodecode.training.batches import Batch
from neurodecode.training.inner_objectives import Agreement, SubjectClassification
from neurodecode.training.regression import Regression

GENERATOR = torch.Generator().manual_seed(0)


def batch(n_rows: int, targets: dict[str, torch.Tensor] | None = None) -> Batch:
    number = torch.arange(n_rows)
    group = SubjectBatch("a", torch.zeros(n_rows, 1, 1))
    return Batch([group], targets or {}, [str(row) for row in range(n_rows)], number, number, number)


def test_agreement_is_the_mean_squared_difference() -> None:
    first, second = torch.randn(4, 3, generator=GENERATOR), torch.randn(4, 3, generator=GENERATOR)
    output = EncoderOutput({}, torch.zeros(4, 1), first, {"pooled": second})
    loss = Agreement("reconstruction", "pooled")(output, {}, batch(4), 0.0)
    torch.testing.assert_close(loss, functional.mse_loss(first, second))
    with pytest.raises(ConfigError, match="got the part 'cycled', expected one the encoder gives \\(pooled, recon"):
        Agreement("cycled", "pooled")(output, {}, batch(4), 0.0)
    with pytest.raises(ConfigError, match="expected the same"):
        Agreement("a", "b")(EncoderOutput({}, first, inner={"a": first, "b": first[:, :2]}), {}, batch(4), 0.0)


def test_telling_subjects_apart_is_a_cross_entropy() -> None:
    scores, subject = torch.randn(4, 3, generator=GENERATOR), torch.tensor([0, 2, 1, 1])
    output = EncoderOutput({}, torch.zeros(4, 1), inner={"told": scores, "subject": subject})
    loss = SubjectClassification("told")(output, {}, batch(4), 0.0)
    torch.testing.assert_close(loss, functional.cross_entropy(scores, subject))


def test_flattened_rows_share_one_length() -> None:
    prediction, target = torch.randn(4, 3, 5, generator=GENERATOR), torch.randn(4, 3, 5, generator=GENERATOR)
    output = EncoderOutput({"image": prediction}, torch.zeros(4, 1))
    loss = Regression(normalise=True, flatten=True)(output, {"image": target}, batch(4), 0.0)
    unit = [functional.normalize(tokens.flatten(1), dim=1) for tokens in (prediction, target)]
    torch.testing.assert_close(loss, functional.mse_loss(*unit))
