"""Rights are those of pypicloud, against an oracle, and every difference is in the report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.cli.access.question import People, parse_project, verdicts
from gateway.cli.pypicloud.conversion import convert
from gateway.cli.pypicloud.document import yaml_text
from gateway.cli.pypicloud.export import read_export
from gateway.cli.pypicloud.ini import read_ini
from gateway.cli.pypicloud.report import Report
from gateway.cli.pypicloud.source import Source
from gateway.config.load import load_text
from gateway.config.settings import Settings
from gateway.principal import Right
from gateway.rights.subjects import Subject
from tests.support.pypicloud import Pypicloud

Matrix: TypeAlias = dict[tuple[str | None, str, str], bool]
HASH = "$5$rounds=80000$yiWi67QBJLDTvbI/$d6qIG/bIoM3hp0lxH8v/vzxg8Qc4CJbxbxiUH4MlnE7"
USERS = ["alice", "bob", "carol.smith", "root", "everyone"]
GROUPS = ["data", "ops", "admin", "nobody"]
SPECIAL_GROUPS = ["everyone", "authenticated", "system.Everyone", "system.Authenticated"]
ALL_GROUPS = [*GROUPS, *SPECIAL_GROUPS, "group:data", "a:b", "undefined"]
NAMES = ["acme-web", "acme_web", "Acme.Web", "other", "Third"]
PROJECTS = ["acme-web", "other", "third", "unheard-of"]


def lists(names: list[str]) -> st.SearchStrategy[str]:
    found = st.lists(st.sampled_from(names), max_size=3)
    return st.builds(lambda between, some: between.join(some), st.sampled_from([" ", "\n", "  \n "]), found)


grantees = st.sampled_from([*USERS[:3], *GROUPS, *SPECIAL_GROUPS])
entries = st.dictionaries(
    st.tuples(st.just("package"), st.sampled_from(NAMES), st.sampled_from(["user", "group"]), grantees).map(".".join),
    st.sampled_from(["r", "rw", "w", "", "wr", "read", "x"]),
    max_size=6,
)
others = st.fixed_dictionaries(
    {f"user.{name}": st.just(HASH) for name in USERS},
    optional={
        **{f"group.{name}": lists(USERS) for name in GROUPS},
        "auth.admins": lists(USERS),
        "pypi.default_read": lists(ALL_GROUPS),
        "pypi.default_write": lists(ALL_GROUPS),
        "pypi.cache_update": lists(ALL_GROUPS),
        "pypi.allow_delete_groups": lists(ALL_GROUPS),
        "pypi.allow_delete": st.sampled_from(["true", "false"]),
        "pypi.disallow_fallback": lists(NAMES),
        "pypi.fallback": st.sampled_from(["none", "redirect", "cache"]),
    },
)
inis = st.builds(lambda one, other: one | other, others, entries)


def ini(values: Mapping[str, str]) -> str:
    lines = (f"{key} = {text}".replace("\n", "\n  ") for key, text in values.items())
    return "\n".join(["[app:main]", *lines])


def imported(source: Source) -> tuple[Settings, Report]:
    report = Report()
    return load_text(yaml_text(convert(source, report), "x"), "x"), report


def of_ini(values: Mapping[str, str]) -> tuple[Settings, Report]:
    return imported(read_ini(ini(values), Path("server.ini")))


def matrix(ours: Settings) -> Matrix:
    """Who may do what, by user, right and project."""
    assert ours.access is not None
    people, found = People(ours.access), {}
    for user in (None, *USERS):
        principal = people.principal(Subject("everyone") if user is None else Subject("user", user))
        for project in PROJECTS:
            for right, decision in verdicts(people.policy, principal, parse_project(ours, project)):
                shut = right is Right.FALLBACK and project in ours.fallback.disallow
                found[user, right.value, project] = decision.allowed and not shut
    return found


def normalised(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def spellings(values: Mapping[str, str], project: str) -> set[str]:
    """The names by which the file has entries for a project."""
    beginnings = {name: (f"package.{name}.user.", f"package.{name}.group.") for name in NAMES}
    written = {name for name, two in beginnings.items() if any(key.startswith(two) for key in values)}
    return {name for name in written if normalised(name) == project}


def excused(
    values: Mapping[str, str], report: Report, who: str | None, right: str, project: str, *, ours: bool
) -> bool:
    """Whether the report has what explains a difference."""

    def told(about: str, text: str) -> bool:
        return any(remark.about == about and text in remark.text for remark in report.remarks)

    is_admin = Pypicloud(values).is_admin(who)
    if is_admin and ours:
        return told("pypi.allow_delete_groups" if right == "delete" else "pypi.cache_update", "admins")
    disallowed = {normalised(name): repr(name) for name in values.get("pypi.disallow_fallback", "").split()}
    if right == "fallback" and project in disallowed and not ours:
        about = "pypi.disallow_fallback"
        return (is_admin and told(about, "admins")) or told(about, disallowed[project])
    names = spellings(values, project)
    named = [remark for remark in report.remarks if all(repr(name) in remark.about for name in names)]
    return bool(names and named) and project not in names


@settings(max_examples=2 * settings().max_examples)
@given(inis)
@example({"user.alice": HASH, "package.other.user.alice": ""})
@example({"user.alice": HASH, "package.acme_web.user.alice": "rw", "package.acme-web.user.bob": "rw"})
@example({"user.alice": HASH, "pypi.fallback": "cache", "pypi.cache_update": "", "package.other.user.bob": "r"})
@example({"user.alice": HASH, "pypi.fallback": "cache", "pypi.default_read": "everyone"})
@example({"user.alice": HASH, "pypi.default_read": "group:data", "group.data": "alice"})
@example(
    {"user.a": HASH, "pypi.default_write": "authenticated", "pypi.allow_delete_groups": "admin", "group.admin": "bob"}
)
@example(
    {"user.alice": HASH, "pypi.default_write": "data", "pypi.allow_delete_groups": "ops"}
    | dict.fromkeys(["group.data", "group.ops"], "bob alice")
)
def test_every_difference_is_in_the_report(values: dict[str, str]) -> None:
    ours, report = of_ini(values)
    theirs = Pypicloud(values)
    for key, here in matrix(ours).items():
        if key[1] == "fallback" and values.get("pypi.fallback") == "none":
            continue  # there is none, whoever may have it
        assert here == theirs.may(*key) or excused(values, report, *key, ours=here), (key, here)


@given(inis)
def test_a_name_that_is_not_normalised_is_taken_as_if_it_were(values: dict[str, str]) -> None:
    beginning = "package.acme-web."
    values = {key: text for key, text in values.items() if not key.startswith((beginning, "package.Acme.Web."))}
    values |= {"package.acme_web.user.alice": "r", "pypi.disallow_fallback": ""}
    normal = {key.replace("package.acme_web.", beginning): text for key, text in values.items()}
    theirs = Pypicloud(normal)
    for key, here in matrix(of_ini(values)[0]).items():
        if key[2] == "acme-web" and not theirs.is_admin(key[0]):
            assert here == theirs.may(*key), (key, here)


@given(inis, st.sampled_from(["r", "rw", "w"]), st.sampled_from(["user.alice", "group.data", "group.everyone"]))
def test_names_that_become_one_grant_no_more_than_each(values: dict[str, str], text: str, whom: str) -> None:
    overriding = ("package.acme-web.", "package.acme_web.group.system.", "package.Acme.Web.group.system.")
    values = {key: value for key, value in values.items() if not key.startswith(overriding)}
    values |= {f"package.{name}.{whom}": text for name in ("acme_web", "Acme.Web")}
    values["pypi.disallow_fallback"] = ""
    ours, report = of_ini(values)
    found = matrix(ours)
    for name in ("acme_web", "Acme.Web"):
        theirs = Pypicloud({key.replace(f".{name}.", ".acme-web."): value for key, value in values.items()})
        for key, here in found.items():
            if here and key[2] == "acme-web" and not theirs.is_admin(key[0]):
                assert theirs.may(*key), (key, name)
    assert any("'acme_web'" in remark.about and "'Acme.Web'" in remark.about for remark in report.remarks)
    member = {"user.alice": "alice", "group.everyone": "bob"}.get(whom)
    assert member is None or "r" not in text or found[member, "read", "acme-web"]


@given(inis)
def test_an_export_means_what_the_file_means(values: dict[str, str]) -> None:
    """An export that leaves out nothing, and the JSON of AWS Secrets Manager."""
    values = {key: text for key, text in values.items() if not key.startswith("pypi.")} | {"pypi.fallback": "none"}
    source = read_ini(ini(values), Path("server.ini"))
    packages: dict[str, Any] = {"users": {}, "groups": {}}
    blob: dict[str, Any] = {}
    for package, granted in source.packages.items():
        for subject, rights in granted.items():
            kind, name = "users" if subject.kind == "user" else "groups", subject.name or subject.kind
            packages[kind].setdefault(package, {})[name] = sorted(rights)
            blob.setdefault(package, {}).setdefault(kind, {})[name] = sorted(rights)
    groups = {group: list(members) for group, members in source.groups.items()}
    users = [{"username": name, "password": HASH, "admin": name in source.admins} for name in source.users]
    secret = {"users": dict(source.users), "groups": groups, "admins": list(source.admins), "packages": blob}
    expected = matrix(of_ini(values)[0])
    for document in ({"users": users, "groups": groups, "packages": packages, "allow_register": False}, secret):
        ours, report = imported(read_export(json.dumps(document), "dump.json"))
        assert matrix(ours) == expected
        assert "pypi.default_read" in [remark.about for remark in report.remarks]


@pytest.mark.parametrize(
    ("values", "rules"),
    [
        ({"package.a.user.alice": ""}, [{"projects": ["a"], "only": True}]),
        (
            {"package.a.user.alice": "w", "package.b.user.alice": "w"},
            [{"projects": ["a", "b"], "write": ["user:alice"], "delete": ["user:alice"], "only": True}],
        ),
        (
            {"package.zope.interface.user.carol.smith": "r"},
            [{"projects": ["zope-interface"], "read": ["user:carol.smith"], "only": True}],
        ),
        ({"pypi.default_write": "data"}, [{"projects": ["*"], "delete": ["group:data"]}]),
        (
            {"pypi.default_write": "data", "pypi.allow_delete_groups": "ops", "group.data": "a b", "group.ops": "b c"},
            [{"projects": ["*"], "delete": ["user:b"]}],
        ),
        (
            {"pypi.default_write": "data", "pypi.allow_delete_groups": "ops data", "group.data": "a", "group.ops": "a"},
            [{"projects": ["*"], "delete": ["group:data"]}],
        ),
        ({"pypi.default_read": "everyone", "pypi.fallback": "redirect", "pypi.cache_update": ""}, []),
        (
            {"pypi.default_read": "everyone", "pypi.fallback": "cache"},
            [{"projects": ["*"], "fallback": ["authenticated"]}],
        ),
        ({"pypi.fallback": "cache"}, []),
    ],
)
def test_rules_are_short(values: dict[str, str], rules: list[dict[str, Any]]) -> None:
    access = of_ini({"user.alice": HASH, **values})[0].access
    assert access is not None
    assert [rule.model_dump(mode="json", exclude_defaults=True) for rule in access.rules] == rules
