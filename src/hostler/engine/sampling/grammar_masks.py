"""What grammars forbid, for all rows of a batch together."""

from collections.abc import Mapping

import torch

from hostler.engine.constraints.matcher import GrammarMatcher


def forbid(logits: torch.Tensor, matchers: Mapping[int, GrammarMatcher], unbent: Mapping[int, torch.Tensor]) -> None:
    """Leave rows no tokens but those that their grammars allow. In place.

    `logits`: `[num_rows, vocab_size]` float32. `matchers`: by row, at least one. `unbent`: by row, the logits
    `[vocab_size]` from before anything but its grammar forbade tokens; used where both together would leave none,
    since the text has to be whole, whatever else was wished.
    """
    rows = list(matchers)
    # A model may have more logits than its tokenizer has tokens, and fewer.
    allowed = torch.zeros((len(rows), logits.shape[-1]), dtype=torch.uint8)
    for line, matcher in zip(allowed, matchers.values(), strict=True):
        tokens = torch.frombuffer(bytearray(matcher.allowed()), dtype=torch.uint8)[: len(line)]
        line[: len(tokens)] = tokens
    forbidden = (allowed == 0).to(logits.device)
    if len(rows) == len(logits):
        logits.masked_fill_(forbidden, -torch.inf)
    else:
        logits[rows] = logits[rows].masked_fill_(forbidden, -torch.inf)
    for row, line in zip(rows, forbidden, strict=True):
        if row in unbent and not torch.isfinite(logits[row]).any():
            logits[row] = unbent[row].masked_fill(line, -torch.inf)
