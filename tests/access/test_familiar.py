"""Which credentials count as familiar, and how many are remembered."""

from gateway.access.authenticator import BearerToken, Credential, Password
from gateway.access.familiar import FamiliarCredentials


def test_each_credential_has_a_slot_of_its_own() -> None:
    familiar = FamiliarCredentials()
    credentials: list[Credential] = [
        BearerToken("alice:secret"),
        BearerToken("alice"),
        BearerToken("\udcff"),
        Password("alice", "secret"),
        Password("alice", "secret "),
        Password("alice", ""),
        Password("", "alice"),
        Password("alice", "\udcff"),
        Password("bob", "secret"),
    ]
    slots = [familiar.slot(credential) for credential in credentials]
    assert len(set(slots)) == len(slots)
    assert slots == [familiar.slot(credential) for credential in credentials]
    assert {len(slot) for slot in slots} == {32}


def test_nobody_else_can_compute_a_slot() -> None:
    assert FamiliarCredentials().slot(Password("a", "b")) != FamiliarCredentials().slot(Password("a", "b"))


def test_a_credential_is_familiar_from_when_it_was_right_until_it_was_wrong() -> None:
    familiar = FamiliarCredentials()
    slot, other = familiar.slot(Password("alice", "a")), familiar.slot(Password("alice", "b"))
    familiar.note(other, right=False)
    assert slot not in familiar
    assert other not in familiar
    familiar.note(slot, right=True)
    familiar.note(slot, right=True)
    familiar.note(other, right=False)
    assert slot in familiar
    assert other not in familiar
    familiar.note(slot, right=False)
    assert slot not in familiar


def test_the_longest_unused_are_forgotten() -> None:
    familiar = FamiliarCredentials()
    slots = [familiar.slot(Password(f"{number}", "")) for number in range(6000)]
    for slot in slots:
        familiar.note(slot, right=True)
        assert slots[0] in familiar  # which is a use
    found = sum(slot in familiar for slot in slots)
    assert slots[1] not in familiar
    assert 2000 < found < 2**20 / (256 + 32)
