"Drawings of files, and tables of results."

import torch
from safetensors.torch import save

from ddpm_course.bytemaps import draw_bytes, draw_spans, safetensors_parts
from ddpm_course.style import course_table


def test_parts_of_a_safetensors_file_cover_it_and_lead_to_its_numbers():
    tensors = {"a": torch.arange(3.0), "b": torch.ones(2, 2)}
    data = save(tensors, metadata={"format": "pt"})
    parts = safetensors_parts(data)
    assert list(parts) == ["length", "header", "a", "b"]
    ends = [end for _, end in parts.values()]
    assert [begin for begin, _ in parts.values()] == [0, *ends[:-1]] and ends[-1] == len(data)
    begin, end = parts["a"]
    assert torch.frombuffer(bytearray(data[begin:end]), dtype=torch.float32).tolist() == [0, 1, 2]


def test_every_byte_is_drawn_as_what_it_is():
    ax = draw_bytes(b"\x80A ~", {"numbers": (0, 1), "header": (1, 4)}, columns=3)
    assert [text.get_text() for text in ax.texts] == ["80", "A", "␣", "~"]
    assert [text.get_position() for text in ax.texts] == [(0, 0), (1, 0), (2, 0), (0, -1)]


def test_what_is_not_there_has_no_bar():
    ax = draw_spans({"new": [(0, 2, "part"), (2, 3, "nothing")]}, {0: "write"})
    assert len(ax.patches) == 1 and [t.get_text() for t in ax.texts] == ["part", "nothing"]


def test_a_table_marks_the_best_and_escapes_what_it_is_given():
    html = course_table(["<s>", "a"], [["x & y", 1], ["z", "-2 %"]], "See", best=[(1, 1)]).data
    assert "<caption>See</caption>" in html and "&lt;s&gt;" in html and "x &amp; y" in html
    assert '<td style="text-align:right;white-space:nowrap"><b>-2 %&nbsp;★</b></td>' in html
    assert html.count("text-align:left") == 3 and html.count("★") == 1
