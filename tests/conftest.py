"""For all tests."""

from hypothesis import settings

# A busy machine stalls any test now and then; a deadline would call that a failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
