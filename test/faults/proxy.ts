// The network, as far as a fault test can hold it in its hand: a TCP proxy on loopback whose behaviour is switched
// while connections live, for all of them or for chosen ones. It leaves to others when to switch, what is sent,
// and what must stay true meanwhile.
//
// How faithful it is, and where not:
// - A held byte is late, never lost: TCP would send it again, so after healing everything arrives, in order. So does
//   a FIN or an RST. A real sender backs off and may need seconds after the healing; here it arrives at once.
// - The kernel here acknowledges what we hold, so TCP keep-alive and TCP_USER_TIMEOUT of either end never fire. That is
//   the harsher case: only a heartbeat of the application's own can notice.
// - For the same reason `connect` succeeds in a black hole, where in life it would hang; the upstream is opened on healing.
// - Past `holdLimitBytes` per direction we stop reading; the kernel's buffers fill and the sender feels back-pressure.
import net from 'node:net'

/** up: client to server; down: server to client. */
export type Direction = 'up' | 'down'

export type Mode =
  | { kind: 'pass' }
  /** Sockets stay open, nothing passes either way: no byte, no FIN, no RST. */
  | { kind: 'blackhole' }
  /** The same in one direction only. */
  | { kind: 'drop'; direction: Direction }
  /** RST to both ends of every connection there is, and of every one that comes. */
  | { kind: 'reset' }
  /** The port is closed; connections already made stay as they are. Ends with the next `mode` for all. */
  | { kind: 'refuse' }
  /** Each way, so a round trip takes twice as long. Never reorders. */
  | { kind: 'delay'; ms: number; jitterMs: number }
  /** Per connection and direction. */
  | { kind: 'throttle'; bytesPerSecond: number }
  /** So many bytes in that direction, counted anew for each connection, then a FIN to both ends. */
  | { kind: 'cutAfter'; bytes: number; direction: Direction }

export const pass: Mode = { kind: 'pass' }
export const blackhole: Mode = { kind: 'blackhole' }
export const dropUp: Mode = { kind: 'drop', direction: 'up' }
export const dropDown: Mode = { kind: 'drop', direction: 'down' }
export const reset: Mode = { kind: 'reset' }
export const refuse: Mode = { kind: 'refuse' }
export const delay = (ms: number, jitterMs = 0): Mode => ({ kind: 'delay', ms, jitterMs })
export const throttle = (bytesPerSecond: number): Mode => ({ kind: 'throttle', bytesPerSecond })
export const cutAfter = (bytes: number, direction: Direction = 'down'): Mode => ({
  kind: 'cutAfter',
  bytes,
  direction,
})

export interface Connection {
  readonly id: number
  readonly mode: Mode
  /** Delivered so far. */
  readonly sentBytes: Readonly<Record<Direction, number>>
  /** Received and not yet delivered, not counting what the kernel holds. */
  readonly heldBytes: Readonly<Record<Direction, number>>
}

export type Tap = (connection: Connection, bytes: Buffer) => void
export type Predicate = (connection: Connection) => boolean

export interface ProxyOptions {
  /** Where the real server listens. */
  host: string
  port: number
  /** Sees the client's bytes before anything is decided about them, in every mode. */
  onClientData?: Tap
  onServerData?: Tap
  /** What goes on instead of the server's bytes; they count as held and sent as what is returned. */
  changeServerData?: (connection: Connection, bytes: Buffer) => Buffer
  holdLimitBytes?: number
  /** For jitter; pass a seeded one to repeat a run. */
  random?: () => number
}

export interface Proxy {
  readonly host: string
  readonly port: number
  /** The same URL, through this proxy. */
  through(url: string): string
  /**
   * Without a predicate: for everything, forgetting all earlier choices. With one: a standing choice for the connections it
   * picks, now and later; it is asked again at every client byte, before that byte passes. The latest choice wins.
   * Lanes switch before this returns; the promise is for the listening port.
   */
  mode(mode: Mode, predicate?: Predicate): Promise<void>
  connections(): Connection[]
  stop(): Promise<void>
}

const HOST = '127.0.0.1'

