// Connections, in front of Node's HTTP server: as long as one carries nothing but plain requests for lanes, it is
// answered here, on the bare socket. With the first request that is anything else it is handed over for good, with all
// that was read of that request, so that every request is read by one of the two from its first byte to its last.
import type { Socket } from 'node:net'
import { keepAliveSeconds, type Lane, type LaneAnswer, laneFor, wireOf } from './lane.ts'
import { readIntoOneBuffer } from './one-buffer.ts'
import { createHeadReader, headEnd, longestPlain, type PlainHead, type RequestHead } from './plain-request.ts'

export type FrontHooks = {
  readonly requestId: (request: RequestHead) => string
  /** On every answer. */
  readonly headers: Readonly<Record<string, string>>
  readonly isStopping: () => boolean
  readonly onAnswered: (method: string, route: string, status: number, elapsedSeconds: number) => void
}

export type Front = {
  take(socket: Socket): void
  /** Closes the connections that wait for nothing. */
  closeIdle(): void
  /** Whether a request of this connection is being answered here. */
  isAtWork(socket: Socket): boolean
  /** To be called now and then. @param now monotonic milliseconds; it ends what has waited for too long by then */
  sweep(now: number): void
}

type Connection = {
  /** Monotonic milliseconds. */
  lastAt: number
  /** Bytes of answers, at the last sweep, that the client has not taken. */
  unread: number
  isBusy(): boolean
  isIdle(): boolean
  /** A request has begun, and does not go on. */
  giveUp(): void
  /** Closes it when the client has taken its answers. */
  end(): void
}

type Taken = { readonly request: PlainHead; readonly lane: Lane; readonly body: string }

/** How often to sweep: a timer for each connection, set anew by each request, would cost a quarter of a check. */
export const sweepMs = 5_000
const keepAliveMs = keepAliveSeconds * 1000
/** Some clients send a request in two pieces, head and body; who takes longer is for Node to wait for. */
const restWithinMs = 1_000

export type Behind = {
  /** Takes a connection over, with a request that is read from its first byte. */
  handOver(socket: Socket): void
  /** Tells the client, whose request has ended too early, and closes. */
  refuse(socket: Socket): void
}

export function createFront(lanes: readonly Lane[], hooks: FrontHooks, { handOver, refuse }: Behind): Front {
  const fixed = Object.entries(hooks.headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')
  const connections = new Map<Socket, Connection>()

  function take(socket: Socket): void {
    const readHead = createHeadReader({ remoteAddress: socket.remoteAddress })
    /** The start of a request whose rest is to come. */
    let begun: Buffer | null = null
    let isBusy = false
    let isHalfClosed = false

    const connection: Connection = {
      lastAt: performance.now(),
      unread: 0,
      isBusy: () => isBusy,
      isIdle: () => !isBusy && begun === null,
      giveUp: () => begun !== null && leave(begun),
      end,
    }
    connections.set(socket, connection)
    const readAsUsual = readIntoOneBuffer(socket, onData)
    if (readAsUsual === null) socket.on('data', onData)
    socket.on('end', onEnd)
    socket.on('error', onError)
    socket.on('close', onClose)

    /** @param chunk good until this returns */
    function onData(chunk: Buffer): void {
      const bytes = begun === null ? chunk : Buffer.concat([begun, chunk])
      const taken = bytes.length <= longestPlain ? read(bytes) : null
      if (taken === null) leave(bytes)
      else if (taken === 'begun') begun = Buffer.from(bytes)
      else {
        begun = null
        answer(taken)
      }
    }

    /** @returns 'begun': it is for a lane, and its body is still to come; null: it is for Node */
    function read(bytes: Buffer): Taken | 'begun' | null {
      const text = bytes.toString('latin1')
      const end = headEnd(text)
      if (end < 0) return null
      const request = readHead(text.slice(0, end))
      const lane = request === null ? null : laneFor(lanes, request)
      if (request === null || lane === null) return null
      const body = text.slice(end + 2)
      if (body.length < request.bodyBytes) return 'begun'
      return body.length === request.bodyBytes && isAscii(body) ? { request, lane, body } : null
    }

    function answer({ request, lane, body }: Taken): void {
      const start = performance.now()
      connection.lastAt = start
      const send = (answered: LaneAnswer) => {
        const isLast = request.isLast || isHalfClosed || hooks.isStopping()
        const { text, encoding } = wireOf(answered, hooks.requestId(request), fixed, isLast)
        const isRoom = socket.write(text, encoding)
        if (isLast) end()
        else if (!isRoom) waitForRoom()
        hooks.onAnswered(request.method!, lane.route, answered.status, (performance.now() - start) / 1000)
      }
      const answered = lane.answer(request, body)
      if (answered instanceof Promise) waitFor(answered, send)
      else send(answered)
    }

    /** What comes meanwhile is to be answered in its turn. */
    function waitFor(answered: Promise<LaneAnswer>, send: (answer: LaneAnswer) => void): void {
      isBusy = true
      socket.pause()
      answered.then((settled) => {
        isBusy = false
        if (socket.destroyed) return
        socket.resume()
        send(settled)
      })
    }

    function waitForRoom(): void {
      socket.pause()
      socket.once('drain', () => socket.resume())
    }

    /** @param bytes what was read of a request that is not answered here */
    function leave(bytes: Buffer): void {
      socket.off('data', onData).off('end', onEnd).off('close', onClose)
      connections.delete(socket)
      const own = Buffer.from(bytes)
      readAsUsual?.()
      handOver(socket)
      socket.off('error', onError)
      // At once, and so before anything that is still to come. (Put back into the stream, it would wait for it to flow.)
      socket.emit('data', own)
    }

    /** Once: each time, the socket would be listened to once more. */
    function end(): void {
      if (!socket.writableEnded) socket.destroySoon()
    }

    function onEnd(): void {
      isHalfClosed = true
      if (begun !== null) refuse(socket)
      else if (!isBusy) end()
    }

    function onError(): void {
      socket.destroy()
    }

    function onClose(): void {
      connections.delete(socket)
    }
  }

  return {
    take: (socket) => (lanes.length > 0 ? take(socket) : handOver(socket)),
    closeIdle() {
      for (const { isIdle, end } of connections.values()) if (isIdle()) end()
    },
    isAtWork: (socket) => connections.get(socket)?.isBusy() ?? false,
    sweep(now) {
      for (const [socket, connection] of connections) {
        const { unread, isIdle, giveUp } = connection
        connection.unread = socket.writableLength
        if (connection.unread < unread) connection.lastAt = now
        const waited = now - connection.lastAt
        if (!isIdle() && waited > restWithinMs) giveUp()
        // What is not taken by now never will be; an end in due form would wait for it.
        else if (isIdle() && waited > keepAliveMs) socket.destroy()
      }
    },
  }
}

const isAscii = (text: string) => /^[\x00-\x7f]*$/.test(text)
