"""Modules:

- `ddpm_course.cards`: Scores in files, each row with what made it.
- `ddpm_course.estimates`: Numbers with their errors: intervals, tests of difference and of equivalence, verdicts on many.
- `ddpm_course.experiments.coverage_cells`: Made-up images for which it is known how often an interval should hold the truth.
- `ddpm_course.influence`: Influence values: how far each image moves a score, the one mechanism behind intervals.
- `ddpm_course.slopes`: The influence of each image on each score of the course."""

__version__ = "0.2.0"
