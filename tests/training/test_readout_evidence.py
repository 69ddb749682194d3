"""Readouts that are integrated out: against the Gaussian density itself, and on a study with planted regions."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.brain.layouts import SensorLayout, SubjectSensors
from neurodecode.encoders.encoding.region_encoder import RegionEncoder
from neurodecode.evaluation.encoding_accuracy import channel_correlation
from neurodecode.training.batches import Batch
from neurodecode.training.readout_evidence import Cohort, NoiseBasis, ReadoutEvidence, noise_basis
from neurodecode.training.solved_readouts import SolvedReadouts, require_all_rows


def test_the_evidence_is_the_density_of_the_signals() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(9, 2, 3))
    signals = generator.normal(size=(9, 4))
    noise = generator.normal(size=(200, 4)) @ generator.normal(size=(4, 4))
    outputs = np.array([3, 1, 2])
    basis = noise_basis(noise, outputs)
    repetitions = torch.tensor([1.0, 2, 2, 1, 4, 1, 1, 3, 2], dtype=torch.float64)
    double = NoiseBasis(basis.outputs, basis.deviations.double(), basis.directions.double())  # type: ignore[union-attr]
    cohort = Cohort.of(torch.arange(9), repetitions, {"a": torch.from_numpy(signals)}, {"a": {"V2": double}}, 1)
    evidence = ReadoutEvidence(["V1", "V2"], 3, n_bins=1).double()
    torch.nn.init.constant_(evidence.scales, 0.07)
    variance = float((evidence._start + evidence.PACE * evidence.scales[0, 0]).exp().detach())

    # By hand: every whitened direction is Gaussian, with the covariance of its readout and of noise over repetitions.
    count = repetitions.numpy()
    share = count / count.sum()
    design = features[:, 1] - share @ features[:, 1]
    own = signals[:, outputs] - share @ signals[:, outputs]
    covariance = np.cov(noise[:, outputs].T, bias=True) + np.outer(*2 * [noise[:, outputs].mean(axis=0)])
    whitened = own @ double.directions.numpy() / double.deviations.numpy()  # type: ignore[union-attr]
    full = variance * design @ design.T + np.diag(1 / count)
    found = sum(multivariate_normal(cov=full).logpdf(row) for row in whitened.T)
    alone = sum(multivariate_normal(cov=np.diag(1 / count)).logpdf(row) for row in whitened.T)
    cost = float(evidence(torch.from_numpy(features), [cohort]).detach())
    assert cost == pytest.approx((alone - found) / 27, rel=1e-6)
    # The directions are those of the noise, nearly: the covariance is shrunk a little.
    back = double.directions.numpy() * double.deviations.numpy()  # type: ignore[union-attr]
    np.testing.assert_allclose(back @ back.T, covariance, atol=0.15 * covariance.max())

    weights, bias, places = evidence.readouts(torch.from_numpy(features), [cohort])["a"]["V2"]
    root = np.sqrt(count)[:, None]
    penalised = np.linalg.solve((design * root).T @ (design * root) + np.eye(3) / variance, (design * root).T)
    expected = penalised @ (whitened * root) * double.deviations.numpy() @ double.directions.numpy().T  # type: ignore[union-attr]
    np.testing.assert_allclose(weights.numpy(), expected.T, atol=1e-8)
    np.testing.assert_allclose(
        bias.numpy(), share @ signals[:, outputs] - expected.T @ (share @ features[:, 1]), atol=1e-8
    )
    assert places.tolist() == outputs.tolist()


N_TOKENS, N_TRAIN, N_TEST, N_VOXELS, REPETITIONS = 5, 120, 60, 16, 3
PLANTED = {"IT": 4, "V1": 0, "V4": 2}


def planted_study(subject: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signals of single trials (repetition, picture, voxel) of three regions, each of which follows one token."""
    tokens = np.random.default_rng(5).normal(size=(N_TRAIN + N_TEST, N_TOKENS, 6)).astype(np.float32)
    generator = np.random.default_rng(subject)
    clean = np.concatenate(
        [tokens[:, place] @ generator.normal(size=(6, N_VOXELS)) / 6**0.5 for place in PLANTED.values()], axis=1
    )
    noise = generator.normal(size=(REPETITIONS, *clean.shape)) + generator.normal(size=(REPETITIONS, len(clean), 1))
    return tokens, clean, (clean + 2 * noise).astype(np.float32)


