"""Temperature, truncation and the draw, for all rows of a batch together.

Tokens are drawn by inverting the cumulative distribution at one uniform number per row. A row's token thus depends on
its own logits, parameters and number alone, whatever stands beside it. The truncations are those of transformers'
`TemperatureLogitsWarper`, `TopKLogitsWarper`, `TopPLogitsWarper` and `MinPLogitsWarper`, in this order, ties included;
sums are kept in float64, so that a set of tokens differs from theirs only where a probability mass is within
`RESOLUTION` of its bound.
"""

import torch
from torch.nn.functional import pad

from hostler.types import SamplingParams

RESOLUTION = 1e-6
"""Of probability mass: what float32 sums of some 100,000 terms are good for. A mass so near to its bound has reached
it: with an exact bound, equal masses would be told apart by rounding, which changes with the shape of a batch."""
CANDIDATES = (256, 4096)
"""Likeliest tokens to look at first, and next. Only a row whose kept tokens are not all among them is sorted whole."""
NUM_GROUPS = 16
"""The vocabulary is read once in strides of a 16th of it; the groups with the best maxima hold the best tokens."""
BLOCK_SIZE = 128
"""Tokens that are summed, or whose largest is found, before blocks are compared. A cumulative sum over a vocabulary
costs more than its softmax; `torch.argmax`, not vectorised on a CPU, takes eight times as long as these two steps."""


def argmax(logits: torch.Tensor) -> torch.Tensor:
    """Index of the largest logit of each row, the first of equal ones. `[num_rows]` int64."""
    blocks = _blocks(logits, -torch.inf)
    best = blocks.amax(dim=-1).argmax(dim=-1)
    return best * BLOCK_SIZE + _block_of_each_row(blocks, best).argmax(dim=-1)


def draw(logits: torch.Tensor, params: list[SamplingParams], uniforms: list[float]) -> list[int | None]:
    """One token per row; `None` for a row that has nothing to draw from: every token is forbidden, or one is infinite.

    `logits`: `[num_rows, vocab_size]` float32, without NaN; overwritten. `params`: temperature above 0, `typical_p` is
    not looked at. `uniforms`: in [0, 1).
    """
    logits.div_(_column([float(row.temperature) for row in params], logits))
    tokens = torch.empty(len(params), dtype=torch.long, device=logits.device)
    targets = torch.tensor(uniforms, dtype=torch.float64, device=logits.device)
    is_ranked = [row.top_k > 0 or row.top_p < 1.0 for row in params]
    unranked = [row for row, ranked in enumerate(is_ranked) if not ranked]
    if unranked:
        probabilities = torch.softmax(_rows(logits, unranked), dim=-1)
        _apply_min_p(probabilities, [params[row].min_p for row in unranked])
        tokens[unranked] = _invert(probabilities, targets[unranked])
    ranked = [row for row, is_so in enumerate(is_ranked) if is_so]
    vocab_size = logits.shape[-1]
    for num_candidates in (*CANDIDATES, vocab_size):
        if not ranked:
            break
        truncation = Truncation(_rows(logits, ranked), [params[row] for row in ranked], min(num_candidates, vocab_size))
        tokens[ranked] = truncation.draw(targets[ranked])
        ranked = [row for row, is_complete in zip(ranked, truncation.is_complete, strict=True) if not is_complete]
    return [token if token >= 0 else None for token in tokens.tolist()]


class Truncation:
    """What top-k, top-p and min-p leave of each row, among its likeliest tokens."""

    def __init__(self, scores: torch.Tensor, params: list[SamplingParams], num_candidates: int) -> None:
        """`scores`: `[num_rows, vocab_size]`, temperature applied."""
        values, self.ids = rank(scores, num_candidates)
        top_k = torch.tensor([min(row.top_k or num_candidates, num_candidates) for row in params], device=scores.device)
        kth = values.gather(1, top_k.unsqueeze(1) - 1)
        has_top_k = torch.tensor([[row.top_k > 0] for row in params], device=scores.device)
        is_kept = (values > -torch.inf) & ((values >= kth) | ~has_top_k)
        weights = torch.exp((values - values[:, :1]).double()) * is_kept
        cumulative = weights.cumsum(dim=-1)
        # Relative to the likeliest token, as the weights are. top-p is a part of what top-k has left.
        total = torch.where(has_top_k, cumulative[:, -1:], 1 / torch.softmax(scores, dim=-1).amax(-1, True).double())
        bounds = [row.top_p - RESOLUTION if row.top_p < 1.0 else torch.inf for row in params]
        is_kept &= cumulative - weights < _column(bounds, scores).double() * total
        is_kept[:, 0] = True
        # top-p is measured against all that top-k keeps, however many equal its last one.
        least = torch.where(has_top_k, kth, values.masked_fill(~is_kept, torch.inf).amin(dim=-1, keepdim=True))
        whole = num_candidates == scores.shape[-1]
        self.is_complete: list[bool] = [True] * len(params) if whole else (values[:, -1] < least[:, 0]).tolist()
        """Whether tokens that are not among the candidates are out of the question, per row."""
        self.weights = weights * is_kept
        """`[num_rows, num_candidates]` float64, not normalised; 0 for what is cut off."""
        _apply_min_p(self.weights, [row.min_p for row in params])

    def draw(self, uniforms: torch.Tensor) -> torch.Tensor:
        """Token ids, `[num_rows]`; -1 where there is nothing to draw from."""
        chosen = _invert(self.weights, uniforms)
        return torch.where(chosen < 0, chosen, self.ids.gather(1, chosen.clamp(min=0).unsqueeze(1)).squeeze(1))


