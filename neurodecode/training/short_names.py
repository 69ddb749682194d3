"""Classes that a configuration may name without their module."""

import importlib

MODULES = (
    "neurodecode.encoders.brain.brain_encoder",
    "neurodecode.encoders.brain.bridge_encoder",
    "neurodecode.encoders.brain.channel_tokens",
    "neurodecode.encoders.brain.context",
    "neurodecode.encoders.brain.fourier_attention",
    "neurodecode.encoders.brain.front_ends",
    "neurodecode.encoders.brain.gated_convolution",
    "neurodecode.encoders.brain.heads",
    "neurodecode.encoders.brain.image_side",
    "neurodecode.encoders.brain.invariant_encoder",
    "neurodecode.encoders.brain.linear",
    "neurodecode.encoders.brain.perceiver",
    "neurodecode.encoders.brain.projection_mlp",
    "neurodecode.encoders.brain.residual_mlp",
    "neurodecode.encoders.brain.sequence_encoder",
    "neurodecode.encoders.brain.temporal_spatial",
    "neurodecode.encoders.brain.token_heads",
    "neurodecode.encoders.brain.token_transformer",
    "neurodecode.encoders.brain.volume_patches",
    "neurodecode.encoders.brain.voxel_tokens",
    "neurodecode.encoders.encoding.region_encoder",
    "neurodecode.training.contrastive",
    "neurodecode.training.data_module",
    "neurodecode.training.decode_task",
    "neurodecode.training.encode_task",
    "neurodecode.training.inner_objectives",
    "neurodecode.training.pretrain_data",
    "neurodecode.training.pretrain_task",
    "neurodecode.training.prior",
    "neurodecode.training.regression",
    "neurodecode.training.sigmoid_pairs",
)


def import_built_ins() -> None:
    """Import the modules of the built-in classes: jsonargparse knows a short name once its module is imported.

    Examples
    --------
    >>> import_built_ins()
    """
    for name in MODULES:
        importlib.import_module(name)
