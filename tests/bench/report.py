"""Rows as a table, as JSON, and as a picture."""

import json
from collections.abc import Iterable, Sequence
from html import escape

from tests.bench.cases import Row

_BAR, _GAP, _LABEL, _WIDTH = 14, 10, 330, 800


def table(rows: Iterable[Row]) -> str:
    """In Markdown."""
    lines = ["| | gateway | nginx+lua | nginx+lua, keep-alive | ratio | target |", "|---|---|---|---|---|---|"]
    for row in rows:
        peers = [_number(row.peers[name], row.unit) if name in row.peers else "" for name in _peers(row)]
        ratio = f"{row.ratio:.2f} ×" if row.ratio is not None else ""
        target = "" if row.target is None else f"≤ {row.target:,g} {'×' if row.of_peer else row.unit}"
        missed = " (missed)" if row.met is False else ""
        lines.append(
            f"| {row.what} | {_number(row.ours, row.unit)} | {' | '.join(peers)} | {ratio} | {target}{missed} |"
        )
    return "\n".join(lines) + "\n"


def as_json(rows: Iterable[Row]) -> str:
    return (
        json.dumps(
            [
                {
                    "what": row.what,
                    "unit": row.unit,
                    "gateway": round(row.ours, 3),
                    "peers": {name: round(value, 3) for name, value in row.peers.items()},
                    "target": row.target,
                    "of_peer": row.of_peer,
                    "met": row.met,
                }
                for row in rows
            ],
            indent=1,
            ensure_ascii=False,
        )
        + "\n"
    )


def from_json(text: str) -> list[Row]:
    """What `as_json` has written."""
    return [
        Row(row["what"], row["unit"], row["gateway"], row["peers"], row["target"], of_peer=row["of_peer"])
        for row in json.loads(text)
    ]


def chart(rows: Sequence[Row]) -> str:
    """An SVG of what the gateway takes where nginx+lua takes 100 %: readable on light and on dark."""
    shown = [(row.what, row.ratio) for row in rows if row.ratio is not None]
    most = max(1.0, *(ratio for _, ratio in shown))
    height = len(shown) * (_BAR + _GAP) + 50
    scale = (_WIDTH - _LABEL - 70) / most
    full = _LABEL + scale
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        'font-size="12" role="img" aria-label="What the gateway takes, as a part of what nginx+lua takes">',
        "<style>text{fill:#57606a}.b{fill:#2f81f7}line{stroke:#8b949e;stroke-dasharray:3}</style>",
        f'<line x1="{full:.0f}" x2="{full:.0f}" y1="22" y2="{height - 20}"/>',
        f'<text x="{full:.0f}" y="16" text-anchor="middle">nginx+lua</text>',
    ]
    for number, (what, ratio) in enumerate(shown):
        y = 28 + number * (_BAR + _GAP)
        parts.append(f'<text x="{_LABEL - 8}" y="{y + 11}" text-anchor="end">{escape(what)}</text>')
        parts.append(f'<rect class="b" x="{_LABEL}" y="{y}" width="{max(ratio * scale, 1):.1f}" height="{_BAR}"/>')
        parts.append(f'<text x="{_LABEL + ratio * scale + 6:.1f}" y="{y + 11}">{ratio:.2f}</text>')
    parts.append(f'<text x="{_LABEL}" y="{height - 6}">CPU per request, or seconds, in one run; less is better</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _peers(row: Row) -> tuple[str, str]:
    return "nginx+lua", "nginx+lua, keep-alive"


def _number(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if unit in ("µs", "MB") else f"{value:.2f} {unit}"
