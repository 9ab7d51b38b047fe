"""The benchmark's figures as tables for people, and beside the goals of the localisation."""

from collections.abc import Sequence
from typing import Any

import numpy as np

NETWORK = "unet, centre-direction"
HEAD = (
    "| sky | finder | where | truths | found at 0.90 | at 0.95 | above 5 sigma at 0.95 | "
    "flux 50 % | flux 90 % | position / limit | / efficient | chance | CPU s | GB |"
)


def as_markdown(result: dict[str, Any]) -> str:
    """All tables of a result."""
    machine = result["measured_on"]
    lines = [
        f"# Localisation, {result['survey']}, {result['tiles']} of 768 tiles a sky"
        + (f", {result['real_tiles']} of the real one" if result["real_tiles"] else ""),
        "",
        f"`python -m benchmarks.localisation --survey {result['survey']}`: {machine['processor']}, "
        f"commit {machine['commit']}, weights {result['weights_sha256']}. Found (and share) of the truths above 3 "
        "sigma of exact significance (real sky: of all 3FHL and 4FGL-DR2 sources), one to one within 0.3 "
        "degrees, where the list has the purity given at the latitudes given; empty where no list of 20 has. "
        "Fluxes (cm-2 s-1) and position "
        "errors at purity 0.90. `position / limit`: median over sources of the separation over the PSF's r68 / "
        "significance; `/ efficient`: over the median error that the photons allow (Cramer and Rao). `chance`: "
        "share of the detections that match when moved away by some degrees. CPU "
        "seconds for all skies of the row.",
        "",
        "Skies and their seeds (test split): "
        + ", ".join(f"`{n}` {s}" for n, s in result["seeds"].items())
        + ".",
        "",
        *_table(result["rows"]),
    ]
    if "robustness" in result:
        lines += ["", "## The same sources under B1 and B2", "", *_robustness(result["robustness"])]
    if "peers" in result:
        peers = result["peers"]
        lines += [
            "",
            f"## Peers, on {peers['tiles']} tiles of `{peers['sky']}`",
            "",
            "The wrong diffuse model is B2; each likelihood fits one factor a plane and tile to it. CPU seconds of "
            f"the program's own finders are for all {result['tiles']} tiles.",
            "",
            *_table(peers["rows"]),
        ]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[dict[str, Any]]) -> list[str]:
    lines = [HEAD, "|" + "---|" * (HEAD.count("|") - 1)]
    for row in rows:
        for where, s in row["scores"].items():
            a, b = s["0.90"], s["0.95"]
            cost = (
                [f"{row['cpu_seconds']:.0f}", f"{row['memory_gb']:.1f}"] if "cpu_seconds" in row else ["", ""]
            )
            cells = [
                row["sky"],
                row["finder"],
                where,
                str(s["truths"]),
                f"{a['found']} ({a['completeness']:.3f})" if a["found"] else "",
                f"{b['found']} ({b['completeness']:.3f})" if b["found"] else "",
                _number(b["above_5_sigma"], ".3f") if b["found"] and row["sky"] != "real" else "",
                *(
                    ["", ""]
                    if row["sky"] == "real"
                    else [_number(a[f], ".2e") for f in ("flux_50", "flux_90")]
                ),
                _number(a["position_error_over_limit"], ".2f"),
                _number(a["position_error_over_efficient"], ".2f"),
                _number(a["chance"], ".3f"),
                *(cost if where == "all" else ["", ""]),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def _robustness(figures: dict[str, Any]) -> list[str]:
    lines = [
        "At purity 0.90 on each; false detections within 5 degrees of the plane at B1's threshold.",
        "",
        "| finder | completeness B1 | B2 | change | false in the plane B1 | B2 |",
        "|---|---|---|---|---|---|",
    ]
    for finder, f in figures.items():
        if finder == "skies":
            continue
        change = f["completeness_b2"] - f["completeness_b1"]
        lines.append(
            f"| {finder} | {f['completeness_b1']:.3f} | {f['completeness_b2']:.3f} | {change:+.3f} | "
            f"{f['false_in_plane_b1']} | {f['false_in_plane_b2']} |"
        )
    return lines


def _number(value: float, form: str) -> str:
    return format(value, form) if np.isfinite(value) else ""
