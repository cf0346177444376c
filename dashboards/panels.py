"""The kinds of panel the dashboards are made of, in one look. What a panel shows beyond that, its board says."""

from __future__ import annotations

import string
from collections.abc import Sequence

from grafana_foundation_sdk.builders import common, heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as drawing
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heat
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

PanelBuilder = Builder[models.Panel]
Query = prometheus.Dataquery

DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
BAR_INTERVAL = "15s"
"""Each bar counts what happened since the one before it; that must hold some scrapes."""
HALF, HEIGHT = 12, 8
NOTHING = "–"
Step = tuple[float | None, str]
"""From this value on a number is shown in this colour; None is the lowest."""

FUNCTION_PAGE = (
    "/d/springtide-function?${__url_time_range}&${datasource:queryparam}&var-namespace=$__all&var-function=%s"
)


def query(expr: str, legend: str) -> Query:
    """Over the time range. ``legend`` may name labels, as ``{{function_name}}``."""
    return Query().expr(expr).legend_format(legend).range().editor_mode(QueryEditorMode.CODE)


def traced(expr: str, legend: str) -> Query:
    """As ``query``, with dots for single calls counted in the buckets of ``expr``, each the way to its trace."""
    return query(expr, legend).exemplar(True)  # noqa: FBT003 - the SDK's signature


def at_end(expr: str, legend: str = "") -> Query:
    """One value, for the end of the time range; what is asked of the whole range is ``[$__range]`` in ``expr``."""
    return Query().expr(expr).legend_format(legend).instant().editor_mode(QueryEditorMode.CODE)


def column(expr: str) -> Query:
    """One column of a table."""
    return at_end(expr).format(PromQueryFormat.TABLE)


def lines(title: str, about: str, unit: str, *queries: Query) -> timeseries.Panel:
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .unit(unit)
        .min(0)
        .datasource(DATASOURCE)
        .span(HALF)
        .height(HEIGHT)
        .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
        .show_points(drawing.VisibilityMode.NEVER)
        .fill_opacity(0)
        .legend(_legend())
        .tooltip(common.VizTooltipOptions().mode(drawing.TooltipDisplayMode.MULTI).sort(drawing.SortOrder.DESCENDING))
    )
    return panel.targets(_targets(queries))


def steps(title: str, about: str, *queries: Query) -> timeseries.Panel:
    """For counts that jump."""
    return lines(title, about, "short", *queries).decimals(0).line_interpolation(drawing.LineInterpolation.STEP_AFTER)


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    """For parts of a whole."""
    return panel.stacking(common.StackingConfig().mode(drawing.StackingMode.NORMAL).group("A")).fill_opacity(40)


def bars(title: str, about: str, *queries: Query) -> timeseries.Panel:
    """For events, counted and stacked."""
    counted = [one.interval(BAR_INTERVAL) for one in queries]
    panel = lines(title, about, "short", *counted).decimals(0)
    return stacked(panel).draw_style(drawing.GraphDrawStyle.BARS).fill_opacity(60)


def limit(panel: timeseries.Panel, value: float) -> timeseries.Panel:
    """With a dashed line where something begins."""
    dashed = common.GraphThresholdsStyleConfig().mode(drawing.GraphTresholdsStyleMode.DASHED)
    return panel.thresholds(coloured((None, "transparent"), (float(value), "orange"))).thresholds_style(dashed)


def number(title: str, about: str, unit: str, one: Query, *colours: Step) -> stat.Panel:
    """The present value, with a small line of its past where the query has one."""
    return (
        stat.Panel()
        .title(title)
        .description(about)
        .unit(unit)
        .min(0)
        .datasource(DATASOURCE)
        .span(3)
        .height(4)
        .no_value(NOTHING)
        .thresholds(coloured(*colours) if colours else coloured((None, "text")))
        .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(drawing.BigValueGraphMode.AREA)
        .color_mode(drawing.BigValueColorMode.VALUE)
        .targets(_targets([one]))
    )


