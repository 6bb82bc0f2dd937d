import { expectTypeOf, it } from 'vitest';
import type { FettleConfig } from '../config/index.ts';
import type { DataSettings } from './settings.ts';

it('takes a whole config as it is', () => {
  expectTypeOf<FettleConfig>().toExtend<DataSettings>();
});
