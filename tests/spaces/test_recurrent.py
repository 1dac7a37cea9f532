"""The recurrent space against cells that are written out here as plain loops."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from raynas.networks.published import PUBLISHED
from raynas.search_space import sample
from raynas.spaces import SPACES
from raynas.spaces.lstm import Lstm
from raynas.spaces.recurrent import Recurrent
from raynas.supernet.architecture_gradients import first_order, loss_on
from raynas.supernet.costs import architecture_costs, cost_table
from raynas.supernet.gates import hard_samples, mixture, single_path
from raynas.training.objective import CROSS_ENTROPY, Objective
from raynas.training.window import Window

SMALL = Recurrent(nodes=4, embedding=5, hidden=5, normalise=False)
WORDS, STREAMS, LENGTH = 11, 3, 7
EXACT = {"rtol": 0, "atol": 1e-12}
APPLIED = {
    "tanh": torch.tanh,
    "relu": lambda x: x.clamp(min=0),
    "sigmoid": lambda x: 1 / (1 + torch.exp(-x)),
    "identity": lambda x: x,
}


def tokens_of(streams=STREAMS, length=LENGTH):
    return torch.randint(0, WORDS, (streams, length), generator=torch.Generator().manual_seed(5))


def made(build, space=SMALL):
    torch.manual_seed(0)
    network = build(space).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    return network


def own(name, network):
    return network.state_dict()[name]


def normed(x):
    """Normalises each unit over the streams."""
    return (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()


def written_out(network, tokens, node_of, nodes, state=None, norm=lambda x: x):
    """Returns logits and the last state, token after token, node after node; `node_of` gives a node from the nodes."""
    width = network.state_width
    table, first = own("embedding.weight", network), own("cell.first.weight", network)
    h = torch.zeros(len(tokens), width, dtype=torch.float64) if state is None else state
    logits = []
    for t in range(tokens.shape[1]):
        ch = torch.cat([table[tokens[:, t]], h], 1) @ first
        c, g = torch.sigmoid(ch[:, :width]), torch.tanh(ch[:, width:])
        states = [norm(h + c * (g - h))]
        for node in range(1, nodes + 1):
            states.append(norm(node_of(node, states)))
        h = sum(states[1:]) / nodes
        logits.append(h @ table.T + own("decoder_bias", network))
    return torch.stack(logits, 1).flatten(0, 1), h


def edge(source, matrix, operation):
    c, g = (source @ matrix).chunk(2, 1)
    c = torch.sigmoid(c)
    return source + c * (APPLIED[operation](g) - source)


@pytest.mark.parametrize("name", ["RNN_DARTS_V2", "RNN_GDAS"])
def test_a_derived_cell_is_a_plain_loop(name):
    space = Recurrent(embedding=6, hidden=6)
    text = PUBLISHED[name].text
    network = made(lambda space: space.build_network(space.parse(text), WORDS), space)
    pairs = eval(text, {"Genotype": lambda recurrent, concat: recurrent, "range": range})

    def node_of(node, states):
        operation, source = pairs[node - 1]
        return edge(states[source], own(f"cell.nodes.{node - 1}.weight", network), operation)

    tokens, state = tokens_of(), torch.randn(STREAMS, 6, dtype=torch.float64)
    output = network(Window(tokens, state))
    expected = written_out(network, tokens, node_of, 8, state)
    torch.testing.assert_close((output.logits, output.state), expected, **EXACT)
    assert output.penalty == 0 and output.length == LENGTH
    torch.testing.assert_close(network(tokens), written_out(network, tokens, node_of, 8)[0], **EXACT)


def test_enas_averages_the_nodes_that_run_into_no_other():
    space = Recurrent(nodes=11, embedding=4, hidden=4, outputs="leaves")
    architecture = space.parse(PUBLISHED["RNN_ENAS"].text)
    assert "concat=[2, 5, 6, 9, 10, 11]" in space.describe(architecture)
    network = made(lambda space: space.build_network(architecture, WORDS), space)
    pairs = eval(PUBLISHED["RNN_ENAS"].text, {"Genotype": lambda recurrent, concat: recurrent})
    tokens, h = tokens_of(length=1), torch.zeros(STREAMS, 4, dtype=torch.float64)
    c, g = (own("embedding.weight", network)[tokens[:, 0]] @ own("cell.first.weight", network)[:4]).chunk(2, 1)
    states = [h + torch.sigmoid(c) * (torch.tanh(g) - h)]
    for node, (operation, source) in enumerate(pairs):
        states.append(edge(states[source], own(f"cell.nodes.{node}.weight", network), operation))
    expected = sum(states[node] for node in (2, 5, 6, 9, 10, 11)) / 6
    torch.testing.assert_close(network(Window(tokens, h)).state, expected, **EXACT)


@pytest.mark.parametrize("weights", ["node", "candidate"])
@pytest.mark.parametrize("normalise", [False, True])
def test_a_mixture_is_the_weighted_sum_over_edges_and_operations(weights, normalise):
    space = dataclasses.replace(SMALL, weights=weights, normalise=normalise)
    supernet = made(lambda space: space.build_supernet(WORDS), space)
    generator = torch.Generator().manual_seed(1)
    alphas = [torch.randn(5, generator=generator, dtype=torch.float64) for _ in space.choices]
    shares = [torch.softmax(alpha, 0) for alpha in alphas]

    def node_of(node, states):
        total = 0
        for source in range(node):
            number = node * (node - 1) // 2 + source
            for k, operation in enumerate(space.operations):
                if operation != "none":
                    name = f"cell.nodes.{node - 1}.weight"
                    if weights == "candidate":
                        name = f"cell.edges.{number}.{operation}.weight"
                    total = total + shares[number][k] * edge(states[source], own(name, supernet), operation)
        return total

    tokens = tokens_of()
    expected, _ = written_out(supernet, tokens, node_of, space.nodes, norm=normed if normalise else lambda x: x)
    torch.testing.assert_close(supernet(tokens, mixture(alphas)), expected, rtol=0, atol=1e-10 if normalise else 1e-12)


def test_gradients_of_the_alphas_are_finite_differences():
    supernet = made(lambda space: space.build_supernet(WORDS)).train()
    window = Window(tokens_of(), torch.randn(STREAMS, 5, dtype=torch.float64))
    labels = torch.randint(0, WORDS, (STREAMS * LENGTH,), generator=torch.Generator().manual_seed(8))
    loss = loss_on(supernet, window, labels, mixture)
    generator = torch.Generator().manual_seed(1)
    alphas = [torch.randn(5, generator=generator, dtype=torch.float64).requires_grad_() for _ in SMALL.choices]
    weights = dict(supernet.named_parameters())
    gradient = first_order(loss, weights, alphas).total
    with torch.no_grad():
        for choice in (0, 4, 9):
            for k in (0, 2, 4):
                ends = []
                for shift in (1e-5, -1e-5):
                    moved = [alpha.clone() for alpha in alphas]
                    moved[choice][k] += shift
                    ends.append(loss(weights, moved))
                assert gradient[choice][k].item() == pytest.approx(((ends[0] - ends[1]) / 2e-5).item(), abs=1e-9)


def test_a_hard_sample_runs_what_it_sampled_and_its_weights_have_the_gradient_of_a_product():
    space = SMALL
    supernet = made(lambda space: space.build_supernet(WORDS))
    rarely_none = [-2.0, 0.0, 0.0, 0.0, 0.0]
    alphas = [torch.tensor(rarely_none, dtype=torch.float64, requires_grad=True) for _ in space.choices]
    (gates,) = hard_samples(alphas, 2.0, torch.Generator().manual_seed(3), idle=True)
    taken = [space.operations[gate.active[0]] for gate in gates]

    def node_of(node, states, factor=None):
        total = torch.zeros(STREAMS, 5, dtype=torch.float64)
        for source in range(node):
            number = node * (node - 1) // 2 + source
            if taken[number] != "none":
                matrix = own(f"cell.nodes.{node - 1}.weight", supernet)
                out = edge(states[source], matrix, taken[number])
                total = total + (out if factor is None else factor[number] * out)
        return total

    tokens = tokens_of()
    out = supernet(tokens, gates)
    torch.testing.assert_close(out, written_out(supernet, tokens, node_of, 4)[0], **EXACT)
    factor = torch.ones(10, dtype=torch.float64, requires_grad=True)
    plain, _ = written_out(supernet, tokens, lambda node, states: node_of(node, states, factor), 4)
    (expected,) = torch.autograd.grad(plain.square().sum(), factor)
    (gates,) = hard_samples(alphas, 2.0, torch.Generator().manual_seed(3))
    weights = [gate.weights for gate in gates]
    found = torch.autograd.grad(supernet(tokens, gates).square().sum(), weights, allow_unused=True)
    for number, gradient in enumerate(found):
        assert gradient is not None or taken[number] == "none"
        if gradient is not None:
            torch.testing.assert_close(gradient.sum(), expected[number], rtol=1e-9, atol=1e-9)
    assert (expected != 0).sum() >= 5


@pytest.mark.parametrize("weights", ["node", "candidate"])
def test_an_inheriting_network_computes_what_the_normalised_supernet_does(weights):
    space = dataclasses.replace(SMALL, normalise=True, weights=weights)
    supernet = made(lambda space: space.build_supernet(WORDS), space)
    rng, tokens = np.random.default_rng(2), tokens_of()
    for _ in range(5):
        architecture = sample(space, rng)
        network = space.build_inheriting_network(architecture, WORDS).double()
        network.load_state_dict({name: supernet.state_dict()[name] for name in network.state_dict()})
        torch.testing.assert_close(network(tokens), supernet(tokens, single_path(architecture)), **EXACT)
        plain = space.build_network(architecture, WORDS).double()
        plain.load_state_dict(network.state_dict())
        assert not torch.allclose(network(tokens), plain(tokens))


# Sizes


@pytest.mark.parametrize("name", ["RNN_DARTS_V1", "RNN_DARTS_V2", "RNN_GDAS"])
def test_published_cells_have_the_parameters_that_papers_print(name):
    for network in PUBLISHED[name].networks:
        space = SPACES.row("recurrent")(**PUBLISHED[name].arguments, **network.arguments)
        hidden, words = network.arguments["hidden"], network.num_classes
        counted, multiply_adds = architecture_costs(space, space.parse(PUBLISHED[name].text), 1, words)
        matrices = 2 * hidden * 2 * hidden + 8 * hidden * 2 * hidden + words * hidden
        assert counted == matrices + words
        assert multiply_adds == matrices + words, (
            "each weight once a token: the embedding is looked up, the decoder runs"
        )
        assert round(counted / 1e6) == network.printed.num_parameters


def test_costs_of_own_matrices_belong_to_their_candidates():
    space = dataclasses.replace(SMALL, weights="candidate")
    table = cost_table(space, 1, WORDS)
    assert (table.terms[:, 0] == 0).all() and (table.terms[:, 1:] == 5 * 10).all()


# Regularisation


def test_penalties_and_the_loss_of_a_window():
    space = dataclasses.replace(SMALL, activation=2.0, temporal=3.0)
    network = made(lambda space: space.build_network(sample(space, np.random.default_rng(0)), WORDS), space)
    tokens = tokens_of()
    labels = torch.randint(0, WORDS, (STREAMS * LENGTH,), generator=torch.Generator().manual_seed(8))
    states = [torch.zeros(STREAMS, 5, dtype=torch.float64)]
    for t in range(LENGTH):
        states.append(network(Window(tokens[:, t : t + 1], states[-1])).state)
    h = torch.stack(states[1:])
    expected = STREAMS * (2.0 * (h**2).mean() + 3.0 * ((h[1:] - h[:-1]) ** 2).mean())
    window = Window(tokens, torch.zeros(STREAMS, 5, dtype=torch.float64))
    output = network.train()(window)
    torch.testing.assert_close(output.penalty, expected)
    cross_entropy = nn.functional.cross_entropy(output.logits, labels)
    whole = Objective(batch_size=2 * STREAMS, penalised=True)  # of two workers with so many streams each
    loss, _ = whole.evaluate(lambda: network(window), labels)
    torch.testing.assert_close(2 * loss, cross_entropy + expected / STREAMS)
    torch.testing.assert_close(CROSS_ENTROPY.evaluate(lambda: network(window), labels)[0], cross_entropy)
    assert network.eval()(window).penalty == 0


@pytest.mark.parametrize("share", ["dropout", "dropouth", "dropoutx", "dropouti", "dropoute", "weight_drop"])
def test_each_share_drops_in_training_mode_alone(share):
    space = dataclasses.replace(SMALL, **{share: 0.5})
    network = made(lambda space: space.build_network(sample(space, np.random.default_rng(0)), WORDS), space)
    assert network.drops and not made(lambda space: space.build_supernet(WORDS)).drops
    tokens = tokens_of()
    plain = network.eval()(tokens)
    torch.testing.assert_close(network(tokens), plain, rtol=0, atol=0)
    first, second = network.train()(tokens), network(tokens)
    assert not torch.allclose(first, plain) and not torch.allclose(first, second)


def test_outputs_are_dropped_alike_at_every_token_of_a_window():
    space = dataclasses.replace(SMALL, dropout=0.5)
    network = made(lambda space: space.build_network(sample(space, np.random.default_rng(0)), WORDS), space)
    kept = []
    network.embedding.weight.data[:5] = torch.eye(5, dtype=torch.float64)  # so that five logits are the outputs
    network.decoder_bias.data.zero_()
    for mode in (False, True):
        kept.append(network.train(mode)(tokens_of())[:, :5].reshape(STREAMS, LENGTH, 5))
    mask = (kept[1] / kept[0]).detach()
    torch.testing.assert_close(mask, mask[:, :1].expand_as(mask))
    assert set(mask.round(decimals=6).unique().tolist()) == {0.0, 2.0}


# Text


def test_genotypes_are_read_in_both_spellings_of_the_output_nodes():
    space = Recurrent(nodes=2)
    expected = space.parse("Genotype(recurrent=[('tanh', 0), ('relu', 1)], concat=range(1, 3))")
    assert expected == (1, 0, 2)
    assert space.parse("cell = Genotype(recurrent=[('tanh', 0), ('relu', 1)], concat=[1, 2])") == expected
    assert space.parse("{'recurrent': [('tanh', 0), ('relu', 1)]}") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Genotype(recurrent=[('tanh', 0)], concat=range(1, 2))", "expected a cell of 2 nodes"),
        ("Genotype(recurrent=[('tanh', 0), ('relu', 2)])", "node 2: expected one of .* from one of 0 to 1"),
        ("Genotype(recurrent=[('tanh', 0), ('none', 1)])", "node 2: expected one of tanh, relu"),
        ("Genotype(recurrent=[('tanh', 0), ('relu', 1)], concat=[2])", r"concat: expected \[1, 2\]"),
        ("Genotype(recurrent=[('tanh', 0), ('relu', 1)], concat=[0])", "concat: expected nodes of 1 to 2"),
        ("Genotype(recurrent=['tanh'])", "expected a pair"),
        ("Genotype(normal=[])", "expected Genotype.recurrent"),
    ],
)
def test_other_texts_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Recurrent(nodes=2).parse(text)


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"nodes": 0}, "space.nodes"),
        ({"operations": ["tanh", "relu"]}, "space.operations"),
        ({"operations": ["none", "tanh", "elu"]}, "space.operations"),
        ({"dropout": 1.0}, "space.dropout"),
        ({"temporal": -1.0}, "space.temporal"),
    ],
)
def test_sizes_out_of_range_are_refused_by_key(arguments, key):
    with pytest.raises(ValueError, match=f"^{key}: expected"):
        Recurrent(**arguments)


# Derivation


def test_a_node_keeps_its_strongest_edge_and_none_counts_where_the_rule_says_so():
    space = Recurrent(nodes=2)
    rows = [[0.2] * 5, [0.9, 0.04, 0.03, 0.02, 0.01], [0.1, 0.1, 0.1, 0.3, 0.4]]
    probabilities = [np.array(row) for row in rows]
    assert space.derive(probabilities, "without_none") == (1, 0, 4)
    assert space.derive(probabilities, "with_none") == (1, 1, 0)
    with pytest.raises(ValueError, match="search.derivation: expected"):
        space.derive(probabilities, "pairs")


@pytest.mark.parametrize("weights", ["node", "candidate"])
def test_under_autocast_the_state_stays_in_32_bits_and_near_what_it_is_without(weights):
    space = dataclasses.replace(SMALL, weights=weights)
    supernet = made(lambda space: space.build_supernet(WORDS), space).float()
    path = single_path(sample(space, np.random.default_rng(0)))
    window = Window(tokens_of(), torch.zeros(STREAMS, 5))
    with torch.autocast("cpu", torch.bfloat16):
        output = supernet(window, path)
    assert output.state.dtype == torch.float32
    torch.testing.assert_close(output.state, supernet(window, path).state, rtol=0.1, atol=0.1)


# The LSTM that cells are compared with


def test_the_lstm_is_the_textbook_one_and_its_width_gives_it_a_number_of_parameters():
    space = Lstm(embedding=4, hidden=5)
    network = made(lambda space: space.build_network((0,), WORDS), space)
    tokens, state = tokens_of(), torch.randn(STREAMS, 10, dtype=torch.float64)
    h, c = state.chunk(2, 1)
    w_x, w_h, b_x, b_h = (
        own(f"cell.lstm.{name}_l0", network) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    logits = []
    for t in range(LENGTH):
        gates = own("embedding.weight", network)[tokens[:, t]] @ w_x.T + b_x + h @ w_h.T + b_h
        i, f, g, o = gates.chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        logits.append(h @ own("decoder.weight", network).T + own("decoder_bias", network))
    output = network(Window(tokens, state))
    torch.testing.assert_close(output.logits, torch.stack(logits, 1).flatten(0, 1), **EXACT)
    torch.testing.assert_close(output.state, torch.cat([h, c], 1), **EXACT)
    assert sum(parameter.numel() for parameter in network.parameters()) == space.num_parameters(WORDS)
    sized = space.of_size(10_000, WORDS)
    assert (
        sized.num_parameters(WORDS)
        <= 10_000
        < dataclasses.replace(sized, embedding=sized.embedding + 1, hidden=sized.hidden + 1).num_parameters(WORDS)
    )
    dropped = made(lambda space: space.build_network((0,), WORDS), dataclasses.replace(space, weight_drop=0.5))
    assert not torch.allclose(dropped.train()(tokens), dropped(tokens))
    torch.testing.assert_close(dropped.eval()(tokens), network(tokens), **EXACT)
