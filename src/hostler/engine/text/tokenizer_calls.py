"""What every kind of model is asked about its tokenizer."""

from collections.abc import Iterable

from transformers import PreTrainedTokenizerBase

from hostler.errors import InvalidRequestError
from hostler.types import TokenizerFacts


def check_token_ids(token_ids: Iterable[int], vocab_size: int, param: str) -> None:
    """
    Raises:
        InvalidRequestError: one of them is outside the vocabulary.
    """
    for token_id in token_ids:
        if not 0 <= token_id < vocab_size:
            raise InvalidRequestError(
                f"token id {token_id} is outside the vocabulary of {vocab_size} tokens", param=param
            )


def spell_tokens(tokenizer: PreTrainedTokenizerBase, token_ids: list[int]) -> str:
    """The text of tokens, special ones included.

    Raises:
        InvalidRequestError: one of them is none of the tokenizer's.
    """
    check_token_ids(token_ids, len(tokenizer), "tokens")
    text: str = tokenizer.decode(token_ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text


def describe_tokenizer(tokenizer: PreTrainedTokenizerBase) -> TokenizerFacts:
    return TokenizerFacts(
        vocab_size=len(tokenizer),
        bos_token=tokenizer.bos_token,
        eos_token=tokenizer.eos_token,
        pad_token=tokenizer.pad_token,
        chat_template=tokenizer.get_chat_template() if tokenizer.chat_template else None,
    )
