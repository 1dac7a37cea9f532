"""Images that are evaluated on: the pixels of the data set, normalised as in training, the same in any batch."""

import pickle
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from raynas.data import FixedImages, ImageSet, Loader, fix_images, load_dataset
from tests.data.miniatures import read_marks, write_folder

CPU = torch.device("cpu")
POSITIONS = np.array([30, 2, 17, 5, 11, 39, 0, 8])


def labels_of(dataset):
    """Returns labels that are nobody's true ones, one for each training image."""
    return (np.arange(len(dataset.train)) * 3 + 1).astype(np.int32)


def fixed_of(dataset, positions=POSITIONS):
    return fix_images(dataset, dataset.train, positions, labels_of(dataset))


@pytest.fixture
def noise():
    """Random pixels, odd in size, normalised by numbers that no binary fraction meets."""
    pixels = np.random.default_rng(0).integers(0, 256, (37, 7, 7, 3), dtype=np.uint8)
    return FixedImages(pixels, np.arange(37) % 5, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


def test_pixels_and_labels_are_those_of_the_positions_in_their_order(dataset):
    fixed = fixed_of(dataset)
    assert len(fixed) == len(POSITIONS)
    assert fixed.pixels.shape == (8, dataset.resolution, dataset.resolution, 3) and fixed.pixels.dtype == np.uint8
    assert fixed.labels.dtype == np.int64 and fixed.labels.tolist() == [3 * p + 1 for p in POSITIONS]
    for pixels, position in zip(fixed.pixels, POSITIONS, strict=True):
        if dataset.name == "folder":
            assert read_marks(pixels[None]) == int(Path(dataset.train.images[position]).stem)
        else:
            assert np.array_equal(pixels, dataset.train.images[position])


def test_positions_count_from_the_start_of_what_was_kept_of_the_data_set(marked):
    kept = np.arange(3, 40, 4)
    part = ImageSet(marked.train.images[kept], marked.train.labels[kept], kept)
    fixed = fix_images(marked, part, np.array([9, 0, 4]), np.arange(10) * 100)
    assert read_marks(fixed.pixels).tolist() == [39, 3, 19]
    assert fixed.labels.tolist() == [900, 0, 400]


def test_an_image_may_come_twice(marked):
    assert read_marks(fixed_of(marked, np.array([4, 4, 2])).pixels).tolist() == [4, 4, 2]


def test_batches_are_to_the_bit_those_of_training_without_augmentation(dataset):
    dataset = replace(dataset, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))
    loader = Loader(
        dataset,
        dataset.train,
        POSITIONS,
        lambda epoch: labels_of(dataset),
        batch_size=3,
        seed=5,
        augmentation=None,
        shuffle=False,
        drop_last=False,
    )
    trained_on = list(loader.epoch(0))
    evaluated_on = list(fixed_of(dataset).batches(3, CPU))
    assert [len(labels) for _, labels in evaluated_on] == [3, 3, 2]
    for (images, labels), (others, other_labels) in zip(evaluated_on, trained_on, strict=True):
        assert torch.equal(images, others) and torch.equal(labels, other_labels)
        assert images.stride() == others.stride() and labels.dtype == other_labels.dtype


def test_what_is_not_normalised_is_pixels_over_255_in_training_and_in_evaluation(dataset_of):
    dataset = dataset_of(normalise=False)
    normalised = dataset_of()
    assert normalised.mean != dataset.mean and normalised.std != dataset.std
    options = dict(batch_size=8, seed=5, augmentation=None, shuffle=False, drop_last=False)
    loader = Loader(dataset, dataset.train, POSITIONS, lambda epoch: labels_of(dataset), **options)
    ((trained_on, _),) = loader.epoch(0)
    fixed = fixed_of(dataset)
    ((evaluated_on, _),) = fixed.batches(8, CPU)
    assert torch.equal(trained_on, evaluated_on)
    assert np.array_equal(fixed.pixels, fixed_of(normalised).pixels)
    np.testing.assert_allclose(evaluated_on.permute(0, 2, 3, 1), fixed.pixels / 255, rtol=2e-7)


def test_a_pixel_is_scaled_and_shifted_with_one_rounding_each(noise):
    ((images, _),) = noise.batches(37, CPU)
    mean, std = np.float32(noise.mean), np.float32(noise.std)
    expected = noise.pixels.astype(np.float32) * (1 / (np.float32(255) * std)) + -mean / std
    assert expected.dtype == np.float32
    assert np.array_equal(images.permute(0, 2, 3, 1).numpy(), expected)
    exactly = (noise.pixels / 255 - noise.mean) / noise.std
    np.testing.assert_allclose(images.permute(0, 2, 3, 1), exactly, rtol=0, atol=1e-6)


def test_batches_are_channels_last_float32_and_labels_int64(noise):
    for images, labels in noise.batches(10, CPU):
        assert images.dtype == torch.float32 and images.shape == (len(labels), 3, 7, 7)
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert labels.dtype == torch.int64 and labels.device == images.device == CPU


