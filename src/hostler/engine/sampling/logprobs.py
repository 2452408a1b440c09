"""How likely the model held its tokens to be: log-softmax of its raw logits, in float32."""

import torch

from hostler.engine.request import Request, TokenScore

MIN_LOGPROB = -9999.0
"""Stands for minus infinity, which JSON cannot say; OpenAI's value."""
ROWS_AT_ONCE = 64
"""Of a prompt: with a vocabulary of 256,000 tokens each float32 row is a megabyte."""


def score_tokens(logits: torch.Tensor, token_ids: list[int], num_top: int) -> list[TokenScore]:
    """One score per row. `logits`: `[num_tokens, vocab_size]`; the row that each token was predicted by."""
    logprobs = torch.log_softmax(logits.float(), dim=-1).clamp_(min=MIN_LOGPROB)
    ids = torch.tensor(token_ids, device=logits.device).unsqueeze(1)
    chosen: list[float] = logprobs.gather(1, ids).squeeze(1).tolist()
    values, indices = logprobs.topk(min(num_top, logprobs.shape[-1]), dim=-1)
    return [
        TokenScore(token_id, logprob, list(zip(top_ids, top_logprobs, strict=True)))
        for token_id, logprob, top_ids, top_logprobs in zip(
            token_ids, chosen, indices.tolist(), values.tolist(), strict=True
        )
    ]


def score_output(logits: torch.Tensor, rows: list[tuple[int, Request, int]]) -> None:
    """Add a score to each request. `rows`: its row of `logits`, and the token that was chosen from it."""
    num_top = [request.params.logprobs or 0 for _, request, _ in rows]
    scores = score_tokens(logits[[row for row, _, _ in rows]], [token_id for _, _, token_id in rows], max(num_top))
    for (_, request, _), score, count in zip(rows, scores, num_top, strict=True):
        request.output_scores.append(TokenScore(score.token_id, score.logprob, score.top[:count]))


def score_prompt(logits: torch.Tensor, request: Request, start: int) -> None:
    """Score what a part of the prompt predicts. `logits`: `[num_tokens, vocab_size]`, of the tokens from `start` on.

    A preempted sequence computes its prompt again: what has its score already is passed over.
    """
    prompt, scores = request.prompt_token_ids, request.prompt_scores
    if not scores:
        scores.append(TokenScore(prompt[0], None, []))
    stop = min(start + 1 + logits.shape[0], len(prompt))
    for first in range(len(scores), stop, ROWS_AT_ONCE):
        last = min(first + ROWS_AT_ONCE, stop)
        part = logits[first - start - 1 : last - start - 1]
        scores += score_tokens(part, prompt[first:last], request.params.prompt_logprobs or 0)
