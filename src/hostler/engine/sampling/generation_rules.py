"""What a model's authors ask of every answer, in its `generation_config.json`.

Translation and summary models do not work without: Marian must never write its padding token, mBART must begin with
the language, BART ends at the last place there is. `generate` applies these to whatever the caller asks for, and so
do we. What a request chooses for itself (temperature and its kin, the number of beams) is not among them.
"""

from dataclasses import dataclass

import torch
from transformers import (
    EncoderNoRepeatNGramLogitsProcessor,
    ForcedBOSTokenLogitsProcessor,
    ForcedEOSTokenLogitsProcessor,
    GenerationConfig,
    LogitsProcessor,
    MinLengthLogitsProcessor,
    MinNewTokensLengthLogitsProcessor,
    NoBadWordsLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
)

from hostler.engine.request import Request


@dataclass(frozen=True)
class GenerationRules:
    """One model's rules, as transformers' own processors."""

    config: GenerationConfig
    device: torch.device

    def processors(self, request: Request) -> list[LogitsProcessor]:
        """Those that hold for one sequence, in the order in which `generate` applies them; often none.

        Rules about the end of a sequence are left out when the request ignores it.
        """
        config = self.config
        processors: list[LogitsProcessor] = []
        if config.no_repeat_ngram_size:
            processors.append(NoRepeatNGramLogitsProcessor(config.no_repeat_ngram_size))
        if config.encoder_no_repeat_ngram_size and request.encoder_token_ids:
            input_ids = torch.tensor([request.encoder_token_ids], device=self.device)
            processors.append(EncoderNoRepeatNGramLogitsProcessor(config.encoder_no_repeat_ngram_size, input_ids))
        if config.bad_words_ids:
            processors.append(NoBadWordsLogitsProcessor(config.bad_words_ids, self._eos_tensor()))
        if not request.params.ignore_eos:
            processors += self._about_the_end(request)
        if config.forced_bos_token_id is not None:
            processors.append(ForcedBOSTokenLogitsProcessor(config.forced_bos_token_id))
        if config.forced_eos_token_id is not None and not request.params.ignore_eos:
            max_length = len(request.prompt_token_ids) + request.max_tokens
            processors.append(ForcedEOSTokenLogitsProcessor(max_length, config.forced_eos_token_id, str(self.device)))
        processors += self._suppressions(request)
        return processors

    def _about_the_end(self, request: Request) -> list[LogitsProcessor]:
        config, eos_ids, device = self.config, self._eos_tensor(), str(self.device)
        processors: list[LogitsProcessor] = []
        if eos_ids is not None and config.min_length:
            processors.append(MinLengthLogitsProcessor(config.min_length, eos_ids, device))
        if eos_ids is not None and config.min_new_tokens:
            num_before = len(request.prompt_token_ids)
            processors.append(MinNewTokensLengthLogitsProcessor(num_before, config.min_new_tokens, eos_ids, device))
        return processors

    def _suppressions(self, request: Request) -> list[LogitsProcessor]:
        config, device = self.config, str(self.device)
        processors: list[LogitsProcessor] = []
        if config.suppress_tokens:
            processors.append(SuppressTokensLogitsProcessor(config.suppress_tokens, device))
        if config.begin_suppress_tokens:
            begin = len(request.prompt_token_ids)
            if begin == 1 and config.forced_bos_token_id is not None:
                begin += 1
            processors.append(SuppressTokensAtBeginLogitsProcessor(config.begin_suppress_tokens, begin, device))
        return processors

    def _eos_tensor(self) -> torch.Tensor | None:
        eos_ids = self.config.eos_token_id
        if eos_ids is None:
            return None
        return torch.tensor(eos_ids if isinstance(eos_ids, list) else [eos_ids], device=self.device)
