"""What an architecture allows is found out by trying, where the tables do not know it."""

import logging
from collections.abc import Callable

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from hostler.engine.causal import architectures
from hostler.engine.causal.architectures import capabilities_of
from hostler.engine.causal.capabilities import Batching, Capabilities
from tests.engine.harness import TinyModel

Tiny = Callable[[str], TinyModel]


@pytest.fixture
def _nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architectures, "TESTED_FLAT", frozenset())
    monkeypatch.setattr(architectures, "TESTED_IN_ROWS", frozenset())


@pytest.mark.usefixtures("_nothing_is_known")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("family", "batching"),
    [
        *((family, Batching.FLAT) for family in ("gpt2", "opt", "llama", "phi", "mixtral")),
        *((family, Batching.ROWS) for family in ("falcon_alibi", "gpt_neo", "xglm", "stablelm")),
    ],
)
def test_an_unknown_architecture_that_can_be_batched_is(
    family: str, batching: Batching, dtype: torch.dtype, tiny: Tiny
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny(family).model.name_or_path, dtype=dtype).eval()
    found = capabilities_of(model)
    assert found.batching is batching
    assert found.computes_chunks


@pytest.mark.usefixtures("_nothing_is_known")
@pytest.mark.parametrize("family", ["mistral", "gemma2", "gemma3"])
def test_an_unknown_architecture_with_windows_is_served_alone_since_no_trial_reaches_beyond_them(
    family: str, tiny: Tiny
) -> None:
    assert capabilities_of(tiny(family).model).batching is Batching.ALONE


@pytest.mark.usefixtures("_nothing_is_known")
@pytest.mark.parametrize("family", ["bloom", "mpt", "bigbird_pegasus"])
def test_an_unknown_architecture_that_is_not_told_positions_is_served_alone(family: str, tiny: Tiny) -> None:
    assert capabilities_of(tiny(family).model).batching is Batching.ALONE


@pytest.mark.usefixtures("_nothing_is_known")
def test_a_model_that_does_not_read_the_mask_is_served_alone(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("llama").model
    forward = type(model).forward

    def forward_without_mask(self: PreTrainedModel, attention_mask: object = None, **arguments: object) -> object:
        return forward(self, **arguments)

    monkeypatch.setattr(type(model), "forward", forward_without_mask)
    monkeypatch.setattr(architectures, "_declared", lambda _model: Capabilities(batching=Batching.ALONE))
    monkeypatch.setattr(architectures, "_ways_to_share", lambda _model: [Batching.ROWS])
    assert capabilities_of(model).batching is Batching.ALONE


@pytest.mark.parametrize(
    ("family", "computes_chunks", "cache_argument"),
    [
        ("mamba", False, "cache_params"),
        ("mamba2", True, "cache_params"),
        ("jamba", False, "past_key_values"),
        ("lfm2", True, "past_key_values"),
    ],
)
def test_a_prompt_is_cut_only_where_the_pieces_give_the_whole(
    family: str, computes_chunks: bool, cache_argument: str, tiny: Tiny
) -> None:
    found = capabilities_of(tiny(family).model)
    assert (found.computes_chunks, found.cache_argument) == (computes_chunks, cache_argument)


def test_what_was_measured_is_logged_and_what_is_known_is_not_measured(
    tiny: Tiny, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger=architectures.__name__):
        capabilities_of(tiny("llama").model)
        assert not caplog.messages
        capabilities_of(tiny("lfm2").model)
    assert caplog.messages == ["architecture_measured type=lfm2 batching=alone computes_chunks=True"]
