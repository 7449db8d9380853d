"""The gate's decision alone, without a server: who a request's headers make, and what is noted and raised."""

from base64 import b64encode
from collections import Counter

import pytest
from multidict import CIMultiDict

from gateway.access.attempts import Attempts
from gateway.access.authentication import Authentication
from gateway.access.authenticator import Credential, Identity, Password
from gateway.access.familiar import FamiliarCredentials
from gateway.access.gate import Gate
from gateway.access.login.forward_auth import ForwardAuth
from gateway.access.principals import Principals
from gateway.errors import (
    BadRequestError,
    CredentialsRefusedError,
    CredentialsRequiredError,
    ForbiddenError,
    TooManyAttemptsError,
)
from gateway.messages import RequestRecord
from gateway.principal import ANONYMOUS, Principal, Right
from gateway.rights.patterns import ProjectPattern
from gateway.rights.policy import Policy, Resource, Rule
from gateway.rights.subjects import Subject

POLICY = Policy(
    [
        Rule("open", {Right.READ: [Subject("everyone")]}, [ProjectPattern("open")], only=True),
        Rule(
            "acme",
            {Right.READ: [Subject("group", "data"), Subject("user", "bob")], Right.FALLBACK: [Subject("user", "bob")]},
            [ProjectPattern("acme")],
            only=True,
        ),
    ],
)
ACME, OPEN = Resource(("acme",), ("/acme/",)), Resource(("open",), ("/open/",))
BASIC = 'Basic realm="here", charset="UTF-8"'


class Directory:
    method, guessable = "directory", True

    def __init__(self) -> None:
        self.asked = 0
        self.running = False

    async def start(self) -> None:
        self.running = True

    async def authenticate(self, credential: Credential) -> Identity | None:
        self.asked += 1
        assert isinstance(credential, Password)
        return Identity(credential.user) if credential.password == "right" else None

    async def close(self) -> None:
        self.running = False


class Sessions:
    """Stands for a Login: the cookie is the name."""

    running = False

    def __str__(self) -> str:
        return "at the window"

    async def start(self) -> None:
        self.running = True

    async def close(self) -> None:
        self.running = False

    def session(self, headers: CIMultiDict[str]) -> Identity | None:
        name = headers.get("Cookie")
        return Identity(name, frozenset({"data"})) if name is not None else None


def make(*, forward: bool = True, login: bool = True, directory: Directory | None = None) -> Gate:
    authenticators = [directory or Directory()]
    principals = Principals(POLICY, {"data": ["alice"]})
    attempts = Attempts(lambda: 0.0)
    asked = Authentication(authenticators, attempts, principals, Counter(), FamiliarCredentials(), cache_seconds=60)
    forward_auth = ForwardAuth("X-User", None) if forward else None
    sessions = Sessions() if login else None
    return Gate(POLICY, principals, asked, "here", forward_auth, sessions)  # type: ignore[arg-type]


def basic(user: str, password: str = "right") -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def record(client: str = "192.0.2.1") -> RequestRecord:
    return RequestRecord("id", "GET", "/acme/", client, "", 0.0)


@pytest.mark.parametrize(
    ("headers", "trusted", "name", "method"),
    [
        ({}, True, "", "anonymous"),
        ({"Authorization": basic("alice")}, True, "alice", "directory"),
        ({"X-User": "alice"}, True, "alice", "forward_auth"),
        ({"X-User": "alice"}, False, "", "anonymous"),
        ({"Cookie": "carol"}, False, "carol", "session"),
        ({"Cookie": "carol", "X-User": "bob"}, True, "bob", "forward_auth"),
        ({"Cookie": "carol", "X-User": "bob"}, False, "carol", "session"),
        ({"Cookie": "carol", "X-User": "bob", "Authorization": basic("dave")}, True, "dave", "directory"),
    ],
)
async def test_the_surest_of_what_a_request_has_tells_who_makes_it(
    headers: dict[str, str], trusted: bool, name: str, method: str
) -> None:
    gate, note = make(), record()
    await gate.admit(note, CIMultiDict(headers), OPEN, trusted=trusted)
    admission = note.admission
    assert (admission.principal.name, admission.method, admission.allowed) == (name, method, True)
    assert admission.why == "open grants read to everyone"
    assert dict(gate.authentication.outcomes) == {(method, "allowed"): 1}
    if name == "alice":
        assert admission.principal.groups == {"data"}


async def test_who_is_not_let_in_is_told_so_and_noted() -> None:
    gate, note = make(), record()
    for _ in range(2):
        with pytest.raises(ForbiddenError, match="acme does not grant read to 'dave'"):
            await gate.admit(note, CIMultiDict({"Authorization": basic("dave")}), ACME, trusted=False)
    assert (note.admission.principal.name, note.admission.method) == ("dave", "directory")
    assert (note.admission.allowed, note.admission.fallback) == (False, False)
    assert note.admission.why == "acme does not grant read to 'dave'"
    assert dict(gate.authentication.outcomes) == {("directory", "denied"): 2}


@pytest.mark.parametrize(("user", "fallback"), [("alice", False), ("bob", True)])
async def test_files_are_fetched_for_those_whom_the_rules_name(user: str, fallback: bool) -> None:
    note = record()
    await make().admit(note, CIMultiDict({"Authorization": basic(user)}), ACME, trusted=False)
    assert (note.admission.allowed, note.admission.fallback) == (True, fallback)


