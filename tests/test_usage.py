from gateway.usage import UpstreamUsage


def test_time_counts_once_where_requests_overlap() -> None:
    cost = UpstreamUsage()
    cost.began(10)
    cost.began(11)
    assert cost.seconds(12) == 2
    cost.ended(13)
    cost.ended(14)
    assert cost.seconds(100) == 4
    cost.began(100)
    assert cost.seconds(101) == 5
    assert cost.attempts == 3
