// A connection that has the server prepare each statement with parameters once, under a name: planning the few statements
// that a change consists of took longer than running them. What is asked for together leaves in one write: each
// system call may wake the server, and that costs more than most statements. Which they are is not known here.
import { createHash } from 'node:crypto'
import type { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import pg from 'pg'

/** Lists of varying length make ever new texts, and the server keeps each plan as long as the connection lasts. */
const mostNamed = 200
const names = new Map<string, string | null>()

export class PreparingClient extends pg.Client {
  #server: Promise<pg.QueryResult> | null = null
  #isGathering = false

  constructor(config?: string | pg.ClientConfig) {
    super(config)
    this.on('notice', ({ routine }) => {
      if (routine === 'SyncRepWaitForLSN') this.#connection.emit('error', inDoubt())
    })
  }

  get #connection(): EventEmitter & { readonly stream: Socket } {
    return (this as unknown as { connection: EventEmitter & { stream: Socket } }).connection
  }

  // biome-ignore lint/suspicious/noExplicitAny: pg has a dozen overloads; only one of them is changed here
  override query(...args: any[]): any {
    const [text, values] = args
    this.#gather()
    if (text === whichServer) return this.#asked()
    const isPlain =
      args.length === 2 && typeof text === 'string' && Array.isArray(values) && values.length > 0
    const name = isPlain ? nameOf(text) : null
    if (name === null) return super.query.apply(this, args as never)
    return super.query({ name, text, values }).catch(async (error: { code?: string }) => {
      if (error.code !== planIsStale) throw error
      // The table has got another column meanwhile (`select *`): an upgrade of another replica.
      names.set(text, null)
      // A transaction has failed by that; whoever began it tries again.
      if (this.getTransactionStatus() !== 'I') throw error
      return super.query(text, values)
    })
  }

  #gather(): void {
    if (this.#isGathering) return
    this.#isGathering = true
    const { stream } = this.#connection
    stream.cork()
    // After all promises that can go on have gone on.
    process.nextTick(() => {
      this.#isGathering = false
      stream.uncork()
    })
  }

  /** Asked once: at the beginning of each change it would be one more round trip. */
  #asked(): Promise<pg.QueryResult> {
    this.#server ??= super.query(whichServer).catch((error) => {
      this.#server = null
      throw error
    })
    return this.#server
  }
}

/** The server says no, so the transaction is not committed; of all other errors that is not known. */
export const isRefusal = (error: unknown): boolean => error instanceof pg.DatabaseError

/**
 * Somebody has cancelled a commit's wait for the synchronous standby: it is done here, and may be lost by a failover. To
 * the server that is worth no more than a warning; here it is as if the connection had been lost meanwhile.
 */
const inDoubt = () =>
  Object.assign(new Error('The wait for the standby was cancelled'), { code: transactionResolutionUnknown })
const transactionResolutionUnknown = '08007'

/**
 * For sessions whose commits are relied upon: what ALTER ROLE, DATABASE or SYSTEM sets does not turn their waiting off after the
 * start, when `off` is refused, and does not hide that it was cancelled.
 */
export const commitsWait = `select set_config('client_min_messages', 'warning', false),
  set_config('synchronous_commit', coalesce(nullif(current_setting('synchronous_commit'), 'off'), 'on'), false)`

/** 0A000: "cached plan must not change result type". Whoever repeats the statement, has it planned anew. */
export const planIsStale = '0A000'

/**
 * Tells a primary from the one it replaced, even where both still answer; a connection leads to one as long as it lasts.
 * A number: a time as text depends on the session's TimeZone and DateStyle, which may differ between sessions.
 */
export const serverIdentity = 'extract(epoch from pg_postmaster_start_time())::text'
export const whichServer = `select ${serverIdentity} as server`

function nameOf(text: string): string | null {
  const known = names.get(text)
  if (known !== undefined) return known
  if (names.size >= mostNamed) return null
  const name = createHash('sha256').update(text).digest('base64url')
  names.set(text, name)
  return name
}
