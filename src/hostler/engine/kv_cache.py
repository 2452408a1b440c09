"""How many tokens the key–value cache has room for: arithmetic alone, the tensors are the runner's.

The generic runner keeps its sequences as rows of one padded tensor, as long as the longest of them. What a set of
sequences costs is therefore rows times longest row, counted in whole blocks. A decoder's row has a second part,
the keys and values of its encoder's output; a token's size is measured with both parts, so the longer one is counted.
The beams of a search are as long as each other and have a tensor of their own.
"""

from collections.abc import Mapping

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
        return num_cached_tokens(self._num_blocks)

    def allocate_slots(self, request: Request, num_tokens: int) -> bool:
        """Make room for a sequence to be `num_tokens` long; `False`, and nothing changed, where there is none."""
        num_blocks = num_blocks_of(max(num_tokens, request.num_encoder_tokens))
        if self._num_blocks.get(request) == num_blocks:
            return True
        if num_cached_tokens({**self._num_blocks, request: num_blocks}) > self.capacity_tokens:
            return False
        self._num_blocks[request] = num_blocks
        return True

    def free(self, request: Request) -> None:
        """Take back what a sequence had; harmless when it had nothing."""
        self._num_blocks.pop(request, None)


def num_blocks_of(num_tokens: int) -> int:
    """Blocks that hold so many tokens of one row."""
    return -(-num_tokens // BLOCK_SIZE)


def num_cached_tokens(num_blocks: Mapping[Request, int]) -> int:
    """Tokens, padding included, that the rows of sequences with so many blocks each take up."""
    padded = [blocks for request, blocks in num_blocks.items() if request.search is None]
    beams = sum(blocks * request.num_rows for request, blocks in num_blocks.items() if request.search is not None)
    return (len(padded) * max(padded, default=0) + beams) * BLOCK_SIZE
