"""A trained encoder against ridge as an encoding model, and where it looks.

``python -P tests/benchmarks/encoding.py STUDY TARGETS CHECKPOINT [--part val]``, all as for `neurodecode retrieve`.

Both are trained on the training pictures. Ridge gets the same features, once reduced as the encoder's are
and once whole with every layer scaled to the same variance; its penalty is chosen for every channel by cross-validation
inside training. Scored is Pearson's r of every channel over the averaged pictures of the part. Intervals resample
pictures, subjects, and channels within subjects, together for both sides.

For the simulated fMRI, whose regions follow layers of AlexNet at known depths, a region's attended depth is the mean of
the tokens' places in the bank, weighed by its attention averaged over pictures. It is compared with the planted depth
by Spearman's correlation, against all orders of the regions.
"""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from neurodecode.core.prepared import PreparedStudy
from neurodecode.datasets.simulation.settings import REGIONS
from neurodecode.encoders.linear.bank import fit_bank_scaler
from neurodecode.evaluation.encoding_accuracy import channel_correlation, explained_share, noise_ceiling
from neurodecode.training.encode_task import EncodeTask
from neurodecode.workflow.attention import attention_table
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.checkpoint import open_network, require_fit
from neurodecode.workflow.encoder import prepared_signals
from neurodecode.workflow.items import fold_items

ALPHAS = np.logspace(-1, 4, 11)
DRAWS = 500
Floats = NDArray[np.float64]


def ridge(train: Floats, signals: Floats, wanted: Floats) -> Floats:
    """Predict signals by kernel ridge, which is ridge, each channel with a penalty chosen in three folds."""
    train, wanted = train - train.mean(axis=0), wanted - train.mean(axis=0)
    kernel, across = train @ train.T, wanted @ train.T
    penalties = ALPHAS * float(np.trace(kernel)) / len(kernel)
    errors = np.zeros((len(penalties), signals.shape[1]))
    for left_out in np.array_split(np.random.default_rng(0).permutation(len(kernel)), 3):
        kept = np.setdiff1d(np.arange(len(kernel)), left_out)
        solved = paths(kernel[np.ix_(kept, kept)], signals[kept], kernel[np.ix_(left_out, kept)], penalties)
        errors += [((signals[left_out] - found) ** 2).sum(axis=0) for found in solved]
    best = errors.argmin(axis=0)
    predicted = np.empty((len(wanted), signals.shape[1]))
    for number, found in enumerate(paths(kernel, signals, across, penalties)):
        predicted[:, best == number] = found[:, best == number]
    return predicted


def paths(kernel: Floats, signals: Floats, across: Floats, penalties: Floats) -> Iterator[Floats]:
    """Yield the predictions of every penalty."""
    mean = signals.mean(axis=0)
    values, vectors = np.linalg.eigh(kernel)
    rows, columns = vectors.T @ (signals - mean), across @ vectors
    for penalty in penalties:
        yield columns @ (rows / (np.maximum(values, 0) + penalty)[:, None]) + mean


def features(
    task: EncodeTask, bank: TargetBank, train: list[str], wanted: list[str]
) -> dict[str, tuple[Floats, Floats]]:
    """Give training and wanted features, reduced as the encoder's are and whole."""
    rows, others = bank.rows(train), bank.rows(wanted)
    assert task.preparation is not None
    reduced = [
        np.concatenate(
            [task.preparation.reductions[name](side[name].reshape(len(side[name]), -1)) for name in task.target_sizes],
            axis=1,
        ).astype(np.float64)
        for side in (rows, others)
    ]
    scaler = fit_bank_scaler(rows)
    whole = [np.concatenate(list(scaler.apply(side).values()), axis=1) for side in (rows, others)]
    return {"ridge, same features": (reduced[0], reduced[1]), "ridge, whole bank": (whole[0], whole[1])}


