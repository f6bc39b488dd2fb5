// The load: one process with many keep-alive connections on raw sockets, to one server or to several at the same
// instant. Closed loop (the next request when the answer is there) or open loop (requests at a given rate, timed from
// when they were due). A client library would cost more than the servers it measures. Driven by generator.ts.
import { connect, type Socket } from 'node:net'
import { secretOf, strangerOf } from './population.ts'

export type Tokens =
  /** `sample` of the first `of` tokens, in random order. */
  | { readonly kind: 'known'; readonly of: number; readonly sample: number }
  | { readonly kind: 'stranger' | 'malformed' | 'checksum'; readonly sample: number }
  | { readonly kind: 'fixed'; readonly secrets: readonly string[] }

export type Target = {
  readonly name: string
  readonly port: number
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** Header lines, path and body may contain {secret}. */
  readonly headers: readonly string[]
  readonly body?: string
  readonly tokens: Tokens
  readonly connections: number
  /** Requests per second; left out: as fast as answers come. */
  readonly rate?: number
  /** What every answer must contain; counted as bad otherwise. */
  readonly expect: string
}

export type Count = { readonly good: number; readonly bad: number; readonly firstBad: string | null }

type Running = {
  readonly count: { good: number; bad: number; firstBad: string | null }
  /** Since the last time they were taken; open loop only. */
  latencies: number[]
  stop(): void
}

let running = new Map<string, Running>()
const prepared = new Map<string, string[]>()

process.on('message', (message: { kind: string; targets?: Target[] }) => {
  try {
    if (message.kind === 'start') start(message.targets!)
    else if (message.kind === 'counts') tell('counts', counts())
    else if (message.kind === 'latencies') tell('latencies', latencies())
    else if (message.kind === 'stop') {
      const last = counts()
      for (const one of running.values()) one.stop()
      running = new Map()
      tell('stop', last)
    }
  } catch (error) {
    process.send!({ kind: message.kind, error: (error as Error).message })
  }
})
// What child.ts puts in front lets a process end when only its channel is left; this one waits for orders.
process.channel!.ref()
process.send!({ kind: 'up', answer: true })

function tell(kind: string, answer: unknown): void {
  process.send!({ kind, answer })
}

function start(targets: readonly Target[]): void {
  const ready = targets.map((target): [Target, string[]] => [target, secretsOf(target.tokens)])
  for (const [target, secrets] of ready) running.set(target.name, begin(target, secrets))
  tell('start', true)
  stayAwake()
}

/** Waking a process that sleeps is on the account of whoever writes to it: of the server that is measured. */
function stayAwake(): void {
  if (running.size > 0) setImmediate(stayAwake)
}

const counts = () =>
  Object.fromEntries([...running].map(([name, one]): [string, Count] => [name, { ...one.count }]))

function latencies(): Record<string, number[]> {
  return Object.fromEntries(
    [...running].map(([name, one]) => {
      const taken = one.latencies
      one.latencies = []
      return [name, taken]
    }),
  )
}

