"""Whose credentials are believed, for how long, and what others may try meanwhile."""

import asyncio
import logging
from base64 import b64encode
from collections import Counter
from collections.abc import Callable

import pytest

from gateway.access import outages
from gateway.access.attempts import Attempts
from gateway.access.authentication import Authentication
from gateway.access.authenticator import AuthenticatorUnavailableError, Credential, Identity, Password
from gateway.access.familiar import FamiliarCredentials
from gateway.access.principals import Principals
from gateway.errors import AuthenticationBusyError, CredentialsRefusedError, TooManyAttemptsError
from gateway.rights.policy import Policy
from tests.support.eventually import eventually


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class One:
    """Knows one user, and the password `right`."""

    def __init__(self, method: str, name: str = "alice", *, guessable: bool = True, expires: float = 1e12) -> None:
        self.method = method
        self.guessable = guessable
        self.name = name
        self.expires = expires
        self.asked = 0
        self.error: Exception | None = None
        self.hold: asyncio.Event | None = None

    async def start(self) -> None: ...

    async def authenticate(self, credential: Credential) -> Identity | None:
        self.asked += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            raise self.error
        right = isinstance(credential, Password) and credential == Password(self.name, "right")
        return Identity(self.name, expires=self.expires) if right else None

    async def close(self) -> None: ...


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


RIGHT, WRONG = basic("alice", "right"), basic("alice", "wrong")


def make(
    *authenticators: One,
    clock: Callable[[], float],
    seconds: float = 60.0,
    familiar: FamiliarCredentials | None = None,
) -> Authentication:
    return Authentication(
        authenticators,
        Attempts(clock),
        Principals(Policy(), {"data": ["alice"]}),
        Counter(),
        familiar or FamiliarCredentials(),
        cache_seconds=seconds,
        clock=clock,
        wall=clock,
    )


async def test_a_credential_is_checked_once_and_believed_for_a_while() -> None:
    clock, one = Clock(), One("one")
    authentication = make(one, clock=clock)
    assert authentication.known(RIGHT) is None
    known = await authentication.identify(RIGHT, "192.0.2.1")
    assert (known.principal.name, known.principal.groups, known.method) == ("alice", frozenset({"data"}), "one")
    clock.now += 59
    assert authentication.known(RIGHT) is known
    assert (await authentication.identify(RIGHT, "192.0.2.1"), one.asked) == (known, 1)
    clock.now += 1
    assert authentication.known(RIGHT) is None
    await authentication.identify(RIGHT, "192.0.2.1")
    assert one.asked == 2


async def test_no_credential_is_believed_beyond_its_own_end() -> None:
    clock, one = Clock(), One("one", expires=1030)
    authentication = make(one, clock=clock)
    await authentication.identify(RIGHT, "a")
    clock.now = 1029
    assert authentication.known(RIGHT) is not None
    clock.now = 1030
    assert authentication.known(RIGHT) is None
    with pytest.raises(CredentialsRefusedError):
        await authentication.identify(RIGHT, "a")


async def test_nothing_has_to_be_remembered() -> None:
    one = One("one")
    authentication = make(one, clock=Clock(), seconds=0)
    for _ in range(3):
        assert (await authentication.identify(RIGHT, "a")).principal.name == "alice"
    assert one.asked == 3


async def test_wrong_credentials_are_checked_once_in_a_while() -> None:
    clock, one = Clock(), One("one")
    authentication = make(one, clock=clock)
    for _ in range(3):
        with pytest.raises(CredentialsRefusedError):
            await authentication.identify(WRONG, "a")
    assert one.asked == 1
    clock.now += 30
    with pytest.raises(CredentialsRefusedError):
        await authentication.identify(WRONG, "a")
    assert one.asked == 2


async def test_a_job_with_a_wrong_password_locks_nobody_out_of_its_address() -> None:
    clock, one = Clock(), One("one")
    authentication = make(one, clock=clock)
    for _ in range(1000):
        clock.now += 1
        with pytest.raises(CredentialsRefusedError):
            await authentication.identify(WRONG, "a")
    assert (await authentication.identify(RIGHT, "a")).principal.name == "alice"


async def test_who_was_let_in_lately_is_not_held_up_by_guesses_from_the_same_address() -> None:
    clock, one = Clock(), One("one")
    authentication = make(one, clock=clock)
    await authentication.identify(RIGHT, "a")
    clock.now += 61
    for number in range(12):
        with pytest.raises((CredentialsRefusedError, TooManyAttemptsError)):
            await authentication.identify(basic("alice", f"{number}"), "a")
    assert (await authentication.identify(RIGHT, "a")).principal.name == "alice"


