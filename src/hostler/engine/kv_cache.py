"""How many tokens the key–value cache has room for: arithmetic alone, the tensors are the runner's.

The generic runner keeps its sequences as rows of one padded tensor, as long as the longest of them. What a set of
sequences costs is therefore rows times longest row, counted in whole blocks. A decoder's row has a second part,
the keys and values of its encoder's output; a token's size is measured with both parts, so the longer one is counted.
"""

from hostler.engine.request import Request

BLOCK_SIZE = 16
"""Tokens; the rows' lengths are rounded up to it, so that growing by one token seldom changes the sum."""


class KVCacheManager:
    """Says yes or no to each growth of a sequence, and never more than the capacity in all."""

    def __init__(self, capacity_tokens: int) -> None:
        self.capacity_tokens = capacity_tokens
        self._num_blocks: dict[Request, int] = {}

    @property
    def num_used_tokens(self) -> int:
        """Tokens that the padded rows take up."""
        return len(self._num_blocks) * max(self._num_blocks.values(), default=0) * BLOCK_SIZE

    def allocate_slots(self, request: Request, num_tokens: int) -> bool:
        """Make room for a sequence to be `num_tokens` long; `False`, and nothing changed, where there is none."""
        num_blocks = -(-max(num_tokens, request.num_encoder_tokens) // BLOCK_SIZE)
        others = [blocks for other, blocks in self._num_blocks.items() if other is not request]
        if (len(others) + 1) * max([num_blocks, *others]) * BLOCK_SIZE > self.capacity_tokens:
            return False
        self._num_blocks[request] = num_blocks
        return True

    def free(self, request: Request) -> None:
        """Take back what a sequence had; harmless when it had nothing."""
        self._num_blocks.pop(request, None)
