"""A recipe over all subjects and several seeds: each training and seed is kept, so that an interrupted run goes on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.files import fingerprint, read_json, write_json, write_table
from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.provenance import versions
from neurodecode.core.scores import Score
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.items import is_across_subjects, is_tested
from neurodecode.workflow.left_out import with_classifiers, with_distances
from neurodecode.workflow.network_alone import rank_network
from neurodecode.workflow.pooled import EVERYBODY, as_everybody, pooled_copy, require_no_subject_parts
from neurodecode.workflow.records import asked_of, retrieval_records
from neurodecode.workflow.retrieve import rank_study
from neurodecode.workflow.speech import rank_segments
from neurodecode.workflow.speech_segments import SeriesBank
from neurodecode.workflow.train import decoder_of, train_decoder
from neurodecode.workflow.words import rank_words

Setting = Literal["within", "joint"]
TABLE, SUMMARY = "benchmark.csv", "benchmark.json"
MEAN = "mean"
KEY = ["recipe", "model", "metric", "direction", "subject"]


@dataclass(frozen=True)
class Benchmark:
    """What is run.

    Parameters
    ----------
    name : str
        Of the recipe, as the table shows it.
    configs : tuple of Path
        YAML files of the network, composed from left to right.
    setting : str
        ``within`` trains a network for each subject, ``joint`` one for all subjects together; of a split that leaves
        subjects out, one is trained for each of its folds either way.
    seeds : tuple of int
        Of weights and order; all else is the same for every seed.
    subjects : tuple of str
        Who is trained on and scored.
    linear : bool
        Whether the linear models are fitted and ranked beside the network; of speech they always are.
    """

    name: str
    configs: tuple[Path, ...]
    setting: Setting
    seeds: tuple[int, ...]
    subjects: tuple[str, ...]
    linear: bool = True

    def __post_init__(self) -> None:
        for label, values in (("seeds", self.seeds), ("subjects", self.subjects)):
            if not values or len(set(values)) != len(values):
                raise ConfigError(f"{label}: got {', '.join(map(str, values)) or 'none'}, expected some, each once")

    def groups(self) -> list[tuple[str, ...]]:
        """List who is trained together."""
        return [self.subjects] if self.setting == "joint" else [(subject,) for subject in self.subjects]


def run_benchmark(
    plan: Benchmark,
    prepared: PreparedStudy,
    targets: Mapping[str, Path],
    output: Path,
    *,
    progress: Callable[[str], None] = lambda text: None,
) -> pd.DataFrame:
    """Train, rank and score every seed and group of subjects; what was finished before with the same plan is read.

    Parameters
    ----------
    plan : Benchmark
        What is run.
    prepared : PreparedStudy
        The study.
    targets : mapping of str to Path
        Folder of targets of each layer.
    output : Path
        Gets a file a seed, the networks, the linear models, ``benchmark.csv`` and ``benchmark.json``.
    progress : callable
        Told the training that begins, or that a seed was finished before.

    Returns
    -------
    pandas.DataFrame
        See `summarise`.
    """
    bank = _bank(prepared, _parent(targets))
    split = prepared.split
    if is_across_subjects(split, prepared.subjects):
        if not isinstance(bank, TargetBank) or asked_of(prepared.info) == "word":
            raise ConfigError("benchmark: the split leaves subjects out, which is not done for speech and words yet")
        require_no_subject_parts(plan.configs, prepared, {name: bank.layers[name].space.shape for name in targets})
    cells = []
    for seed in plan.seeds:
        path = output / "seeds" / f"{plan.name}_{plan.setting}_seed-{seed}.json"
        key = _seed_key(plan, prepared, bank, seed)
        known = read_json(path) if path.is_file() else {}
        if known.get("key") == key:
            progress(f"seed {seed}: done before")
        else:
            scores = _run_seed(plan, prepared, bank, targets, output, seed, progress)
            known = {"key": key, "seed": seed, "scores": [score.to_dict() for score in scores]}
            write_json(path, known)
        cells.append(known)
    table = summarise(plan.name, cells)
    write_table(output / TABLE, table)
    write_json(
        output / SUMMARY,
        {
            "recipe": plan.name,
            "study": prepared.name,
            "simulated": prepared.simulated,
            "setting": plan.setting,
            "seeds": list(plan.seeds),
            "subjects": list(plan.subjects),
            "split_hash": prepared.split.hash,
            "versions": versions(),
            "rows": table.astype(object).where(table.notna(), None).to_dict(orient="records"),
        },
    )
    return table


def _parent(targets: Mapping[str, Path]) -> Path:
    folders = {path.parent for path in targets.values()}
    if len(folders) != 1:
        raise DataError(f"targets: got layers in {len(folders)} folders, expected all in one")
    return folders.pop()


def _bank(prepared: PreparedStudy, folder: Path) -> TargetBank | SeriesBank:
    return SeriesBank.open(folder, prepared) if prepared.info["kind"] == "speech" else TargetBank.open(folder)


def _seed_key(plan: Benchmark, prepared: PreparedStudy, bank: TargetBank | SeriesBank, seed: int) -> str:
    return fingerprint(
        {
            "study": prepared.header["key"],
            "split": prepared.split.hash,
            "session_scaling": list(prepared.session_scaling),
            "targets": bank.describe()["digest"],
            "configs": [path.read_text(encoding="utf-8") for path in plan.configs],
            "seed": seed,
            "setting": plan.setting,
            "subjects": list(plan.subjects),
            "linear": plan.linear,
            "versions": versions(),
        }
    )


def _run_seed(
    plan: Benchmark,
    prepared: PreparedStudy,
    bank: TargetBank | SeriesBank,
    targets: Mapping[str, Path],
    output: Path,
    seed: int,
    progress: Callable[[str], None],
) -> list[Score]:
    """Train every network of a seed, unless it is there already; rank the test items of all subjects and score them."""
    split, checkpoints, source = prepared.split, {}, prepared
    across = is_across_subjects(split, prepared.subjects)
    if across:  # the others are trained on as if they were one person
        source = pooled_copy(prepared, output / "pooled")
    for group in [plan.subjects] if across else plan.groups():
        who = "left-out" if across else "joint" if plan.setting == "joint" else group[0]
        for fold in range(split.n_folds):
            here = [subject for subject in group if is_tested(split, subject, fold)]
            if here:
                name = f"{plan.name}_{who}_seed-{seed}"
                progress(name if split.n_folds == 1 else f"{name}, fold {fold + 1} of {split.n_folds}")
                here = [EVERYBODY] if across else here
                path = train_decoder(
                    source, targets, output / "models" / name / f"fold-{fold}", configs=plan.configs, fold=fold,
                    seed=seed, subjects=here,
                )  # fmt: skip
                checkpoints.update({(fold, subject): path for subject in here})
    progress(f"seed {seed}: ranking")
    decode, subjects = decoder_of(checkpoints), list(plan.subjects)
    decode = as_everybody(decode) if across else decode
    if isinstance(bank, SeriesBank):
        retrieval = rank_segments(prepared, prepared, bank, decode, subjects, layer=next(iter(targets)))
    elif asked_of(prepared.info) == "word":
        retrieval = rank_words(prepared, bank, decode, subjects)
    elif not plan.linear:
        retrieval = with_distances(rank_network(prepared, bank, decode, subjects), prepared, bank, decode)
    else:
        retrieval = rank_study(prepared, bank, decode=decode, seed=0, subjects=subjects, keep=output / "linear")
        retrieval = with_classifiers(with_distances(retrieval, prepared, bank, decode), prepared, seed=0)
    joint = plan.setting == "joint" and len(subjects) > 1
    scores, _, _ = retrieval_records(prepared, retrieval.tables, joint=joint, seed=0, absent={})
    return scores


def summarise(recipe: str, cells: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Put the cells into one table: mean and spread over seeds, of each subject and of the mean over subjects.

    Parameters
    ----------
    recipe : str
        Name of the recipe.
    cells : sequence of mapping
        One a seed, with its ``seed`` and ``scores`` (`Score.to_dict`), those of the mean over subjects among them.

    Returns
    -------
    pandas.DataFrame
        Columns ``recipe, model, metric, direction, subject, value`` (mean over seeds), ``spread`` (standard deviation
        over seeds; empty for one), ``between_subjects`` (standard deviation over subjects, for the row ``mean``),
        ``low, high, chance, null_95`` (means over seeds of the 95 % interval and so on, which cover stimuli and
        subjects, not seeds), ``n_seeds, n_subjects, n_candidates, protocol, simulated``.

    Examples
    --------
    >>> scores = [
    ...     Score("top1", "image_given_brain", 0.5, 0.4, 0.6, 0.1, 0.2, 20, 10, "signals x 4", subject, "ridge",
    ...           "within-subject | disjoint unit: concept | averaged: signals x 4 | gallery: 10 | weights: last", True)
    ...     for subject in ("sub-01", "mean")
    ... ]
    >>> table = summarise("linear", [{"seed": seed, "scores": [s.to_dict() for s in scores]} for seed in (0, 1)])
    >>> table[["subject", "value", "n_seeds"]].values.tolist()
    [['sub-01', 0.5, 2], ['mean', 0.5, 2]]
    """
    rows = [{"recipe": recipe, "seed": cell["seed"], **score} for cell in cells for score in cell["scores"]]
    if not rows:
        raise DataError("benchmark: no seed was finished, expected at least one")
    table = pd.DataFrame(rows)
    found = []
    for key, part in table.groupby(KEY[:-1], sort=False):
        own = part[part["subject"] != MEAN]
        for subject, its in own.groupby("subject", sort=False):
            found.append({**dict(zip(KEY, (*key, subject), strict=True)), **_row(its)})
        row = _row(part[part["subject"] == MEAN])
        values = own.groupby("subject")["value"].mean()
        row["between_subjects"] = float(values.std(ddof=1)) if len(values) > 1 else None
        row["n_subjects"] = len(values)
        found.append({**dict(zip(KEY, (*key, MEAN), strict=True)), **row})
    return pd.DataFrame(found)


def _row(part: pd.DataFrame) -> dict[str, Any]:
    """Average one subject's records, or those of the mean over subjects, over seeds."""
    values = part["value"]
    return {
        "value": float(values.mean()),
        "spread": float(values.std(ddof=1)) if len(values) > 1 else None,
        "between_subjects": None,
        "low": float(part["low"].mean()),
        "high": float(part["high"].mean()),
        "chance": float(part["chance"].mean()),
        "null_95": float(part["null_95"].mean()),
        "n_seeds": len(values),
        "n_subjects": 1,
        "n_candidates": int(part["n_candidates"].max()),
        "protocol": str(part["protocol"].iloc[0]),
        "simulated": bool(part["simulated"].iloc[0]),
    }
