import asyncio
import threading

import pytest

from gateway.errors import CredentialsError
from gateway.messages import Credentials
from gateway.storage.s3.signing import credentials as module
from gateway.storage.s3.signing.credentials import CredentialSource, chain


class Provider:
    """Gives the credentials that the test has put in, or fails; counts; can be held."""

    def __init__(self, *answers: Credentials | CredentialsError) -> None:
        self.answers: list[Credentials | CredentialsError] = list(answers)
        self.loads = 0
        self.open = threading.Event()
        self.open.set()

    def __call__(self) -> Credentials:
        self.open.wait(20)
        self.loads += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, CredentialsError):
            raise answer
        return answer


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def credentials(number: int, expires_at: float | None = None) -> Credentials:
    return Credentials(f"AKID{number}", "secret", "token", provider="fake", expires_at=expires_at)


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_the_first_load_serves_all_who_wait_for_it(clock: Clock) -> None:
    provider = Provider(credentials(1))
    provider.open.clear()
    source = CredentialSource(provider, clock=clock)
    assert source.usable() is None
    waiters = [asyncio.ensure_future(source.get()) for _ in range(20)]
    await asyncio.sleep(0)
    waiters[0].cancel()
    provider.open.set()
    answers = await asyncio.gather(*waiters[1:])
    assert answers == [credentials(1)] * 19
    assert provider.loads == 1
    assert source.usable() == credentials(1)
    await source.close()


async def test_credentials_without_expiry_are_loaded_once(clock: Clock) -> None:
    provider = Provider(credentials(1))
    source = CredentialSource(provider, clock=clock)
    await source.get()
    clock.now += 10**9
    assert await source.get() == credentials(1)
    assert provider.loads == 1


async def test_a_refresh_ahead_of_expiry_holds_nobody_up(clock: Clock) -> None:
    old, new = credentials(1, clock.now + 3600), credentials(2, clock.now + 7200)
    provider = Provider(old, new)
    source = CredentialSource(provider, clock=clock)
    await source.get()
    clock.now += 3600 - 14 * 60  # within the last quarter of an hour
    provider.open.clear()
    assert source.usable() == old
    assert source.usable() == old
    provider.open.set()
    assert source._loading is not None
    await source._loading
    assert source.usable() == new
    assert provider.loads == 2


async def test_a_short_life_is_refreshed_at_its_half(clock: Clock) -> None:
    provider = Provider(credentials(1, clock.now + 600), credentials(2, clock.now + 1200))
    source = CredentialSource(provider, clock=clock)
    await source.get()
    clock.now += 290
    source.usable()
    assert source._loading is None
    clock.now += 11
    source.usable()
    assert source._loading is not None
    await source._loading
    assert source.usable() == credentials(2, 1_000_000.0 + 1200)


async def test_credentials_in_their_last_minute_are_not_used(clock: Clock) -> None:
    provider = Provider(credentials(1, clock.now + 3600), credentials(2, clock.now + 7200))
    source = CredentialSource(provider, clock=clock)
    await source.get()
    clock.now += 3550
    assert source.usable() is None
    assert (await source.get()).access_key == "AKID2"


async def test_a_failed_refresh_keeps_the_old_ones_and_is_tried_again(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = credentials(1, clock.now + 3600), credentials(2, clock.now + 7200)
    provider = Provider(old, CredentialsError("the metadata service is away"), new)
    source = CredentialSource(provider, clock=clock)
    await source.get()
    clock.now += 3000
    assert source.usable() == old
    assert source._loading is not None
    await asyncio.wait([source._loading])
    assert source.usable() == old
    assert source._loading is None, "not again at once"
    assert "the metadata service is away" in caplog.text
    clock.now += 6
    assert source.usable() == old
    assert source._loading is not None
    await source._loading
    assert source.usable() == new


async def test_a_failure_reaches_all_and_is_not_repeated_at_once(clock: Clock) -> None:
    provider = Provider(CredentialsError("none found"), credentials(1))
    source = CredentialSource(provider, clock=clock)
    failures = await asyncio.gather(*(source.get() for _ in range(5)), return_exceptions=True)
    assert [str(failure) for failure in failures] == ["none found"] * 5
    with pytest.raises(CredentialsError, match="none found"):
        await source.get()
    assert provider.loads == 1
    clock.now += 6
    assert await source.get() == credentials(1)


async def test_refused_credentials_are_replaced_once_for_all(clock: Clock) -> None:
    old, new = credentials(1), credentials(2)
    provider = Provider(old, new)
    source = CredentialSource(provider, clock=clock)
    await source.get()
    provider.open.clear()
    waiters = [asyncio.ensure_future(source.renew(old)) for _ in range(20)]
    await asyncio.sleep(0)
    provider.open.set()
    assert await asyncio.gather(*waiters) == [new] * 20
    assert await source.renew(old) == new, "a latecomer gets what is there"
    assert provider.loads == 2


async def test_refused_credentials_without_a_successor_are_not_loaded_again_at_once(clock: Clock) -> None:
    provider = Provider(credentials(1))
    source = CredentialSource(provider, clock=clock)
    await source.get()
    for _ in range(5):
        assert await source.renew(credentials(1)) == credentials(1)
    assert provider.loads == 2
    clock.now += 6
    await source.renew(credentials(1))
    assert provider.loads == 3


async def test_closing_leaves_no_task(clock: Clock) -> None:
    provider = Provider(credentials(1))
    provider.open.clear()
    source = CredentialSource(provider, clock=clock)
    waiter = asyncio.ensure_future(source.get())
    await asyncio.sleep(0)
    await source.close()
    provider.open.set()
    assert (await asyncio.gather(waiter, return_exceptions=True))[0].__class__ is asyncio.CancelledError
    assert len(asyncio.all_tasks()) == 1


def test_given_credentials_need_no_chain() -> None:
    given = chain(access_key="AKID", secret_key="s", token="t")()
    assert given == Credentials("AKID", "s", "t", provider="settings")


async def test_credentials_that_have_expired_are_still_known_to_have(clock: Clock) -> None:
    """An alert that looks at the time left would end just when it matters most."""
    provider = Provider(credentials(1, clock.now + 3600), CredentialsError("refused"))
    source = CredentialSource(provider, clock=clock)
    assert source.expires_at() is None
    await source.get()
    expiry = clock.now + 3600
    clock.now += 4000
    assert source.usable() is None
    assert source.expires_at() == expiry
    with pytest.raises(CredentialsError):
        await source.get()
    assert provider.loads == 2, "the refresh was due"
    assert source.expires_at() == expiry
    await source.close()


async def test_a_load_that_hangs_is_given_up_and_the_next_one_may_succeed(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a program (credential_process) that waits for somebody to log in."""
    monkeypatch.setattr(module, "_LOAD_SECONDS", 0.05)
    provider = Provider(credentials(1))
    provider.open.clear()
    source = CredentialSource(provider, clock=clock)
    for _ in range(2):
        with pytest.raises(CredentialsError, match=r"takes over 0\.05 s"):
            await source.get()
    monkeypatch.setattr(module, "_LOAD_SECONDS", 20)
    clock.now += 6
    provider.open.set()
    assert await source.get() == credentials(1)


async def test_a_clock_that_is_set_back_after_a_failure_delays_no_load(clock: Clock) -> None:
    provider = Provider(CredentialsError("not yet"), credentials(1))
    source = CredentialSource(provider, clock=clock)
    with pytest.raises(CredentialsError):
        await source.get()
    clock.now -= 3600
    assert await source.get() == credentials(1)
