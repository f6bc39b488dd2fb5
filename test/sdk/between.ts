// Stands between the library and a Latchkey: counts what goes by, and can hold up, cut or refuse it.
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import type { Test } from 'tap'
import type { Verifier } from '../../packages/sdk/src/index.ts'

export type Between = {
  readonly url: string
  /** Requests for verdicts so far. */
  asked(): number
  /** Connections of any kind so far, streams included. */
  readonly all: { method: string; path: string; headers: IncomingMessage['headers'] }[]
  /** From now on nothing of the stream gets through, though it stays open. */
  holdStream(): void
  releaseStream(): void
  /** Ends the streams there are. */
  cutStream(): void
  /** Answers to questions are held up until released. */
  holdAnswers(): void
  heldAnswers(): number
  releaseAnswers(): void
  /** From now on connections are broken off without an answer. */
  goAway(): void
}

const streamPath = '/api/v1/revocations'
const askPath = '/api/v1/verify'

/** @param to the URL of a Latchkey */
export async function putBetween(t: Test, to: string): Promise<Between> {
  const all: Between['all'] = []
  const streams = new Set<ServerResponse>()
  const held: (() => void)[] = []
  let streamHeld: (() => void)[] | null = null
  let answersHeld = false
  let away = false

  const server = createServer((incoming, outgoing) => {
    if (away) return void incoming.socket.destroy()
    const path = incoming.url ?? ''
    all.push({ method: incoming.method ?? '', path, headers: incoming.headers })
    const { method = 'GET', headers } = incoming
    const onward = request(to + path, { method, headers, agent: false }, (answer) => {
      const respond = () => {
        outgoing.writeHead(answer.statusCode!, answer.headers)
        if (path === streamPath) carryStream(answer, outgoing)
        else answer.pipe(outgoing)
      }
      if (answersHeld && path === askPath) held.push(respond)
      else respond()
    })
    onward.on('error', () => outgoing.destroy())
    outgoing.on('close', () => onward.destroy())
    incoming.pipe(onward)
  })

  function carryStream(answer: IncomingMessage, outgoing: ServerResponse): void {
    streams.add(outgoing)
    outgoing.on('close', () => streams.delete(outgoing))
    outgoing.flushHeaders()
    answer.on('data', (chunk: Buffer) => {
      const pass = () => void outgoing.write(chunk)
      if (streamHeld) streamHeld.push(pass)
      else pass()
    })
    answer.on('close', () => outgoing.end())
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    all,
    asked: () => all.filter(({ path }) => path === askPath).length,
    holdStream() {
      streamHeld ??= []
    },
    releaseStream() {
      const passes = streamHeld ?? []
      streamHeld = null
      for (const pass of passes) pass()
    },
    cutStream() {
      for (const stream of streams) stream.destroy()
    },
    holdAnswers() {
      answersHeld = true
    },
    heldAnswers: () => held.length,
    releaseAnswers() {
      answersHeld = false
      for (const respond of held.splice(0)) respond()
    },
    goAway() {
      away = true
      server.closeAllConnections()
    },
  }
}

/** Asks again and again until it is so. @returns milliseconds that it took @throws Error after `withinMs` */
export async function until(
  what: () => boolean | Promise<boolean>,
  withinMs = 15_000,
  everyMs = 20,
): Promise<number> {
  const start = performance.now()
  while (!(await what())) {
    if (performance.now() - start > withinMs) throw new Error(`Still not so after ${withinMs} ms`)
    await wait(everyMs)
  }
  return performance.now() - start
}

/** Asks until all of these are answered from memory: it takes a lease from when the stream began. */
export async function remembered(verifier: Verifier, between: Between, ...secrets: string[]): Promise<void> {
  await until(async () => {
    const before = between.asked()
    for (const secret of secrets) await verifier.verify(secret)
    return between.asked() === before
  })
}