def test_attention_finds_the_planted_token_of_every_region_and_the_encoder_beats_ridge() -> None:
    people = {name: planted_study(number) for number, name in enumerate(("a", "b"), start=1)}
    tokens = people["a"][0]
    masks = {region: np.arange(3 * N_VOXELS) // N_VOXELS == number for number, region in enumerate(PLANTED)}
    layout = SensorLayout(tuple(f"v{number}" for number in range(3 * N_VOXELS)), 0.0, regions=masks)
    torch.manual_seed(0)
    encoder = RegionEncoder(
        SubjectSensors(dict.fromkeys(people, layout)), 1, {"image": [N_TOKENS, 6]},
        width=24, n_heads=2, hidden=24, dropout=0.1, preference=30.0,
    )  # fmt: skip
    evidence = ReadoutEvidence.of(encoder)
    windows = {
        name: (trials[:, :N_TRAIN].reshape(-1, 3 * N_VOXELS, 1), np.tile(np.arange(N_TRAIN).astype(str), REPETITIONS))
        for name, (_, _, trials) in people.items()
    }
    index = torch.arange(N_TRAIN).repeat(2)
    batch = Batch(
        groups=[
            SubjectBatch(name, torch.from_numpy(trials[:, :N_TRAIN].mean(axis=0)[..., None]))
            for name, (_, _, trials) in people.items()
        ],
        targets={"image": torch.from_numpy(tokens)[index]},
        candidates=[str(number) for number in index.tolist()],
        candidate_index=index,
        repetitions=torch.full((2 * N_TRAIN,), REPETITIONS),
        items=torch.arange(2 * N_TRAIN),
    )
    solved = SolvedReadouts(encoder, evidence, windows, batch)
    assert len(solved.cohorts) == 1  # both saw the same pictures
    optimizer = torch.optim.AdamW([*encoder.parameters(), *evidence.parameters()], lr=0.005)
    for _ in range(30):
        torch.manual_seed(1)
        loss = solved.loss()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    solved.settle()
    encoder.eval()
    pictures = {"image": torch.from_numpy(tokens[N_TRAIN:])}
    with torch.inference_mode():
        looked = encoder.attention(pictures).mean(dim=0).numpy()
        predicted = encoder(pictures, [SubjectBatch("a", torch.zeros(N_TEST, 0, 0))])[0].numpy()
    assert encoder.regions == list(PLANTED)
    assert looked.argmax(axis=1).tolist() == list(PLANTED.values())
    assert (looked.max(axis=1) > 0.5).all()  # even attention is 0.2

    # Ridge from all tokens, with its best penalty on these very pictures, which favours it.
    clean, trials = people["a"][1:]
    flat = tokens.reshape(len(tokens), -1)
    measured = trials[:, :N_TRAIN].mean(axis=0)
    centre, mean = flat[:N_TRAIN].mean(axis=0), measured.mean(axis=0)
    rows = flat[:N_TRAIN] - centre
    ridges = [
        (flat[N_TRAIN:] - centre)
        @ np.linalg.solve(rows.T @ rows + penalty * np.eye(rows.shape[1]), rows.T @ (measured - mean))
        for penalty in (10.0, 30.0, 100.0, 300.0)
    ]
    best = max(float(channel_correlation(ridge, clean[N_TRAIN:]).mean()) for ridge in ridges)
    assert float(channel_correlation(predicted[..., 0], clean[N_TRAIN:]).mean()) > best + 0.05


def test_what_the_evidence_cannot_do_is_named() -> None:
    with pytest.raises(ConfigError, match="objective: got evidence with a Linear, which has no answers"):
        ReadoutEvidence.of(torch.nn.Linear(2, 2))
    with pytest.raises(ConfigError, match="n_bins: got 0"):
        ReadoutEvidence(["V1"], 2, n_bins=0)
    batch = Batch([], {}, [], torch.zeros(0, dtype=torch.int64), torch.zeros(0), torch.zeros(0))
    with pytest.raises(ConfigError, match="batch_size: got a batch of 0 rows, expected all 5"):
        require_all_rows(batch, 5, "all")
    with pytest.raises(ConfigError, match="average_training: got 2, expected all"):
        require_all_rows(batch, 0, 2)
