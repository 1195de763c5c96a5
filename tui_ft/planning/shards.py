"""What each of several GPUs holds of weights, gradients and optimizer states.

DDP: every GPU has a whole copy, and buckets as large as all gradients to exchange them in
(torch/nn/parallel/distributed.py, `gradient_as_bucket_view`: off by default, saves "the total gradients
size"; DeepSpeed's ZeRO paper calls this the baseline).

FSDP, full shard: every GPU keeps an n-th of each (Rajbhandari et al., ZeRO, stage 3; `fully_shard` of
PyTorch). Besides, whole and in the precision of the computation:

- the root unit, which is the embedding, the head and the last norm: it is not sharded again after the
  forward ("None … is set to True for non-root modules and False for root modules", `fully_shard`);
- two layers: the one that computes and the one that is fetched ahead (`FSDPCommContext`,
  `_backward_prefetch`), and with full training their gradients until they are scattered.

Trained 16-bit weights become fp32 (accelerate/utils/fsdp_utils.py: "Upcast to fp32 master weights"), so
full training keeps 16 bytes per weight over all GPUs: weight, gradient and two moments. 4-bit weights are
stored in a 16-bit type so that they can be cut. Gradients are exchanged after each micro-batch
(accelerate's `sync_each_batch`); without, they would be kept whole.

FSDP's figures were not measured by us: their band is 15 % at least.
"""

from __future__ import annotations

from dataclasses import dataclass

from tui_ft.models.facts import Dims
from tui_ft.planning.activations import Numbers
from tui_ft.planning.anatomy import Parameters
from tui_ft.planning.plan import MethodPlan

LAYERS_GATHERED = 2
_BAND = 0.15


@dataclass(frozen=True, slots=True)
class Held:
    """What one GPU holds, bytes. `share` is the part of the gradients that stays."""

    weights: float
    adapters: float
    optimizer: float
    share: float = 1.0
    exchange: float = 0.0  # gradients on their way: DDP's buckets, or whole ones before they are scattered
    band: float = 0.0  # least relative error either way


def copied(whole: Held, gradients: float) -> Held:
    """One of several GPUs under DDP; `gradients` in bytes of all trained weights."""
    return Held(whole.weights, whole.adapters, whole.optimizer, 1.0, gradients)


def sharded(
    whole: Held,
    dims: Dims,
    weights: Parameters,
    method: MethodPlan,
    numbers: Numbers,
    gpus: int,
) -> Held:
    """One of `gpus` under FSDP with full sharding. `whole` is what a single GPU would hold."""
    full = method.name == "full"
    masters = 4 / numbers.trained if full and numbers.autocast else 1.0
    root = (weights.embedding + weights.head + dims.hidden) * numbers.compute
    in_layers = whole.weights - (weights.embedding + weights.head) * numbers.weights
    layer = in_layers / dims.layers * (numbers.compute / numbers.weights)
    gathered = root + LAYERS_GATHERED * layer
    return Held(
        weights=whole.weights * masters / gpus + gathered,
        adapters=whole.adapters / gpus + LAYERS_GATHERED * whole.adapters / dims.layers,
        optimizer=whole.optimizer * masters / gpus,
        share=masters / gpus,
        exchange=gathered if full else LAYERS_GATHERED * whole.adapters / dims.layers,
        band=_BAND,
    )