def coloured(*colours: Step) -> builders.ThresholdsConfig:
    thresholds = [models.Threshold(value=value, color=colour) for value, colour in colours]
    return builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(thresholds)


def function_table(title: str, about: str, columns: dict[str, tuple[Query, str]]) -> table.Panel:
    """A row for each function, which leads to its page. ``columns``: heading → query and unit."""
    values = dict(zip((f"Value #{letter}" for letter in string.ascii_uppercase), columns, strict=False))
    panel = (
        table.Panel()
        .title(title)
        .description(about)
        .datasource(DATASOURCE)
        .span(24)
        .height(9)
        .show_header(True)  # noqa: FBT003 - the SDK's signature
        .with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            models.DataTransformerConfig(
                id_val="organize",
                options={"excludeByName": {"Time": True}, "renameByName": {"function_name": "Function", **values}},
            )
        )
        .targets(_targets([one for one, _ in columns.values()]))
        .override_by_name("Function", [_links(FUNCTION_PAGE % "${__value.raw}")])
    )
    for heading, (_, unit) in columns.items():
        panel = panel.override_by_name(heading, [models.DynamicConfigValue(id_val="unit", value=unit)])
    return panel


def timeline(title: str, about: str, states: dict[str, tuple[str, str]], *queries: Query) -> statetimeline.Panel:
    """``states``: value → its name and colour."""
    options = {
        value: models.ValueMappingResult(text=name, color=colour, index=index)
        for index, (value, (name, colour)) in enumerate(states.items())
    }
    return (
        statetimeline.Panel()
        .title(title)
        .description(about)
        .datasource(DATASOURCE)
        .span(HALF)
        .height(HEIGHT)
        .mappings([models.ValueMap(options=options)])
        .show_value(drawing.VisibilityMode.NEVER)
        .row_height(0.8)
        .fill_opacity(70)
        .targets(_targets(queries))
    )


def heat_map(title: str, about: str, unit: str, buckets: Query) -> heatmap.Panel:
    """``buckets``: by ``le``, each how many events it saw."""
    colour = heatmap.HeatmapColorOptions().mode(heat.HeatmapColorMode.SCHEME).scheme("Oranges").steps(64)
    return (
        heatmap.Panel()
        .title(title)
        .description(about)
        .datasource(DATASOURCE)
        .span(HALF)
        .height(HEIGHT)
        .calculate(False)  # noqa: FBT003 - the SDK's signature
        .color(colour)
        .show_tooltip()
        .scale_distribution(common.ScaleDistributionConfig().type(drawing.ScaleDistribution.LINEAR))
        .y_axis(heatmap.YAxisConfig().unit(unit).axis_placement(drawing.AxisPlacement.LEFT))
        .targets(_targets([buckets.format(PromQueryFormat.HEATMAP).interval(BAR_INTERVAL)]))
    )


def to_function(panel: timeseries.Panel) -> timeseries.Panel:
    """A click on a line leads to its function's page."""
    link = builders.DashboardLink("Show ${__field.labels.function_name}")
    return panel.data_links([link.url(FUNCTION_PAGE % "${__field.labels.function_name}")])


def dashed(panel: timeseries.Panel, names: str) -> timeseries.Panel:
    """Series whose name matches the pattern are bounds, not measurements."""
    style = {"fill": "dash", "dash": [6, 6]}
    return panel.override_by_regexp(names, [models.DynamicConfigValue(id_val="custom.lineStyle", value=style)])


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(drawing.LegendDisplayMode.TABLE)
        .placement(drawing.LegendPlacement.RIGHT)
        .show_legend(True)  # noqa: FBT003 - the SDK's signature
        .calcs(["lastNotNull", "max"])
    )


def _links(url: str) -> models.DynamicConfigValue:
    return models.DynamicConfigValue(id_val="links", value=[{"title": "Show ${__value.raw}", "url": url}])


def _targets(queries: Sequence[Query]) -> list[Builder[Dataquery]]:
    return [
        one.ref_id(letter).datasource(DATASOURCE) for letter, one in zip(string.ascii_uppercase, queries, strict=False)
    ]
