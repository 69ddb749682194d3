"""Which regions a decoder reads: its validation scores without each of them."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import torch

from neurodecode.core.errors import ConfigError
from neurodecode.core.split import Part
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.brain.layouts import SensorLayout
from neurodecode.training.answers import Answers
from neurodecode.training.data_module import BrainDataModule
from neurodecode.training.decode_task import DecodeTask
from neurodecode.training.objectives import side_by_side
from neurodecode.training.preparation import subject_sensors


def without_region(groups: Sequence[SubjectBatch], layouts: dict[str, SensorLayout], region: str) -> list[SubjectBatch]:
    """Return the groups with the channels of a region at zero, which is their mean behind the usual scaling.

    Parameters
    ----------
    groups : sequence of SubjectBatch
        Transformed signals; left as they are.
    layouts : dict of str to SensorLayout
        By subject; a subject without the region keeps all channels.
    region : str
        Such as a network of the cortex.

    Examples
    --------
    >>> import numpy as np
    >>> layouts = {"a": SensorLayout(("x", "y"), 0.0, regions={"V1": np.array([True, False])})}
    >>> without_region([SubjectBatch("a", torch.ones(1, 2, 1))], layouts, "V1")[0].signal.flatten().tolist()
    [0.0, 1.0]
    """
    left = []
    for group in groups:
        mask = layouts[group.subject].regions.get(region)
        signal = group.signal
        if mask is not None:
            signal = signal.masked_fill(torch.from_numpy(mask).to(signal.device)[:, None], 0.0)
        left.append(replace(group, signal=signal))
    return left


@torch.inference_mode()
def ablation_table(
    task: DecodeTask, data: BrainDataModule, regions: Sequence[str] | None = None, *, part: Part = "val"
) -> pd.DataFrame:
    """Score a trained decoder with all channels, and with each region left out.

    Parameters
    ----------
    task : DecodeTask
        Loaded from a checkpoint.
    data : BrainDataModule
        Its data, prepared with the checkpoint's state (``data.use(task.preparation)``).
    regions : sequence of str, optional
        Which regions; all that any subject has by default.
    part : str
        Part of the fold.

    Returns
    -------
    pandas.DataFrame
        One row a region, the first (empty name) with nothing left out: ``region``, ``n_channels`` (left out, of all
        subjects), and the retrieval metrics of `neurodecode.training.answers.retrieval_metrics`.

    Raises
    ------
    ConfigError
        For a region that no subject has.
    """
    layouts = subject_sensors(task.interface).layouts
    known = sorted({name for layout in layouts.values() for name in layout.regions})
    wanted = known if regions is None else list(regions)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigError(f"regions: got {unknown[0]!r}, expected some of {', '.join(known) or 'none: there are none'}")
    task.eval()
    names, gallery = task.gallery(data, part)
    loaders = {"train": data.train_dataloader, "val": data.val_dataloader, "test": data.test_dataloader}
    answers = {region: Answers(names, gallery) for region in ("", *wanted)}
    for batch in loaders[part]():
        for region, found in answers.items():
            groups = without_region(batch.groups, layouts, region) if region else batch.groups
            brain = side_by_side(task(groups).heads, task.score_heads)
            nothing = torch.zeros(())
            found.add(brain, subjects=batch.subjects, candidates=batch.candidates, loss=nothing)
    sizes = {
        region: sum(int(layout.regions[region].sum()) for layout in layouts.values() if region in layout.regions)
        for region in answers
    }
    return pd.DataFrame(
        [{"region": region, "n_channels": sizes[region], **found.metrics()} for region, found in answers.items()]
    )
