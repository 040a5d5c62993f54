"""What Hypothesis runs when it is imported: the strategies of our types, and settings profiles.

``st.from_type(Tensor)`` then works, and ``pytest --hypothesis-profile=thorough``.
"""

from __future__ import annotations


def register() -> None:
    """Register strategies for Value and Tensor, and the profiles ``quick`` and ``thorough``.

    The distribution's entry point in the group ``hypothesis``. The strategies themselves are
    imported when a type is first looked up.
    """
    from hypothesis import settings
    from hypothesis import strategies as st

    from tinygrad_edu import Tensor, Value, testing

    st.register_type_strategy(Tensor, lambda _: testing.tensors())
    st.register_type_strategy(Value, lambda _: testing.values())
    # Whatever profile is in force: on a CI server that is one that never draws anew.
    default = settings.get_profile("default")
    settings.register_profile("quick", default, max_examples=10, deadline=None)
    settings.register_profile(
        "thorough", default, max_examples=1000, deadline=None, print_blob=True
    )
