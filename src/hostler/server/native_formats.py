"""Answers as the native interface spells them."""

from collections.abc import Iterator
from typing import Literal

from hostler.protocol.conversation import encode_context
from hostler.protocol.native_answers import ChatAnswer, GenerateAnswer, GenerateAnswers, GenerationParams, StreamedText
from hostler.server.answer import Answer
from hostler.types import (
    ChatFormat,
    ChatMessage,
    ChatPrompt,
    FinishReason,
    ModelFacts,
    Prompt,
    SamplingParams,
    TextPrompt,
    TokenDelta,
)


class _StreamedTexts:
    """A stream of pieces of text, whose last event is the whole answer."""

    def opening(self, answer: Answer) -> Iterator[StreamedText]:  # noqa: ARG002
        return iter(())

    def delta(self, answer: Answer, prompt_index: int, delta: TokenDelta) -> Iterator[StreamedText]:  # noqa: ARG002
        if not delta.text and delta.finish_reason is None:
            return
        reason = delta.finish_reason
        yield StreamedText(
            index=delta.index, text=delta.text, finish_reason=None if reason is None else finish_reason(reason)
        )


class GenerateFormat(_StreamedTexts):
    """`generate` with a `text`."""

    def whole(self, answer: Answer) -> GenerateAnswer:
        return _generated(answer, 0)

    def closing(self, answer: Answer) -> Iterator[GenerateAnswer]:
        yield self.whole(answer)


class GenerateManyFormat(_StreamedTexts):
    """`generate` with `texts`."""

    def whole(self, answer: Answer) -> GenerateAnswers:
        return GenerateAnswers(answers=[_generated(answer, i) for i in range(len(answer.admissions))])

    def delta(self, answer: Answer, prompt_index: int, delta: TokenDelta) -> Iterator[StreamedText]:
        for event in super().delta(answer, prompt_index, delta):
            yield StreamedText(text_index=prompt_index, **event)

    def closing(self, answer: Answer) -> Iterator[GenerateAnswers]:
        yield self.whole(answer)


class ConversationFormat(_StreamedTexts):
    """`chat`. Also knows how the conversation is put to a model, since its context is what the model saw of it."""

    def __init__(self, messages: list[ChatMessage]) -> None:
        self._messages = messages

    def prompts_for(self, facts: ModelFacts) -> list[Prompt]:
        if facts.chat_format is ChatFormat.PLAIN:
            return [TextPrompt(text=self._messages[-1].content)]
        return [ChatPrompt(messages=self._messages, drop_oldest=True)]

    def whole(self, answer: Answer) -> ChatAnswer:
        response = answer.sequences[0][0].text
        num_dropped = answer.admissions[0].num_dropped_messages
        if answer.facts.chat_format is ChatFormat.PLAIN:
            num_dropped = len(self._messages) - 1
        turns = [*self._messages[num_dropped:], ChatMessage(role="assistant", content=response)]
        return ChatAnswer(
            response=response, model_id=answer.spec.id, model_name=answer.spec.name, context=encode_context(turns)
        )

    def closing(self, answer: Answer) -> Iterator[ChatAnswer]:
        yield self.whole(answer)


def finish_reason(reason: FinishReason) -> Literal["stop", "length"]:
    """Of a sequence that has ended by itself."""
    return "length" if reason is FinishReason.LENGTH else "stop"


def _generated(answer: Answer, prompt_index: int) -> GenerateAnswer:
    admission = answer.admissions[prompt_index]
    sequences = answer.sequences[prompt_index]
    # Causal models continue their prompt: it is part of the text and of every length.
    is_continued = not answer.facts.is_encoder_decoder
    prompt = admission.prompt_text if is_continued else ""
    num_before = admission.num_prompt_tokens if is_continued else 0
    # transformers counts the token with which a decoder starts.
    num_before_answer = num_before if is_continued else 1
    return GenerateAnswer(
        generated_text=[prompt + sequence.text for sequence in sequences],
        model_id=answer.spec.id,
        model_name=answer.spec.name,
        input_length=admission.num_prompt_tokens,
        output_length=[num_before + sequence.num_tokens for sequence in sequences],
        generation_params=_generation_params(answer.params, num_before_answer, admission.max_tokens),
    )


def _generation_params(params: SamplingParams, num_before_answer: int, max_tokens: int) -> GenerationParams:
    generation_params = GenerationParams(
        max_length=num_before_answer + max_tokens,
        max_new_tokens=max_tokens,
        temperature=params.temperature,
        top_p=params.top_p,
        top_k=params.top_k,
        do_sample=params.temperature > 0,
        num_return_sequences=params.n,
        seed=params.seed,
        stop=params.stop,
    )
    if params.beams is not None:
        generation_params["num_beams"] = params.beams.num_beams
        if params.beams.length_penalty is not None:
            generation_params["length_penalty"] = params.beams.length_penalty
        if params.beams.early_stopping is not None:
            generation_params["early_stopping"] = params.beams.early_stopping
    return generation_params