async def test_they_are_not_held_up_after_users_or_the_configuration_have_changed_either() -> None:
    clock, one, familiar = Clock(), One("one"), FamiliarCredentials()
    authentication = make(one, clock=clock, familiar=familiar)
    await authentication.identify(RIGHT, "a")
    authentication.forget()
    for number in range(12):
        with pytest.raises((CredentialsRefusedError, TooManyAttemptsError)):
            await authentication.identify(basic("alice", f"{number}"), "a")
    assert (await authentication.identify(RIGHT, "a")).principal.name == "alice"
    later = make(one, clock=clock, familiar=familiar)
    for number in range(12):
        with pytest.raises((CredentialsRefusedError, TooManyAttemptsError)):
            await later.identify(basic("alice", f"{number}"), "a")
    assert (await later.identify(RIGHT, "a")).principal.name == "alice"


async def test_a_password_that_is_wrong_now_is_a_guess() -> None:
    clock, one = Clock(), One("one")
    authentication = make(one, clock=clock)
    await authentication.identify(RIGHT, "a")
    one.name = "somebody else"
    authentication.forget()
    with pytest.raises(CredentialsRefusedError):
        await authentication.identify(RIGHT, "a")
    authentication.forget()
    for number in range(9):
        with pytest.raises(CredentialsRefusedError):
            await authentication.identify(basic("alice", f"{number}"), "a")
    with pytest.raises(TooManyAttemptsError):
        await authentication.identify(RIGHT, "a")


async def test_one_credential_has_one_check_however_it_is_spelled() -> None:
    """Each check of a password costs a quarter of a second, and one that fits counts as no attempt."""
    one = One("one")
    authentication = make(one, clock=Clock())
    for spelling in (RIGHT, RIGHT.replace("Basic", "bAsIc"), RIGHT.replace(" ", " " * 300), RIGHT + " "):
        assert (await authentication.identify(spelling, "a")).principal.name == "alice"
        assert authentication.known(spelling) is not None
    assert one.asked == 1


async def test_what_tokens_come_with_pushes_no_password_out() -> None:
    class Any(One):
        async def authenticate(self, credential: Credential) -> Identity | None:
            return Identity("bot") if isinstance(credential, Password) and credential.password == "token" else None

    authentication = make(Any("token", guessable=False), One("password"), clock=Clock())
    await authentication.identify(RIGHT, "a")
    for number in range(4000):
        await authentication.identify(basic(f"{number}", "token"), "a")
    assert authentication.known(RIGHT) is not None


