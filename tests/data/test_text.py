"""Texts: vocabulary, parts, streams and their windows, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from raynas.data import (
    StreamLoader,
    TextArrays,
    TextOptions,
    TextSource,
    TokenSet,
    draw_labels,
    load_dataset,
    split_images,
)
from raynas.data.fixed_text import FixedText
from raynas.data.text import read_text
from tests.data.texts import write_text


def written(folder, train="a b\na c\n", valid="a b\nc d\n", test="a\nb\n"):
    folder.mkdir(exist_ok=True)
    for name, text in (("train", train), ("valid", valid), ("test", test)):
        if text is not None:
            content = text if isinstance(text, bytes) else text.encode()
            (folder / f"{name}.txt").write_bytes(content)
    return str(folder)


def loaded(path, **options):
    return load_dataset("text", path=path, further=TextOptions(**options).model_dump())


# Reading


def test_tokens_and_words_of_a_text_that_is_written_out_here(tmp_path):
    text = loaded(written(tmp_path))
    assert text.vocabulary == ("<unk>", "<eos>", "a", "b", "c")
    assert text.train.images.tolist() == [2, 3, 1, 2, 4, 2, 3, 1, 4, 0], "a b <eos> a c, and a b <eos> c <unk>"
    assert text.train.labels.tolist() == [3, 1, 2, 4, 1, 3, 1, 4, 0, 1]
    assert [part.tolist() for part in split_images(text.train, 0.5, seed=3)] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert text.test.images.tolist() == [2, 1, 3] and text.test.labels.tolist() == [1, 3, 1]


def test_a_small_vocabulary_keeps_the_most_frequent_words(tmp_path):
    text = loaded(written(tmp_path, train="x y y\nz y z <unk>\n"), vocabulary_size=4)
    assert text.vocabulary == ("<unk>", "<eos>", "y", "z")
    assert text.train.images[:7].tolist() == [0, 2, 2, 1, 3, 2, 3]


def test_an_empty_line_is_an_end_and_a_last_one_without_an_end_has_one(tmp_path):
    found = read_text(written(tmp_path, train="a\n\nb"), TextOptions())
    assert found.train.tolist() == [2, 1, 1, 3, 1]


def test_fewer_tokens_are_the_first_ones(tmp_path):
    whole, part = (loaded(str(write_text(tmp_path / "text")), max_tokens=most) for most in (None, 100))
    assert part.train.num_train == 99
    assert len(part.train) - 99 == len(part.test) == 9
    words = [[text.vocabulary[token] for token in text.train.images[:99].tolist()] for text in (whole, part)]
    assert words[0] == words[1]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"train": ""}, "as two lines of words or more, got 0; put one"),
        ({"valid": "one line of words\n"}, "as two lines of words or more, got 1; put one"),
        ({"test": "\n \n"}, "as two lines of words or more, got 2; put one"),
        ({"train": b"a b\nc \xff d\n"}, "as UTF-8, got bytes that are not at position 6; convert"),
        ({"valid": None}, "got no valid.txt; put"),
    ],
)
def test_files_that_are_no_text_are_refused(tmp_path, parts, message):
    with pytest.raises(ValueError, match=rf"^data.path: expected .*{message}") as refused:
        loaded(written(tmp_path, **parts))
    assert "\n" not in str(refused.value)


def test_a_text_without_a_path_is_refused():
    with pytest.raises(ValueError, match="^data.path: data set 'text' is read from your disk"):
        loaded(None)


# Streams


def stream_loader(number=103, streams=4, **options):
    rng = np.random.default_rng(0)
    text = TokenSet(rng.integers(0, 50, number), rng.integers(0, 50, number), np.arange(number))
    loader = StreamLoader(
        text, np.arange(number), lambda epoch: text.labels + epoch, batch_size=streams, **{"window": 7, **options}
    )
    return text, loader


@pytest.mark.parametrize("varies", [False, True])
def test_windows_put_together_are_the_streams_in_every_epoch(varies):
    text, loader = stream_loader(varies=varies, seed=5)
    for epoch in range(3):
        windows = list(loader.epoch(epoch))
        assert len(windows) == loader.steps_per_epoch == 4, "25 tokens in windows of 7"
        tokens = torch.cat([tokens for tokens, _ in windows], 1)
        labels = torch.cat([labels.view(4, -1) for _, labels in windows], 1)
        assert np.array_equal(tokens, text.images[:100].reshape(4, 25))
        assert np.array_equal(labels, text.labels[:100].reshape(4, 25) + epoch)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_ranks_share_the_streams_and_any_step_is_addressed(world):
    _, loader = stream_loader(streams=5, varies=True, seed=1)
    whole = list(loader.epoch(2))
    parts = [list(loader.epoch(2, 1, rank, world)) for rank in range(world)]
    for step, (tokens, labels) in enumerate(whole[1:]):
        for rank in range(world):
            mine, its_labels = parts[rank][step]
            assert torch.equal(mine, tokens[rank::world])
            assert torch.equal(its_labels, labels.view(5, -1)[rank::world].reshape(-1))


def test_lengths_vary_about_the_mean_as_in_awd_lstm():
    _, loader = stream_loader(number=350_000, streams=1, window=35, varies=True)
    lengths = np.concatenate([np.diff(loader.boundaries(epoch)) for epoch in range(5)])
    assert lengths.sum() == 5 * 350_000 and lengths.min() >= 1
    scale = 35 / (0.95 * 35 + 0.05 * 17.5)  # of the mean that is drawn to the mean that fills the streams
    assert lengths.std() == pytest.approx(scale * np.sqrt(25 + 0.05 * 0.95 * 17.5**2), rel=0.03)
    assert (lengths < 17.5 * scale).mean() == pytest.approx(0.05 / 2, abs=0.006), "half of the halved ones"
    assert not np.array_equal(loader.boundaries(0), loader.boundaries(1))
    assert loader.rate_factor((torch.zeros(1, 70), torch.zeros(70))) == 2.0
    assert stream_loader()[1].rate_factor((torch.zeros(1, 70), torch.zeros(70))) == 1.0


def test_streams_shorter_than_a_window_and_more_ranks_than_streams_are_refused():
    with pytest.raises(ValueError, match=r"^train.batch_size: expected streams of at least 30 tokens .*got 25"):
        stream_loader(window=30)
    with pytest.raises(ValueError, match="^train.batch_size: expected at least 1 stream for each of 5 workers, got 4"):
        next(stream_loader()[1].epoch(0, 0, 0, 5))


def test_random_labels_are_random_next_tokens_fixed_by_position(tmp_path):
    text = loaded(str(write_text(tmp_path / "text", lines=2000)))
    request = {"num_categories": text.num_classes, "seed": 1, "epoch": 0}
    labels = draw_labels("random", text.train.labels, text.train.index, **request)
    again = draw_labels("random", text.train.labels[100:], text.train.index[100:], **request)
    assert np.array_equal(labels[100:], again)
    shares = np.bincount(labels, minlength=text.num_classes) / len(labels)
    assert np.allclose(shares, 1 / text.num_classes, atol=0.02)
    agreement = np.mean(labels == text.train.labels)
    assert agreement == pytest.approx(1 / text.num_classes, abs=0.02)


def test_fixed_text_covers_its_positions_in_streams():
    text = FixedText(np.arange(24), np.arange(24) + 1, window=5)
    windows = list(text.batches(4, torch.device("cpu")))
    assert [tuple(tokens.shape) for tokens, _ in windows] == [(4, 5), (4, 1)]
    assert torch.cat([labels for _, labels in windows]).sort().values.tolist() == list(range(1, 25))


class OwnOptions(TextOptions):
    """Options of a text of one's own.

    Attributes:
        words: Number of its words.
    """

    words: int = 3


def own_arrays(path, options):
    tokens = np.arange(40) % options.words
    return TextArrays(tokens, tokens, tokens, tuple("abcdefgh"[: options.words]))


OWN = TextSource("own", "an own text", own_arrays, options=OwnOptions)
LISTED = TextSource("listed", "a list", lambda path, options: [1, 2])


def test_a_text_of_ones_own_is_a_row_with_options_of_its_own():
    text = load_dataset("tests.data.test_text.OWN", further={"words": 5, "window": 4})
    assert (text.num_classes, text.window, len(text.train)) == (5, 4, 78)
    with pytest.raises(ValueError, match=r"^data.name: expected .*LISTED' to return TextArrays, got list"):
        load_dataset("tests.data.test_text.LISTED")
