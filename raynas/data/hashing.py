"""Random numbers that are a function of their purpose, independent of the time of computation.

A stateful generator changes the crop of a sample if a batch is skipped, a run is resumed or a worker is added. Here a
random number is a hash of (seed, stream, epoch, sample index). Every worker, every resume and every world size gets the
same numbers, and a whole epoch is computed together.
"""

from enum import IntEnum

import numpy as np

_MASK = (1 << 64) - 1
_INCREMENT = 0x9E3779B97F4A7C15


class Stream(IntEnum):
    """The purpose of a random number; two streams never share a number, even for equal seed, epoch and sample."""

    SPLIT = 0
    SUBSET = 1
    RANDOM_LABEL = 2
    SHUFFLED_LABEL = 3
    ORDER = 4
    CROP_TOP = 5
    CROP_LEFT = 6
    FLIP = 7
    TRANSFORM = 8
    LIGHT_FIRST = 9
    LIGHT_SECOND = 10
    LIGHT_THIRD = 11
    HOLE_ROW = 12
    HOLE_COLUMN = 13
    BRIGHTNESS = 14
    CONTRAST = 15
    SATURATION = 16
    JITTER_ORDER = 17
    PRETEXT = 18
    WINDOW_HALF = 19
    WINDOW_LENGTH = 20


def _mix(bits: int) -> int:
    """Returns the 64 bits of a Python integer, scrambled (SplitMix64's finaliser)."""
    bits &= _MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    return bits ^ (bits >> 31)


def _mix_in_place(bits: np.ndarray) -> None:
    """Scrambles an array of uint64 in place, element by element as `_mix` does."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits ^= bits >> np.uint64(shift)
        bits *= np.uint64(factor)
    bits ^= bits >> np.uint64(31)


def hash_bits(seed: int, stream: int, epoch: int, index: np.ndarray) -> np.ndarray:
    """Returns 64 random bits for each sample, (n,) uint64: a pure function of the arguments.

    SplitMix64 addressed by counter: a key is mixed from seed, stream and epoch, then
    ``mix(mix(key + index * increment) + key)``. The second round keeps two keys that lie a small multiple of the
    increment apart from yielding shifted copies of one sequence.

    Args:
        seed: the run's seed; any integer, its low 64 bits count.
        stream: the purpose of the bits, one of `Stream`.
        epoch: the epoch of the number; 0 for a number that never changes.
        index: (n,) integers, the sample's position in its data set.

    Reference: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators".
    """
    key = 0
    for part in (seed, stream, epoch):
        key = _mix(key + _INCREMENT + part)
    bits = np.asarray(index).astype(np.uint64)
    bits *= np.uint64(_INCREMENT)
    bits += np.uint64(key)
    _mix_in_place(bits)
    bits += np.uint64(key)
    _mix_in_place(bits)
    return bits


def uniform_integers(bits: np.ndarray, n: int) -> np.ndarray:
    """Returns integers uniform in [0, n), (n,) int64, from the high 32 of the 64 random bits.

    The bias of the multiply-and-shift is below n / 2**32, so n may not exceed 2**32.
    """
    assert 0 < n <= 1 << 32
    return (((bits >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32)).astype(np.int64)


def standard_normals(bits: np.ndarray) -> np.ndarray:
    """Returns normal numbers of mean 0 and deviation 1, (n,) float64, one of each 64 random bits.

    Reference: Box and Muller 1958, the radius from the high 32 bits and the angle from the low ones.
    """
    high, low = bits >> np.uint64(32), bits & np.uint64(0xFFFFFFFF)
    normals: np.ndarray = np.sqrt(-2 * np.log((high + 0.5) / 2**32)) * np.cos(2 * np.pi * low / 2**32)
    return normals