class Hangs(One):
    """Takes five seconds to fail."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("hangs", "dave")
        self.error = AuthenticatorUnavailableError("does not answer within 5 s")
        self.clock = clock

    async def authenticate(self, credential: Credential) -> Identity | None:
        try:
            return await super().authenticate(credential)
        finally:
            self.clock.now += 5


async def test_of_one_that_hangs_one_client_waits_and_the_others_are_let_in_by_those_that_answer() -> None:
    clock, up = Clock(), One("up")
    hangs = Hangs(clock)
    authentication = make(hangs, up, clock=clock, seconds=0)
    assert (await authentication.identify(RIGHT, "a")).method == "up"
    hangs.hold = asyncio.Event()
    waits = asyncio.ensure_future(authentication.identify(basic("dave", "right"), "a"))
    await eventually(lambda: hangs.asked == 2)
    async with asyncio.timeout(5):
        for _ in range(3):
            assert (await authentication.identify(RIGHT, "a")).method == "up"
        with pytest.raises(AuthenticationBusyError):
            await authentication.identify(basic("dave", "wrong"), "a")
    assert hangs.asked == 2
    hangs.error = None
    hangs.hold.set()
    assert (await waits).method == "hangs"
    assert authentication.down() == {}
    await authentication.identify(RIGHT, "a")
    assert hangs.asked == 3


async def test_nobody_waits_for_long_for_one_that_hangs_and_it_is_believed_when_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outages, "_HANGS_SECONDS", 0.02)
    clock, up = Clock(), One("up")
    hangs = Hangs(clock)
    authentication = make(hangs, up, clock=clock, seconds=0)
    await authentication.identify(RIGHT, "a")
    hangs.hold = asyncio.Event()
    async with asyncio.timeout(5):
        assert (await authentication.identify(RIGHT, "a")).method == "up"
        with pytest.raises(AuthenticationBusyError):
            await authentication.identify(basic("dave", "right"), "a")
    assert hangs.asked == 2
    hangs.error = None
    hangs.hold.set()
    await eventually(lambda: not authentication.down())
    assert (await authentication.identify(basic("dave", "right"), "a")).method == "hangs"


async def test_what_nobody_waits_for_ends_with_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "_HANGS_SECONDS", 0.02)
    clock = Clock()
    hangs = Hangs(clock)
    authentication = make(hangs, clock=clock)
    before = asyncio.all_tasks()
    for _ in range(2):
        with pytest.raises(AuthenticationBusyError):
            await authentication.identify(WRONG, "a")
        hangs.hold = asyncio.Event()
    assert asyncio.all_tasks() > before
    await authentication.close()
    assert asyncio.all_tasks() == before


async def test_one_that_fails_at_once_is_asked_by_all() -> None:
    """A connection that broke must not keep out those who come at the same time."""
    clock, one = Clock(), One("one")
    authentication = make(one, clock=clock)
    one.error = AuthenticatorUnavailableError("the connection broke")
    with pytest.raises(AuthenticationBusyError):
        await authentication.identify(WRONG, "a")
    one.error, one.hold = None, asyncio.Event()
    asking = [asyncio.ensure_future(authentication.identify(each, "a")) for each in (WRONG, RIGHT)]
    await eventually(lambda: one.asked == 3)
    one.hold.set()
    refused, known = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(refused, CredentialsRefusedError)
    assert not isinstance(known, BaseException)
    assert known.principal.name == "alice"


async def test_guesses_are_limited_while_another_directory_is_down() -> None:
    down, up = One("down", "dave"), One("up")
    down.error = AuthenticatorUnavailableError("away")
    authentication = make(down, up, clock=Clock())
    for number in range(10):
        with pytest.raises(AuthenticationBusyError):
            await authentication.identify(basic("alice", f"{number}"), "a")
    with pytest.raises(TooManyAttemptsError):
        await authentication.identify(basic("alice", "10"), "a")
    assert up.asked == 10


async def test_who_was_known_to_a_directory_that_is_down_uses_up_no_attempts() -> None:
    """Installers ask again and again, and others at the same address have done nothing wrong."""
    clock, down, up = Clock(), One("down", "dave"), One("up")
    authentication = make(down, up, clock=clock, seconds=0)
    await authentication.identify(basic("dave", "right"), "a")
    down.error = AuthenticatorUnavailableError("away")
    for _ in range(12):
        with pytest.raises(AuthenticationBusyError):
            await authentication.identify(basic("dave", "right"), "a")
    assert (await authentication.identify(RIGHT, "a")).method == "up"


async def test_guesses_are_limited_by_address_and_right_credentials_that_are_known_are_not() -> None:
    clock, one = Clock(), One("one")
    authentication = make(one, clock=clock)
    await authentication.identify(RIGHT, "192.0.2.1")
    for number in range(10):
        with pytest.raises(CredentialsRefusedError):
            await authentication.identify(basic("alice", f"guess-{number}"), "192.0.2.1")
    with pytest.raises(TooManyAttemptsError) as limited:
        await authentication.identify(basic("alice", "guess-10"), "192.0.2.1")
    assert limited.value.headers["Retry-After"] == "6"
    assert one.asked == 11
    assert authentication.known(RIGHT) is not None
    assert (await authentication.identify(basic("alice", "right"), "192.0.2.1")).principal.name == "alice"
    with pytest.raises(CredentialsRefusedError):
        await authentication.identify(basic("alice", "guess-11"), "192.0.2.2")


async def test_many_guesses_at_once_are_limited_before_the_first_is_decided() -> None:
    one = One("one")
    one.hold = asyncio.Event()
    authentication = make(one, clock=Clock())
    guesses = [asyncio.ensure_future(authentication.identify(basic("alice", f"{n}"), "a")) for n in range(30)]
    await eventually(lambda: one.asked == 10)
    one.hold.set()
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(outcome, TooManyAttemptsError) for outcome in outcomes) == 20
    assert one.asked == 10


async def test_what_nobody_can_guess_is_asked_first_and_never_limited() -> None:
    token, password = One("token", "bot", guessable=False), One("password")
    authentication = make(password, token, clock=Clock())
    for number in range(12):
        with pytest.raises((CredentialsRefusedError, TooManyAttemptsError)):
            await authentication.identify(basic("x", f"{number}"), "a")
    assert (await authentication.identify(basic("bot", "right"), "a")).method == "token"
    assert (token.asked, password.asked) == (13, 10)


async def test_an_address_is_not_limited_by_what_it_gets_right() -> None:
    clock, one = Clock(), One("one")
    authentication = make(one, clock=clock, seconds=0)
    for _ in range(50):
        await authentication.identify(RIGHT, "a")


async def test_a_client_that_goes_away_is_no_failure() -> None:
    one = One("one")
    one.hold = asyncio.Event()
    authentication = make(one, clock=Clock())
    for _ in range(3):
        asking = asyncio.ensure_future(authentication.identify(RIGHT, "a"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    one.hold.set()
    assert (await authentication.identify(RIGHT, "a")).principal.name == "alice"
    assert one.asked == 1


async def test_while_one_is_down_the_others_are_asked_and_nobody_is_let_in_by_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, down, up = Clock(), One("down", "dave"), One("up")
    authentication = make(down, up, clock=clock)
    await authentication.identify(basic("dave", "right"), "a")
    down.error = AuthenticatorUnavailableError("its server is away")
    assert (await authentication.identify(RIGHT, "a")).method == "up"
    assert authentication.down() == {"down": "its server is away"}
    for _ in range(5):
        with pytest.raises(AuthenticationBusyError):
            await authentication.identify(WRONG, "a")
    assert authentication.known(basic("dave", "right")) is not None
    clock.now += 60
    with pytest.raises(AuthenticationBusyError):
        await authentication.identify(basic("dave", "right"), "a")
    down.error = None
    assert (await authentication.identify(basic("dave", "right"), "a")).principal.name == "dave"
    assert authentication.down() == {}
    assert "wrong" not in caplog.text
    assert "right" not in caplog.text


async def test_the_log_tells_of_each_that_is_down(caplog: pytest.LogCaptureFixture) -> None:
    one, other = One("one"), One("other")
    one.error = other.error = AuthenticatorUnavailableError("away")
    authentication = make(one, other, clock=Clock())
    for _ in range(2):
        with pytest.raises(AuthenticationBusyError):
            await authentication.identify(WRONG, "a")
    assert [record.getMessage() for record in caplog.records] == [
        "one can't check credentials: away",
        "other can't check credentials: away",
    ]


async def test_a_bug_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    one = One("one")
    one.error = KeyError("oops")
    authentication = make(one, clock=Clock())
    with caplog.at_level(logging.ERROR), pytest.raises(AuthenticationBusyError):
        await authentication.identify(RIGHT, "a")
    assert "this is a bug" in caplog.text


async def test_what_changed_while_a_credential_was_checked_is_not_remembered() -> None:
    one = One("one")
    one.hold = asyncio.Event()
    authentication = make(one, clock=Clock())
    asking = asyncio.ensure_future(authentication.identify(RIGHT, "a"))
    await eventually(lambda: one.asked == 1)
    authentication.forget()
    one.hold.set()
    await asking
    assert authentication.known(RIGHT) is None


async def test_to_forget_is_to_ask_again() -> None:
    one = One("one")
    authentication = make(one, clock=Clock())
    await authentication.identify(RIGHT, "a")
    with pytest.raises(CredentialsRefusedError):
        await authentication.identify(WRONG, "a")
    authentication.forget()
    assert authentication.known(RIGHT) is None
    with pytest.raises(CredentialsRefusedError):
        await authentication.identify(WRONG, "a")
    assert one.asked == 3


async def test_wrong_credentials_push_no_right_ones_out() -> None:
    one = One("one", guessable=False)
    authentication = make(one, clock=Clock())
    await authentication.identify(RIGHT, "a")
    for number in range(6000):
        with pytest.raises(CredentialsRefusedError):
            await authentication.identify(basic("x", f"{number}"), "a")
    assert authentication.known(RIGHT) is not None


async def test_what_can_t_be_read_is_wrong_and_costs_nothing() -> None:
    one = One("one")
    authentication = make(one, clock=Clock())
    for _ in range(20):
        with pytest.raises(CredentialsRefusedError):
            await authentication.identify("Digest nothing", "a")
    assert one.asked == 0
