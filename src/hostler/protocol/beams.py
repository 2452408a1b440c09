"""Beam search as both interfaces ask for it, by transformers' names."""

from typing import Annotated

from pydantic import Field

from hostler.errors import InvalidRequestError
from hostler.protocol.fields import Integer, RequestBody
from hostler.types import BeamParams, EarlyStopping

MAX_BEAMS = 16

_ONLY_FOR_DRAWS = {"temperature": (0,), "top_p": (1,), "top_k": (0, -1), "min_p": (0,), "typical_p": (1,)}
"""Fields that say how tokens are drawn, and the values at which they change nothing."""


class BeamFields(RequestBody):
    """What a request says about beam search. `null` is the default, everywhere."""

    num_beams: Annotated[Integer, Field(ge=1, le=MAX_BEAMS)] | None = None
    """Extension. Search with so many beams for the likeliest answers, instead of drawing tokens. Default 1."""
    length_penalty: Annotated[float, Field(ge=-10, le=10)] | None = None
    """Extension. Above 0 long answers are preferred, below 0 short ones. Default: the model's own, mostly 1."""
    early_stopping: EarlyStopping | None = None
    """Extension. As in transformers: true, false or "never". Default: the model's own, mostly false."""

    def beams(self, num_answers: int) -> BeamParams | None:
        """The search that is asked for, for so many answers; `None` where tokens are drawn.

        Raises:
            InvalidRequestError: another field contradicts it.
        """
        if self.num_beams is None or self.num_beams == 1:
            self._refuse_what_needs_beams()
            return None
        if num_answers > self.num_beams:
            raise InvalidRequestError(
                f"num_beams is {self.num_beams}, fewer than the {num_answers} answers asked for; set num_beams to at"
                f" least {num_answers}",
                param="num_beams",
            )
        self._refuse_draws()
        return BeamParams(
            num_beams=self.num_beams, length_penalty=self.length_penalty, early_stopping=self.early_stopping
        )

    def _refuse_what_needs_beams(self) -> None:
        for name, neutral in {"length_penalty": 1.0, "early_stopping": False}.items():
            if getattr(self, name) not in (None, neutral):
                raise InvalidRequestError(f"{name} is for a beam search: set num_beams to more than 1", param=name)

    def _refuse_draws(self) -> None:
        given = self.model_dump(include={*_ONLY_FOR_DRAWS, "do_sample"}, exclude_none=True)
        if given.get("do_sample") is False or given.get("temperature") == 0:
            return
        for name, value in given.items():
            if value not in _ONLY_FOR_DRAWS.get(name, ()):
                raise InvalidRequestError(
                    f"{name} is {value!r}, but with num_beams {self.num_beams} no token is drawn; leave {name} out",
                    param=name,
                )
