"""Measures how many images the recalibration of batch normalisation needs, on the trained supernet of a run.

Architectures are evaluated with statistics from 128, 256, ... images of the train split. Their order is compared, by
Kendall's tau-b, with the order by statistics from the most. The run must have been trained, and hold so many images.

    python tests/performance/calibration.py FILE.yaml [--set KEY=VALUE] [--architectures 200] [--most 20000]
"""

import argparse
import dataclasses
import time

import numpy as np
import torch

from raynas.config.reading import load_config
from raynas.data import fix_images, split_indices
from raynas.fitness.rank_correlation import rank_statistics
from raynas.search_space import sample
from raynas.stages.task import make_task
from raynas.storage.checkpoint import epoch_folder, load_checkpoint
from raynas.storage.run_folder import seed_folder
from raynas.supernet.shared_weights import as_arrays, supernet_on
from tests.fitness.one_shot import one_shot


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--architectures", type=int, default=200)
    parser.add_argument("--evaluation", type=int, default=2048)
    parser.add_argument("--most", type=int, default=20_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = load_config(options.file, options.overrides)
    task, seed = make_task(config), config.base_seeds[0]
    place = epoch_folder(seed_folder(config.supernets, seed), config.train.epochs)
    arrays = as_arrays(load_checkpoint(place, task.about(seed)).weights)
    train, search = split_indices(len(task.dataset.train), config.data.train_portion, config.seed)
    rng = np.random.default_rng(0)
    train, search = rng.permutation(train)[: options.most], rng.permutation(search)[: options.evaluation]
    assert len(train) == options.most, f"the train split holds {len(train)} images"
    labels = task.labels(seed, epoch=0)
    calibration, evaluation = (fix_images(task.dataset, task.dataset.train, at, labels) for at in (train, search))
    architectures = [sample(task.space, rng) for _ in range(options.architectures)]
    scores, seconds = {}, {}
    for count in [*(2**power for power in range(7, 14)), options.most]:
        part = dataclasses.replace(calibration, pixels=calibration.pixels[:count], labels=calibration.labels[:count])
        supernet = supernet_on(task.space, task.num_categories, arrays, torch.device("cpu"))
        began = time.process_time()
        batch = min(count, config.search.evaluation_batch_size)
        scores[count] = one_shot(supernet, part, evaluation, batch_size=batch)(architectures)
        seconds[count] = (time.process_time() - began) / len(architectures)
    print(f"{'images':>7}  tau of accuracy  tau of loss  largest change of accuracy  ms a candidate")
    for count, values in scores.items():
        last = scores[options.most]
        taus = [rank_statistics(values[:, column], last[:, column], bootstrap=0).tau for column in (1, 2)]
        change = np.abs(values[:, 1] - last[:, 1]).max()
        print(f"{count:>7,}  {taus[0]:15.3f}  {taus[1]:11.3f}  {change:24.2f} %  {1e3 * seconds[count]:14.0f}")
    if task.table is not None:
        truth = task.table.accuracies(architectures)
        for count, values in scores.items():
            taus = [rank_statistics(sign * values[:, c], truth, bootstrap=0).tau for c, sign in ((1, 1), (2, -1))]
            print(
                f"{count:>7,} images: tau against {task.table.column} by accuracy {taus[0]:.3f}, by loss {taus[1]:.3f}"
            )


if __name__ == "__main__":
    main()
