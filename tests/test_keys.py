import base64
import hashlib

import pytest

from hostler.keys import PREFIX, Key, digest_of, new_secret


def test_a_new_key_has_256_random_bits_and_a_beginning_that_scanners_know() -> None:
    secrets = {new_secret() for _ in range(100)}

    assert len(secrets) == 100
    for secret in secrets:
        assert secret.startswith(PREFIX)
        assert len(base64.urlsafe_b64decode(secret.removeprefix(PREFIX) + "=")) == 32


def test_a_digest_is_sha256() -> None:
    assert digest_of(b"abc").hex() == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize(
    ("models", "names", "is_allowed"),
    [
        (None, ("anything",), True),
        (("tiny-*",), ("tiny-chat", "acme/Other"), True),
        (("ACME/*",), ("tiny-chat", "acme/Tiny-Chat"), True),
        (("tiny-?",), ("tiny-chat", "acme/Tiny-Chat"), False),
        (("other", "tiny-chat"), ("tiny-chat", "x"), True),
        (("tiny",), ("tiny-chat", "x"), False),
    ],
)
def test_a_key_is_for_models_whose_id_or_name_fits_a_pattern(
    models: tuple[str, ...] | None, names: tuple[str, ...], is_allowed: bool
) -> None:
    key = Key(name="k", digest=b"", scopes=frozenset(), models=models)

    assert key.may_use(*names) is is_allowed
