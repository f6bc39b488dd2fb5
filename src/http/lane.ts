// A way past the router for the few endpoints that are called on every request of every product: the same declared
// routes, the same decision, without what the router adds to each call (measured: bench/README.md). Whatever is not
// the plain case goes the ordinary way, which is complete without this.
import type { IncomingMessage, ServerResponse } from 'node:http'

export type LaneAnswer = {
  readonly status: number
  /** Name, value, name, value. */
  readonly headers: readonly string[]
  readonly body: string
}

export type Lane = {
  /** Whether this is its request; nothing is read for that but method and URL. */
  takes(request: IncomingMessage): boolean
  /** The route template, for metrics. */
  readonly route: string
  /** The Content-Type it takes, with or without parameters; null: its body, if any, does not matter. */
  readonly contentType: string | null
  /** Never throws, never rejects: refusals are answers. */
  answer(request: IncomingMessage, body: string): LaneAnswer | Promise<LaneAnswer>
}

export type LaneHooks = {
  readonly requestId: (request: IncomingMessage) => string
  /** On every answer. */
  readonly headers: readonly string[]
  readonly isStopping: () => boolean
  readonly onAnswered: (method: string, route: string, status: number, elapsedSeconds: number) => void
}

const longestBody = 16 * 1024

/** @returns whether the request was taken */
export function createLanes(lanes: readonly Lane[], hooks: LaneHooks) {
  return (request: IncomingMessage, response: ServerResponse): boolean => {
    const lane = lanes.find((one) => one.takes(request))
    if (!lane || !isPlain(request, lane)) return false
    const begun = performance.now()
    const send = (answer: LaneAnswer) => {
      response.writeHead(answer.status, headersOf(request, answer, hooks))
      response.end(answer.body)
      hooks.onAnswered(request.method!, lane.route, answer.status, (performance.now() - begun) / 1000)
    }
    const settle = (body: string) => {
      const answer = lane.answer(request, body)
      if (answer instanceof Promise) answer.then(send)
      else send(answer)
    }
    if (lane.contentType === null) settle('')
    else readBody(request, settle)
    return true
  }
}

function headersOf(request: IncomingMessage, { headers, body }: LaneAnswer, hooks: LaneHooks): string[] {
  const all: string[] = []
  for (const part of hooks.headers) all.push(part)
  for (const part of headers) all.push(part)
  all.push('x-request-id', hooks.requestId(request), 'content-length', String(Buffer.byteLength(body)))
  if (hooks.isStopping()) all.push('connection', 'close')
  return all
}

/** One body of known, small length, in the expected type, whose sender waits for nothing. */
function isPlain({ headers }: IncomingMessage, { contentType }: Lane): boolean {
  // Without Host it is refused, or HTTP/1.0: both the router's business.
  if (headers.host === undefined) return false
  if (contentType === null) return true
  const length = Number(headers['content-length'])
  return (
    length > 0 &&
    length <= longestBody &&
    isOfType(headers['content-type'], contentType) &&
    headers['transfer-encoding'] === undefined &&
    headers['content-encoding'] === undefined &&
    headers.expect === undefined
  )
}

function isOfType(given: string | undefined, expected: string): boolean {
  return given !== undefined && (given === expected || given.startsWith(`${expected};`))
}

/** Node's parser sees to it that no more comes than was announced. A request that breaks off is not answered. */
function readBody(request: IncomingMessage, done: (body: string) => void): void {
  // Nearly always one chunk; a decoder for a stream of them costs more than the answer's text.
  let body: Buffer | null = null
  request.on('data', (chunk: Buffer) => {
    body = body === null ? chunk : Buffer.concat([body, chunk])
  })
  request.on('end', () => done(body === null ? '' : body.toString()))
  request.on('error', () => {})
}
