"""The base score of a CVSS vector, version 3. Pure.

https://www.first.org/cvss/v3.1/specification-document#7-1-Base-Metrics-Equations
"""

from gateway.policy.advisory import Severity

_PREFIXES = ("CVSS:3.0", "CVSS:3.1")
_MAX_CHARACTERS = 256
_IMPACT = {"N": 0.0, "L": 0.22, "H": 0.56}
_WEIGHTS = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "UI": {"N": 0.85, "R": 0.62},
    "C": _IMPACT,
    "I": _IMPACT,
    "A": _IMPACT,
}
# By whether the scope changes.
_PRIVILEGES = {"U": {"N": 0.85, "L": 0.62, "H": 0.27}, "C": {"N": 0.85, "L": 0.68, "H": 0.5}}
# The least score of each rating (section 5). A score of 0 has no rating, and counts as the lowest.
_RATINGS = ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM), (0.0, Severity.LOW))


def base_score(vector: str) -> float:
    """Of a vector like CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H. Raises ValueError if it is none."""
    version, *metrics = vector[: _MAX_CHARACTERS + 1].split("/")
    if version not in _PREFIXES or len(vector) > _MAX_CHARACTERS:
        raise ValueError("it is no CVSS vector of version 3")
    values = dict(metric.split(":", 1) for metric in metrics if ":" in metric)
    try:
        changes = values["S"] == "C"
        weights = {name: weights[values[name]] for name, weights in _WEIGHTS.items()}
        privileges = _PRIVILEGES[values["S"]][values["PR"]]
    except KeyError as error:
        raise ValueError("a base metric of the CVSS vector is missing, or has no such value") from error
    lost = 1 - (1 - weights["C"]) * (1 - weights["I"]) * (1 - weights["A"])
    impact = 7.52 * (lost - 0.029) - 3.25 * (lost - 0.02) ** 15 if changes else 6.42 * lost
    if impact <= 0:
        return 0.0
    exploitability = 8.22 * weights["AV"] * weights["AC"] * privileges * weights["UI"]
    return _rounded_up(min((1.08 if changes else 1.0) * (impact + exploitability), 10.0))


def rating(score: float) -> Severity:
    return next(severity for least, severity in _RATINGS if score >= least)


def _rounded_up(score: float) -> float:
    """To one decimal, as appendix A of the specification has it: floating point must not add a tenth."""
    whole = round(score * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (whole // 10_000 + 1) / 10
