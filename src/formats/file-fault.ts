/** Says what a file did wrong, where the code that found it does not know the file's name: its reader adds that. */
export class FileFault extends Error {
  readonly requirement: string;
  readonly actual: string;
  constructor(requirement: string, actual: string) {
    super(`${requirement}, got ${actual}`);
    this.requirement = requirement;
    this.actual = actual;
  }
}
