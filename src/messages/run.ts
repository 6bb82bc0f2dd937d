/** Texts about runs: folders, processes, checkpoints, results. */
export const runMessages = {
  'run-locked': (f: { dir: string; pid: number }) =>
    `${f.dir}: a run is writing here (process ${f.pid}). Wait for it, or stop it with Ctrl-C in its terminal`,
};
