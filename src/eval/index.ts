export {
  bootstrapInterval,
  bootstrapMean,
  type BootstrapOptions,
  type Interval,
  quantile,
  wilsonInterval,
} from './intervals.ts';
