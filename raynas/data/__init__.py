"""Images, texts and labels for a search: data sets, splits, augmentation, and the random labels of RLNAS.

A data set is read once (`load_dataset`), split by seed (`split_images`), labelled by an explicit rule (`draw_labels`)
and served in batches (`Loader`). Every random number is a hash of seed, epoch and sample (`hash_bits`). A run therefore
gets the same batches on any number of workers and after any resume.
"""

from raynas.data.augmentation import AugmentationOptions
from raynas.data.dataset import Dataset, ImageSet, TokenSet, split_images, split_indices
from raynas.data.fixed_images import FixedImages, ImagesOnDisk, fix_images, images_to_send
from raynas.data.fixed_text import FixedText, fix_text
from raynas.data.hashing import Stream, hash_bits, uniform_integers
from raynas.data.image_source import DATASETS, Arrays, DataSource, ImageFiles, ImageSource
from raynas.data.labels import LABELS, LabelMethod, LabelRequest, draw_labels
from raynas.data.loader import Loader
from raynas.data.loading import load_dataset
from raynas.data.streams import StreamLoader
from raynas.data.text import TextArrays, TextDataset, TextOptions, TextSource

__all__ = [
    "DATASETS",
    "LABELS",
    "Arrays",
    "AugmentationOptions",
    "DataSource",
    "Dataset",
    "FixedImages",
    "FixedText",
    "ImageFiles",
    "ImageSet",
    "ImageSource",
    "ImagesOnDisk",
    "LabelMethod",
    "LabelRequest",
    "Loader",
    "Stream",
    "StreamLoader",
    "TextArrays",
    "TextDataset",
    "TextOptions",
    "TextSource",
    "TokenSet",
    "draw_labels",
    "fix_images",
    "fix_text",
    "hash_bits",
    "images_to_send",
    "load_dataset",
    "split_images",
    "split_indices",
    "uniform_integers",
]
