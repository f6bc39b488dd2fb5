// Listens to what Latchkey forgets (GET /api/v1/revocations) and comes back when cut off. What to do about it is the
// verifier's business. It keeps no process alive that has nothing else to do.
import { type ClientRequest, get as getHttp, type IncomingMessage } from 'node:http'
import { get as getHttps } from 'node:https'
import { causeOf } from './cause.ts'
import { createEventReader, type ServerEvent } from './event-stream.ts'
import type { Forgotten } from './fence.ts'
import type { Latchkey } from './latchkey.ts'

export type Listener = {
  /** Before a connection is asked for. */
  onOpening(): void
  onForget(what: Forgotten): void
  onReset(): void
  onBeat(at: number, leaseMs: number): void
  /** Cut off, for whatever reason but our own. */
  onCut(): void
  onTrouble(message: string): void
}

/** There is a beat twice a second; a connection without a word for so long is dead. */
const silenceMs = 5_000
/** A new connection measures the sender's clock anew, before the two have run apart. */
const renewMs = 300_000
const firstPauseMs = 100
const longestPauseMs = 5_000

/** @returns the way to stop */
export function listen(latchkey: Latchkey, listener: Listener): () => void {
  let lastEventId: string | null = null
  let present: ClientRequest | undefined
  let timer: NodeJS.Timeout | undefined
  let cuts = 0

  function connectIn(ms: number): void {
    clearTimeout(timer)
    timer = setTimeout(connect, ms).unref()
  }

  function connect(): void {
    present?.destroy()
    listener.onOpening()
    const request = open(latchkey, lastEventId)
    present = request
    request.on('timeout', () => cut(request, 'fell silent'))
    request.on('error', (error) => cut(request, `cannot be reached: ${causeOf(error)}`))
    request.on('response', (response) => follow(request, response))
  }

  /** Comes by here for every end of a connection, and again; one that we left ourselves is no news. */
  function cut(request: ClientRequest, how: string): void {
    request.destroy()
    if (present !== request) return
    present = undefined
    listener.onCut()
    listener.onTrouble(`The stream of revocations ${how}`)
    connectIn(pauseMs(cuts))
    cuts += 1
  }

  function follow(request: ClientRequest, response: IncomingMessage): void {
    response.on('close', () => cut(request, 'ended'))
    response.on('error', () => cut(request, 'broke'))
    if (response.statusCode !== 200) {
      cut(request, `was refused with ${response.statusCode}`)
      return
    }
    connectIn(renewMs)
    const read = createEventReader((event) => {
      hear(event)
      lastEventId = event.id ?? lastEventId
    })
    response.setEncoding('utf8').on('data', (text: string) => {
      if (present !== request) return
      try {
        read(text)
      } catch {
        // What cannot be read may have said to forget.
        lastEventId = null
        listener.onReset()
        cut(request, 'cannot be read')
      }
    })
  }

  function hear({ event, data }: ServerEvent): void {
    if (event === 'lease') {
      const { at, leaseMs } = JSON.parse(data) as { at: number; leaseMs: number }
      if (!Number.isFinite(at) || !Number.isFinite(leaseMs)) throw new TypeError('This is no lease')
      cuts = 0
      listener.onBeat(at, leaseMs)
    } else if (event === 'forget') {
      const { tokens, subjects } = JSON.parse(data) as Forgotten
      listener.onForget({ tokens: [...tokens], subjects: [...subjects] })
    } else {
      // `reset`; or something newer than this library, which may be one.
      listener.onReset()
    }
  }

  connect()
  return () => {
    const last = present
    present = undefined
    clearTimeout(timer)
    last?.destroy()
  }
}

function open({ url, authorization }: Latchkey, lastEventId: string | null): ClientRequest {
  const get = url.startsWith('https:') ? getHttps : getHttp
  const resume = lastEventId === null ? {} : { 'last-event-id': lastEventId }
  const headers = { authorization, accept: 'text/event-stream', ...resume }
  return get(`${url}/api/v1/revocations`, { headers, agent: false, timeout: silenceMs }).on(
    'socket',
    (socket) => socket.unref(),
  )
}

/** Longer each time, and not the same for all who were cut off together. */
function pauseMs(cuts: number): number {
  return Math.min(firstPauseMs * 2 ** Math.min(cuts, 10), longestPauseMs) * (0.5 + Math.random() / 2)
}
