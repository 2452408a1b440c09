"""The values of the label `model`, of which there is a bound."""

MAX_MODELS = 4096
"""More than a registry has. With `allow_unlisted` callers bring ever new names, and each is a dozen series for good."""
OTHER = "other"


class ModelLabels:
    """Belongs to one server, all of whose counters and histograms ask it."""

    def __init__(self, max_models: int = MAX_MODELS) -> None:
        self._max_models = max_models
        self._known: set[str] = set()

    def of(self, model_id: str) -> str:
        """The model's id, or `OTHER` where it comes after so many."""
        if model_id not in self._known:
            if len(self._known) >= self._max_models:
                return OTHER
            self._known.add(model_id)
        return model_id
