export { loadPlugins, type PluginFunction, pluginsOf } from './load.ts';
