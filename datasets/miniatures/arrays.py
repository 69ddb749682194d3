"""Arrays as strangers keep them: one planted signal in every kind of file that is read."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.datasets.miniatures.planted import PlantedSignal, code_of, picture_of

STUDY = "arrays"
LAYOUTS = ("npy", "npz", "mat5", "mat73", "h5", "csv", "one_file")
CHANNELS = ("Fz", "Cz", "Pz", "PO7", "PO8", "O1", "Oz", "O2")
SFREQ, TMIN, N_TIMES = 50.0, -0.1, 25
SUBJECTS = (1, 2)
STIMULI = tuple(f"thing_{number:02d}" for number in range(48))
PARTS = ("train",) * 32 + ("val",) * 6 + ("test",) * 10
REPETITIONS, RUNS = 4, 2

DESCRIPTION = """\
name: Miniature of somebody's arrays
modality: eeg
signals: {signals}
order: {order}
{columns}
sfreq: 50
tmin: -0.1
channels: [Fz, Cz, Pz, PO7, PO8, O1, Oz, O2]
unit: V
pictures: images
features: vectors.npz
split: {{column: part}}
"""
COLUMNS = "trials: {trials}\nstimulus: picture\nrun: block"


def write(root: Path, *, layout: str, seed: int) -> None:
    """Write signals, trials, pictures, ready vectors and the description."""
    signal = PlantedSignal(seed=seed, noise=0.5, unit=1e-6)
    tables = {subject: _trials(seed, subject) for subject in SUBJECTS}
    signals = {subject: _signals(signal, subject, tables[subject]) for subject in SUBJECTS}
    (root / "images").mkdir()
    for name in STIMULI:
        picture_of(name).save(root / "images" / f"{name}.png")
    codes = np.stack([code_of(name) for name in STIMULI]).astype(np.float32)
    np.savez(root / "vectors.npz", stimulus=np.array(STIMULI), code=codes)
    text = _WRITERS[layout](root, signals, tables)
    (root / "neurodecode.yaml").write_text(text, encoding="utf-8")


def _trials(seed: int, subject: int) -> pd.DataFrame:
    generator = np.random.default_rng([seed, 2, subject])
    parts = dict(zip(STIMULI, PARTS, strict=True))
    runs = [generator.permutation(np.repeat(STIMULI, REPETITIONS // RUNS)) for _ in range(RUNS)]
    table = pd.DataFrame({"picture": np.concatenate(runs), "block": np.repeat(np.arange(1, RUNS + 1), len(runs[0]))})
    return table.assign(part=table["picture"].map(parts))


def _signals(signal: PlantedSignal, subject: int, table: pd.DataFrame) -> NDArray[np.float32]:
    """Give the trials ``(trial, channel, time)``."""
    times = TMIN + np.arange(N_TIMES) / SFREQ
    shape = (len(CHANNELS), N_TIMES)
    trials = [
        signal.response(name, subject=subject, n_channels=shape[0], times=times)
        + signal.trial_noise(shape, subject, number)
        for number, name in enumerate(table["picture"])
    ]
    return np.stack(trials).astype(np.float32)


Signals = dict[int, NDArray[np.float32]]
Tables = dict[int, pd.DataFrame]


def _write_tables(root: Path, tables: Tables) -> None:
    for subject, table in tables.items():
        table.to_csv(root / f"trials_{subject}.csv", index=False)


def _npy(root: Path, signals: Signals, tables: Tables) -> str:
    _write_tables(root, tables)
    for subject, values in signals.items():
        np.save(root / f"eeg_{subject}.npy", values)
    columns = COLUMNS.format(trials='"trials_{subject}.csv"')
    return DESCRIPTION.format(signals='"eeg_{subject}.npy"', order="[trial, channel, time]", columns=columns)


def _npz(root: Path, signals: Signals, tables: Tables) -> str:
    _write_tables(root, tables)
    for subject, values in signals.items():
        np.savez(root / f"eeg_{subject}.npz", data=values.transpose(1, 0, 2), times=TMIN + np.arange(N_TIMES) / SFREQ)
    columns = COLUMNS.format(trials='"trials_{subject}.csv"')
    place = '{file: "eeg_{subject}.npz", key: data}'
    return DESCRIPTION.format(signals=place, order="[channel, trial, time]", columns=columns)


MATLAB_COLUMNS = """\
trials: "trials_{subject}.csv"
stimulus: {file: "eeg_{subject}.mat", key: picture}
run: {file: "eeg_{subject}.mat", key: block}"""


def _mat5(root: Path, signals: Signals, tables: Tables) -> str:
    import scipy.io

    _write_tables(root, tables)
    for subject, values in signals.items():
        cells = np.array(tables[subject]["picture"], dtype=object).reshape(-1, 1)
        content = {"eeg": values.transpose(1, 2, 0), "picture": cells, "block": tables[subject]["block"].to_numpy()}
        scipy.io.savemat(root / f"eeg_{subject}.mat", content)
    place = '{file: "eeg_{subject}.mat", key: eeg}'
    return DESCRIPTION.format(signals=place, order="[channel, time, trial]", columns=MATLAB_COLUMNS)


def _mat73(root: Path, signals: Signals, tables: Tables) -> str:
    """Write as MATLAB's save -v7.3 does: dimensions last first, text as cells of references to code units."""
    import h5py

    _write_tables(root, tables)
    for subject, values in signals.items():
        path = root / f"eeg_{subject}.mat"
        with h5py.File(path, "w", userblock_size=512) as file:
            file.create_dataset("eeg", data=values.transpose(1, 2, 0).T).attrs["MATLAB_class"] = np.bytes_("single")
            blocks = tables[subject]["block"].to_numpy(dtype=np.float64).reshape(1, -1)
            file.create_dataset("block", data=blocks).attrs["MATLAB_class"] = np.bytes_("double")
            references = []
            for number, name in enumerate(tables[subject]["picture"]):
                codes = np.frombuffer(name.encode("utf-16-le"), dtype=np.uint16).reshape(-1, 1)
                cell = file.create_dataset(f"#refs#/{number:x}", data=codes)
                cell.attrs["MATLAB_class"] = np.bytes_("char")
                references.append(cell.ref)
            cells = np.array(references, dtype=h5py.ref_dtype).reshape(1, -1)
            made = file.create_dataset("picture", data=cells, dtype=h5py.ref_dtype)
            made.attrs["MATLAB_class"] = np.bytes_("cell")
        header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM"
        with path.open("r+b") as raw:
            raw.write(header)
    place = '{file: "eeg_{subject}.mat", key: eeg}'
    return DESCRIPTION.format(signals=place, order="[channel, time, trial]", columns=MATLAB_COLUMNS)


