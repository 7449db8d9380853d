"""What the checks of credentials count, remember and say, and where their limits lie."""

import asyncio
from collections import Counter

import pytest

from gateway.access.authenticator import AuthenticatorUnavailableError, Credential, Identity, Password
from gateway.errors import AuthenticationBusyError, CredentialsRefusedError, TooManyAttemptsError
from tests.access.test_authentication import RIGHT, WRONG, Clock, One, basic, make
from tests.support.eventually import eventually


async def test_each_refusal_is_counted_and_says_why() -> None:
    one = One("one")
    authentication = make(one, clock=Clock())
    for number in range(10):
        with pytest.raises(CredentialsRefusedError, match=r"^wrong credentials$"):
            await authentication.identify(basic("alice", f"{number}"), "a")
    for number in (10, 11):
        with pytest.raises(TooManyAttemptsError, match=r"^too many wrong credentials$"):
            await authentication.identify(basic("alice", f"{number}"), "a")
    one.error = AuthenticatorUnavailableError("away")
    for number in (12, 13):
        with pytest.raises(AuthenticationBusyError, match=r"^away$"):
            await authentication.identify(basic("alice", f"{number}"), "b")
    counts = {"refused": 10, "limited": 2, "unavailable": 2}
    assert authentication.outcomes == Counter({("none", result): count for result, count in counts.items()})


async def test_what_the_authenticator_said_is_told_as_it_is() -> None:
    known = await make(One("one", expires=5000.5), clock=Clock()).identify(RIGHT, "a")
    assert known.identity == Identity("alice", expires=5000.5)


@pytest.mark.parametrize(("left", "believed"), [(0.5, True), (0.0, False), (-1.0, False)])
async def test_a_credential_is_believed_until_the_moment_it_ends(left: float, believed: bool) -> None:
    clock = Clock()
    authentication = make(One("one", expires=clock.now + left), clock=clock)
    if believed:
        assert (await authentication.identify(RIGHT, "a")).until == clock.now + left
        return
    with pytest.raises(CredentialsRefusedError):
        await authentication.identify(RIGHT, "a")


async def test_an_address_waits_to_the_last_moment() -> None:
    clock, one = Clock(), One("one")
    authentication = make(one, clock=clock)
    for number in range(10):
        with pytest.raises(CredentialsRefusedError):
            await authentication.identify(basic("alice", f"{number}"), "a")
    clock.now += 5.5
    with pytest.raises(TooManyAttemptsError):
        await authentication.identify(RIGHT, "a")
    clock.now += 0.5
    assert (await authentication.identify(RIGHT, "a")).principal.name == "alice"


async def test_what_nobody_could_decide_uses_up_no_attempts() -> None:
    """The directory comes back, and those of one address have done nothing wrong."""
    one = One("one")
    one.error = AuthenticatorUnavailableError("away")
    authentication = make(one, clock=Clock())
    for number in range(12):
        with pytest.raises(AuthenticationBusyError):
            await authentication.identify(basic("alice", f"{number}"), "a")
    one.error = None
    assert (await authentication.identify(RIGHT, "a")).principal.name == "alice"


async def test_what_changed_again_while_a_credential_was_checked_is_not_remembered_either() -> None:
    one = One("one")
    authentication = make(one, clock=Clock())
    for _ in range(2):
        authentication.forget()
        one.hold = asyncio.Event()
        before = one.asked
        asking = asyncio.ensure_future(authentication.identify(RIGHT, "a"))
        await eventually(lambda before=before: one.asked > before)  # type: ignore[misc]
        authentication.forget()
        one.hold.set()
        await asking
        assert authentication.known(RIGHT) is None


@pytest.mark.parametrize("guessable", [True, False])
@pytest.mark.parametrize(("many", "length"), [(3600, 0), (300, 20_000)])
async def test_not_all_who_ever_came_are_remembered(guessable: bool, many: int, length: int) -> None:
    class Everybody(One):
        async def authenticate(self, credential: Credential) -> Identity | None:
            return Identity("x" * length + credential.user) if isinstance(credential, Password) else None

    authentication = make(Everybody("everybody", guessable=guessable), clock=Clock())
    came = [basic(f"user-{number}", "right") for number in range(many)]
    for authorization in came:
        await authentication.identify(authorization, "a")
    remembered = [authentication.known(authorization) is not None for authorization in came]
    assert remembered[-1]
    assert not remembered[0]
    assert 50 < sum(remembered) < many * 0.9


async def test_what_can_t_be_read_is_not_known() -> None:
    assert make(One("one"), clock=Clock()).known("Digest nothing") is None


async def test_one_that_can_t_be_closed_keeps_no_other_open(caplog: pytest.LogCaptureFixture) -> None:
    closed = list[str]()

    class Closing(One):
        async def close(self) -> None:
            closed.append(self.method)
            if self.method == "broken":
                raise KeyError("oops")

    authentication = make(Closing("broken"), Closing("password"), Closing("token", guessable=False), clock=Clock())
    await authentication.close()
    assert closed == ["token", "broken", "password"] == list(authentication.methods)
    assert [record.getMessage() for record in caplog.records] == [
        "the authenticator broken can't be closed: this is a bug"
    ]


async def test_wrong_ones_are_asked_for_again_as_soon_as_right_ones_would_be() -> None:
    clock, one = Clock(), One("one")
    authentication = make(one, clock=clock, seconds=5)
    for asked in (1, 2):
        for moment in (0, 4.9):
            clock.now = 1000 + 5 * asked + moment
            with pytest.raises(CredentialsRefusedError):
                await authentication.identify(WRONG, "a")
        assert one.asked == asked


async def test_each_that_knows_passwords_is_tried_with_a_user_that_nobody_is() -> None:
    tried = list[tuple[str, Credential]]()

    class Noting(One):
        async def authenticate(self, credential: Credential) -> Identity | None:
            tried.append((self.method, credential))
            return await super().authenticate(credential)

    away, up, token = Noting("away"), Noting("up"), Noting("token", guessable=False)
    away.error = AuthenticatorUnavailableError("its server is away")
    authentication = make(away, up, token, clock=Clock())
    for _ in range(2):
        assert await authentication.tried() == {"away": "can't check credentials: its server is away"}
    assert [method for method, _ in tried] == ["away", "up"] * 2
    passwords = set()
    for _, credential in tried:
        assert isinstance(credential, Password)
        assert credential.user == "gateway-check"
        passwords.add(credential.password)
    assert len(passwords) == 2, "nobody can have it"
    assert min(map(len, passwords)) >= 16
    assert authentication.outcomes == Counter()
