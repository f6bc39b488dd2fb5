// A request that makes a secret is sent with an Idempotency-Key, so that it can be sent again without being done again: by
// itself when the answer was lost on the way, and by the same command with the same key file, within ten minutes.
import { randomUUID } from 'node:crypto'
import { link, readFile, rm, writeFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { type Client, LatchkeyError } from '@latchkey/sdk/client'
import { Option } from 'commander'
import { Failure } from '../failure.ts'
import type { Output } from '../output.ts'

export type OnceOptions = { readonly idempotencyKeyFile?: string }

export const keyOption = () =>
  new Option(
    '--idempotency-key-file <file>',
    'made if it is not there; the same command with the same file gets the same answer, for ten minutes. Keep it as a secret',
  )

const attempts = 3

export async function postOnce<T>(
  { client, output }: { readonly client: Client; readonly output: Output },
  path: string,
  body: object,
  { idempotencyKeyFile: file }: OnceOptions,
): Promise<T> {
  const key = file === undefined ? randomUUID() : await keyIn(file)
  const call = { body, headers: { 'idempotency-key': key } }
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await client.call<T>('POST', path, call)
      if (answer.headers.get('idempotency-replayed') === 'true')
        output.note('This was done before with the same key: here is the answer of then.')
      return answer.body
    } catch (error) {
      if (attempt === attempts || !isPassing(error)) throw error
      await wait((error.retryAfterSeconds ?? 1) * 1_000)
    }
  }
}

/** Whether it was done cannot be known, or it is being done: the same key finds out. */
function isPassing(error: unknown): error is LatchkeyError {
  if (!(error instanceof LatchkeyError) || (error.retryAfterSeconds ?? 0) > 5) return false
  return error.status === 0 || error.status === 503 || error.code === 'idempotency-in-progress'
}

/** Linked into place when it is written: whoever is killed leaves a whole key or none, and of two at once one's is taken. */
async function keyIn(file: string): Promise<string> {
  const present = await readFile(file, 'utf8').catch(absent)
  if (present !== null) return whole(present, file)
  const aside = `${file}.${randomUUID()}`
  try {
    await writeFile(aside, `${randomUUID()}\n`, { mode: 0o600, flag: 'wx' })
    await link(aside, file).catch((error) => {
      if (error.code !== 'EEXIST') throw error
    })
    return whole(await readFile(file, 'utf8'), file)
  } catch (error) {
    if (error instanceof Failure) throw error
    throw unusable(`${file} cannot be made (${(error as NodeJS.ErrnoException).code}).`)
  } finally {
    await rm(aside, { force: true })
  }
}

const absent = (error: NodeJS.ErrnoException): null => {
  if (error.code === 'ENOENT') return null
  throw unusable(`The key file cannot be read (${error.code}).`)
}

function whole(content: string, file: string): string {
  const key = content.trim()
  // What would not go into a header would be quoted by whoever refuses it.
  if (/^[\x21-\x7e]{1,255}$/.test(key)) return key
  throw unusable(`${file} holds no key.`)
}

const unusable = (message: string) =>
  new Failure('usage', 'key-file-unusable', message, 'Name a file that is not there yet: it is made.')
