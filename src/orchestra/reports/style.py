"""How reports look: light or dark as the reader's system is, and black on white on paper.

The contrast of text to its background is at least 4.5, that of lines and marks 3 (WCAG AA); a test measures it.
"""

from __future__ import annotations

# s1 to s6 are the series of charts; they also differ in their marks and dashes.
LIGHT = {
    "paper": "#ffffff", "ink": "#1b1f24", "soft": "#57606a", "line": "#d0d7de", "shade": "#f3f4f6", "link": "#0a58ca",
    "good": "#1a7f37", "bad": "#b42318", "note": "#fff4d6", "s1": "#0072b2", "s2": "#c34a00", "s3": "#00795a",
    "s4": "#a6467f", "s5": "#1b1f24", "s6": "#7a5c00",
}  # fmt: skip
DARK = {
    "paper": "#14181d", "ink": "#e6e9ed", "soft": "#a4adb8", "line": "#39414b", "shade": "#1f252c", "link": "#7db7ff",
    "good": "#56c271", "bad": "#ff8a80", "note": "#3a3114", "s1": "#5bb4f0", "s2": "#ff9b57", "s3": "#3fcfa0",
    "s4": "#f09fcb", "s5": "#e6e9ed", "s6": "#e3c24a",
}  # fmt: skip
_HEAT = (
    (0, 34, 78), (26, 56, 111), (67, 78, 108), (97, 101, 111), (125, 124, 120), (155, 148, 118), (188, 174, 108),
    (222, 201, 88), (254, 232, 56),
)  # fmt: skip
"""The colour map cividis (Nuñez, Anderton and Renslow, PLOS ONE 13, 2018): even in lightness, also on a grey print."""


INKS = {"black": "#000000", "white": "#ffffff"}


def heat_colour(place: float) -> str:
    """The colour of a value on a scale from 0 (dark) to 1 (light), as #rrggbb."""
    at = min(max(place, 0.0), 1.0) * (len(_HEAT) - 1)
    first = min(int(at), len(_HEAT) - 2)
    mixed = (
        round(a + (b - a) * (at - first))
        for a, b in zip(_HEAT[first], _HEAT[first + 1], strict=True)
    )
    return "#" + "".join(f"{each:02x}" for each in mixed)


