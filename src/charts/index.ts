export type { ChartBase } from './frame.ts';
export { lineChart, type LineChartSpec, type LineSeries } from './line-chart.ts';
export { lossCurve, type LossLogEntry } from './loss-curve.ts';
export { type Png, type PngLegendEntry, svgToPng } from './png.ts';