def interval(
    predicted: dict[str, Floats], other: dict[str, Floats], measured: dict[str, Floats], seed: int = 0
) -> tuple[float, float, float]:
    """Difference of mean correlations and its 95 % interval."""
    generator = np.random.default_rng(seed)
    names = list(measured)

    def difference(rows: NDArray[np.int64], people: list[str], voxels: bool) -> float:
        found = []
        for name in people:
            sides = [
                channel_correlation(side[name][rows][..., None], measured[name][rows][..., None])[:, 0]
                for side in (predicted, other)
            ]
            gain = sides[0] - sides[1]
            found.append(float(generator.choice(gain, len(gain)).mean() if voxels else gain.mean()))
        return float(np.mean(found))

    count = len(next(iter(measured.values())))
    value = difference(np.arange(count), names, False)
    draws = [
        difference(generator.integers(0, count, count), [str(one) for one in generator.choice(names, len(names))], True)
        for _ in range(DRAWS)
    ]
    low, high = np.quantile(draws, [0.025, 0.975])
    return value, float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("targets", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--part", choices=("val", "test"), default="test")
    given = parser.parse_args()
    prepared, bank, task = PreparedStudy(given.study), TargetBank.open(given.targets), open_network(given.checkpoint)
    if not isinstance(task, EncodeTask):
        parser.error("checkpoint: expected one of the task encode")
    people = list(task.interface["subjects"])
    require_fit(task.interface, prepared, bank, people)
    predicted: dict[str, dict[str, Floats]] = {}
    measured: dict[str, Floats] = {}
    answers: dict[str, Floats] = {}
    counts, shown = {}, set()
    for subject in people:
        items = fold_items(prepared, subject)
        train = items.train.averaged()
        part = items.test if given.part == "test" else items.validation.averaged()
        answers[subject] = prepared_signals(task, subject, train.signals)[:, :, 0].astype(np.float64)
        measured[subject] = prepared_signals(task, subject, part.signals)[:, :, 0].astype(np.float64)
        counts[subject] = float(1 / np.mean(1 / part.repetitions))
        shown.add((tuple(train.stimulus.tolist()), tuple(part.stimulus.tolist())))
        encoded = task.encode(subject, bank.rows(part.stimulus.tolist()))
        predicted.setdefault("encoder", {})[subject] = encoded[:, :, 0].astype(np.float64)
    if len(shown) != 1:
        parser.error("study: expected subjects who saw the same pictures")
    ((trained_on, wanted),) = shown
    looked = attention_table(task, bank.rows(wanted))
    edges = np.cumsum([answers[name].shape[1] for name in people])[:-1]
    stacked = np.concatenate([answers[name] for name in people], axis=1)
    for label, (rows, others) in features(task, bank, list(trained_on), list(wanted)).items():
        found = np.split(ridge(rows, stacked, others), edges, axis=1)
        predicted[label] = dict(zip(people, found, strict=True))
    simulated = ", simulated" if prepared.simulated else ""
    print(f"{prepared.name}{simulated}: {given.part}, {', '.join(people)}, averages of {counts[people[0]]:g}")
    for label, signals in predicted.items():
        by_person = {name: channel_correlation(signals[name][..., None], measured[name][..., None]) for name in people}
        mean = np.mean([float(value.mean()) for value in by_person.values()])
        line = f"{label:22s} correlation {mean:.4f}"
        if task.ratios:
            shares = [
                explained_share(by_person[name], noise_ceiling(task.ratios[name], counts[name]))
                for name in people
                if name in task.ratios
            ]
            line += f"  normalised {np.mean(shares):.3f}"
        print(line + "  by subject " + " ".join(f"{float(by_person[name].mean()):.4f}" for name in people))
    for label in predicted:
        if label != "encoder":
            value, low, high = interval(predicted["encoder"], predicted[label], measured)
            print(f"encoder minus {label}: {value:.4f} [{low:.4f}, {high:.4f}]")
    depths = {name: depth for name, depth, _ in REGIONS}
    if looked is not None:
        table = looked.pivot(index="region", columns="token", values="weight")[list(dict.fromkeys(looked["token"]))]
        print(table.round(2).to_string())
        table = table[table.index.isin(depths)]
        if prepared.simulated and len(table):
            attended = table.to_numpy() @ np.arange(table.shape[1])
            planted = np.array([depths[str(name)] for name in table.index])
            left, right = rankdata(attended), rankdata(planted)
            value = float(np.corrcoef(left, right)[0, 1])
            null = [np.corrcoef(left, order)[0, 1] for order in itertools.permutations(right)]
            listed = ", ".join(f"{name} {depth:.2f}" for name, depth in zip(table.index, attended, strict=True))
            chance = np.mean(np.array(null) >= value - 1e-9)
            print(f"attended depth: {listed}; with the planted one {value:.2f}, p = {chance:.4f}")


if __name__ == "__main__":
    main()
