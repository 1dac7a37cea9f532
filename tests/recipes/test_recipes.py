"""Recipes of papers: that each can be read, and that their learning rates are those of the papers' formulas."""

from __future__ import annotations

import math

import pytest
import torch

from raynas import recipes
from raynas.config.data_section import DataSection
from raynas.data import AugmentationOptions
from raynas.network_capabilities import network_with_auxiliary_of
from raynas.networks.published import PUBLISHED
from raynas.spaces import SPACES
from raynas.training.classifier import add_dropout
from raynas.training.network_recipe import NetworkRecipe
from raynas.training.objective import Objective
from raynas.training.optimizers import make_optimizer

NOT_OF_THE_TRAINING = {"augmentation", "seeds", "max_multiply_adds"}
CIFAR_STEPS, IMAGENET_STEPS = 50_000 // 96, 1_281_167 // 1024


def recipe_of(name):
    keys = recipes.read(name)["retrain"]
    return NetworkRecipe(**{key: value for key, value in keys.items() if key not in NOT_OF_THE_TRAINING})


def augmentation_of(name):
    return AugmentationOptions(**recipes.read(name)["retrain"]["augmentation"])


def cosine(highest, epoch, epochs):
    return highest * (1 + math.cos(math.pi * epoch / epochs)) / 2


# At some epochs, the rate of the first step of that epoch.
RATES = {
    "nasbench201": {0: 0.1, 50: cosine(0.1, 1, 4), 100: 0.05, 199: cosine(0.1, 199, 200)},
    "nasbench201_12": {0: 0.1, 3: cosine(0.1, 1, 4), 6: 0.05, 11: cosine(0.1, 11, 12)},
    "darts_cifar10": {0: 0.025, 300: 0.0125, 599: cosine(0.025, 599, 600)},
    "darts_imagenet": {0: 0.1, 1: 0.097, 100: 0.1 * 0.97**100, 249: 0.1 * 0.97**249},
    "rlnas_darts_imagenet": {
        0: 0.5 / 5,
        1: 0.5 * 244 / 245 * 2 / 5,
        4: 0.5 * 241 / 245,
        244: 0.5 / 245,
        245: 0.5 / 245,
        249: 0.5 / (245 * 5),
    },
    "rlnas_mobilenet_imagenet": {0: 0.5, 60: 0.375, 120: 0.25, 239: 0.5 / 240},
    "spos_mobilenet_imagenet": {0: 0.5, 60: 0.375, 120: 0.25, 239: 0.5 / 240},
    "setn_cifar10": {0: 0.025, 300: 0.0125, 599: cosine(0.025, 599, 600)},
    "setn_cifar100": {0: 0.025, 300: 0.0125, 599: cosine(0.025, 599, 600)},
    "setn_imagenet": {0: 0.0, 1: 0.02, 4: 0.08, 5: 0.1, 54: cosine(0.1, 1, 5), 249: cosine(0.1, 244, 245)},
    "gdas_cifar10": {0: 0.0, 1: 0.005, 4: 0.02, 5: 0.025, 64: cosine(0.025, 1, 5), 299: cosine(0.025, 294, 295)},
    "gdas_imagenet": {0: 0.0, 1: 0.02, 4: 0.08, 5: 0.1, 54: cosine(0.1, 1, 5), 249: cosine(0.1, 244, 245)},
    "amended_darts_cifar10": {0: 0.025, 300: 0.0125, 599: cosine(0.025, 599, 600)},
    "amended_darts_imagenet": {0: 0.1, 4: 0.5 * 246 / 250, 125: 0.25, 249: 0.002},
    "gdas_recurrent_ptb": {0: 20.0, 1000: 20.0, 1999: 20.0},
    "gdas_recurrent_wikitext2": {0: 20.0, 2999: 20.0},
    "darts_recurrent_ptb": {0: 20.0, 7999: 20.0},
}


def test_every_recipe_is_among_those_checked():
    assert set(recipes.names()) == set(RATES)


@pytest.mark.parametrize("name", RATES)
def test_the_rate_goes_through_the_values_of_the_papers_formula(name):
    recipe = recipe_of(name)
    steps = IMAGENET_STEPS if name.endswith("imagenet") else CIFAR_STEPS
    for epoch, rate in RATES[name].items():
        assert recipe.rate(epoch, epoch * steps, steps) == pytest.approx(rate, rel=1e-12), epoch
    assert max(RATES[name]) == recipe.epochs - 1


