"""Random light: colours shifted along the principal components of natural images.

Each image gets an offset V (alpha * lambda). V and lambda are the eigenvectors and eigenvalues of the covariance of
red, green and blue over the pixels of ImageNet, and alpha is three normal numbers, new in every epoch.

Reference: Krizhevsky, Sutskever and Hinton 2012, section 4.1, where the deviation of alpha is 0.1. That paper does not
print V and lambda; these are the numbers in common use, for pixels with black 0 and white 1.
"""

import numpy as np

from raynas.data.hashing import Stream, hash_bits, standard_normals

EIGENVALUES = np.array([0.2175, 0.0188, 0.0045])
EIGENVECTORS = np.array(
    [
        [-0.5675, 0.7192, 0.4009],
        [-0.5808, -0.0045, -0.8140],
        [-0.5836, -0.6948, 0.4203],
    ]
)
"""A row for each of red, green and blue, a column for each component."""

_STREAMS = (Stream.LIGHT_FIRST, Stream.LIGHT_SECOND, Stream.LIGHT_THIRD)


def draw_lights(deviation: float, seed: int, epoch: int, index: np.ndarray) -> np.ndarray:
    """Returns the offsets of an epoch for red, green and blue of each image (black 0, white 1), (n, 3) float32.

    Args:
        deviation: standard deviation of alpha.
        seed: the run's seed.
        epoch: the epoch.
        index: (n,) the images' positions in their data set.
    """
    alphas = np.stack([standard_normals(hash_bits(seed, stream, epoch, index)) for stream in _STREAMS], axis=1)
    lights: np.ndarray = (deviation * alphas * EIGENVALUES) @ EIGENVECTORS.T
    return lights.astype(np.float32)
