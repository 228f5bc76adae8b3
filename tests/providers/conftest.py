import pytest
from hypothesis import settings

pytest.register_assert_rewrite("tests.providers.contract", "tests.providers.harness")

settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")
