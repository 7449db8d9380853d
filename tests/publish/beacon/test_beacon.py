"""The beacon of one gateway as a whole."""

from gateway.ops.turn import Turn
from gateway.publish.beacon.beacon import Beacon
from gateway.publish.beacon.watch import Watch, decode
from tests.support.eventually import eventually
from tests.support.scriptedstorage import ScriptedStorage


async def test_an_upload_counts_as_use_since_it_leaves_a_listing() -> None:
    turn, refreshed, failed = Turn(shared=False), list[str](), list[str]()
    beacon = Beacon(
        ScriptedStorage(),
        turn,
        listing_seconds=30.0,
        asked=lambda: 0,
        refresh=refreshed.append,
        failed=failed.append,
    )
    await beacon.start()
    assert decode(turn.note).asked_at == Watch().asked_at
    await beacon.announce("acme")
    await eventually(lambda: decode(turn.note).asked_at > 0)
    await beacon.close()
    assert failed == []
