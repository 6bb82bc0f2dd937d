export { convertLlama2c, type ConvertLlama2cOptions } from './from-llama2c.ts';
