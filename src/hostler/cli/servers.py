"""How commands reach a server."""

from hostler.client import Hostler
from hostler.client.connection import DEFAULT_TIMEOUT_S, ServerConnectionError
from hostler.errors import ModelNotFoundError, PermissionDeniedError, ServiceError

LOOK_TIMEOUT_S = 30.0
"""For what loads nothing: a server that takes longer is in trouble."""

AWAY = (ServerConnectionError, ServiceError)
"""What there is in place of a server that starts anew, and of one behind a proxy."""


def conversational_model(server: Hostler, name: str | None) -> str | None:
    """Id of the model of that name, or of the server's first one for conversations. Where the key may not look, the
    name as it is.

    Raises:
        ModelNotFoundError: there is none.
    """
    try:
        if name is not None:
            return server.info(name)["model_id"]
        for model_id, row in server.models().items():
            if row["type"] == "conversational":
                return model_id
    except PermissionDeniedError:
        return name
    raise ModelNotFoundError("the server has no conversational model; name one that it has")


def connect(url: str, api_key: str | None, timeout_s: float = DEFAULT_TIMEOUT_S) -> Hostler:
    """Whoever sits at a terminal wants to know at once, so nothing is tried again."""
    return Hostler(url, api_key=api_key, timeout_s=timeout_s, max_retries=0)
