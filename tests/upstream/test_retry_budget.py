from gateway.upstream.retry_budget import RetryBudget


def test_while_nothing_is_answered_only_the_reserve_is_spent() -> None:
    budget = RetryBudget()
    assert sum(budget.take() for _ in range(1000)) == 10


def test_five_answers_pay_for_one_retry() -> None:
    budget = RetryBudget()
    while budget.take():
        pass
    for _ in range(4):
        budget.answered()
    assert not budget.take()
    budget.answered()
    budget.answered()  # sums of fifths are not exact
    assert budget.take()
    assert not budget.take()


def test_an_answer_whose_body_breaks_pays_for_nothing() -> None:
    budget = RetryBudget()
    while budget.take():
        pass
    for _ in range(100):
        budget.answered()
        budget.broke()
    assert not budget.take()


def test_good_times_save_no_more_than_the_reserve() -> None:
    budget = RetryBudget()
    for _ in range(1000):
        budget.answered()
    assert sum(budget.take() for _ in range(1000)) == 10
