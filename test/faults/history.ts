// What was asked of the service and what it answered, with times that can be compared across all processes of
// this host: `process.hrtime` reads CLOCK_MONOTONIC, which they share. Recording judges nothing; that is checker.ts.
import { randomUUID } from 'node:crypto'

export type Action = 'provision' | 'introspect' | 'revoke' | 'rotate' | 'disable' | 'enable' | 'narrow'

/**
 * `token` is the harness's own name for one secret; a rotated token's new secret gets a name of its own. Names are
 * chosen before the call, so that a call without an answer can still be spoken of.
 */
export interface Invocation {
  proc: string
  replica: string
  f: Action
  token?: string
  /** At provision: whose it is. Without a token: the action is on the whole subject (revoke, disable, enable). */
  subject?: string
  /** What a narrow takes away. */
  scopes?: readonly string[]
  /** At provision: how long until it expires; without, it never does. */
  lifetimeMs?: number
  /** At rotate: how long the old secret stays good. */
  graceMs?: number
}

export interface Answer {
  /** introspect */
  active?: boolean
  /** introspect, when active: what the answer says it may do */
  scopes?: readonly string[]
  /** rotate: the name of the new secret */
  successor?: string
}

/** An operation still open, or whose caller died, is `unknown` for good: it may have happened, or still happen. */
export interface Entry extends Invocation {
  id: string
  invokedAt: bigint
  returnedAt: bigint | null
  outcome: 'ok' | 'fail' | 'unknown'
  result?: Answer
  error?: string
}

export interface Operation {
  ok(result?: Answer): void
  /** Only for a definite no, such as a 4xx; for an introspection any error will do. After a timeout, a cut or a 5xx, a change may have happened: `unknown`. */
  fail(error: unknown): void
  unknown(error?: unknown): void
}

export interface History {
  /** Call right before sending. */
  invoke(invocation: Invocation): Operation
  /** Adds what another process wrote to its sink, whole or in parts that end with a line; returns how many operations began in it. */
  append(jsonLines: string): number
  toJsonLines(): string
  entries(): readonly Entry[]
}

export interface HistoryOptions {
  now?: () => bigint
  /** Gets each line, newline included, as it happens; make it synchronous (`fs.writeSync`), then a SIGKILL loses no operation. */
  sink?: (line: string) => void
}

export function createHistory({
  now = process.hrtime.bigint,
  sink = () => {},
}: HistoryOptions = {}): History {
  const entries: Entry[] = []
  const foreign = new Map<string, Entry>()
  const runId = randomUUID()

  function finish(entry: Entry, outcome: Entry['outcome'], rest: Pick<Entry, 'result' | 'error'>): void {
    const at = now()
    if (isFinished(entry))
      throw new Error(`${entry.f} of ${entry.token ?? entry.subject} is already finished`)
    Object.assign(entry, rest, { outcome, returnedAt: outcome === 'unknown' ? null : at })
    sink(returnLine(entry))
  }

  return {
    invoke(invocation) {
      const entry: Entry = {
        ...invocation,
        id: `${runId}:${entries.length}`,
        invokedAt: now(),
        returnedAt: null,
        outcome: 'unknown',
      }
      entries.push(entry)
      // Written before the operation can begin: one that the record does not know cannot have happened.
      sink(invokeLine(entry))
      return {
        ok: (result = {}) => finish(entry, 'ok', { result }),
        fail: (error) => finish(entry, 'fail', { error: String(error) }),
        unknown: (error = 'no answer') => finish(entry, 'unknown', { error: String(error) }),
      }
    },
    append(jsonLines) {
      // Whoever was killed while writing left half a line behind. Half an invoke never began; half a return stays unknown.
      const lines = jsonLines.slice(0, jsonLines.lastIndexOf('\n') + 1).split('\n')
      const before = entries.length
      for (const line of lines) if (line !== '') readLine(line, entries, foreign)
      return entries.length - before
    },
    toJsonLines: () =>
      entries.map((entry) => invokeLine(entry) + (isFinished(entry) ? returnLine(entry) : '')).join(''),
    entries: () => entries,
  }
}

const isFinished = (entry: Entry): boolean => entry.returnedAt !== null || entry.error !== undefined

function invokeLine(entry: Entry): string {
  const { returnedAt, outcome, result, error, invokedAt, ...invocation } = entry
  return `${JSON.stringify({ ...invocation, invokedAt: String(invokedAt) })}\n`
}

function returnLine({ id, outcome, returnedAt, result, error }: Entry): string {
  return `${JSON.stringify({ id, outcome, returnedAt: returnedAt === null ? null : String(returnedAt), result, error })}\n`
}

function readLine(line: string, entries: Entry[], foreign: Map<string, Entry>): void {
  const fields = JSON.parse(line)
  if ('f' in fields) {
    if (foreign.has(fields.id)) throw new Error(`Operation ${fields.id} was appended before`)
    const entry: Entry = {
      ...fields,
      invokedAt: BigInt(fields.invokedAt),
      returnedAt: null,
      outcome: 'unknown',
    }
    foreign.set(entry.id, entry)
    entries.push(entry)
    return
  }
  const entry = foreign.get(fields.id)
  if (!entry) throw new Error(`Operation ${fields.id} returned but was never invoked`)
  Object.assign(entry, fields, { returnedAt: fields.returnedAt === null ? null : BigInt(fields.returnedAt) })
}
