"""Fitted suites that are kept: fitted once, then read as long as nothing they depend on has changed."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from neurodecode.core.errors import DataError
from neurodecode.core.files import atomic_folder, folder_lock, read_json, sha256_of_file, write_json
from neurodecode.core.kept import computed_by, content_digest
from neurodecode.encoders.linear.bank import Bank
from neurodecode.encoders.linear.fitting import fit_linear_suite
from neurodecode.encoders.linear.storage import ARRAYS, SETTINGS, load_suite, save_suite
from neurodecode.encoders.linear.suite import LinearSuite
from neurodecode.encoders.linear.trials import TrialSet

SUITE, KEY = "suite", "key.json"
FILES = (SETTINGS, ARRAYS)


def kept_linear_suite(
    folder: Path,
    train: TrialSet,
    validation: TrialSet | None,
    bank: Bank,
    names: Sequence[str],
    *,
    decoder: Bank | None = None,
    noise_kind: str = "auto",
    single_queries: bool = False,
    seed: int = 0,
) -> LinearSuite:
    """Fit a suite, or read the one that was fitted before from the very same data with the same code.

    Parameters
    ----------
    folder : Path
        Where the suite of one subject and fold is kept. It is taken only if every signal, label, embedding, prediction
        and setting, the source of this package and the versions of the libraries are those it was fitted with, and its
        files are as they were written. Anything else there is replaced.
    train, validation, bank, names, decoder, noise_kind, single_queries, seed
        As in `neurodecode.encoders.linear.fitting.fit_linear_suite`.

    Returns
    -------
    LinearSuite
        Read back from the folder in both cases, so that the first run scores bit for bit as later ones do. Two
        processes may ask for the same folder at once: one fits, the other waits.
    """
    key = suite_key(
        train, validation, bank, names,
        decoder=decoder, noise_kind=noise_kind, single_queries=single_queries, seed=seed,
    )  # fmt: skip
    with folder_lock(folder):
        found = _read(folder, key)
        if found is not None:
            return found
        suite = fit_linear_suite(
            train, validation, bank, names,
            decoder=decoder, noise_kind=noise_kind, single_queries=single_queries, seed=seed,
        )  # fmt: skip
        if folder.exists():
            shutil.rmtree(folder)
        with atomic_folder(folder) as temporary:
            save_suite(suite, temporary / SUITE)
            digests = {name: sha256_of_file(temporary / SUITE / name) for name in FILES}
            write_json(temporary / KEY, {"key": key, "files": digests})
        return load_suite(folder / SUITE)


def suite_key(
    train: TrialSet,
    validation: TrialSet | None,
    bank: Bank,
    names: Sequence[str],
    *,
    decoder: Bank | None,
    noise_kind: str,
    single_queries: bool,
    seed: int,
) -> str:
    """Compute the digest of all that a fitted suite depends on: data by content, settings, code and libraries."""
    return content_digest(
        {
            "by": computed_by(["neurodecode.encoders.linear"], ["numpy", "scipy", "himalaya", "scikit-learn"]),
            "train": _content(train),
            "validation": None if validation is None else _content(validation),
            # In order: the layers' order is that of their depth.
            "bank": [[layer, rows] for layer, rows in bank.items()],
            "names": list(names),
            "decoder": None if decoder is None else [[layer, rows] for layer, rows in decoder.items()],
            "noise_kind": noise_kind,
            "single_queries": single_queries,
            "seed": seed,
        }
    )


def _content(trials: TrialSet) -> list[object]:
    return [trials.signals, trials.stimulus, trials.group, trials.repetitions]


def _read(folder: Path, key: str) -> LinearSuite | None:
    """Give the suite of a folder, or None if it is missing, damaged, edited or of another key."""
    if not (folder / KEY).is_file():
        return None
    try:
        known = read_json(folder / KEY)
        if not isinstance(known, dict) or known.get("key") != key:
            return None
        if known.get("files") != {name: sha256_of_file(folder / SUITE / name) for name in FILES}:
            return None
        return load_suite(folder / SUITE)
    except (DataError, FileNotFoundError):
        return None
