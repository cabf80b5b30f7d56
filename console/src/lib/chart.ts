// ECharts, as much of it as one chart over time needs. It is fetched when somebody opens the view.

import { LineChart } from 'echarts/charts';
import { DataZoomInsideComponent, GridComponent, MarkAreaComponent, MarkLineComponent } from 'echarts/components';
import { init, use, type EChartsType } from 'echarts/core';
import { CanvasRenderer } from 'echarts/renderers';
import type { EChartsOption } from 'echarts/types/dist/shared';
import type { Band, Columns, Figure } from './buckets';
import type { Bars } from './stretches';

use([LineChart, GridComponent, MarkAreaComponent, MarkLineComponent, DataZoomInsideComponent, CanvasRenderer]);

export type Chart = EChartsType;

export function open(element: HTMLElement): Chart {
  return init(element, null, { renderer: 'canvas' });
}

export interface Drawing {
  columns: Columns;
  /** Which are drawn, from the ground up. */
  figures: Figure[];
  bands: Band[];
  bars: Bars;
  /** Where the reader's cursor is. */
  cursor: number | null;
  /** What the bars are called. */
  measures: string;
  name(figure: Figure | 'peak'): string;
  posture(posture: string): string;
  time(at: number): string;
  rate(value: number): string;
}

/** Patterns beside colours: solid, hatched, dotted. */
const DASHES: Record<Figure, 'solid' | 'dashed' | 'dotted'> = { served: 'solid', delayed: 'dashed', challenged: 'dotted', roomed: 'dashed', refused: 'solid', failed: 'dotted' };

/** The look of the page, read from its custom properties: one place for colours. */
function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Where nothing of a kind came, nothing of it is drawn: an outline of no height would hide the one below. */
function sparse(points: number[][]): (number | null)[][] {
  const at = (index: number) => points[index]?.[1] ?? 0;
  return points.map(([when, value], index) => [when ?? 0, at(index - 1) === 0 && at(index + 1) === 0 && value === 0 ? null : (value ?? 0)]);
}

/** Pixels of one lane of measures above the picture. */
const LANE = 15;
/** What a measure does to whom it holds has the colour of what becomes of them. */
const ACTIONS: Record<string, Figure> = { refuse: 'refused', drop: 'refused', challenge: 'challenged', room: 'roomed' };

const PAPERS: Record<string, string> = { elevated: 'warn', attack: 'bad', overload: 'load', recovery: 'rise' };

export function option(drawing: Drawing): EChartsOption {
  const { columns } = drawing;
  const pairs = (values: Float64Array) => Array.from(values, (value, index) => [columns.at[index] ?? 0, value]);
  const quiet = colour('quiet');
  const begin = columns.at[0] ?? 0;
  const end = (columns.at.at(-1) ?? 0) + columns.width;
  const { bars, lanes } = drawing.bars;
  return {
    animation: false,
    grid: { left: 8, right: 12, top: 30 + lanes * LANE, bottom: 8, containLabel: true },
    xAxis: { type: 'time', min: begin, max: end, axisLabel: { color: quiet, hideOverlap: true, formatter: (at: number) => drawing.time(at) }, axisLine: { lineStyle: { color: colour('edge') } }, splitLine: { show: false } },
    yAxis: { type: 'value', min: 0, axisLabel: { color: quiet, formatter: (value: number) => drawing.rate(value) }, splitLine: { lineStyle: { color: colour('rule') } } },
    dataZoom: [{ type: 'inside', zoomOnMouseWheel: 'ctrl', moveOnMouseMove: false, moveOnMouseWheel: false }],
    series: [
      ...drawing.figures.map((figure) => ({
        name: drawing.name(figure),
        type: 'line' as const,
        stack: 'all',
        symbol: 'none',
        step: 'start' as const,
        lineStyle: { width: 1, color: colour(figure), type: DASHES[figure] },
        areaStyle: { color: colour(figure), opacity: figure === 'served' ? 0.75 : 0.6 },
        data: figure === 'served' ? pairs(columns.mean[figure]) : sparse(pairs(columns.mean[figure])),
      })),
      {
        name: drawing.name('peak'),
        type: 'line' as const,
        symbol: 'none',
        step: 'start' as const,
        z: 5,
        lineStyle: { width: 1.2, color: colour('ink'), opacity: 0.75 },
        data: drawing.figures.includes('refused') ? pairs(columns.peak) : pairs(columns.peak).map(([at]) => [at ?? 0, 0]),
        markArea: {
          silent: true,
          label: { position: 'insideTop', color: colour('ink'), fontSize: 11, overflow: 'truncate' },
          data: drawing.bands.map(({ posture, from, until }) => [
            // Bands shorter than a fiftieth of the chart have no room for a word; the table has it.
            { name: until - from > (end - begin) / 14 ? drawing.posture(posture) : '', xAxis: from, itemStyle: { color: colour(`${PAPERS[posture] ?? 'warn'}-paper`), borderColor: colour(PAPERS[posture] ?? 'warn'), borderWidth: 1, borderType: 'dashed' } },
            { xAxis: until },
          ]),
        },
        markLine: {
          silent: true,
          symbol: 'none',
          label: { color: quiet, fontSize: 11, formatter: '{b}' },
          lineStyle: { color: colour('edge'), type: 'dashed' },
          data: [
            ...(drawing.cursor === null ? [] : [{ name: '', xAxis: drawing.cursor, lineStyle: { color: colour('link'), type: 'solid' as const, width: 2 } }]),
          ],
        },
      },
      {
        name: drawing.measures,
        type: 'line' as const,
        data: [],
        z: 6,
        markArea: {
          silent: true,
          label: { position: 'inside', color: colour('ink'), fontSize: 10, overflow: 'truncate' },
          data: bars.map(({ stretch, lane, from, until }) => [
            { name: until - from > (end - begin) / 10 ? stretch.id : '', xAxis: from, y: 4 + lane * LANE, itemStyle: { color: colour('sunk'), borderColor: colour(ACTIONS[stretch.action] ?? 'delayed'), borderWidth: 2, borderType: stretch.until === null ? 'dotted' : 'solid' } },
            { xAxis: Math.max(until, from + (end - begin) / 300), y: 1 + (lane + 1) * LANE },
          ]),
        },
      },
    ],
  } as EChartsOption;
}