export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const links = new Set<Link>()
  let everything: Mode = pass
  let choices: { mode: Mode; predicate: Predicate }[] = []
  let nextId = 1

  const modeFor = (connection: Connection): Mode =>
    choices.findLast(({ predicate }) => predicate(connection))?.mode ?? everything

  // For good: a scenario that still heals something must not bring the port back, which would keep the process alive.
  let stopped = false

  function accept(client: net.Socket): void {
    if (stopped) return void client.destroy()
    const link: Link = openLink(nextId++, client, options, {
      onClientData(bytes) {
        options.onClientData?.(link.connection, bytes)
        link.use(modeFor(link.connection))
      },
      onClose: () => links.delete(link),
    })
    links.add(link)
    link.use(modeFor(link.connection))
  }

  let server: net.Server | null = await listenOnQuietPort(accept)
  const { port } = server.address() as net.AddressInfo

  // One after the other, or a quick refuse-then-pass would find the port still taken.
  let turn: Promise<void> = Promise.resolve()
  function setListening(wanted: boolean): Promise<void> {
    turn = turn
      .catch(() => {})
      .then(async () => {
        if (wanted && !stopped) server ??= await listen(port, accept)
        else {
          server?.close()
          server = null
        }
      })
    return turn
  }

  return {
    host: HOST,
    port,
    through(url) {
      const rewritten = new URL(url)
      rewritten.hostname = HOST
      rewritten.port = String(port)
      return rewritten.href
    },
    async mode(mode, predicate) {
      if (mode.kind === 'refuse') {
        if (predicate) throw new TypeError('A port is closed to everybody: refuse takes no predicate')
        return setListening(false)
      }
      if (predicate) choices = [...choices.filter((one) => one.predicate !== predicate), { mode, predicate }]
      else {
        everything = mode
        choices = []
      }
      for (const link of [...links]) link.use(modeFor(link.connection))
      if (!predicate) await setListening(true)
    },
    connections: () => [...links].map((link) => link.connection),
    async stop() {
      stopped = true
      await setListening(false)
      for (const link of [...links]) link.destroy()
    },
  }
}

function listen(port: number, accept: (client: net.Socket) => void): Promise<net.Server> {
  return new Promise((resolve, reject) => {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true }, accept)
    server.once('error', reject)
    server.listen({ host: HOST, port, exclusive: true }, () => resolve(server))
  })
}

