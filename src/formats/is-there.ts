/** Whether something stands at a path: a file, a folder, or a link that leads to one. */
import { access } from 'node:fs/promises';

export async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
