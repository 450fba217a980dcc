"Tables of pages."

from ddpm_course.style import html_table, show_table


def test_a_table_marks_the_best_and_shows_intervals_small():
    rows = [
        {"sampler": "DDPM <1>", "steps": 1000, "distance": (2.0, 1.5, 2.5)},
        {"sampler": "DDIM", "steps": 50, "distance": (3.25, 3.0, 3.5)},
    ]
    text = html_table(rows, "Lower is better", "one CPU", best={"distance": min}).data
    assert "<strong>2.00&nbsp;★</strong><br><small>1.50 to 2.50</small>" in text
    assert text.count("★") == 1 and "3.25<br><small>3.00 to 3.50</small>" in text
    assert "DDPM &lt;1&gt;" in text and ">1,000</td>" in text
    assert "<caption>Lower is better<br><small>one CPU</small></caption>" in text


def test_numbers_stand_to_the_right_and_texts_to_the_left():
    text = html_table([{"name": "a", "value": 0.5}], form=".3f").data
    assert '<td style="text-align: left">a</td>' in text
    assert '<td style="text-align: right">0.500</td>' in text


def test_named_rows_have_a_format_a_column():
    found = show_table(
        {"a": (0.5, 0.25), 3: (0.75, 0.125)},
        {"mean": ".1f", "share": ".1%"},
        "See",
        best={"share": min},
    )
    assert ">0.5</td>" in found.data and "<strong>12.5%&nbsp;★</strong>" in found.data
    assert ">25.0%</td>" in found.data and '<td style="text-align: left">3</td>' in found.data
