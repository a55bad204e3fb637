"""Figures of several subplots are taken apart: each panel has its own traces, lines, notes and axes."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mmbee_plugin.experiments.colours import SERIES
from mmbee_plugin.experiments.panels import LOG_TICKS, Entry, coloured, legend, panels


def test_panels_side_by_side_stand_alone():
    figure = make_subplots(2, 2, subplot_titles=["a", "b", "c", "d"], shared_yaxes=True)
    for place, (row, column) in enumerate(((1, 1), (1, 2), (2, 1), (2, 2))):
        figure.add_scatter(x=[0, 1], y=[place, 9], name="SIM", row=row, col=column)
    figure.add_hline(y=5, annotation_text="limit", row=2, col=1)
    figure.update_xaxes(title_text="days").update_yaxes(type="log", row=2, col=2)
    found = panels(figure.update_layout(height=800))
    assert [title for title, _ in found] == ["a", "b", "c", "d"]
    for place, (_, drawn) in enumerate(found):
        (trace,), layout = drawn["data"], drawn["layout"]
        assert trace["y"][0] == place and (trace["xaxis"], trace["yaxis"]) == ("x", "y")
        assert layout["height"] == 400 and layout["xaxis"]["title"]["text"] == "days"
        assert not {"domain", "anchor", "matches", "showticklabels"} & {*layout["yaxis"]}
        assert not {"xaxis2", "yaxis2"} & {*layout}
        assert [note["text"] for note in layout["annotations"]] == (["limit"] if place == 2 else [])
        assert [line["yref"] for line in layout["shapes"]] == (["y"] if place == 2 else [])
    assert found[3][1]["layout"]["yaxis"]["ticktext"] == LOG_TICKS["ticktext"]
    assert LOG_TICKS["ticktext"][LOG_TICKS["tickvals"].index(2000)] == "2,000"


def test_panels_below_each_other_share_an_axis_and_stay_together():
    figure = make_subplots(
        2, 1, shared_xaxes=True, subplot_titles=["a", "b"], specs=[[{"secondary_y": True}], [{}]]
    )
    figure.add_bar(x=[1], y=[2], row=1, col=1).add_scatter(x=[1], y=[3], row=1, col=1, secondary_y=True)
    figure.add_scatter(x=[1], y=[4], row=2, col=1)
    ((title, drawn),) = panels(figure)
    assert title == "" and len(drawn["data"]) == 3
    assert [note["text"] for note in drawn["layout"]["annotations"]] == ["a", "b"]


def test_a_name_has_one_colour_and_one_line_in_the_legend():
    figure = make_subplots(1, 2, subplot_titles=["a", "b"])
    for column in (1, 2):
        figure.add_scatter(x=[1], y=[2], name="SIM", mode="markers", row=1, col=column)
        figure.add_bar(x=[1], y=[2], name="MMBee", marker_color="#d55e00", row=1, col=column)
        figure.add_scatter(
            x=[1], y=[2], name="limit", line={"dash": "dash", "color": "#7a828e"}, row=1, col=column
        )
    drawn = coloured(figure)
    assert {trace.marker.color for trace in drawn.data if trace.name == "SIM"} == {SERIES[0]}
    assert legend(drawn) == [
        Entry("SIM", SERIES[0], "point"),
        Entry("MMBee", "#d55e00", "fill"),
        Entry("limit", "#7a828e", "dash"),
    ]
    assert legend(go.Figure(go.Bar(x=[1], y=[1], name="alone"))) == []
