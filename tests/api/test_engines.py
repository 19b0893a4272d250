"""Which engine links is asked for; what it lacks is said in one sentence with the remedy."""

import sys

import pytest

from api.linkage import LinkRequest, run_link
from api.settings import Settings, SettingsError
from identity.errors import EngineError
from tests.world import World


def test_without_pyspark_the_remedy_is_named_and_nothing_changes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)  # importing it fails as if it were not there
    for name in [name for name in sys.modules if name.startswith("identity.spark_")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(EngineError, match=r"pip install 'aurea\[spark\]', or use --engine duckdb"):
        run_link(world.services, LinkRequest(engine="spark"))
    assert world.link()["golden_ids"] == 0, "no lease is left behind"


REFUSED = {
    "a master that Spark has no word for": {"AUREA_SPARK_MASTER": "somewhere"},
    "an address without a scheme": {"AUREA_SPARK_MASTER": "host:7077"},
    "memory without a unit": {"AUREA_SPARK_MEMORY": "8"},
    "memory in words": {"AUREA_SPARK_MEMORY": "much"},
}


@pytest.mark.parametrize("environment", REFUSED.values(), ids=REFUSED.keys())
def test_a_setting_that_spark_would_not_understand_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="AUREA_SPARK_"):
        Settings.from_environment(environment)