async def test_what_credentials_might_help_asks_for_them() -> None:
    note = record()
    with pytest.raises(CredentialsRequiredError, match="acme does not grant read to the anonymous") as refused:
        await make().admit(note, CIMultiDict(), ACME, trusted=False)
    assert refused.value.headers["WWW-Authenticate"] == BASIC
    assert (note.admission.principal.name, note.admission.method, note.admission.allowed) == ("", "anonymous", False)


@pytest.mark.parametrize(
    ("mode", "login", "challenge"),
    [("cors", True, 'Cookie realm="here"'), ("cors", False, BASIC), ("navigate", True, BASIC), ("", True, BASIC)],
)
async def test_a_challenge_to_a_script_makes_no_browser_ask(mode: str, login: bool, challenge: str) -> None:
    headers = CIMultiDict({"Sec-Fetch-Mode": mode} if mode else {})
    with pytest.raises(CredentialsRequiredError) as refused:
        await make(login=login).admit(record(), headers, ACME, trusted=False)
    assert refused.value.headers["WWW-Authenticate"] == challenge


async def test_wrong_credentials_are_refused_with_a_challenge_even_where_everybody_may_read() -> None:
    note = record()
    headers = CIMultiDict({"Authorization": basic("alice", "wrong"), "Cookie": "carol", "X-User": "bob"})
    with pytest.raises(CredentialsRefusedError) as refused:
        await make().admit(note, headers, OPEN, trusted=True)
    assert refused.value.headers["WWW-Authenticate"] == BASIC
    admission = note.admission
    assert (admission.principal, admission.method, admission.allowed) == (ANONYMOUS, "none", False)
    assert admission.why == "wrong credentials"


async def test_of_several_authorization_headers_none_counts() -> None:
    directory, note = Directory(), record()
    headers = CIMultiDict([("Authorization", basic("alice")), ("Authorization", basic("bob"))])
    with pytest.raises(BadRequestError, match="several Authorization headers") as refused:
        await make(directory=directory).admit(note, headers, OPEN, trusted=True)
    assert refused.value.public == "There is more than one Authorization header"
    assert (note.admission.why, directory.asked) == ("several Authorization headers", 0)


async def test_guesses_are_those_of_the_client() -> None:
    gate = make()
    guesses = [CIMultiDict({"Authorization": basic("alice", f"{number}")}) for number in range(11)]
    for headers in guesses[:10]:
        with pytest.raises(CredentialsRefusedError):
            await gate.admit(record("192.0.2.1"), headers, OPEN, trusted=False)
    with pytest.raises(TooManyAttemptsError):
        await gate.admit(record("192.0.2.1"), guesses[10], OPEN, trusted=False)
    with pytest.raises(CredentialsRefusedError):
        await gate.admit(record("192.0.2.2"), guesses[10], OPEN, trusted=False)


async def test_a_credential_that_is_known_is_not_checked_again() -> None:
    directory = Directory()
    gate = make(directory=directory)
    for _ in range(3):
        await gate.admit(record(), CIMultiDict({"Authorization": basic("alice")}), ACME, trusted=False)
    assert directory.asked == 1


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often it was told what somebody may see."""
    names, of = Counter[str](), Principals.of

    def counting(self: Principals, identity: Identity) -> Principal:
        names[identity.name] += 1
        return of(self, identity)

    monkeypatch.setattr(Principals, "of", counting)
    return names


async def test_what_somebody_may_see_is_told_once(told: Counter[str]) -> None:
    gate = make()
    for name in ("carol", "dave", "carol"):
        note = record()
        await gate.admit(note, CIMultiDict({"Cookie": name}), ACME, trusted=False)
        assert note.admission.principal.name == name
    assert told == {"carol": 1, "dave": 1}


@pytest.mark.parametrize(("many", "length"), [(1000, 0), (100, 20_000)])
async def test_not_all_who_ever_came_are_remembered(told: Counter[str], many: int, length: int) -> None:
    gate, names = make(), [f"user-{number}{'x' * length}" for number in range(many)]
    for name in (*names, names[0], names[-1]):
        await gate.admit(record(), CIMultiDict({"Cookie": name}), ACME, trusted=False)
    assert (told[names[0]], told[names[-1]]) == (2, 1)


async def test_it_starts_and_stops_all_that_it_has() -> None:
    directory = Directory()
    gate = make(directory=directory)
    await gate.start()
    assert gate.login is not None
    assert (directory.running, gate.login.running) == (True, True)  # type: ignore[attr-defined]
    await gate.close()
    assert (directory.running, gate.login.running) == (False, False)  # type: ignore[attr-defined]
    alone = make(directory=directory, login=False)
    await alone.start()
    assert directory.running
    await alone.close()
    assert not directory.running


def test_it_says_who_tells_who_somebody_is() -> None:
    assert str(make()) == (
        "rules: 2; who somebody is tell: directory, X-User of trusted proxies; people log in at the window"
    )
    assert str(make(forward=False, login=False)) == "rules: 2; who somebody is tell: directory"
    nobody = Authentication(
        [], Attempts(lambda: 0.0), Principals(Policy(), {}), Counter(), FamiliarCredentials(), cache_seconds=0
    )
    assert str(Gate(Policy(), Principals(Policy(), {}), nobody, "here")) == (
        "rules: 0; who somebody is tell: nobody: without authenticators, all are anonymous"
    )
