export { barChart, type BarChartSpec, type BarSeries, formatShare } from './bar-chart.ts';
export type { ChartBase } from './frame.ts';
export { type Bins, binValues, histogram, type HistogramSpec } from './histogram.ts';
export { lineChart, type LineChartSpec, type LineSeries } from './line-chart.ts';
export { lossCurve, type LossLogEntry } from './loss-curve.ts';
export { matrixChart, type MatrixChartSpec } from './matrix-chart.ts';
export { legendText, type Png, type PngLegendEntry, svgToPng } from './png.ts';
