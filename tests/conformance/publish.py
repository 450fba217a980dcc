"""Run every rule on every adapter, compare the metrics, and write both as JSON: `make conformance`.

The page nbs/conformance.ipynb shows what this wrote. Exit status 1: an outcome is not the one that
`adapters` records."""

import argparse, json, sys, warnings
from importlib.metadata import version
from pathlib import Path

from conformance import metrics
from conformance.adapters import everyone
from conformance.rules import BETAS, RULES, reached
from ddpm_course.cards import environment

CURVE_STEPS = sorted(
    {round(10 * 50 ** (i / 59)) for i in range(60)}
)  # 10 to 500, evenly on a log axis
CURVES = (
    "ddim_sample, eta 0",
    "DDIMScheduler, leading, eta 0",
    "DDIMScheduler, trailing, eta 0",
    "DDIMScheduler, linspace, eta 0",
)


def rounded(x, digits=3):
    return x if x is None else float(f"{x:.{digits}g}")


def row(adapter, rule):
    """One verdict, with what it is about; `reason` says why a rule fails as recorded, or cannot
    apply."""
    verdict = RULES[rule](adapter)
    reason = (
        verdict.note
        if verdict.passed is None
        else adapter.fails.get(rule, "")
        if verdict.passed is False
        else ""
    )
    return dict(
        library=adapter.library,
        version=version(adapter.library),
        sampler=adapter.name,
        rule=rule,
        measured=rounded(verdict.measured),
        expected=verdict.expected,
        passed=verdict.passed,
        reason=reason,
        note=verdict.note if verdict.passed is not None else "",
    )


def surprise(adapter, found):
    "What a row says that is not recorded, or an empty string."
    rule, failed = found["rule"], found["passed"] is False
    if failed == (rule in adapter.fails):
        return ""
    said = f"{found['library']} {found['version']}, {adapter.name}: {rule} "
    if failed:
        return (
            said
            + f"fails ({found['measured']:.3g}; expected {found['expected']}; {found['note']}); "
            "find out why, and record it in the adapter's `fails`"
        )
    return (
        said + f"passes, or no longer applies; it was recorded as failing because "
        f'"{adapter.fails[rule]}": take it out of the adapter\'s `fails`'
    )


def curve(adapter, spacing):
    "Spread of a Gaussian of spread 0.5, sampled with more and more steps of the linear schedule."
    ends = [
        reached(adapter.sample, BETAS["linear"], adapter.spacings[spacing](1000, n), False)[1]
        for n in CURVE_STEPS
    ]
    return dict(
        library=adapter.library,
        version=version(adapter.library),
        spacing=spacing,
        steps=CURVE_STEPS,
        std=[rounded(std, 5) for std in ends],
    )


def agreement(found):
    return dict(
        found._asdict(),
        measured=rounded(found.measured),
        version=version(found.library),
        expected=f"at most {metrics.TOLERANCE:g}".replace("e-0", "e-"),
    )


def outcome(found):
    "A row's figure and verdict, for people."
    if found["passed"] is None:
        return "n/a"
    return f"{found['measured']:.2g} {'ok' if found['passed'] else 'FAILS'}"


def text(rows, side, top):
    "A table of rows: `side` down, `top` across."
    sides, tops = (list(dict.fromkeys(r[key] for r in rows)) for key in (side, top))
    cells = [["", *tops]] + [
        [name]
        + [
            next((outcome(r) for r in rows if (r[side], r[top]) == (name, column)), "")
            for column in tops
        ]
        for name in sides
    ]
    widths = [max(len(line[i]) for line in cells) for i in range(len(tops) + 1)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells
    )


def main(argv=None):
    parser = argparse.ArgumentParser(prog="make conformance", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/conformance.json"))
    warnings.filterwarnings("ignore", module=r"(diffusers|torchmetrics)\.")
    out, adapters = parser.parse_args(argv).out, everyone()
    samplers = [(adapter, row(adapter, rule)) for adapter in adapters for rule in RULES]
    agreements = [
        agreement(found) for metric in metrics.METRICS for found in metrics.compare(metric)
    ]
    curves = [
        curve(adapter, spacing)
        for adapter in adapters
        if adapter.name in CURVES
        for spacing in adapter.spacings
        if spacing in ("leading", "trailing", "linspace")
    ]
    rows = [found for _, found in samplers]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(
        json.dumps(
            {"about": environment(), "samplers": rows, "metrics": agreements, "curves": curves},
            indent=1,
        ),
        encoding="utf-8",
    )
    print(
        text(rows, "sampler", "rule"),
        text(
            [dict(r, metric=f"{r['metric']}; {r['features']}") for r in agreements],
            "metric",
            "library",
        ),
        f"Written to {out}",
        sep="\n\n",
    )
    surprises = [s for adapter, found in samplers if (s := surprise(adapter, found))]
    surprises += [
        f"{r['metric']} of {r['library']} {r['version']} differs by {r['measured']:.2g} of its size"
        for r in agreements
        if r["passed"] is False
    ]
    if surprises:
        sys.exit("\n" + "\n".join(surprises))


if __name__ == "__main__":
    main()
