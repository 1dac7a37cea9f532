"""Prints images/s of our loader and of the torchvision pipeline on the same images, one thread, interleaved.

python tests/performance/data_path.py [--images 50000] [--resolution 32] [--batch-size 64] [--json]

Both crop at random from a frame of black pixels, mirror half of the images, normalise and collect batches; neither uses
a worker process. The rounds alternate, so that a busy machine slows both, and the median round counts.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable

import numpy as np
import torch
from PIL import Image
from torchvision import transforms

from raynas.data import AugmentationOptions, Dataset, ImageSet, Loader


class TorchvisionImages(torch.utils.data.Dataset):
    """Images as torchvision's CIFAR10 serves them: an array turned into a PIL image, then transformed."""

    def __init__(self, images: ImageSet, transform: Callable) -> None:
        self.images, self.transform = images, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, position: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images.images[position])), int(self.images.labels[position])


def make_dataset(num_images: int, resolution: int) -> Dataset:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (num_images, resolution, resolution, 3), dtype=np.uint8)
    images = ImageSet(pixels, generator.integers(0, 10, num_images), np.arange(num_images))
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    return Dataset("npz", images, images, 10, resolution, mean, std, round(resolution / 8), True)


def torchvision_loader(dataset: Dataset, batch_size: int) -> torch.utils.data.DataLoader:
    transform = transforms.Compose(
        [
            transforms.RandomHorizontalFlip(),
            transforms.RandomCrop(dataset.resolution, padding=dataset.crop_padding),
            transforms.ToTensor(),
            transforms.Normalize(dataset.mean, dataset.std),
        ]
    )
    images = TorchvisionImages(dataset.train, transform)
    return torch.utils.data.DataLoader(images, batch_size=batch_size, shuffle=True, drop_last=True)


def images_per_second(batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Returns the throughput of one pass, its start included."""
    begin = time.perf_counter()
    num_images = sum(len(labels) for _, labels in batches)
    return num_images / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    dataset = make_dataset(arguments.images, arguments.resolution)
    reference = torchvision_loader(dataset, arguments.batch_size)
    begin = time.perf_counter()
    loader = Loader(
        dataset,
        dataset.train,
        np.arange(arguments.images),
        lambda epoch: dataset.train.labels,
        batch_size=arguments.batch_size,
        seed=0,
        augmentation=AugmentationOptions(),
        shuffle=True,
        drop_last=True,
    )
    seconds_to_build = time.perf_counter() - begin
    ours, theirs = [], []
    for round_number in range(arguments.rounds):
        ours.append(images_per_second(loader.epoch(round_number)))
        theirs.append(images_per_second(reference))
    medians = statistics.median(ours), statistics.median(theirs)
    result = {
        "images": arguments.images,
        "resolution": arguments.resolution,
        "batch_size": arguments.batch_size,
        "raynas_images_per_second": round(medians[0]),
        "torchvision_images_per_second": round(medians[1]),
        "ratio": round(medians[0] / medians[1], 2),
        "raynas_seconds_to_build": round(seconds_to_build, 3),
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:32} {value:>12,}")


if __name__ == "__main__":
    main()
