/** Commands as they can be typed into a shell. */

/** An argument as a shell takes it. */
function quoted(argument: string): string {
  return /^[\w@%+=:,./~-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;
}

/** A command line of these arguments. */
export function shellCommand(words: readonly string[]): string {
  return words.map(quoted).join(' ');
}
