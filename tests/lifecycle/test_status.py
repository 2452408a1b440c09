"""How two registries differ."""

from hostler.lifecycle.status import RegistryChange
from hostler.registry import Registry
from tests.lifecycle.specs import make_registry, make_spec


def test_each_model_is_in_exactly_one_part_of_a_change() -> None:
    old = make_registry("a", "b", "c")
    new = Registry({"d": make_spec("d"), "a": make_spec("a", description="another"), "c": make_spec("c")})
    assert RegistryChange.between(old, new) == RegistryChange(
        added=("d",), removed=("b",), changed=("a",), unchanged=("c",)
    )
