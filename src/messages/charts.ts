/** Texts about pictures. */
export const chartsMessages = {
  'chart-invalid': (f: { chart: string; requirement: string; actual: string }) =>
    `${f.chart}: ${f.requirement}, got ${f.actual}`,
};
