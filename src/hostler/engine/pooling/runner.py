"""Runs a model over a batch of texts, and makes answers of what it gives."""

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional
from transformers import PreTrainedModel

from hostler.engine.pooling.pooler import SentencePooler
from hostler.engine.pooling.request import PoolingRequest, PoolingSequence
from hostler.engine.runner import NumericalFailure


class EncoderRunner:
    """Vectors of texts. Implements `hostler.engine.pooling.core.PoolingRunner`; a row is a vector in float32."""

    def __init__(self, model: PreTrainedModel, pooler: SentencePooler, pad_token_id: int) -> None:
        self._model = model
        self._pooler = pooler
        self._pad_token_id = pad_token_id

    @torch.inference_mode()
    def execute(self, sequences: Sequence[PoolingSequence]) -> Sequence[torch.Tensor]:
        inputs = _padded(sequences, self._pad_token_id, self._model.device)
        hidden = self._model(**inputs).last_hidden_state
        counts = inputs["attention_mask"].bool()
        for row, sequence in enumerate(sequences):
            if sequence.num_unpooled_tokens < sequence.num_tokens:
                counts[row, : sequence.num_unpooled_tokens] = False
        return list(self._pooler(hidden, counts.to(hidden.device)).float().cpu())

    @torch.inference_mode()
    def collect(self, request: PoolingRequest) -> bytes:
        vectors = torch.stack([request.rows[index] for index in range(len(request.sequences))])
        if request.pairs is not None:
            first, second = torch.tensor(request.pairs).unbind(1)
            return _bytes_of(functional.cosine_similarity(vectors[first], vectors[second], dim=-1))
        dimensions = request.params.dimensions
        if dimensions is not None and dimensions < vectors.shape[1]:
            vectors = functional.normalize(vectors[:, :dimensions], dim=-1)
        return _bytes_of(vectors)


class ClassifierRunner:
    """Scores of texts and pairs of them. A row has one number for each label, its activation applied."""

    def __init__(
        self, model: PreTrainedModel, activation: Callable[[torch.Tensor], torch.Tensor], pad_token_id: int
    ) -> None:
        self._model = model
        self._activation = activation
        self._pad_token_id = pad_token_id
        self._is_batched = model.config.pad_token_id is not None
        """Decoders look for the last token by what is padding; one that knows none takes one text at a time."""

    @torch.inference_mode()
    def execute(self, sequences: Sequence[PoolingSequence]) -> Sequence[torch.Tensor]:
        batches = [sequences] if self._is_batched else [[sequence] for sequence in sequences]
        return [row for batch in batches for row in self._compute(batch)]

    def collect(self, request: PoolingRequest) -> bytes:
        return _bytes_of(torch.stack([request.rows[index] for index in range(len(request.sequences))]))

    def _compute(self, sequences: Sequence[PoolingSequence]) -> Sequence[torch.Tensor]:
        logits = self._model(**_padded(sequences, self._pad_token_id, self._model.device)).logits
        return list(self._activation(logits.float()).cpu())


def _padded(sequences: Sequence[PoolingSequence], pad_token_id: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Rows that begin together: models that number their positions by what is no padding expect that."""
    width = max(sequence.num_tokens for sequence in sequences)

    def rows(values: Sequence[list[int]], filler: int) -> torch.Tensor:
        return torch.tensor([row + [filler] * (width - len(row)) for row in values], device=device)

    inputs = {
        "input_ids": rows([sequence.token_ids for sequence in sequences], pad_token_id),
        "attention_mask": rows([[1] * sequence.num_tokens for sequence in sequences], 0),
    }
    types = [sequence.token_type_ids for sequence in sequences]
    if any(row is not None for row in types):
        filled = [row or [0] * sequence.num_tokens for row, sequence in zip(types, sequences, strict=True)]
        inputs["token_type_ids"] = rows(filled, 0)
    return inputs


def _bytes_of(values: torch.Tensor) -> bytes:
    if not torch.isfinite(values).all():
        raise NumericalFailure
    content: bytes = values.numpy().astype("<f4").tobytes()
    return content
