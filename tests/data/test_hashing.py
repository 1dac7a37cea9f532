import numpy as np
import pytest
from scipy import stats

from raynas.data import Stream, hash_bits, uniform_integers

INDEX = np.arange(60_000)


def test_the_numbers_of_a_seed_never_change():
    # A run that is resumed with a later version must see the batches it began with.
    assert hash_bits(0, 0, 0, np.arange(2)).tolist() == [4614065292449895022, 934021869395545156]
    assert hash_bits(7, Stream.ORDER, 3, np.array([5, 49_999])).tolist() == [3444629392159472038, 1151610493329276464]


def test_bits_are_a_pure_function_of_the_sample():
    whole = hash_bits(1, 2, 3, INDEX)
    some = np.array([59_999, 4, 4, 17])
    assert whole.dtype == np.uint64
    np.testing.assert_array_equal(hash_bits(1, 2, 3, some), whole[some])
    np.testing.assert_array_equal(hash_bits(1, 2, 3, some.astype(np.int32)), whole[some])


def test_the_index_passed_in_is_left_as_it_was():
    index = np.arange(5, dtype=np.uint64)
    hash_bits(0, 0, 0, index)
    np.testing.assert_array_equal(index, np.arange(5))


@pytest.mark.parametrize("key", [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (-1, 0, 0), (2**63, 8, 10**6)])
def test_every_bit_is_a_fair_coin_for_every_key(key):
    bits = hash_bits(*key, INDEX)
    ones = ((bits[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)).sum(0)
    assert np.abs(ones.astype(np.int64) - 30_000).max() < 5 * np.sqrt(60_000) / 2
    assert len(np.unique(bits)) == 60_000


def test_neighbouring_seeds_streams_and_epochs_are_unrelated():
    keys = [(seed, stream, epoch) for seed in range(3) for stream in range(3) for epoch in range(3)]
    drawn = np.array([uniform_integers(hash_bits(*key, INDEX), 1000) for key in keys])
    correlation = np.corrcoef(drawn)
    assert np.abs(correlation - np.eye(len(keys))).max() < 5 / np.sqrt(60_000)


@pytest.mark.parametrize("n", [1, 2, 9, 10, 200])
def test_integers_are_uniform(n):
    drawn = uniform_integers(hash_bits(11, 0, 0, INDEX), n)
    assert drawn.dtype == np.int64
    counts = np.bincount(drawn, minlength=n)
    assert len(counts) == n
    if n > 1:
        assert stats.chisquare(counts).pvalue > 1e-3


def test_the_largest_bits_stay_below_n():
    ends = np.array([0, 2**64 - 1], dtype=np.uint64)
    assert uniform_integers(ends, 10).tolist() == [0, 9]
    assert uniform_integers(ends, 2**32).tolist() == [0, 2**32 - 1]
