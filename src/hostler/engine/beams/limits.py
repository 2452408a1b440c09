"""What a model has room for, and its own defaults, when a request wants a beam search."""

from dataclasses import dataclass

from transformers import GenerationConfig

from hostler.engine.beams.search import BeamSearch
from hostler.engine.kv_cache import BLOCK_SIZE, num_blocks_of
from hostler.engine.request import Request
from hostler.errors import InvalidRequestError
from hostler.types import BeamParams, EarlyStopping


@dataclass(frozen=True)
class BeamLimits:
    """Of one loaded model."""

    max_num_seqs: int
    """Sequences that it computes at the same time; each beam is one."""
    cache_tokens: int
    """What its cache has room for."""
    length_penalty: float = 1.0
    early_stopping: EarlyStopping = False
    """Its `generation_config.json`'s, where a request says nothing."""

    @classmethod
    def of(cls, config: GenerationConfig, *, max_num_seqs: int, cache_tokens: int) -> "BeamLimits":
        length_penalty = config.length_penalty
        return cls(
            max_num_seqs=max_num_seqs,
            cache_tokens=cache_tokens,
            length_penalty=1.0 if length_penalty is None else float(length_penalty),
            early_stopping=config.early_stopping or False,
        )

    def new_search(self, request: Request, beams: BeamParams) -> BeamSearch:
        """The search that a request asks for.

        Raises:
            InvalidRequestError: it can never be computed here; the message has the numbers.
        """
        if request.params.n > beams.num_beams:
            raise InvalidRequestError(
                f"{request.params.n} answers cannot be the best of {beams.num_beams} beams; set num_beams to at least"
                " the number of answers",
                param="num_beams",
            )
        if beams.num_beams > self.max_num_seqs:
            raise InvalidRequestError(
                f"num_beams is {beams.num_beams}, and this model computes at most {self.max_num_seqs} sequences at a"
                " time",
                param="num_beams",
            )
        num_tokens = max(request.num_tokens + request.max_tokens, request.num_encoder_tokens)
        if beams.num_beams * num_blocks_of(num_tokens) * BLOCK_SIZE > self.cache_tokens:
            raise InvalidRequestError(
                f"{beams.num_beams} beams of {num_tokens} tokens, prompt and answer, do not fit this model's cache of"
                f" {self.cache_tokens} tokens; set num_beams or max_tokens lower",
                param="num_beams",
            )
        return BeamSearch(
            num_beams=beams.num_beams,
            length_penalty=self.length_penalty if beams.length_penalty is None else beams.length_penalty,
            early_stopping=self.early_stopping if beams.early_stopping is None else beams.early_stopping,
            max_tokens=request.max_tokens,
            num_end_tokens=len(request.stop_token_ids),
        )
