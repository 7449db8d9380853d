"""What means something else here than in pypicloud, and why. It has names, but no value of a setting."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Remark:
    """`about` is a setting of pypicloud's, or what the remark is about."""

    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.about}: {self.text}"


@dataclass
class Report:
    """Remarks in the order in which they were made."""

    remarks: list[Remark] = field(default_factory=list)

    def add(self, about: str, text: str) -> None:
        self.remarks.append(Remark(about, text))
