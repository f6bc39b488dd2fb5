// What a command is given to send: the text of a file, or of stdin for `-`. Secrets come in by secret-input.ts.
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { usage } from './failure.ts'

/** @throws Failure when there is nothing to read */
export async function textOf(file: string): Promise<string> {
  if (file !== '-')
    return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      throw usage(`${file} cannot be read (${error.code}).`, 'Name a file, or - for stdin.')
    })
  if (process.stdin.isTTY) throw usage('- reads a pipe, and there is a terminal.', 'Name a file.')
  return text(process.stdin)
}
