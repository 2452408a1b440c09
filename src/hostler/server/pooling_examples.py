"""Examples for the OpenAPI document: of embeddings, ranking and labels."""

from typing import Any

_EMBEDDER = "all-minilm-l6-v2"
_RERANKER = "bge-reranker-base"

POOLING_FIELDS: dict[str, Any] = {
    "ClassifyBody.input": ["A fine horse.", "A lame one."],
    "ClassifyRequest.input": ["A fine horse.", "A lame one."],
    "ClassifyRequest.model": "sentiment",
    "dimensions": 256,
    "documents": ["The mare is fast.", {"text": "The cow is not."}],
    "EmbeddingBody.input": ["A fine horse.", "A lame one."],
    "EmbeddingRequest.input": ["A fine horse.", "A lame one."],
    "EmbeddingRequest.model": _EMBEDDER,
    "encoding_format": "float",
    "input_type": "query",
    "query": "Which horse is the fastest?",
    "RerankRequest.model": _RERANKER,
    "return_documents": True,
    "ScoreRequest.model": _RERANKER,
    "text_1": "Which horse is the fastest?",
    "text_2": ["The mare is fast.", "The cow is not."],
    "top_n": 3,
    "truncate_prompt_tokens": -1,
    "user": "anna",
}
