"""How a sweep samples and stops its trials, as a user would write it: two rows in one file."""

from typing import Any

from raynas.config.sweep_rows import SweepScheduler, SweepSearcher


def median_stopping(sweep: Any) -> Any:
    """Returns the rule that stops trials whose training loss is above the median of the others."""
    from ray.tune.schedulers import MedianStoppingRule

    return MedianStoppingRule(time_attr="epoch", metric="train_loss", mode="min", grace_period=1)


def middle_first(plan: Any) -> Any:
    """Returns a searcher that begins in the middle of every axis, and goes on at random."""
    from ray.tune.search.basic_variant import BasicVariantGenerator

    middle = {key: sum(axis.values) / 2 for key, axis in plan.sweep.drawn.items()}
    return BasicVariantGenerator(points_to_evaluate=[middle], random_state=plan.sweep.base.seed)


MEDIAN = SweepScheduler("median", "stops trials that are worse than the median", median_stopping)
MIDDLE = SweepSearcher("middle", "begins in the middle", middle_first)