function begin(target: Target, secrets: readonly string[]): Running {
  const requestOf = requests(target, secrets)
  const state: Running = { count: { good: 0, bad: 0, firstBad: null }, latencies: [], stop }
  const sockets: Socket[] = []
  const free: ((dueAt: number) => void)[] = []
  const due: number[] = []
  let over = false

  for (let i = 0; i < target.connections; i++) open()
  if (target.rate !== undefined) pace(target.rate)

  function open(): void {
    const socket = connect({ host: '127.0.0.1', port: target.port, noDelay: true })
    sockets.push(socket)
    let dueAt = 0
    const send = (at: number) => {
      dueAt = at
      socket.write(requestOf(), 'latin1')
    }
    const next = () => {
      if (over) return
      if (target.rate === undefined) send(0)
      else if (due.length > 0) send(due.shift()!)
      else free.push(send)
    }
    const fail = (text: string) => {
      if (over) return
      state.count.bad += 1
      state.count.firstBad ??= text
    }
    socket.on('connect', next)
    socket.on(
      'data',
      answers((text) => {
        if (text.startsWith('HTTP/1.1 200') && text.includes(target.expect)) state.count.good += 1
        else fail(text)
        if (target.rate !== undefined) state.latencies.push(performance.now() - dueAt)
        next()
      }),
    )
    socket.on('error', (error) => fail(String(error)))
    socket.on('close', () => {
      if (over) return
      fail('The connection was closed')
      if (state.count.bad < 1_000) setTimeout(open, 10)
    })
  }

  /** Arrivals at random (exponential gaps), as from many independent callers. It spins: timers are too coarse. */
  function pace(rate: number): void {
    let nextAt = performance.now() + 50
    const turn = () => {
      if (over) return
      for (
        const now = performance.now();
        nextAt <= now;
        nextAt += (-Math.log(1 - Math.random()) * 1000) / rate
      ) {
        const send = free.pop()
        if (send) send(nextAt)
        else due.push(nextAt)
      }
      setImmediate(turn)
    }
    turn()
  }

  function stop(): void {
    over = true
    for (const socket of sockets) socket.destroy()
  }

  return state
}

/** Cuts what arrives into answers, by Content-Length. Nearly always one chunk is one answer. */
function answers(onAnswer: (text: string) => void): (chunk: Buffer) => void {
  let rest = ''
  return (chunk) => {
    rest += chunk.toString('latin1')
    for (;;) {
      const headEnd = rest.indexOf('\r\n\r\n')
      if (headEnd < 0) return
      const end = headEnd + 4 + lengthOf(rest, headEnd)
      if (rest.length < end) return
      const text = rest.length === end ? rest : rest.slice(0, end)
      rest = rest.length === end ? '' : rest.slice(end)
      onAnswer(text)
    }
  }
}

function lengthOf(text: string, headEnd: number): number {
  let at = text.indexOf('ontent-', 0)
  for (; at >= 0 && at < headEnd; at = text.indexOf('ontent-', at + 7)) {
    const name = text.charCodeAt(at + 7)
    // Length, not Type; whichever its case.
    if (name === 76 || name === 108) return Number.parseInt(text.slice(at + 14, at + 24), 10)
  }
  return 0
}

function requests(target: Target, secrets: readonly string[]): () => string {
  const { method, path, headers, body } = target
  const length =
    body === undefined ? [] : [`Content-Length: ${body.replaceAll('{secret}', secrets[0]!).length}`]
  const lines = [`${method} ${path} HTTP/1.1`, `Host: 127.0.0.1:${target.port}`, ...headers, ...length]
  const [before = '', after = ''] = `${lines.join('\r\n')}\r\n\r\n${body ?? ''}`.split('{secret}')
  let at = Math.floor(Math.random() * secrets.length)
  return () => {
    at = at + 1 === secrets.length ? 0 : at + 1
    return before + secrets[at] + after
  }
}

/** All of one length, as Content-Length is written once. */
function secretsOf(tokens: Tokens): string[] {
  const key = JSON.stringify(tokens)
  const known = prepared.get(key)
  if (known) return known
  const made = makeSecrets(tokens)
  prepared.set(key, made)
  return made
}

function makeSecrets(tokens: Tokens): string[] {
  const list = (count: number, make: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => make(i))
  if (tokens.kind === 'fixed') return [...tokens.secrets]
  if (tokens.kind === 'known')
    return list(tokens.sample, () => secretOf(Math.floor(Math.random() * tokens.of)))
  if (tokens.kind === 'stranger') return list(tokens.sample, strangerOf)
  if (tokens.kind === 'malformed')
    return list(tokens.sample, (i) => secretOf(i).replace('lk_pat_', 'ghp_xyz'))
  return list(tokens.sample, (i) => {
    const secret = secretOf(i)
    return secret.slice(0, -1) + (secret.endsWith('0') ? '1' : '0')
  })
}
