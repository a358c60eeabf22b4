"""``origin_client.origin``: what tells a setting that is wrong from an origin that is away."""

from origin_client.origin import OriginError, OriginUnavailable


def test_an_outage_is_not_a_wrong_setting() -> None:
    """Who tries again for ever after the one must not do so after the other."""
    assert not issubclass(OriginError, OriginUnavailable)
    assert not issubclass(OriginUnavailable, OriginError)
