"""Chooses a combination of scores at initialisation on NAS-Bench-201, and confirms it on cells that were not looked at.

The rule, so that the choice is no evidence for itself:

- The distinct functions of the space (`NasBench201.canonical`) are split into two halves by a hash of their text.
- Settings are chosen by CIFAR-10 validation accuracy over the first half, with initialisations of their own (100, 101).
- They are then frozen. Test accuracy and the second half are looked at once, with the initialisations 0 to 4.

    python tests/performance/zero_cost.py split BENCHMARK.csv FOLDER
    raynas rank scores.yaml    # scores of the functions in FOLDER, see tests/performance/README.md
    python tests/performance/zero_cost.py select BENCHMARK.csv 100=RANKED.csv 101=RANKED.csv
    raynas rank ...            # the frozen settings over the whole space, with each of the initialisations 0 to 4
    python tests/performance/zero_cost.py confirm BENCHMARK.csv 0=RANKED.csv 1=RANKED.csv ...
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import itertools
from pathlib import Path

import numpy as np

from raynas.fitness.rank_correlation import rank_statistics, tau_within
from raynas.records.rank_record import read_scores_table
from raynas.search_space import sample
from raynas.spaces.nasbench201 import NasBench201
from raynas.stages.evaluation import REFERENCE, log_rank

SPACE = NasBench201()


def is_for_selection(architecture):
    """Returns whether the function of an architecture is in the half that settings are chosen on."""
    text = SPACE.describe(SPACE.canonical(architecture))
    return hashlib.blake2b(text.encode(), digest_size=1).digest()[0] % 2 == 0


def reference_sample():
    """Returns the sample that a consensus compares each fitness with, as canonical architectures."""
    rng = np.random.default_rng(0)
    return [SPACE.canonical(sample(SPACE, rng)) for _ in range(REFERENCE)]


def accuracies_of(benchmark, column):
    """Returns the mean accuracy in percent of the copies of each distinct function, by its canonical architecture."""
    by_function = {}
    with open(benchmark, newline="") as lines:
        for row in csv.DictReader(lines):
            by_function.setdefault(SPACE.canonical(SPACE.parse(row["arch"])), []).append(float(row[column]))
    return {architecture: float(np.mean(values)) for architecture, values in by_function.items()}


def split(benchmark, folder):
    """Writes tables that name the functions of each half; the accuracies are those of validation."""
    accuracies = accuracies_of(benchmark, "valid_accuracy_200")
    sampled = set(reference_sample())
    folder.mkdir(parents=True, exist_ok=True)
    chosen = sorted(a for a in accuracies if is_for_selection(a) or a in sampled)
    for name, architectures in (("first_half", chosen), ("functions", sorted(accuracies))):
        with open(folder / f"{name}.csv", "w", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(["arch", "valid_accuracy_200"])
            for architecture in architectures:
                shown = accuracies[architecture] if is_for_selection(architecture) else 50.0
                writer.writerow([SPACE.describe(architecture), shown])
    halves = sum(map(is_for_selection, accuracies)), len(accuracies)
    print(f"{halves[1]:,} distinct functions, {halves[0]:,} of them in the first half; {folder}")


def read_ranked(file):
    """Returns the scores of a ranking: name -> architecture -> value."""
    architectures, columns = read_scores_table(Path(file))
    names = [name for name in columns if name not in ("true", "spread")]
    return {name: dict(zip(architectures, columns[name].tolist(), strict=True)) for name in names}


def merged(files):
    """Returns the scores of each initialisation, from files FOLDER:SEED or files of one initialisation each."""
    by_seed = {}
    for file in files:
        seed, _, path = file.partition("=")
        by_seed.setdefault(int(seed), {}).update(read_ranked(path))
    return by_seed


def log_ranks(values, of_functions):
    """Returns the logarithm of the rank of each function within the reference sample, ``(n,)``."""
    of_sample = np.array([values[architecture] for architecture in reference_sample()])
    return log_rank(np.array([values[architecture] for architecture in of_functions]), of_sample)


def select(benchmark, files, most, shown):
    """Prints the combinations of scores that rank the first half best by validation accuracy."""
    accuracies = accuracies_of(benchmark, "valid_accuracy_200")
    functions = sorted(filter(is_for_selection, accuracies))
    true = np.array([accuracies[architecture] for architecture in functions])
    by_seed = merged(files)
    names = sorted(set.intersection(*(set(scores) for scores in by_seed.values())) - {"fitness"})
    ranks = {seed: {name: log_ranks(scores[name], functions) for name in names} for seed, scores in by_seed.items()}
    live = np.array([by_seed[min(by_seed)]["live_multiply_adds"][a] for a in functions])

    rows = []
    for size in range(1, most + 1):
        for combination in itertools.combinations(names, size):
            rows.append((combination, *statistics_of(combination, ranks, true, live)))
    print(f"{len(functions):,} functions, {len(rows):,} combinations of {len(names)} scores, seeds {sorted(by_seed)}")
    for title, column in (("tau", 1), ("mean of the first 10", 3), ("first", 4)):
        print(f"\nby {title}:\n{'tau':>7} {'within':>7} {'top 10':>7} {'top 1':>7}  combination")
        for row in sorted(rows, key=lambda row: -row[column])[:shown]:
            print(f"{row[1]:7.3f} {row[2]:7.3f} {row[3]:7.2f} {row[4]:7.2f}  {' + '.join(row[0])}")


def statistics_of(combination, ranks, true, live):
    """Returns tau, tau within equal live multiply-adds and the accuracies of the first 10 and 1, means over seeds."""
    found = []
    for of_names in ranks.values():
        fitness = np.sum([of_names[name] for name in combination], axis=0)
        statistics = rank_statistics(fitness, true, bootstrap=0)
        first = [statistics.top[k]["mean"] for k in ("10", "1")]
        found.append((statistics.tau, tau_within(fitness, true, live) or 0.0, *first))
    return np.mean(found, axis=0).tolist()


def confirm(benchmark, files):
    """Prints how the frozen fitness ranks by test accuracy: over all cells, all functions, and the second half."""
    accuracies = {}
    with open(benchmark, newline="") as lines:
        for row in csv.DictReader(lines):
            accuracies[SPACE.parse(row["arch"])] = float(row["test_accuracy_200"])
    cells = sorted(accuracies)
    functions = [cell for cell in cells if SPACE.canonical(cell) == cell]
    second = [cell for cell in functions if not is_for_selection(cell)]
    print("seed | tau, all cells | functions | second half | equal live multiply-adds | first | first 10")
    rows = []
    for seed, scores in merged(files).items():
        found = [tau_over(part, scores["fitness"], accuracies) for part in (cells, functions, second)]
        fitness, true = values_of(cells, scores["fitness"]), values_of(cells, accuracies)
        within = tau_within(fitness, true, values_of(cells, scores["live_multiply_adds"]))
        first = rank_statistics(fitness, true, bootstrap=0).top
        rows.append([*found, within, first["1"]["mean"], first["10"]["mean"]])
        print(seed, *(f"{value:.3f}" for value in rows[-1]), sep=" | ")
    print("mean", *(f"{value:.3f}" for value in np.mean(rows, axis=0)), sep=" | ")
    print("deviation", *(f"{value:.3f}" for value in np.std(rows, axis=0, ddof=1)), sep=" | ")


def values_of(architectures, values):
    """Returns the values of architectures, ``(n,)``."""
    return np.array([values[architecture] for architecture in architectures])


def tau_over(architectures, fitness, accuracies):
    """Returns tau-b over some architectures."""
    fitness, true = values_of(architectures, fitness), values_of(architectures, accuracies)
    return rank_statistics(fitness, true, bootstrap=0).tau


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    splitting = verbs.add_parser("split")
    splitting.add_argument("benchmark")
    splitting.add_argument("folder", type=Path)
    selecting = verbs.add_parser("select")
    selecting.add_argument("benchmark")
    selecting.add_argument("files", nargs="+", help="SEED=CSV")
    selecting.add_argument("--most", type=int, default=3, help="scores in a combination at most")
    selecting.add_argument("--shown", type=int, default=15)
    confirming = verbs.add_parser("confirm")
    confirming.add_argument("benchmark")
    confirming.add_argument("files", nargs="+", help="SEED=CSV")
    options = parser.parse_args()
    if options.verb == "split":
        split(options.benchmark, options.folder)
    elif options.verb == "confirm":
        confirm(options.benchmark, options.files)
    else:
        select(options.benchmark, options.files, options.most, options.shown)


if __name__ == "__main__":
    main()