def rank(scores: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and ids of the `count` likeliest tokens of each row, likeliest first, of equal ones the highest id first.

    Of the tokens that equal the last one, any may be among them.
    """
    vocab_size = scores.shape[-1]
    if count == vocab_size:
        ids = torch.arange(vocab_size - 1, -1, -1, device=scores.device).expand(scores.shape)
    else:
        ids = _top_ids(scores, count).sort(dim=-1, descending=True).values
    values, order = scores.gather(1, ids).sort(dim=-1, descending=True, stable=True)
    return values, ids.gather(1, order)


def _top_ids(scores: torch.Tensor, count: int) -> torch.Tensor:
    """Ids of the `count` largest scores of each row, in no order: a fifth of the time of `topk` over a vocabulary."""
    num_rows, vocab_size = scores.shape
    stride = vocab_size // NUM_GROUPS
    if stride < 2 * count:
        ids: torch.Tensor = scores.topk(count, dim=-1, sorted=False).indices
        return ids
    strided = scores[:, : stride * NUM_GROUPS].unflatten(1, (NUM_GROUPS, stride))
    best = strided.amax(dim=1).topk(count, dim=-1, sorted=False).indices
    steps = torch.arange(0, stride * NUM_GROUPS, stride, device=scores.device)
    rest = torch.arange(stride * NUM_GROUPS, vocab_size, device=scores.device).expand(num_rows, -1)
    ids = torch.cat([(best.unsqueeze(2) + steps).flatten(1), rest], dim=1)
    return ids.gather(1, scores.gather(1, ids).topk(count, dim=-1, sorted=False).indices)


def _apply_min_p(weights: torch.Tensor, min_p: list[float]) -> None:
    """Zero what is less likely than this part of the likeliest. In place."""
    if any(min_p):
        bounds = _column(min_p, weights) * weights.amax(dim=-1, keepdim=True)
        weights.masked_fill_(weights < bounds * (1 - RESOLUTION), 0.0)


def _invert(weights: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """Where each row's cumulative sum passes its uniform number, `[num_rows]`; -1 where the weights have no sum.

    First by sums of blocks, then inside of the block: of weight 0 nothing is ever chosen.
    """
    blocks = _blocks(weights, 0.0)
    sums = blocks.sum(dim=-1).double()
    total = sums.cumsum(dim=-1)[:, -1]
    chosen, rest = _invert_sums(sums, uniforms * total)
    within, _ = _invert_sums(_block_of_each_row(blocks, chosen).double(), rest)
    is_sound = torch.isfinite(total) & (total > 0)
    return torch.where(is_sound, chosen * BLOCK_SIZE + within, -1)


def _invert_sums(weights: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Index at which the cumulative sum passes the target, and what is left of the target before it. In float64."""
    cumulative = weights.cumsum(dim=-1)
    # Rounding may bring a target up to the sum itself, which nothing passes.
    targets = torch.minimum(targets, torch.nextafter(cumulative[:, -1], torch.zeros_like(targets)))
    index = torch.searchsorted(cumulative, targets.unsqueeze(1), right=True).clamp(max=weights.shape[-1] - 1)
    before = (cumulative - weights).gather(1, index).squeeze(1)
    return index.squeeze(1), (targets - before).clamp(min=0.0)


def _blocks(rows: torch.Tensor, filler: float) -> torch.Tensor:
    """`[num_rows, num_blocks, BLOCK_SIZE]`; a view where the width allows it."""
    missing = -rows.shape[-1] % BLOCK_SIZE
    return (pad(rows, (0, missing), value=filler) if missing else rows).unflatten(1, (-1, BLOCK_SIZE))


def _block_of_each_row(blocks: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """`[num_rows, BLOCK_SIZE]`."""
    return blocks[torch.arange(len(blocks), device=blocks.device), index]


def _rows(logits: torch.Tensor, rows: list[int]) -> torch.Tensor:
    return logits if len(rows) == len(logits) else logits[rows]


def _column(values: list[float], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).unsqueeze(1)