/** Below Linux's ephemeral range (32768 up), so that while we refuse nobody is handed our port by chance. */
async function listenOnQuietPort(accept: (client: net.Socket) => void): Promise<net.Server> {
  for (let triesLeft = 50; ; triesLeft--) {
    try {
      return await listen(20_000 + Math.floor(Math.random() * 12_000), accept)
    } catch (error) {
      if (triesLeft === 0 || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    }
  }
}

interface Link {
  readonly connection: Connection
  use(mode: Mode): void
  destroy(): void
}

interface LinkEvents {
  onClientData(bytes: Buffer): void
  onClose(): void
}

/** One client's connection: two sockets, a lane each way. */
function openLink(id: number, client: net.Socket, options: ProxyOptions, events: LinkEvents): Link {
  const limit = options.holdLimitBytes ?? 1024 * 1024
  const random = options.random ?? Math.random
  let mode: Mode | null = null
  let upstream: net.Socket | null = null
  let dead = false

  const up = openLane({ from: () => client, to: openUpstream, cut: destroy, limit, random })
  const down = openLane({ from: () => upstream, to: () => client, cut: destroy, limit, random })

  const connection: Connection = {
    id,
    get mode() {
      return mode ?? pass
    },
    get sentBytes() {
      return { up: up.sentBytes(), down: down.sentBytes() }
    },
    get heldBytes() {
      return { up: up.heldBytes(), down: down.heldBytes() }
    },
  }

  function openUpstream(): net.Socket {
    if (upstream) return upstream
    upstream = net.connect({
      host: options.host,
      port: options.port,
      allowHalfOpen: true,
      noDelay: true,
    })
    watch(upstream, down, (bytes) => {
      options.onServerData?.(connection, bytes)
      return options.changeServerData?.(connection, bytes) ?? bytes
    })
    return upstream
  }

  function watch(socket: net.Socket, lane: Lane, see: (bytes: Buffer) => Buffer): void {
    let failed = false
    socket.on('data', (bytes: Buffer) => {
      const seen = see(bytes)
      if (!dead && seen.length > 0) lane.push(seen)
    })
    socket.on('end', () => lane.push('end'))
    socket.on('error', () => {
      failed = true
    })
    socket.on('close', () => {
      if (dead) return
      if (failed) lane.push('reset')
      forgetIfOver()
    })
  }

  /** A client that is gone before its upstream was ever opened leaves nothing to deliver to. */
  function forgetIfOver(): void {
    if (client.destroyed && (upstream?.destroyed ?? true)) destroy()
  }

  function destroy(how: 'fin' | 'rst' = 'fin'): void {
    if (dead) return
    dead = true
    up.close()
    down.close()
    for (const socket of [client, upstream]) end(socket, how)
    events.onClose()
  }

  watch(client, up, (bytes) => {
    events.onClientData(bytes)
    return bytes
  })

  return {
    connection,
    use(wanted) {
      if (dead || wanted === mode) return
      mode = wanted
      if (mode.kind === 'reset') return destroy('rst')
      up.use(gateOf(mode, 'up'))
      down.use(gateOf(mode, 'down'))
      // Some servers speak first, so a passable way is a way to connect.
      if (gateOf(mode, 'up').open) openUpstream()
    },
    destroy: () => destroy(),
  }
}

function end(socket: net.Socket | null, how: 'fin' | 'rst'): void {
  if (!socket || socket.destroyed) return
  // Asked to reset while a FIN is on its way, Node neither resets nor closes, and spins for ever when it should exit.
  const isEnding = socket.writableEnded && !socket.writableFinished
  if (how === 'rst' && !socket.connecting && !isEnding) socket.resetAndDestroy()
  else socket.destroy()
}

/** What a mode means for one direction. */
interface Gate {
  open: boolean
  delayMs: number
  jitterMs: number
  bytesPerSecond: number
  cutAfterBytes: number
}

function gateOf(mode: Mode, direction: Direction): Gate {
  const gate: Gate = {
    open: true,
    delayMs: 0,
    jitterMs: 0,
    bytesPerSecond: Number.POSITIVE_INFINITY,
    cutAfterBytes: Number.POSITIVE_INFINITY,
  }
  switch (mode.kind) {
    case 'blackhole':
      return { ...gate, open: false }
    case 'drop':
      return { ...gate, open: mode.direction !== direction }
    case 'delay':
      return { ...gate, delayMs: mode.ms, jitterMs: mode.jitterMs }
    case 'throttle':
      return { ...gate, bytesPerSecond: mode.bytesPerSecond }
    case 'cutAfter':
      return mode.direction === direction ? { ...gate, cutAfterBytes: mode.bytes } : gate
    case 'pass':
    case 'reset':
    case 'refuse':
      return gate
  }
}

interface Item {
  what: Buffer | 'end' | 'reset'
  arrivedAt: number
  /** Drawn once, so that asking again does not draw again. */
  luck: number
}

interface LaneOptions {
  from: () => net.Socket | null
  to: () => net.Socket
  cut: () => void
  limit: number
  random: () => number
}

interface Lane {
  push(what: Item['what']): void
  use(gate: Gate): void
  close(): void
  sentBytes(): number
  heldBytes(): number
}

/** A queue between two sockets in one direction, and the gate at its end. */
function openLane({ from, to, cut, limit, random }: LaneOptions): Lane {
  let queue: Item[] = []
  let gate = gateOf(blackhole, 'up')
  let held = 0
  let sent = 0
  let cutLeft = Number.POSITIVE_INFINITY
  let nextAt = 0
  let draining = false
  let closed = false
  let timer: NodeJS.Timeout | undefined

  function push(what: Item['what']): void {
    if (closed) return
    queue.push({ what, arrivedAt: performance.now(), luck: random() })
    if (typeof what === 'object') held += what.length
    if (held >= limit) from()?.pause()
    pump()
  }

  function pump(): void {
    clearTimeout(timer)
    while (!closed && gate.open && !draining) {
      const item = queue[0]
      if (!item) return
      const dueAt = Math.max(item.arrivedAt + gate.delayMs + item.luck * gate.jitterMs, nextAt)
      const waitMs = dueAt - performance.now()
      if (waitMs > 0) {
        timer = setTimeout(pump, Math.ceil(waitMs))
        return
      }
      deliver(item)
    }
  }

  function deliver(item: Item): void {
    const socket = to()
    if (socket.destroyed || socket.writableEnded) discard()
    else if (item.what === 'reset') {
      queue.shift()
      end(socket, 'rst')
    } else if (item.what === 'end') {
      queue.shift()
      socket.end()
    } else send(socket, item, item.what)
  }

  function send(socket: net.Socket, item: Item, bytes: Buffer): void {
    // Twenty slices a second are smooth enough, and cheap.
    const slice = bytes.subarray(0, Math.min(cutLeft, Math.max(1, gate.bytesPerSecond / 20)))
    if (slice.length === bytes.length) queue.shift()
    else item.what = bytes.subarray(slice.length)
    held -= slice.length
    sent += slice.length
    cutLeft -= slice.length
    nextAt = performance.now() + (slice.length / gate.bytesPerSecond) * 1000
    if (cutLeft === 0) {
      // The bytes before the cut must arrive, so the cut waits until the kernel has them.
      close()
      socket.write(slice, () => cut())
      return
    }
    if (!socket.write(slice)) waitForDrain(socket)
    if (held < limit && from()?.isPaused()) from()?.resume()
  }

  function waitForDrain(socket: net.Socket): void {
    draining = true
    const proceed = () => {
      socket.off('drain', proceed).off('close', proceed)
      draining = false
      pump()
    }
    socket.on('drain', proceed).on('close', proceed)
  }

  /** The receiver is gone; reading on lets us see the sender go too. */
  function discard(): void {
    queue = []
    held = 0
    from()?.resume()
  }

  function close(): void {
    closed = true
    queue = []
    clearTimeout(timer)
  }

  return {
    push,
    use(wanted) {
      if (closed) return
      gate = wanted
      cutLeft = gate.cutAfterBytes
      nextAt = 0
      pump()
    },
    close,
    sentBytes: () => sent,
    heldBytes: () => held,
  }
}

/**
 * Tells which connections are PostgreSQL sessions that sent a query with `LISTEN ` in it, simple or extended (at Parse; bound
 * values do not count). Needs clear text, `sslmode=disable`. A quoted 'listen ' in a query's text is taken for one, too.
 */
export function spotListeners(): { onClientData: Tap; isListener: Predicate } {
  const readers = new WeakMap<Connection, (chunk: Buffer) => string[]>()
  const listeners = new WeakSet<Connection>()
  return {
    onClientData(connection, chunk) {
      const read = readers.get(connection) ?? readQueries()
      readers.set(connection, read)
      if (read(chunk).some((query) => /\blisten\s/i.test(query))) listeners.add(connection)
    },
    isListener: (connection) => listeners.has(connection),
  }
}

const PROTOCOL_3 = 3
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024

/** Frames PostgreSQL's frontend messages across chunks: TCP may split a query anywhere. */
function readQueries(): (chunk: Buffer) => string[] {
  let rest: Buffer = Buffer.alloc(0)
  let started = false
  let foreign = false
  return (chunk) => {
    if (foreign) return []
    const queries: string[] = []
    rest = Buffer.concat([rest, chunk])
    for (;;) {
      // Until the startup message there is no type byte; SSLRequest and its like come before it.
      const typeBytes = started ? 1 : 0
      if (rest.length < typeBytes + 4) return queries
      const length = rest.readUInt32BE(typeBytes)
      if (length < (started ? 4 : 8) || length > MAX_MESSAGE_BYTES) {
        foreign = true
        return queries
      }
      if (rest.length < typeBytes + length) return queries
      const message = rest.subarray(0, typeBytes + length)
      rest = rest.subarray(message.length)
      if (started) queries.push(...queryOf(message))
      else started = message.readUInt16BE(4) === PROTOCOL_3
    }
  }
}

function queryOf(message: Buffer): string[] {
  const [simple = '', parsed = ''] = message.toString('latin1', 5).split('\0')
  const type = String.fromCharCode(message[0] ?? 0)
  if (type === 'Q') return [simple]
  return type === 'P' ? [parsed] : []
}