@pytest.mark.parametrize("batch_size", [1, 2, 5, 8, 16, 36, 37, 38, 1000])
def test_an_image_has_the_same_bits_in_a_batch_of_any_size(noise, batch_size):
    ((whole, labels),) = noise.batches(37, CPU)
    batches = list(noise.batches(batch_size, CPU))
    full, rest = divmod(37, batch_size)
    assert [len(part) for _, part in batches] == [batch_size] * full + [rest] * (rest > 0)
    assert torch.equal(torch.cat([images for images, _ in batches]), whole)
    assert torch.equal(torch.cat([part for _, part in batches]), labels)


def test_batches_come_again_the_same(noise):
    first, second = (list(noise.batches(8, CPU)) for _ in range(2))
    for (images, labels), (others, other_labels) in zip(first, second, strict=True):
        assert torch.equal(images, others) and torch.equal(labels, other_labels)
        images.zero_()
    assert noise.pixels.any()
    assert torch.equal(next(noise.batches(8, CPU))[0], second[0][0])


def test_what_was_fixed_stays_when_the_data_set_changes(marked):
    labels = labels_of(marked)
    fixed = fix_images(marked, marked.train, np.arange(40), labels)
    marked.train.images[:] = 0
    labels[:] = 0
    assert read_marks(fixed.pixels).tolist() == list(range(40))
    assert fixed.labels.tolist() == [3 * p + 1 for p in range(40)]


def test_image_files_are_scaled_and_cropped_to_the_centre(tmp_path):
    write_folder(tmp_path)
    ramp = np.zeros((60, 40, 3), np.uint8)
    ramp[..., 0] = np.arange(40) * 6
    ramp[..., 1] = np.arange(60)[:, None] * 4
    for number, path in enumerate(sorted(tmp_path.glob("train/*/*.png"))):
        ramp[..., 2] = number
        Image.fromarray(ramp).save(path)
    dataset = load_dataset("folder", path=str(tmp_path), resolution=16)
    for pixels, position in zip(fixed_of(dataset).pixels, POSITIONS, strict=True):
        with Image.open(dataset.train.images[position]) as file:  # 16 x 256 / 224 = 18 on the shorter side
            scaled = file.resize((18, 27), Image.Resampling.BILINEAR)
        assert np.array_equal(pixels, np.asarray(scaled.crop((1, 6, 17, 22))))


def test_reading_files_leaves_the_global_generators_alone(tmp_path):
    dataset = load_dataset("folder", path=write_folder(tmp_path), resolution=16)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    fixed_of(dataset)
    assert torch.equal(torch.get_rng_state(), before[0]) and np.array_equal(np.random.get_state()[1], before[1])


def test_an_unreadable_image_file_is_named_in_one_line(tmp_path):
    dataset = load_dataset("folder", path=write_folder(tmp_path), resolution=16)
    path = Path(dataset.train.images[17])
    path.write_bytes(b"no image")
    with pytest.raises(ValueError, match=rf"^data\.path: expected {path} to be an image, .*; replace or remove the"):
        fixed_of(dataset)
    fixed_of(dataset, np.array([16, 18]))


# Sharing


@pytest.fixture
def always_warned():
    """Lets torch repeat the warnings that it gives once a process."""
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(before)


def test_read_only_arrays_are_served_without_a_warning_and_stay_as_they_are(noise, always_warned):
    expected = list(noise.batches(8, CPU))
    for array in (noise.pixels, noise.labels):
        array.setflags(write=False)
    with pytest.warns(UserWarning, match="not writable"):
        torch.from_numpy(noise.pixels)
    before = noise.pixels.copy(), noise.labels.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batches = list(noise.batches(8, CPU))
    for (images, labels), (others, other_labels) in zip(batches, expected, strict=True):
        assert torch.equal(images, others) and torch.equal(labels, other_labels)
    assert np.array_equal(noise.pixels, before[0]) and np.array_equal(noise.labels, before[1])


def test_pickled_pixels_and_labels_travel_beside_the_pickle_and_are_not_copied(noise):
    buffers = []
    payload = pickle.dumps(noise, protocol=5, buffer_callback=buffers.append)
    assert len(payload) < 1000
    memory = [bytes(buffer.raw()) for buffer in buffers]  # immutable, as shared memory is
    assert sorted(map(len, memory)) == sorted([noise.pixels.nbytes, noise.labels.nbytes])
    copy = pickle.loads(payload, buffers=memory)
    for array in (copy.pixels, copy.labels):
        assert not array.flags.writeable
        assert any(np.shares_memory(array, np.frombuffer(part, np.uint8)) for part in memory)
    for (images, labels), (others, other_labels) in zip(copy.batches(8, CPU), noise.batches(8, CPU), strict=True):
        assert torch.equal(images, others) and torch.equal(labels, other_labels)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_batches_on_a_gpu_equal_those_on_the_cpu(noise):
    for (images, labels), (others, other_labels) in zip(
        noise.batches(8, torch.device("cuda")), noise.batches(8, CPU), strict=True
    ):
        assert images.is_cuda and labels.is_cuda
        assert torch.equal(images.cpu(), others) and torch.equal(labels.cpu(), other_labels)
