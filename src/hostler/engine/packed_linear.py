"""Weights in the order in which the processor's matrix unit reads them, so that it is not made anew in every step.

torch hands a bfloat16 product on a CPU to oneDNN, which first reorders the weight: for the few tokens of a decoding
step that takes longer than the product. Here each weight is reordered once. The operators are those that torch's own
compiler puts into frozen models (`torch._inductor.fx_passes.mkldnn_fusion`).
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple, TypeGuard

import torch
from torch import nn
from transformers import PreTrainedModel

from hostler.models.architecture import is_own_class

TESTED_PACKED = frozenset(
    (
        *("bart", "bloom", "codegen", "gemma", "gemma2", "gemma3_text", "gpt_neo", "gpt_neox", "gptj", "llama"),
        *("marian", "mistral", "mixtral", "mpt", "mt5", "olmo2", "opt", "pegasus", "phi", "qwen2", "qwen2_moe"),
        *("qwen3", "stablelm", "t5", "umt5", "xglm"),
    )
)
"""Model types whose forwards leave all computing with a weight to its layer; `tests/engine/test_packed_linear.py` packs
each of them. Mamba, for one, does not."""

TESTED_JOINT = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Model types whose attention reads queries, keys and values from the same tensor."""
JOINT_NAMES = ("q_proj", "k_proj", "v_proj")


class PackedLinear(nn.Module):
    """Computes what an `nn.Linear` does. The weight cannot be read back."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features = linear.in_features
        self.out_features = linear.out_features
        self.bias = linear.bias
        self._packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self.weight = _unreadable(linear)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(hidden, self._packed, self.bias, "none", [], "")
        return result

    def swished(self, hidden: torch.Tensor) -> torch.Tensor:
        """Its output times its sigmoid, in one operation."""
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(hidden, self._packed, self.bias, "swish", [], "")
        return result

    def combined(self, hidden: torch.Tensor, other: torch.Tensor, operation: Literal["add", "mul"]) -> torch.Tensor:
        """Its output plus, or times, a tensor of the same shape, in one operation; rounded once."""
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(
            hidden, other, self._packed, self.bias, operation
        )
        return result


class JointLinear(nn.Module):
    """Several packed layers with the same input as one product, their outputs one after the other in the last axis."""

    def __init__(self, linears: Sequence[nn.Linear]) -> None:
        super().__init__()
        biases = [linear.bias for linear in linears]
        self._bias = None if biases[0] is None else torch.cat(biases)
        self._packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(
            torch.cat([linear.weight.detach() for linear in linears]), None
        )
        self._sizes = [linear.out_features for linear in linears]
        self._input: torch.Tensor | None = None
        self._parts: dict[int, torch.Tensor] = {}

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(hidden, self._packed, self._bias, "none", [], "")
        return result

    def part(self, index: int, hidden: torch.Tensor) -> torch.Tensor:
        """Of one layer. The others' wait until they are asked for with the same tensor."""
        if hidden is not self._input or index not in self._parts:
            self._input, self._parts = hidden, dict(enumerate(self(hidden).split(self._sizes, dim=-1)))
        part = self._parts.pop(index)
        if not self._parts:
            self._input = None
        return part


class JointPart(nn.Module):
    """One of the layers of a `JointLinear`. The weight cannot be read back."""

    def __init__(self, linear: nn.Linear, joint: JointLinear, index: int) -> None:
        super().__init__()
        self.in_features = linear.in_features
        self.out_features = linear.out_features
        self.joint = joint
        self._index = index
        self.weight = _unreadable(linear)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.joint.part(self._index, hidden)


def _unreadable(linear: nn.Linear) -> torch.Tensor:
    """Stands for a packed weight: some forwards ask for its dtype; one that computes with it is to be seen at once."""
    return torch.full((), torch.nan, dtype=linear.weight.dtype).expand(linear.weight.shape)


def can_pack() -> bool:
    """Whether this processor multiplies bfloat16 by oneDNN, and torch has the operators."""
    return hasattr(torch.ops.mkldnn, "_linear_pointwise") and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@torch.no_grad()
def pack_linears(model: PreTrainedModel) -> int:
    """Replace the bfloat16 layers of a model on a CPU in place, one by one; how many that were, 0 for unknown types.

    A weight that is also something else's, as an output layer is often the embedding, would be held twice: such stay.
    """
    is_known = model.config.model_type in TESTED_PACKED and is_own_class(model)
    if not (is_known and can_pack()):
        return 0
    groups = list(_groups(model))
    num_threads = torch.get_num_threads()
    # Each layer in one thread: those that share an operation would wait for each other after each of hundreds.
    with ThreadPoolExecutor(num_threads, initializer=torch.set_num_threads, initargs=(1,)) as packers:
        num_packed = sum(packers.map(_pack, groups))
    # What threads set for themselves, later ones begin with.
    torch.set_num_threads(num_threads)
    return num_packed


@torch.no_grad()
def own_memory(model: nn.Module) -> None:
    """Copy all that was not packed, in place: the file that weights are mapped from, with the plain form of those that
    were, stays in memory as long as one tensor looks into it."""
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()


class _Group(NamedTuple):
    """Layers that are packed as one."""

    module: nn.Module
    linears: dict[str, nn.Linear]
    """By their names in `module`."""


def _groups(model: PreTrainedModel) -> Iterator[_Group]:
    shared = _shared_weights(model)
    for module in model.modules():
        linears = {name: child for name, child in module.named_children() if _is_packable(child, shared)}
        if model.config.model_type in TESTED_JOINT and all(name in linears for name in JOINT_NAMES):
            yield _Group(module, {name: linears.pop(name) for name in JOINT_NAMES})
        for name, linear in linears.items():
            yield _Group(module, {name: linear})


def _pack(group: _Group) -> int:
    """Replace them; how many. The group is empty afterwards: it may be the last that holds the plain weights."""
    linears = list(group.linears.values())
    joint = JointLinear(linears) if len(linears) > 1 else None
    for index, (name, linear) in enumerate(group.linears.items()):
        setattr(group.module, name, PackedLinear(linear) if joint is None else JointPart(linear, joint, index))
    group.linears.clear()
    return len(linears)


def _is_packable(module: nn.Module, shared: set[int]) -> TypeGuard[nn.Linear]:
    # Exactly: what derives from it (quantised layers, for one) has a forward of its own.
    if type(module) is not nn.Linear or id(module.weight) in shared:
        return False
    is_hooked = bool(module._forward_hooks or module._forward_pre_hooks)
    return module.weight.dtype is torch.bfloat16 and module.weight.device.type == "cpu" and not is_hooked


def _shared_weights(model: nn.Module) -> set[int]:
    """Identities of parameters that several modules have."""
    seen: set[int] = set()
    shared: set[int] = set()
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            (shared if id(parameter) in seen else seen).add(id(parameter))
    return shared
