export { type RunningServer, type ServerEvents, startServer } from './serve.ts';
