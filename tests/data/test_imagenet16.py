import os
import pickle

import numpy as np
import pytest

from raynas.data import load_dataset
from raynas.data.datasets.imagenet16 import read_imagenet16
from tests.data.miniatures import NUM_TEST, NUM_TRAIN, marked_images, marked_labels, write_imagenet16


@pytest.fixture
def folder(tmp_path):
    write_imagenet16(tmp_path)
    return tmp_path


def batch(**replaced):
    return {"data": np.zeros((2, 768), np.uint8), "labels": [1, 2]} | replaced


def test_the_first_120_classes_are_kept_and_counted_from_0(folder):
    for part, num_images in (("train", NUM_TRAIN), ("test", NUM_TEST)):
        images, labels = read_imagenet16(folder, part)
        np.testing.assert_array_equal(images, marked_images(num_images, 16))
        np.testing.assert_array_equal(labels, marked_labels(num_images, 120))


def test_rows_are_channel_first(folder):
    row = np.arange(768) % 251
    (folder / "val_data").write_bytes(pickle.dumps(batch(data=np.array([row], np.uint8), labels=[120])))
    images, labels = read_imagenet16(folder, "test")
    assert images[0, 2, 5].tolist() == [row[2 * 16 + 5], row[256 + 2 * 16 + 5], row[512 + 2 * 16 + 5]]
    assert labels.tolist() == [119]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "labels", [[3, 4], np.array([3, 4]), [np.int64(3), np.int64(4)]], ids=["list", "array", "scalars"]
)
def test_every_pickle_protocol_is_read(folder, protocol, labels):
    content = batch(labels=labels, mean=np.zeros(768))
    (folder / "val_data").write_bytes(pickle.dumps(content, protocol=protocol))
    assert read_imagenet16(folder, "test")[1].tolist() == [2, 3]


def test_files_pickled_by_numpy_1_are_read(folder):
    payload = pickle.dumps(batch(), protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core.multiarray" in payload
    (folder / "val_data").write_bytes(payload)
    assert len(read_imagenet16(folder, "test")[1]) == 2


class Payload:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_file_that_would_run_a_command_is_refused_and_runs_nothing(folder, protocol):
    trace = folder / "trace"
    payload = pickle.dumps(batch(mean=Payload(os.system, f"touch {trace}")), protocol=protocol)
    pickle.loads(payload)
    assert trace.exists(), "the payload must be one that works"
    trace.unlink()
    (folder / "val_data").write_bytes(payload)
    with pytest.raises(ValueError, match=r"data\.path: .*val_data .*asks for (posix|nt)\.system.*; download"):
        load_dataset("imagenet16-120", path=str(folder))
    assert not trace.exists()


@pytest.mark.parametrize(
    "function", [eval, getattr, open, np.load, np.fromfile], ids=lambda function: function.__name__
)
def test_nothing_but_array_builders_is_imported(folder, function):
    (folder / "val_data").write_bytes(pickle.dumps(Payload(function, "1")))
    with pytest.raises(ValueError, match="asks for .*, which no array needs"):
        read_imagenet16(folder, "test")


def test_a_missing_file_is_named(folder):
    (folder / "train_data_batch_7").unlink()
    with pytest.raises(ValueError, match=r"data\.path: .*train_data_batch_7 .*no such file; point data\.path"):
        load_dataset("imagenet16-120", path=str(folder))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not read: EOFError"),
        (pickle.dumps(batch())[:-300], "not read: "),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not read: "),
        (pickle.dumps([1, 2]), "keys 'data' and 'labels'"),
        (pickle.dumps({"data": 1}), "keys 'data' and 'labels'"),
        (pickle.dumps(batch(data=np.zeros((2, 768)))), r"uint8 \(n, 768\), got float64 \(2, 768\)"),
        (pickle.dumps(batch(data=np.zeros((2, 3072), np.uint8))), r"got uint8 \(2, 3072\)"),
        (pickle.dumps(batch(data=np.uint8(3) * np.ones((), np.uint8))), r"got uint8"),
        (pickle.dumps(batch(data=[1, 2])), "got list"),
        (pickle.dumps(batch(labels=[1])), "one integer in 'labels' for each of its 2"),
        (pickle.dumps(batch(labels=[1.5, 2.5])), "one integer in 'labels'"),
        (pickle.dumps(batch(labels=[[1], [2, 3]])), "one integer in 'labels'"),
        (pickle.dumps(batch(labels=[0, 5])), "from 1 to 1000, got 0 to 5"),
        (pickle.dumps(batch(labels=[5, 1001])), "from 1 to 1000, got 5 to 1001"),
    ],
)
def test_a_file_of_anything_else_is_refused_in_one_line(folder, content, reason):
    (folder / "val_data").write_bytes(content)
    with pytest.raises(ValueError, match=rf"^data\.path: .*val_data.*{reason}.*; download .* again$"):
        load_dataset("imagenet16-120", path=str(folder))
