"""Times a candidate's forward pass, evaluated and measured, against its limit, on one thread.

A candidate that is evaluated by its one-shot accuracy runs forward over two sets of images: with normalisation by the
batch, which is measured (`calibration`), then by what was measured, folded into the convolutions (`evaluation`). The
limit of both is what must be computed, 2 x multiply-adds of the operations on live paths, at the speeds of the dense
kernels that `supernet_step.py` measures. `plain` is the evaluation as public codes run it: NCHW, layer by layer, every
edge whether it is live or not, `none` as a product with zero, pooling by avg_pool2d. All are interleaved on the same
candidates, in rounds; a candidate's time is the median of its rounds, process time.

    python tests/performance/candidate.py [--channels 16 --cells 5 --resolution 32 --batch 64]
        [--candidates 12 --rounds 5] [--json]
"""

from contextlib import ExitStack

import numpy as np
import torch
from supernet_step import live_multiply_adds, options_of, peak_kernels, plain_forward, race, show, summary
from torch import nn

from raynas.search_space import sample
from raynas.spaces.nasbench201 import NasBench201
from raynas.supernet.folding import folded
from raynas.supernet.gates import single_path


def main():
    options = options_of(__doc__, candidates=12, rounds=5)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    space = NasBench201(options.channels, options.cells)
    state = space.build_supernet(10).state_dict()
    folding = ExitStack()  # open to the end
    images = torch.randn(options.batch, 3, options.resolution, options.resolution)

    def runner(forward, memory_format, measuring=False):
        supernet = space.build_supernet(10)
        supernet.load_state_dict(state)
        supernet = supernet.to(memory_format=memory_format).eval()
        for module in supernet.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.train(measuring)
        inputs = images.contiguous(memory_format=memory_format)

        if forward is not plain_forward and not measuring:
            folding.enter_context(folded(supernet))

        @torch.inference_mode()
        def run(architecture):
            return forward(supernet, inputs, architecture)

        return run

    def routed(supernet, inputs, architecture):
        return supernet(inputs, single_path(architecture))

    runs = {
        "plain": runner(plain_forward, torch.contiguous_format),
        "evaluation": runner(routed, torch.channels_last),
        "calibration": runner(routed, torch.channels_last, measuring=True),
    }
    rng = np.random.default_rng(0)
    candidates = [sample(space, rng) for _ in range(options.candidates)]
    difference = max(float((runs["plain"](a) - runs["evaluation"](a)).abs().max()) for a in candidates[:3])
    assert difference < 1e-3, f"plain and evaluation differ by {difference}"
    seconds, peaks = race(runs, candidates * options.rounds, peak_kernels())
    needed = 2 * options.batch * float(np.mean([live_multiply_adds(space, a, options.resolution) for a in candidates]))
    typical = {
        name: float(np.median(np.reshape(values, (options.rounds, -1)), axis=0).mean())
        for name, values in seconds.items()
    }
    setting = (
        f"C={options.channels} N={options.cells} batch {options.batch} at {options.resolution} x {options.resolution}, "
        f"{options.candidates} candidates, {options.rounds} rounds, one thread"
    )
    show(summary(needed, typical, peaks, options.batch), setting, options.json)


if __name__ == "__main__":
    main()
