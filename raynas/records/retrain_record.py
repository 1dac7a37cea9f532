"""The records of a retraining: what is trained from scratch, and how accurate it is in the end."""

from __future__ import annotations

from typing import Any, ClassVar

from raynas.records.graph import Graph
from raynas.records.record import Listed, Number, OtherFile, Part, Record
from raynas.records.training_record import FiguresOfEpoch


class SubjectRecord(Part):
    """A network that is trained from scratch.

    Attributes:
        name: Its name in the folder, such as ``best-1``.
        reason: Why it is trained: ``found``, ``given``, ``random`` or ``parameters``.
        space: Name of its space, and the further keys of the space at the size that is trained.
        architecture: Candidate taken at each choice.
        description: The architecture as text.
        num_parameters: Weights, without those of an auxiliary tower.
        multiply_adds: Multiply-adds for one image.
        drawing: Its graphs by name, each a list of edges ``[source, target, operation]``.
    """

    name: str
    reason: str
    space: dict[str, Any]
    architecture: Listed[int]
    description: str
    num_parameters: int
    multiply_adds: int
    drawing: dict[str, Graph] | None = None


class RetrainingRecord(Record):
    """A retraining as it began.

    Attributes:
        settings: The section ``retrain`` of the configuration, resolved.
        subjects: The networks.
    """

    file: ClassVar[str] = "retrain/*/config.json"
    holds: ClassVar[str] = "the recipe of a retraining, and the networks that are trained"

    settings: dict[str, Any]
    subjects: Listed[SubjectRecord]


class NetworkEpochLine(FiguresOfEpoch):
    """An epoch of a network that is trained from scratch.

    Attributes:
        test_accuracy: Of the last epoch: right predictions of the finished network on the test images in percent.
        test_top5_accuracy: Test images whose class is among the five likeliest in percent; null with fewer than six
            classes.
        test_loss: Mean cross-entropy on the test images in nats.
        validation_accuracy: The same on the training images that were held out; null without such images.
        validation_top5_accuracy: See `test_top5_accuracy`.
        validation_loss: See `test_loss`.
        perplexity: Of a text: the exponential of `loss`, the mean of the epoch.
        test_perplexity: Of a text: the exponential of `test_loss`.
        validation_perplexity: Of a text: the same on the validation text, after every epoch.
    """

    file: ClassVar[str] = "retrain/*/*/seed_*/metrics.jsonl"
    holds: ClassVar[str] = "a line for each epoch of a network; the last one has the figures of the finished network"

    test_accuracy: Number | None = None
    test_top5_accuracy: Number | None = None
    test_loss: Number | None = None
    validation_accuracy: Number | None = None
    validation_top5_accuracy: Number | None = None
    validation_loss: Number | None = None
    perplexity: Number | None = None
    test_perplexity: Number | None = None
    validation_perplexity: Number | None = None


class SeedResult(Part):
    """The figures of a network that was trained from one seed.

    Attributes:
        seed: Seed of initial weights, order and augmentation.
        test_accuracy: Right predictions on the test images in percent, measured once, at the end.
        test_top5_accuracy: Test images whose class is among the five likeliest in percent; null with fewer classes.
        test_loss: Mean cross-entropy on the test images in nats.
        validation_accuracy: The same on the training images that were held out; null if none were.
        test_perplexity: Perplexity of the test text; null of images.
        validation_perplexity: Perplexity of the validation text; null of images.
        seconds: Duration of the training.
    """

    seed: int
    test_accuracy: Number
    test_top5_accuracy: Number | None = None
    test_loss: Number
    validation_accuracy: Number | None = None
    test_perplexity: Number | None = None
    validation_perplexity: Number | None = None
    seconds: Number

    @property
    def tested(self) -> float:
        """What networks are compared by: the test perplexity of a text, the test accuracy in percent of images."""
        return float(self.test_accuracy if self.test_perplexity is None else self.test_perplexity)


class Estimate(Part):
    """A mean over seeds.

    Attributes:
        mean: The mean.
        deviation: Standard deviation over the seeds; null with one seed.
        low: Lower end of the interval of the mean that holds it with 95 % confidence (Student's t); null with one seed.
        high: Upper end of that interval.
    """

    mean: Number
    deviation: Number | None = None
    low: Number | None = None
    high: Number | None = None


class RetrainedNetwork(SubjectRecord):
    """A network after its training, with what its `SubjectRecord` states.

    Attributes:
        seeds: Its figures for each seed.
        accuracy: Test accuracy in percent over the seeds.
        validation: Validation accuracy in percent over the seeds; null without held out images.
        perplexity: Test perplexity over the seeds; null of images.
        validation_perplexity: Validation perplexity over the seeds; null of images.
    """

    seeds: Listed[SeedResult]
    accuracy: Estimate
    validation: Estimate | None = None
    perplexity: Estimate | None = None
    validation_perplexity: Estimate | None = None

    @property
    def tested(self) -> Estimate:
        """What networks are compared by: the test perplexity of a text, the test accuracy of images."""
        return self.accuracy if self.perplexity is None else self.perplexity

    @property
    def validated(self) -> Estimate | None:
        """The same on what was held out for validation; None without it."""
        return self.validation if self.perplexity is None else self.validation_perplexity


class Comparison(Part):
    """The difference of test accuracy, or of test perplexity, between the first network and another.

    Attributes:
        of: Name of the first network.
        against: Name of the other.
        difference: Difference of the means, in percentage points or in perplexity.
        low: Lower end of its 95 % interval (Welch); null with one seed.
        high: Upper end of that interval.
        verdict: What follows, as a sentence.
    """

    of: str
    against: str
    difference: Number
    low: Number | None = None
    high: Number | None = None
    verdict: str


class RetrainRecord(Record):
    """The result of a retraining.

    Attributes:
        recipe: Name of the recipe; null for keys of the run file alone.
        data: Name of the data set.
        train_images: Images that were trained on.
        test_images: Images that the test accuracy is measured on.
        num_classes: Number of classes, so that chance is known.
        epochs: Epochs of each training.
        networks: The networks, the found ones first.
        comparisons: The first network against each of the controls.
    """

    file: ClassVar[str] = "retrain/*/result.json"
    holds: ClassVar[str] = "test accuracy of every network, over its seeds; says that the retraining is done"

    recipe: str | None = None
    data: str
    train_images: int
    test_images: int
    num_classes: int
    epochs: int
    networks: Listed[RetrainedNetwork]
    comparisons: Listed[Comparison] = []

    @property
    def is_of_text(self) -> bool:
        """Whether the networks were trained on a text, so that they are compared by perplexity."""
        return any(network.perplexity is not None for network in self.networks)

    @property
    def tested(self) -> str:
        """What networks are compared by, in words."""
        return "test perplexity" if self.is_of_text else "test accuracy"

    @property
    def samples(self) -> str:
        """What is counted."""
        return "tokens" if self.is_of_text else "images"


NETWORK_WEIGHTS = OtherFile(
    "retrain/*/*/seed_*/epoch_*/*.safetensors",
    "weights and optimiser of a network; `final.safetensors` where the finished network has others than were trained",
)