def _h5(root: Path, signals: Signals, tables: Tables) -> str:
    import h5py

    _write_tables(root, tables)
    for subject, values in signals.items():
        with h5py.File(root / f"eeg_{subject}.h5", "w") as file:
            file.create_dataset("session/eeg", data=values, chunks=(16, *values.shape[1:]), compression="gzip")
            file.create_dataset("session/picture", data=tables[subject]["picture"].to_numpy(dtype="S"))
    columns = COLUMNS.format(trials='"trials_{subject}.csv"')
    columns = columns.replace("picture", '{file: "eeg_{subject}.h5", key: session/picture}')
    place = '{file: "eeg_{subject}.h5", key: session/eeg}'
    return DESCRIPTION.format(signals=place, order="[trial, channel, time]", columns=columns)


def _csv(root: Path, signals: Signals, tables: Tables) -> str:
    """Write the sample 0.2 s after the onset as voxels: a table of numbers without a header."""
    _write_tables(root, tables)
    for subject, values in signals.items():
        np.savetxt(root / f"betas_{subject}.csv", values[:, :, 15] * 1e6, delimiter=",", fmt="%.7g")
    columns = COLUMNS.format(trials='"trials_{subject}.csv"')
    text = DESCRIPTION.format(signals='"betas_{subject}.csv"', order="[trial, voxel]", columns=columns)
    lines = [line for line in text.splitlines() if line.split(":")[0] not in ("sfreq", "tmin", "channels", "unit")]
    return "\n".join(lines).replace("modality: eeg", "modality: fmri") + "\n"


def _one_file(root: Path, signals: Signals, tables: Tables) -> str:
    """Write the trials of all subjects mixed into one array and one table that names the subject of each."""
    order = np.argsort(np.concatenate([np.arange(len(table)) for table in tables.values()]), kind="stable")
    np.save(root / "eeg.npy", np.concatenate(list(signals.values()))[order])
    joined = pd.concat([table.assign(who=str(subject)) for subject, table in tables.items()], ignore_index=True)
    joined.iloc[order].to_csv(root / "trials.tsv", index=False, sep="\t")
    columns = COLUMNS.format(trials="trials.tsv") + "\nsubject: who"
    return DESCRIPTION.format(signals="eeg.npy", order="[trial, channel, time]", columns=columns)


_WRITERS = {
    "npy": _npy,
    "npz": _npz,
    "mat5": _mat5,
    "mat73": _mat73,
    "h5": _h5,
    "csv": _csv,
    "one_file": _one_file,
}
