"""Chooses a combination of scores at initialisation on NAS-Bench-201, and confirms it on cells that were not looked at.

The rule, so that the choice is no evidence for itself:

- The distinct functions of the space (`NasBench201.canonical`) are split into two halves by a hash of their text.
- Settings are chosen by CIFAR-10 validation accuracy over the first half, with initialisations of their own (100, 101).
- They are then frozen. Test accuracy and the second half are looked at once, with the initialisations 0 to 4.

    python tests/performance/zero_cost.py split BENCHMARK.csv FOLDER
    raynas rank scores.yaml    # scores of the functions in FOLDER, see tests/performance/README.md
    python tests/performance/zero_cost.py select BENCHMARK.csv RANKED.csv n5=RANKED_WITH_CELLS_5.csv --most 4
    python tests/performance/zero_cost.py select ... --head 50 --by jacob_cov meco az_trainability live_multiply_adds
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

from raynas.fitness.rank_correlation import rank_statistics, tau_of, tau_within
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
    """Returns the quantities of a ranking: name -> architecture -> value."""
    architectures, columns = read_scores_table(Path(file))
    return {name: dict(zip(architectures, values.tolist(), strict=True)) for name, values in columns.items()}


def read_scores(files):
    """Returns the scores of FILE and of NAME=FILE, whose scores are called SCORE_NAME; without further baselines."""
    scores = {}
    for file in files:
        name, _, path = file.rpartition("=")
        for score, values in read_ranked(path).items():
            if score not in ("fitness", "true", "spread", "num_parameters", "multiply_adds"):
                scores[f"{score}_{name}" if name else score] = values
    return {name: scores[name] for name in sorted(scores) if not name.startswith("live_multiply_adds_")}


def log_ranks(values, of_functions):
    """Returns the logarithm of the rank of each function within the reference sample, ``(n,)``."""
    of_sample = np.array([values[architecture] for architecture in reference_sample()])
    return log_rank(np.array([values[architecture] for architecture in of_functions]), of_sample)


def select(benchmark, files, most, shown, head=None, by=()):
    """Prints the combinations of scores that rank the first half best by validation accuracy, or the head of it."""
    accuracies = accuracies_of(benchmark, "valid_accuracy_200")
    functions = sorted(filter(is_for_selection, accuracies))
    scores = read_scores(files)
    ranks = {name: log_ranks(values, functions) for name, values in scores.items()}
    true, live = values_of(functions, accuracies), values_of(functions, scores["live_multiply_adds"])
    if head is not None:
        kept = np.argsort(-np.sum([ranks[name] for name in by], axis=0), kind="stable")[:head]
        ranks = {name: values[kept] for name, values in ranks.items()}
        true, live = true[kept], live[kept]

    rows = []
    for size in range(1, most + 1):
        for combination in itertools.combinations(ranks, size):
            rows.append((combination, *statistics_of(combination, ranks, true, live)))
    about = f"{len(true):,} functions of {true.mean():.2f} percent in the mean, {true.max():.2f} at best"
    print(f"{about}; {len(rows):,} combinations of {len(ranks)} scores")
    for title, column in (("tau", 1), ("mean of the first 10", 3), ("first", 4)):
        print(f"\nby {title}:\n{'tau':>7} {'within':>7} {'top 10':>7} {'top 1':>7}  combination")
        for row in sorted(rows, key=lambda row: -row[column])[:shown]:
            print(f"{row[1]:7.3f} {row[2]:7.3f} {row[3]:7.2f} {row[4]:7.2f}  {' + '.join(row[0])}")


def statistics_of(combination, ranks, true, live):
    """Returns tau, tau within equal live multiply-adds, and the accuracies of the first 10 and of the first."""
    fitness = np.sum([ranks[name] for name in combination], axis=0)
    first = np.argsort(-fitness, kind="stable")[:10]
    return tau_of(fitness, true) or 0.0, tau_within(fitness, true, live) or 0.0, true[first].mean(), true[first[0]]


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
    for file in files:
        seed, _, path = file.partition("=")
        scores = read_ranked(path)
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
    return tau_of(values_of(architectures, fitness), values_of(architectures, accuracies))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    splitting = verbs.add_parser("split")
    splitting.add_argument("benchmark")
    splitting.add_argument("folder", type=Path)
    selecting = verbs.add_parser("select")
    selecting.add_argument("benchmark")
    selecting.add_argument("files", nargs="+", help="CSV, or NAME=CSV of another setting")
    selecting.add_argument("--most", type=int, default=3, help="scores in a combination at most")
    selecting.add_argument("--shown", type=int, default=15)
    selecting.add_argument("--head", type=int, help="only so many functions, the first by the sum of --by")
    selecting.add_argument("--by", nargs="+", default=[])
    confirming = verbs.add_parser("confirm")
    confirming.add_argument("benchmark")
    confirming.add_argument("files", nargs="+", help="SEED=CSV")
    options = parser.parse_args()
    if options.verb == "split":
        split(options.benchmark, options.folder)
    elif options.verb == "confirm":
        confirm(options.benchmark, options.files)
    else:
        select(options.benchmark, options.files, options.most, options.shown, options.head, options.by)


if __name__ == "__main__":
    main()
