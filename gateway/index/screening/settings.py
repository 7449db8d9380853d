"""The policy that the settings describe."""

from gateway.config.policy.settings import CONDITIONS, AdvisorySettings, PolicyRuleSettings, PolicySettings
from gateway.policy.advisory import Severity
from gateway.policy.exceptions import PolicyException
from gateway.policy.release_policy import AdvisoryRule, ReleasePolicy
from gateway.policy.rule import ReleaseRule
from gateway.policy.verdict import Action


def policy_of(settings: PolicySettings) -> ReleasePolicy:
    rules = [_rule(f"policy.rules[{number}]", rule) for number, rule in enumerate(settings.rules, 1)]
    return ReleasePolicy(settings.min_age, rules, _advisories(settings.advisories) if settings.advisories else None)


def exceptions_of(settings: PolicySettings) -> list[PolicyException]:
    return [
        PolicyException(str(one.project), str(one.versions or ""), one.until, one.reason, one.author)
        for one in settings.exceptions
    ]


def _rule(name: str, settings: PolicyRuleSettings) -> ReleaseRule:
    conditions = {key: getattr(settings, key) for key in CONDITIONS} | {"severity": _severity(settings.severity)}
    return ReleaseRule(
        name=name, action=Action(settings.verdict), reason=settings.reason, until=settings.until, **conditions
    )


def _advisories(settings: AdvisorySettings) -> AdvisoryRule:
    return AdvisoryRule(
        malware=Action(settings.malware),
        vulnerabilities=Action(settings.vulnerabilities),
        least=_severity(settings.severity) or Severity.UNKNOWN,
        if_unknown=Action(settings.if_unknown),
    )


def _severity(name: str | None) -> Severity | None:
    return Severity[name.upper()] if name is not None else None