@pytest.mark.parametrize("name", RATES)
def test_space_data_and_augmentation_of_every_recipe_are_accepted_together(name):
    values = recipes.read(name)
    assert values["title"] and values["source"]
    arguments = {key: value for key, value in values["space"].items() if key != "name"}
    if values["data"]["name"] == "text":
        regularisation = {"dropout": 0.75, "dropoutx": 0.75, "dropouti": 0.2, "dropoute": 0.1, "temporal": 1e-3}
        widths = (700, 700, 0.15) if name.endswith("wikitext2") else (850, 850, 0.25)
        sizes = dict(zip(("embedding", "hidden", "dropouth"), widths, strict=True))
        assert arguments == {**sizes, **regularisation}
        SPACES.row("recurrent")(**arguments)
        return
    assert set(arguments) <= {"channels", "cells", "stem", "width"}, "a recipe has sizes, and leaves choices alone"
    SPACES.row(values["space"]["name"])(**arguments)
    changed = values["retrain"]["augmentation"]
    data = DataSection(
        **values["data"], **changed, **({"path": "images"} if values["data"]["name"] == "folder" else {})
    )
    assert data.normalise == (name not in ("rlnas_darts_imagenet", "spos_mobilenet_imagenet"))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("darts_cifar10", {"weight_decay": 3e-4, "nesterov": False, "clip_norm": 5, "drop_path": 0.2}),
        ("setn_cifar10", {"weight_decay": 5e-4, "batch_size": 96, "drop_path_rises": True, "auxiliary": "tower"}),
        ("setn_imagenet", {"weight_decay": 3e-5, "batch_size": 256, "label_smoothing": 0.1, "drop_path": 0}),
        ("rlnas_darts_imagenet", {"weight_decay": 3e-5, "decay_on": "all", "auxiliary": "tower_without_norm"}),
        ("rlnas_mobilenet_imagenet", {"weight_decay": 4e-5, "decay_on": "convolutions", "dropout": 0.2}),
        ("spos_mobilenet_imagenet", {"weight_decay": 4e-5, "estimate_batch_norm": True, "clip_norm": None}),
        ("gdas_recurrent_ptb", {"weight_decay": 8e-7, "batch_size": 64, "clip_norm": 0.25, "momentum": 0}),
        ("gdas_recurrent_wikitext2", {"weight_decay": 5e-7, "batch_size": 64, "average_when_stalled": 5}),
        ("nasbench201", dict(NetworkRecipe())),
    ],
)
def test_other_numbers_are_those_of_the_papers(name, values):
    recipe = recipe_of(name)
    assert {key: getattr(recipe, key) for key in values} == values


def test_augmentations_are_those_of_the_papers():
    assert (augmentation_of("setn_cifar10").cutout, augmentation_of("setn_cifar10").crop_padding) == (16, 4)
    assert augmentation_of("spos_mobilenet_imagenet").jitter_strengths == (0.4, 0.4, 0.4)
    rlnas = augmentation_of("rlnas_darts_imagenet")
    assert (rlnas.crop_ratio, rlnas.lighting, rlnas.cutout) == ([1, 1], 0.1, 0)
    assert augmentation_of("nasbench201").cutout == 0


def test_drop_path_of_setn_rises_to_a_fifth():
    recipe = recipe_of("setn_cifar10")
    assert [recipe.drop_path_at(epoch) for epoch in (0, 150, 300, 450)] == pytest.approx([0, 0.05, 0.1, 0.15])


STEPS = {
    "darts_imagenet": ("DARTS_V2", 1),
    "rlnas_darts_imagenet": ("RLNAS_CIFAR10", 0),
    "rlnas_mobilenet_imagenet": ("RLNAS_MOBILENET", 0),
    "spos_mobilenet_imagenet": ("RLNAS_MOBILENET", 0),
    "setn_imagenet": ("SETN", 4),
    "gdas_imagenet": ("GDAS_V1", 1),
    "amended_darts_imagenet": ("PC_DARTS_IMAGENET", 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPS)
def test_a_step_at_full_size_moves_every_kernel_of_a_published_network(name):
    cell, network_number = STEPS[name]
    published, recipe = PUBLISHED[cell], recipe_of(name)
    sizes = {key: value for key, value in recipes.read(name)["space"].items() if key != "name"}
    space = SPACES.row(published.space)(**published.arguments, **sizes)
    architecture = space.parse(published.text)
    torch.manual_seed(0)
    if recipe.auxiliary == "none":
        network = space.build_network(architecture, 1000)
    else:
        network = network_with_auxiliary_of(space, architecture, 1000, recipe.auxiliary == "tower")
    if name != "amended_darts_imagenet":
        assert sizes == {**dict.fromkeys(sizes), **(published.networks[network_number].arguments or sizes)}
    add_dropout(network, recipe.dropout)
    optimizer = make_optimizer(network, recipe)
    before = {key: parameter.detach().clone() for key, parameter in network.named_parameters()}
    images, labels = torch.randn(2, 3, 224, 224), torch.tensor([1, 998])
    loss, logits = Objective.of(recipe).evaluate(lambda: network.train()(images), labels)
    loss.backward()
    assert logits.shape == (2, 1000) and loss.isfinite()
    optimizer.step()
    for key, parameter in network.named_parameters():
        assert before[key].isfinite().all() and parameter.isfinite().all(), key
        if parameter.dim() >= 2:  # a scale before a depthwise convolution and a normalisation may have no effect
            assert not torch.equal(parameter, before[key]), key


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"^retrain\.recipe: expected one of amended_darts_cifar10, .*setn_imagenet"):
        recipes.read("setn_imagenett")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("retrain: [1]", "expected data, retrain, source, space, title in"),
        ("space: {name: darts}", "expected data, retrain, source, space, title in"),
        ("retrain: {epochs: 3}\ntrain: {}", "got ['retrain', 'train']"),
        ("retrain: {epochs: 3", "not YAML"),
        ("retrain: {epochs: 3, epochs: 4}", "given twice"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, text, message):
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match="own.yaml") as refused:
        recipes.read(str(file))
    assert message in str(refused.value)


def test_a_recipe_of_your_own_is_read_by_the_path_of_its_file(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("title: Mine\nretrain: {epochs: 3, weight_decay: 3e-5}\n")
    assert recipes.read(str(file))["retrain"] == {"epochs": 3, "weight_decay": 3e-5}


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^retrain\.recipe: expected one of .*, or the path of a YAML file, got '"):
        recipes.read(str(tmp_path / "none.yaml"))
