// One session on PostgreSQL that listens, and sends on the same session: what arrives proves that socket, server and
// commit path all work. It is opened again, for ever, when it breaks. What the messages mean is the verify room's.
import type pg from 'pg'
import { commitsWait, PreparingClient } from './preparing-client.ts'

export type Listener = {
  /** Runs one statement on the listening session. Rejects when there is none, or after `deadlineMs`. */
  query<R extends pg.QueryResultRow>(text: string, values: unknown[]): Promise<R[]>
  /** Ends this session and opens another: for one that looks open and is not. */
  restart(): void
  stop(): Promise<void>
}

export type ListenerEvents = {
  /** A new session listens. Whatever was sent before is lost to it. */
  readonly onUp: () => void
  readonly onDown: (error: Error | null) => void
  readonly onMessage: (payload: string) => void
}

const connectMs = 500
const deadlineMs = 800
const longestPauseMs = 1_000

export function listen(url: string, channel: string, events: ListenerEvents): Listener {
  let client: PreparingClient | null = null
  let failures = 0
  let stopped = false
  let retry: NodeJS.Timeout | undefined

  function open(): void {
    const next = new PreparingClient({
      connectionString: url,
      connectionTimeoutMillis: connectMs,
      query_timeout: deadlineMs,
      keepAlive: true,
      application_name: 'latchkey listener',
    })
    let ended = false
    const end = (error: Error | null) => {
      if (ended) return
      ended = true
      if (client === next) {
        client = null
        if (!stopped) events.onDown(error)
      }
      // Not end(): a black hole would never answer the goodbye.
      ;(next as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()
      reopen()
    }
    next.on('error', end)
    next.on('end', () => end(null))
    next.on('notification', ({ payload }) => {
      if (client === next && payload !== undefined) events.onMessage(payload)
    })
    next
      .connect()
      .then(() => Promise.all([next.query(commitsWait), next.query(`listen ${channel}`)]))
      .then(() => {
        if (stopped || ended) return end(null)
        client = next
        events.onUp()
      })
      .catch(end)
    current = end
  }

  let current: (error: Error | null) => void = () => {}

  /** The first time at once, then with growing pauses; jittered, so that replicas do not come back in step. */
  function reopen(): void {
    if (stopped) return
    const pause =
      failures === 0 ? 0 : Math.min(longestPauseMs, 50 * 2 ** failures) * (0.5 + Math.random() / 2)
    failures += 1
    clearTimeout(retry)
    retry = setTimeout(open, pause)
  }

  open()
  return {
    async query<R extends pg.QueryResultRow>(text: string, values: unknown[]): Promise<R[]> {
      if (client === null)
        throw Object.assign(new Error('The listening session is down'), { code: 'ECONNRESET' })
      const { rows }: pg.QueryResult<R> = await client.query(text, values)
      // Not as soon as it listens: of a server that takes sessions and refuses to notify, nothing is gained by more of them.
      failures = 0
      return rows
    },
    restart: () => current(new Error('restarted')),
    async stop() {
      stopped = true
      clearTimeout(retry)
      current(null)
    },
  }
}