def luminance(colour: str) -> float:
    """The relative luminance of #rrggbb, from 0 to 1 (WCAG 2.2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, from 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def ink_on(colour: str) -> str:
    """ "black" or "white", whichever is read better on a colour."""
    return max(INKS, key=lambda ink: contrast(INKS[ink], colour))


def _variables(colours: dict[str, str]) -> str:
    return ";".join(f"--{name}:{colour}" for name, colour in colours.items())


_SERIES = tuple(
    rule
    for number, dashes in enumerate(("none", "6 3", "7 3 2 3", "2 3", "10 3", "4 2 1 2 1 2"), 1)
    for rule in (
        (f".s{number} .line,.s{number} .bar", f"stroke:var(--s{number})"),
        (f".s{number} .mark", f"fill:var(--s{number})"),
        (f".s{number} .line", f"stroke-dasharray:{dashes}"),
    )
)
_CHARTS = (
    ("figcaption", "color:var(--soft);font-size:.88rem"),
    ("figcaption b", "color:var(--ink)"),
    (
        ".charts",
        "display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr));gap:1.2rem",
    ),
    ("figure", "margin:0;min-width:0;max-width:34rem"),
    ("svg", "display:block;width:100%;height:auto"),
    ("svg text", 'font-family:system-ui,-apple-system,"Segoe UI",sans-serif;fill:var(--ink)'),
    ("svg .tick", "font-size:11px;fill:var(--soft)"),
    (".label", "font-size:12px"),
    (".cell", "font-size:10.5px"),
    *((f"svg .{name}", f"fill:{colour}") for name, colour in INKS.items()),
    (".axis", "stroke:var(--soft)"),
    (".grid", "stroke:var(--line);stroke-width:.7"),
    (".line,.median", "fill:none;stroke-width:1.7"),
    (".median", "stroke:var(--s2);stroke-width:2.2"),
    (".dots", "stroke:var(--s1);stroke-width:4.6;stroke-linecap:round;opacity:.75"),
    (".many", "opacity:.3;stroke-width:4"),
    (".ring", "fill:none;stroke:var(--ink);stroke-width:1.5"),
    (".bar", "fill:none;stroke-width:1.1"),
    (".column", "fill:var(--s1)"),
    (".frame", "fill:none;stroke:#000;stroke-width:1.6"),
    (".outer", "stroke:#fff;stroke-width:4"),
    *_SERIES,
)


def charts_css(within: str = "") -> str:
    """Return the style of charts; with `within`, only of those in elements that this selector matches."""
    return "".join(
        ",".join(f"{within} {each}".strip() for each in selectors.split(","))
        + f"{{{declarations}}}"
        for selectors, declarations in _CHARTS
    )


def charts_of_pages() -> str:
    """Return the style of charts on pages that have a style of their own: those in an element of the class "plots"."""
    light, dark = (
        _variables({name: colour for name, colour in colours.items() if name in _OF_SERIES})
        for colours in (LIGHT, DARK)
    )
    own = f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return own + charts_css(".plots")


_OF_SERIES = tuple(f"s{number}" for number in range(1, 7))

CSS = f"""
:root{{color-scheme:light dark;{_variables(LIGHT)}}}
@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}
*{{box-sizing:border-box}}
body{{margin:0 auto;max-width:68rem;padding:1rem clamp(.8rem,3vw,2rem) 3rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}}
h1{{font-size:1.6rem;line-height:1.25;margin:.5rem 0 .25rem;overflow-wrap:anywhere}}
h2{{font-size:1.2rem;margin:2.2rem 0 .6rem;padding-bottom:.2rem;border-bottom:1px solid var(--line)}}
h3{{font-size:1rem;margin:1.2rem 0 .2rem}}
p{{margin:.4rem 0;overflow-wrap:anywhere}}
code,pre,.path{{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:.85rem}}
pre{{background:var(--shade);border-left:3px solid var(--line);padding:.5rem .7rem;margin:.4rem 0;white-space:pre-wrap;
overflow-wrap:anywhere}}
.soft,footer{{color:var(--soft);font-size:.88rem}}
.note{{background:var(--note);padding:.5rem .8rem;border-radius:.3rem}}
.state{{font-weight:700}}.good{{color:var(--good)}}.bad{{color:var(--bad)}}
dl{{display:grid;grid-template-columns:minmax(6.5rem,max-content) 1fr;gap:.15rem 1rem;margin:.6rem 0}}
dt{{color:var(--soft)}}dd{{margin:0;overflow-wrap:anywhere}}
.wide{{overflow-x:auto}}
table{{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums}}
th,td{{text-align:left;vertical-align:top;padding:.2rem .9rem .2rem 0;white-space:nowrap}}
td.fold{{white-space:normal;overflow-wrap:anywhere;min-width:14rem}}
thead th{{border-bottom:1px solid var(--line);color:var(--soft);font-weight:600}}
tbody tr:nth-child(even){{background:var(--shade)}}
th.number,td.number{{text-align:right}}
caption{{text-align:left;color:var(--soft);padding-bottom:.3rem}}
{charts_css()}
.jobs-done{{fill:var(--good)}}.jobs-bad{{fill:var(--bad);opacity:.6}}.jobs-live{{fill:var(--s1)}}.jobs-left{{fill:var(--line)}}
@media print{{body{{max-width:none;padding:0;font-size:10.5pt}}h2,h3{{break-after:avoid}}
figure,tr,pre{{break-inside:avoid}}.charts{{grid-template-columns:1fr 1fr}}.wide{{overflow:visible}}
th,td{{white-space:normal;overflow-wrap:anywhere}}tbody tr:nth-child(even){{background:none}}}}
""".strip()
