"""Charts: styles that can be told apart."""

from __future__ import annotations

from splitopt.report.charts import line_styles


def test_twenty_four_names_have_different_styles():
    """No two of 24 names share both colour and dashes, and a name's style follows its place."""
    names = [f"solver{index}" for index in range(24)]
    styles = line_styles(names)
    assert len({(style.colour, style.dashes) for style in styles.values()}) == 24
    assert line_styles(names[:5]) == {name: styles[name] for name in names[:5]}
