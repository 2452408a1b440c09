"""How two registries differ."""

import msgspec

from hostler.lifecycle.status import RegistryChange
from hostler.registry import Registry
from tests.lifecycle.specs import make_registry, make_spec


def test_each_model_is_in_exactly_one_part_of_a_change() -> None:
    old = make_registry("a", "b", "c", "e")
    longer = msgspec.structs.replace(make_spec("a"), max_length=2048)
    described = make_spec("e", description="another")
    new = Registry({"d": make_spec("d"), "a": longer, "c": make_spec("c"), "e": described})
    assert RegistryChange.between(old, new) == RegistryChange(
        added=("d",), removed=("b",), changed=("a",), updated=("e",), unchanged=("c",)
    )
