from gateway.cache.recent_peak import RecentPeak


def test_what_was_high_is_told_for_one_to_two_minutes() -> None:
    now = [0.0]
    peak = RecentPeak(lambda: now[0])
    assert peak.value == 0
    now[0] = 119.0
    peak.note(3.0)
    peak.note(2.0)
    assert peak.value == 3.0
    now[0] = 179.9
    assert peak.value == 3.0
    now[0] = 180.0
    assert peak.value == 0.0


def test_a_lower_value_follows_when_the_higher_one_is_old() -> None:
    now = [60.0]
    peak = RecentPeak(lambda: now[0])
    peak.note(5.0)
    now[0] = 130.0
    peak.note(1.0)
    assert peak.value == 5.0
    now[0] = 190.0
    assert peak.value == 1.0


def test_after_a_long_silence_nothing_old_is_told() -> None:
    now = [60.0]
    peak = RecentPeak(lambda: now[0])
    peak.note(5.0)
    now[0] = 600.0
    assert peak.value == 0.0
    peak.note(1.0)
    assert peak.value == 1.0
