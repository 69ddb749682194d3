"""A miniature of the Algonauts Project 2023: two subjects with different numbers of vertices and pictures."""

from pathlib import Path

import numpy as np

from neurodecode.datasets.miniatures.planted import PlantedSignal, picture_of

STUDY = "algonauts2023"
LAYOUTS = ("npy",)
SURFACE = 163842
# Training and test pictures of the challenge, vertices left and right.
SUBJECTS = {1: (150, 8, 34, 41), 2: (150, 8, 34, 41), 6: (130, 12, 32, 38)}
MAPPINGS = {
    "prf-visualrois": ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"),
    "floc-bodies": ("EBA", "FBA-1", "FBA-2", "mTL-bodies"),
    "floc-faces": ("OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces"),
    "floc-places": ("OPA", "PPA", "RSC"),
    "floc-words": ("OWFA", "VWFA-1", "VWFA-2", "mfs-words", "mTL-words"),
    "streams": ("early", "midventral", "midlateral", "midparietal", "ventral", "lateral", "parietal"),
}


def numbers_of(subject: int, seed: int) -> tuple[list[int], list[int]]:
    """Draw the pictures of a subject: training ones and the challenge's test, of which some are shared by all."""
    shared = np.random.default_rng([seed, 0]).choice(73000, 30, replace=False)
    training, test = SUBJECTS[subject][:2]
    generator = np.random.default_rng([seed, subject])
    own = generator.choice(np.setdiff1d(np.arange(73000), shared), training + test - len(shared), replace=False)
    order = generator.permutation(np.concatenate([shared, own])).tolist()
    # As published: rows rise with the number in the NSD.
    return sorted(order[:training]), sorted(order[training:])


def responses(subject: int, seed: int) -> np.ndarray:
    """Give the float32 responses to the training pictures, left hemisphere first: ``(n_pictures, n_vertices)``."""
    signal = PlantedSignal(seed=seed, noise=0.5)
    left, right = SUBJECTS[subject][2:]
    rows = [
        signal.betas(f"nsd-{number:05d}", subject=subject, n_voxels=left + right)
        + signal.trial_noise((left + right,), subject, row)
        for row, number in enumerate(numbers_of(subject, seed)[0])
    ]
    return np.stack(rows).astype(np.float32)


def write(root: Path, *, layout: str, seed: int) -> None:
    """Write pictures, responses of both hemispheres, and regions with pickled names."""
    for subject, (_, _, left, right) in SUBJECTS.items():
        folder = root / f"subj{subject:02d}"
        training, test = numbers_of(subject, seed)
        for part, prefix, numbers in (("training", "train", training), ("test", "test", test)):
            pictures = folder / f"{part}_split" / f"{part}_images"
            pictures.mkdir(parents=True)
            for row, number in enumerate(numbers, start=1):
                picture_of(f"nsd-{number:05d}", size=12).save(pictures / f"{prefix}-{row:04d}_nsd-{number:05d}.png")
        values = responses(subject, seed)
        fmri = folder / "training_split" / "training_fmri"
        masks = folder / "roi_masks"
        fmri.mkdir()
        masks.mkdir()
        np.save(fmri / "lh_training_fmri.npy", values[:, :left])
        np.save(fmri / "rh_training_fmri.npy", values[:, left:])
        for group, names in MAPPINGS.items():
            mapping = dict(enumerate(("Unknown", *names)))
            np.save(masks / f"mapping_{group}.npy", np.array(mapping, dtype=object), allow_pickle=True)
        for hemisphere, count in (("lh", left), ("rh", right)):
            place = np.sort(np.random.default_rng([seed, count]).choice(SURFACE, count, replace=False))
            kept = np.zeros(SURFACE, dtype=np.uint8)
            kept[place] = 1
            np.save(masks / f"{hemisphere}.all-vertices_fsaverage_space.npy", kept)
            for index, (group, names) in enumerate(MAPPINGS.items()):
                labels = np.random.default_rng([seed, index, count]).integers(0, len(names) + 1, count)
                # Not every subject has every region.
                labels[labels == 4] = 0 if group.startswith("floc") else 4
                np.save(masks / f"{hemisphere}.{group}_challenge_space.npy", labels.astype(np.int32))
                # The whole surface of one group only: it is large.
                if index == 0:
                    surface = np.zeros(SURFACE, dtype=np.int32)
                    surface[place] = labels
                    np.save(masks / f"{hemisphere}.{group}_fsaverage_space.npy", surface)
