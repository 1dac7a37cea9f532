import numpy as np
import pytest
from scipy import stats

from raynas.data import LABELS, draw_labels

N, CLASSES = 60_000, 10
INDEX = np.arange(N)
TRUE = np.sort(INDEX % CLASSES * INDEX % CLASSES)  # neither uniform nor in random order
RANDOM = [method for method in LABELS.names() if method != "true"]
UNIFORM = ["random", "random_each_iteration"]
SHUFFLED = ["shuffled", "shuffled_each_iteration"]


def draw(method, *, epoch=0, seed=5, true_labels=TRUE, index=INDEX, num_categories=None):
    if num_categories is None:
        num_categories = (LABELS.row(method).categories if method in LABELS.names() else None) or CLASSES
    return draw_labels(method, true_labels, index, num_categories=num_categories, seed=seed, epoch=epoch)


def independence(one, other):
    """Returns the p-value of the chi-square test that two labellings are unrelated."""
    table = np.zeros((one.max() + 1, other.max() + 1))
    np.add.at(table, (one, other), 1)
    return stats.chi2_contingency(table[table.sum(1) > 0][:, table.sum(0) > 0]).pvalue


@pytest.mark.parametrize("epoch", [0, 9])
def test_true_labels_are_the_true_labels(epoch):
    drawn = draw("true", epoch=epoch)
    np.testing.assert_array_equal(drawn, TRUE)
    assert drawn is not TRUE


@pytest.mark.parametrize("method", LABELS.names())
def test_labels_are_int64_whatever_the_true_labels_are(method):
    assert draw(method, true_labels=TRUE.astype(np.uint8)).dtype == np.int64


@pytest.mark.parametrize("method", UNIFORM)
@pytest.mark.parametrize("num_categories", [10, 200])
@pytest.mark.parametrize("epoch", [0, 3])
def test_uniform_labels_are_uniform_over_the_categories(method, num_categories, epoch):
    counts = np.bincount(draw(method, epoch=epoch, num_categories=num_categories), minlength=num_categories)
    assert len(counts) == num_categories
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("method", SHUFFLED)
@pytest.mark.parametrize("epoch", [0, 3])
def test_shuffled_labels_keep_the_histogram(method, epoch):
    np.testing.assert_array_equal(np.bincount(draw(method, epoch=epoch)), np.bincount(TRUE))


@pytest.mark.parametrize("method", RANDOM)
def test_random_labels_tell_nothing_of_the_true_ones(method):
    assert independence(draw(method), TRUE) > 1e-3


@pytest.mark.parametrize("method", RANDOM)
def test_random_labels_of_two_seeds_are_unrelated(method):
    assert independence(draw(method, seed=1), draw(method, seed=2)) > 1e-3


@pytest.mark.parametrize("method", ["random", "shuffled"])
def test_labels_drawn_once_are_the_same_in_every_epoch(method):
    np.testing.assert_array_equal(draw(method, epoch=0), draw(method, epoch=249))


@pytest.mark.parametrize("method", ["random_each_iteration", "shuffled_each_iteration"])
def test_labels_drawn_each_iteration_are_unrelated_between_epochs(method):
    assert independence(draw(method, epoch=0), draw(method, epoch=1)) > 1e-3
    np.testing.assert_array_equal(draw(method, epoch=1), draw(method, epoch=1))


@pytest.mark.parametrize("method", LABELS.names())
def test_the_order_of_the_samples_does_not_change_their_labels(method):
    order = np.random.default_rng(0).permutation(N)
    np.testing.assert_array_equal(
        draw(method, true_labels=TRUE[order], index=INDEX[order], epoch=2), draw(method, epoch=2)[order]
    )


@pytest.mark.parametrize("method", UNIFORM)
def test_a_subset_keeps_its_uniform_labels(method):
    some = np.array([40_000, 3, 59_999])
    np.testing.assert_array_equal(draw(method, true_labels=TRUE[some], index=some), draw(method)[some])


def test_uniform_labels_may_have_fewer_or_more_categories_than_classes():
    assert draw("random", num_categories=2).max() == 1
    assert draw("random", num_categories=200).max() == 199


@pytest.mark.parametrize("method", ["true", *SHUFFLED])
def test_categories_that_do_not_hold_the_true_labels_are_refused(method):
    with pytest.raises(ValueError, match=r"data\.num_label_categories: .* reach 9, .*least 10 .*got 9; raise it"):
        draw(method, num_categories=9)


def test_no_categories_are_refused():
    with pytest.raises(ValueError, match=r"data\.num_label_categories: .*at least 1 .*got 0; raise it"):
        draw("random", num_categories=0)


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match=r"data\.labels: expected one of jigsaw, random, .* got 'noise'; or give"):
        draw("noise")
