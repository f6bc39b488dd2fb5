// An endpoint that is called on every request of every product, answered in front of the router: a declared route like
// any other, with the same decision behind it, without what Node and Fastify add to each call (measured: bench/README.md).
// Whatever is not the plain case goes the ordinary way, which is complete without this. Connections: front.ts.
import { STATUS_CODES } from 'node:http'
import type { FastifyReply } from 'fastify'
import type { PlainHead, RequestHead } from './plain-request.ts'

export type LaneAnswer = {
  readonly status: number
  /** Name, value, name, value. */
  readonly headers: readonly string[]
  readonly body: string
}

export type Lane = {
  /** Whether this is its request; nothing is read for that but method and URL. */
  takes(request: RequestHead): boolean
  /** The route template, for metrics. */
  readonly route: string
  /** The Content-Type it takes, with or without parameters; null: its body, if any, does not matter. */
  readonly contentType: string | null
  /** Never throws, never rejects: refusals are answers. */
  answer(request: RequestHead, body: string): LaneAnswer | Promise<LaneAnswer>
}

/** The lane for this request, if it is as plain as its lane wants it. */
export function laneFor(lanes: readonly Lane[], request: PlainHead): Lane | null {
  for (const lane of lanes) if (lane.takes(request)) return hasItsBody(lane, request) ? lane : null
  return null
}

function hasItsBody({ contentType }: Lane, { headers, bodyBytes }: PlainHead): boolean {
  return contentType === null || (bodyBytes > 0 && isOfType(headers['content-type'], contentType))
}

function isOfType(given: string | undefined, expected: string): boolean {
  return given !== undefined && (given === expected || given.startsWith(`${expected};`))
}

/** The same answer by the router. Without a body there is no content type, and Content-Length stands even after HEAD. */
export function sendAnswer(reply: FastifyReply, { status, headers, body }: LaneAnswer): FastifyReply {
  for (let at = 0; at < headers.length; at += 2) reply.header(headers[at]!, headers[at + 1]!)
  reply.code(status).header('content-length', Buffer.byteLength(body))
  return reply.send(body === '' ? undefined : body)
}

export type Wire = { readonly text: string; readonly encoding: 'latin1' | 'utf8' }

/**
 * An answer as it goes over the wire (RFC 9112 §4, §5).
 * @param fixed header lines that every answer has
 */
export function wireOf(answer: LaneAnswer, requestId: string, fixed: string, isLast: boolean): Wire {
  const { status, headers, body } = answer
  let lines = ''
  for (let at = 0; at < headers.length; at += 2) {
    const value = headers[at + 1]!
    // Nothing that a token may say of itself looks so; if it did, it would end the header, and begin another.
    if (unsafe.test(value)) return wireOf(unsayable, requestId, fixed, isLast)
    lines += `${headers[at]}: ${value}\r\n`
  }
  const bytes = Buffer.byteLength(body)
  return {
    text: `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${fixed}${lines}x-request-id: ${requestId}\r\ncontent-length: ${bytes}\r\nDate: ${httpDate()}\r\n${isLast ? closing : keeping}\r\n${body}`,
    // All of it has one byte for each character then, which need not be counted again.
    encoding: bytes === body.length ? 'latin1' : 'utf8',
  }
}

const unsayable: LaneAnswer = { status: 500, headers: [], body: '' }
const unsafe = /[^\t\x20-\x7e]/
export const keepAliveSeconds = 75
const keeping = `Connection: keep-alive\r\nKeep-Alive: timeout=${keepAliveSeconds}\r\n`
const closing = 'Connection: close\r\n'

let date = { second: 0, text: '' }

/** RFC 9110 §6.6.1; made once a second. */
function httpDate(): string {
  const second = Math.floor(Date.now() / 1000)
  if (second !== date.second) date = { second, text: new Date(second * 1000).toUTCString() }
  return date.text
}
