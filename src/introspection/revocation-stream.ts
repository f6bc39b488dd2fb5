// GET /api/v1/revocations: server-sent events for client libraries that remember verdicts. They hear what to forget
// as this replica forgets it, and a lease twice a second: without one they must not answer from memory.
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import type { Invalidation } from '../db/change.ts'
import type { Principal } from '../guard/principal.ts'
import { Problem } from '../http/problem.ts'
import type { App } from '../http/server.ts'
import type { Feed, FeedEvent } from '../verify/feed.ts'
import { type Lease, leaseMs } from '../verify/lease.ts'
import { endOf } from './answers.ts'

export type StreamDependencies = {
  readonly feed: Feed
  readonly lease: Lease
  /** Milliseconds that never go back. */
  readonly monotonic: () => number
  /** By which tokens end. Epoch milliseconds. */
  readonly now: () => number
}

const beatMs = 500
const mostStreams = 1_000
/** A listener that does not read is sent away; it comes back and hears what it missed. */
const mostUnreadBytes = 1_000_000

type Stream = {
  readonly principal: Principal
  /** When the listener's own token ends, which is announced by nobody. Epoch milliseconds. */
  readonly endsAt: number
  send(text: string): void
  end(): void
}

export function revocationStream(app: App, { feed, lease, monotonic, now }: StreamDependencies): void {
  const streams = new Set<Stream>()
  let isOver = false
  // One timer for all: each listener gets the same few bytes.
  const beating = setInterval(() => {
    if (!lease.holds()) return
    const beat = `event: lease\ndata: ${JSON.stringify({ leaseMs, at: Math.round(monotonic()) })}\n\n`
    for (const stream of streams) {
      if (now() < stream.endsAt) stream.send(beat)
      else stream.end()
    }
  }, beatMs).unref()
  app.addHook('preClose', (done) => {
    clearInterval(beating)
    isOver = true
    for (const stream of streams) stream.end()
    done()
  })

  app.route({
    method: 'GET',
    url: '/api/v1/revocations',
    exposeHeadRoute: false,
    config: {
      policy: { access: 'service', scopes: ['tokens:introspect'], credentialsIn: 'header' },
      catalog: {
        effects: { readOnly: true },
        note: 'A stream that does not end; resume with Last-Event-ID.',
      },
    },
    schema: {
      operationId: 'streamRevocations',
      summary: 'Hear what to forget, as it happens (server-sent events)',
      description:
        'Events: `forget` {tokens, subjects}; `reset`: forget everything; `lease` {leaseMs, at}: remembered verdicts may be used for so long, counted from when `at` (milliseconds of one steady clock) was sent.',
      tags: ['Verify'],
      produces: ['text/event-stream'],
      headers: Type.Object({
        'last-event-id': Type.Optional(
          Type.String({ maxLength: 100, description: 'Id of the last event heard.' }),
        ),
      }),
      response: { 200: Type.String({ description: 'text/event-stream' }) },
    },
    handler: (request, reply) => {
      // Its credentials may have been looked at while the others were ended; a stop would wait for it.
      if (isOver) throw new Problem('unavailable', 'This replica is stopping.')
      if (streams.size >= mostStreams)
        throw new Problem('unavailable', 'Too many listen to this replica already.')
      open(request, reply)
    },
  })

  function open(request: FastifyRequest, reply: FastifyReply): void {
    reply.hijack()
    const { raw } = reply
    // Gone while its credentials were looked at: there is no `close` to come any more.
    if (raw.destroyed) return
    raw.writeHead(200, {
      ...reply.getHeaders(),
      'content-type': 'text/event-stream',
      'x-accel-buffering': 'no',
    } as never)
    const principal = request.principal!
    const stream: Stream = {
      principal,
      endsAt: (principal.kind === 'token' ? endOf(principal.facts) : null) ?? Number.POSITIVE_INFINITY,
      send(text) {
        if (raw.writableLength > mostUnreadBytes) raw.destroy()
        else raw.write(text)
      },
      // Told nothing any more: it may be long until a listener that does not read takes the end, and to write after that is
      // an error that nobody would catch.
      end() {
        forsake()
        raw.end()
      },
    }
    const since = request.headers['last-event-id']
    const leave = feed.subscribe(typeof since === 'string' ? since : null, (event, missed) => {
      if (missed) return stream.send(encode(event))
      if (now() >= stream.endsAt) return stream.end()
      stream.send(encode(event))
      // Whoever may listen no longer has to come back and show its credentials.
      if (event.kind === 'reset' || event.what.some((what) => bears(what, stream.principal))) stream.end()
    })
    streams.add(stream)
    const forsake = () => {
      leave()
      streams.delete(stream)
    }
    raw.on('close', forsake)
  }
}

function encode(event: FeedEvent): string {
  if (event.kind === 'reset') return `id: ${event.id}\nevent: reset\ndata: {}\n\n`
  const ids = (kind: 'token' | 'subject') =>
    event.what.flatMap((what) => (what.kind === kind ? [what.id] : []))
  const data = JSON.stringify({ tokens: ids('token'), subjects: ids('subject') })
  return `id: ${event.id}\nevent: forget\ndata: ${data}\n\n`
}

function bears(what: Invalidation, principal: Principal): boolean {
  if (what.kind === 'services') return true
  if (principal.kind !== 'token') return false
  const { tokenId, subject } = principal.facts
  return (what.kind === 'token' && what.id === tokenId) || (what.kind === 'subject' && what.id === subject)
}
