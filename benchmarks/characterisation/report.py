"""The result as a page for people."""

from typing import Any

from models.cutouts import CLASSES


def as_markdown(result: dict[str, Any]) -> str:
    """All tables of a survey."""
    machine = result["measured_on"]
    lines = [
        f"# Characterisation, {result['survey']}",
        "",
        f"{machine['processor']}, {machine['memory']}, commit {machine['commit']}. Test skies; "
        f"{result['blocks']} of 48 blocks of each. Significance is the likelihood fit's `Signif_Avg`, as in 4FGL; "
        "`scatter` is half the 16 to 84 percentile interval of flux over true flux, `bias` its median less 1, "
        "`quoted` the median error over flux, `pull` that interval of (flux - truth) / error.",
    ]
    for name, sky in result["skies"].items():
        lines += ["", f"## {name}", "", f"{sky['detections']} detections" + _share(sky)]
        for title in ("flux", "position", "extension"):
            if title in sky:
                lines += ["", f"### {title.capitalize()}", "", *table(sky[title])]
        lines += _classes(sky)
        if "known places" in sky:
            lines += ["", "### Ellipses of the likelihood at known places of galaxies and pulsars", ""]
            lines += table(sky["known places"])
        if "known classes" in sky:
            lines += _known(sky["known classes"])
    if not result["skies"]:
        lines += ["", "No sky was searched in this run: the likelihood fit and the apertures are missing."]
    for emission, figures in result.get("stream", {}).items():
        lines += ["", f"## Simulated detections of the test stream, {emission}", "", "### Flux", ""]
        lines += ["Significance here is exact: all else known.", "", *table(figures["flux"])]
        lines += _classes(figures)
    if "shift" in result:
        lines += ["", "## The same sources with B2 instead of B1", "", *table([result["shift"]])]
    lines += ["", "## Processor seconds for 10,000 detections", ""]
    lines += table([result["seconds_for_10000"]])
    if not result["networks"]:
        lines += ["", "No networks come with the program for this survey: their rows are missing."]
    return "\n".join(lines) + "\n"


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Rows of equal keys as a table."""
    if not rows:
        return ["(too few)"]
    names = list(rows[0])
    head = ["| " + " | ".join(n.replace("_", " ") for n in names) + " |", "|" + "---|" * len(names)]
    return head + ["| " + " | ".join(_text(row[n]) for n in names) + " |" for row in rows]


def _classes(part: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    if "real or fake" in part:
        lines += ["", "### Real or fake", "", *table([_shown(part["real or fake"])])]
    kinds = [name for name in part if name.startswith("class")]
    if kinds:
        rows = [{"by": k} | _shown(part[k]) for k in kinds]
        lines += ["", "### Classes", "", *table(rows)]
        named = [
            {"true": c} | dict(zip(CLASSES, numbers, strict=True))
            for c, numbers in zip(CLASSES, part[kinds[0]]["confusion"], strict=True)
        ]
        lines += ["", f"Confusion ({kinds[0]}), columns the most probable class:", "", *table(named)]
    return lines


def _shown(figures: dict[str, Any]) -> dict[str, Any]:
    """What stands in a table: numbers alone."""
    return {name: value for name, value in figures.items() if not isinstance(value, list | dict)}


def _known(known: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for name in ("full", "blind"):
        rows = [
            {"4FGL-DR2": kind} | dict(zip(known["columns"], numbers, strict=True))
            for kind, numbers in known[name].items()
        ]
        lines += ["", f"### Real detections by 4FGL-DR2's class, {name}", "", *table(rows)]
    median = ", ".join(f"{kind} {value:.2f}" for kind, value in known["median_prob_real"].items())
    return [*lines, "", f"Median probability of being real: {median}."]


def _share(sky: dict[str, Any]) -> str:
    return f", {100 * sky['real']:.0f} % of them sources." if "real" in sky else "."


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}" if abs(value) < 1e-3 else f"{value:.3f}"
    return str(value)
