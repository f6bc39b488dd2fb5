// The bare HTTP server: limits, headers that every answer carries, and one shape for every refusal, whether it
// comes from a route, the router, a parser, the framework or the HTTP parser. Routes are the rooms' business.
import { createServer as createHttpServer, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
  type RawServerDefault,
} from 'fastify'
import FindMyWay, { type HTTPMethod } from 'find-my-way'
import type { Metrics } from '../observe/metrics.ts'
import { type Behind, createFront, type Front, sweepMs } from './front.ts'
import { countInFlight } from './in-flight.ts'
import { keepAliveSeconds, type Lane, sendAnswer } from './lane.ts'
import { limitPatience } from './patience.ts'
import { isHost } from './plain-request.ts'
import { Problem, ProblemSchema, problemBody, sendProblem } from './problem.ts'
import type { ProblemCode } from './problems.ts'
import { requestIds } from './request-id.ts'
import { buildSerializer } from './serializing.ts'
import { validationProblem, validatorCompiler } from './validation.ts'

export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

export type ServerOptions = {
  readonly issuer: string
  readonly logger: FastifyBaseLogger
  readonly metrics: Metrics
  readonly now: () => number
  /** True from the moment a stop was asked for: answers then tell clients to take their connection elsewhere. */
  readonly isStopping: () => boolean
  /** Filled by the rooms before the server listens. */
  readonly lanes: readonly Lane[]
  /** Doors that refuse a URL which is not properly encoded in their own words. Filled likewise. */
  readonly urlReaders: readonly Lane[]
}

const bodyLimitBytes = 64 * 1024

export function createServer({
  issuer,
  logger,
  metrics,
  now,
  isStopping,
  lanes,
  urlReaders,
}: ServerOptions): App {
  const requestId = requestIds(now())
  const headers = answerHeaders(issuer)
  const onAnswered = metrics.observe
  const inFlight = countInFlight(metrics.active)
  const app = Fastify({
    loggerInstance: logger,
    // A line for each request costs as much as the request itself; rooms log what matters, metrics count the rest.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: bodyLimitBytes,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    serverFactory: (handler) => {
      const options = {
        // The body is small, so its parts may take a while only on a bad line, or from somebody who holds it open.
        requestTimeout: 30_000,
        keepAliveTimeout: keepAliveSeconds * 1000,
        // Node would refuse a missing Host itself, without a word; `oddity` does it.
        requireHostHeader: false,
      }
      const server = createHttpServer(options, handler)
      putInFront(server, (behind) =>
        createFront(lanes, { requestId, headers, isStopping, onAnswered }, behind),
      )
      // Node would drop those after the 1000th, silently, and with them what decides. Their 16 KB are limit enough.
      server.maxHeadersCount = 0
      // Other expectations than 100-continue are ignored (RFC 9110 §10.1.1); Node would say 417, without a word.
      return server.on('checkExpectation', handler)
    },
    genReqId: requestId as (request: unknown) => string,
    requestIdHeader: false,
    // Before any hook has run, so without the headers that those give.
    frameworkErrors: async (error, request, reply) => {
      reply.headers(headers).header('x-request-id', request.id)
      takeNoneOfTwo(request)
      const reader = urlReaders.find((one) => one.takes(request.raw))
      if (reader) sendAnswer(reply as FastifyReply, await reader.answer(request.raw, ''))
      else sendProblem(asProblem(error), issuer, request as FastifyRequest, reply as FastifyReply)
    },
    clientErrorHandler: (error, socket) => refuseConnection(error, socket as Socket, issuer),
    routerOptions: { maxParamLength: 200 },
    schemaController: { compilersFactory: { buildSerializer } },
  }).withTypeProvider<TypeBoxTypeProvider>()

  // Only JSON is read here; a door that takes something else brings its own parser.
  app.removeContentTypeParser('text/plain')
  app.setValidatorCompiler(validatorCompiler)
  acceptEmptyJson(app)
  app.addSchema(ProblemSchema)
  app.addHook('onRequest', (request, reply, done) => {
    inFlight.begin(request.raw.socket)
    reply.headers(headers).header('x-request-id', request.id)
    takeNoneOfTwo(request)
    const odd = oddity(request)
    done(odd === null ? undefined : new Problem('malformed-request', odd))
  })
  // Not before: what was begun before the stop would be answered on a connection that is kept, which the stop waits for.
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (isStopping()) reply.header('connection', 'close')
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    inFlight.end(request.raw.socket)
    metrics.observe(request.method, request.routeOptions.url, reply.statusCode, reply.elapsedTime / 1000)
    done()
  })
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const problem = asProblem(error, request.routeOptions)
    // A Problem is an answer that was meant; there may be thousands while the store is out of reach, and that is told once.
    // Nor is it news that a client gives up what it has begun to send.
    const isMeant = error instanceof Problem || error === (request.raw.errored as unknown)
    if (problem.status >= 500 && !isMeant) request.log.error({ err: error, req: request }, 'request failed')
    sendProblem(problem, issuer, request, reply)
  })
  refuseUnknownPaths(app, issuer)
  return app
}

/** Connections come to the front first. It has those to close that are idle there, whoever asks for it. */
function putInFront(server: Server, make: (behind: Behind) => Front): void {
  const [accept] = server.listeners('connection')
  const front = make({
    handOver: (socket) => accept!.call(server, socket),
    refuse: (socket) => server.emit('clientError', new Error('The request is not whole'), socket),
  })
  server.removeAllListeners('connection').on('connection', front.take)
  const sweeping = setInterval(() => front.sweep(performance.now()), sweepMs).unref()
  server.once('close', () => clearInterval(sweeping))
  limitPatience(server, (socket) => front.isAtWork(socket) || isAtWork(socket))
  const closeIdleConnections = server.closeIdleConnections.bind(server)
  server.closeIdleConnections = () => {
    front.closeIdle()
    closeIdleConnections()
  }
}

/** Whether a request that Node's server has read whole is still to be answered. */
function isAtWork({ _httpMessage: due }: Connection): boolean {
  return due?.req.complete === true && !due.writableEnded
}

/** Node keeps the first of two credentials; who is behind a gateway may believe the second. Now there is none that can be read. */
function takeNoneOfTwo({ raw: { headers, rawHeaders } }: Pick<FastifyRequest, 'raw'>): void {
  if (isRepeated('authorization', rawHeaders)) headers.authorization = 'twice'
}

/** What Node lets through and nobody means. */
function oddity({ raw }: FastifyRequest): string | null {
  if (raw.httpVersion !== '1.1' && raw.httpVersion !== '1.0') return 'Speak HTTP/1.1.'
  if (raw.httpVersion === '1.1' && raw.headers.host === undefined) return 'The Host header is missing.'
  // Node keeps the first of two; whoever stands in front may believe the second (RFC 9112 §3.2).
  if (isRepeated('host', raw.rawHeaders) || !isHost(raw.headers.host ?? ''))
    return 'The Host header is not one host.'
  return null
}

function isRepeated(name: string, rawHeaders: readonly string[]): boolean {
  let times = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const given = rawHeaders[at]!
    if (given.length === name.length && given.toLowerCase() === name) times += 1
  }
  return times > 1
}

/** Clients that set Content-Type on every request send it with DELETE too; what needs a body says so itself. */
function acceptEmptyJson(app: App): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, undefined)
    else parse(request, body as string, done)
  })
}

/** Written once, not per request, and few: each costs a check some percent. Pages bring what browsers need to be told. */
function answerHeaders(issuer: string): Record<string, string> {
  return {
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(issuer.startsWith('https:') && { 'strict-transport-security': 'max-age=31536000' }),
  }
}

/** Fastify answers 404 to a known path with another method; HTTP wants 405 and the list (RFC 9110 §15.5.6). */
function refuseUnknownPaths(app: App, issuer: string): void {
  const known = FindMyWay()
  const seen = new Map<string, Set<HTTPMethod>>()
  app.addHook('onRoute', ({ method, url }) => {
    const methods = seen.get(url) ?? new Set<HTTPMethod>()
    for (const one of [method].flat()) methods.add(one as HTTPMethod)
    seen.set(url, methods)
  })
  app.addHook('onReady', (done) => {
    for (const url of seen.keys()) known.on('GET', url, () => {}, url)
    done()
  })
  const refusal = ({ url }: FastifyRequest): Problem => {
    const path = url.split('?', 1)[0]!
    const methods = [...(seen.get(known.find('GET', path)?.store) ?? [])].join(', ')
    if (methods) return new Problem('method-not-allowed', `${path} takes ${methods}.`, {}, { allow: methods })
    const detail = 'There is nothing at this path. GET /api/programmatic/catalog lists what there is.'
    return new Problem('not-found', detail)
  }
  // Before the body is looked at: it cannot be right or wrong where nobody takes it.
  app.addHook('onRequest', (request, _reply, done) => done(request.is404 ? refusal(request) : undefined))
  app.setNotFoundHandler((request, reply) => sendProblem(refusal(request), issuer, request, reply))
}

const ofFastify: Record<string, [ProblemCode, string]> = {
  FST_ERR_BAD_URL: ['malformed-request', 'The URL is not properly encoded.'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['malformed-request', 'The body is not JSON.'],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['malformed-request', 'The body is empty; send a JSON object.'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['malformed-request', 'Content-Length is not the length of the body.'],
}

const tooLarge = (limitBytes = bodyLimitBytes) =>
  new Problem('too-large', `The body is larger than ${limitBytes / 1024} KiB.`)

const otherType = ({ consumes = ['application/json'] }: { consumes?: readonly string[] } = {}) =>
  new Problem('unsupported-media-type', `Send the body with Content-Type: ${consumes.join(' or ')}.`)

/** SQLSTATE classes (and socket errors) that mean "not now" rather than "we erred". */
const outOfReach = /^(08|53|57P|40001|40P01|ECONN|ETIMEDOUT|EPIPE|ENOTFOUND|EAI_AGAIN)/
const outOfReachWords =
  /timeout|Connection terminated|not queryable|Client has encountered a connection error/i

/** Whatever was thrown, as the one Problem the caller gets to see. @param route where, if it is known */
export function asProblem(error: FastifyError, route?: FastifyRequest['routeOptions']): Problem {
  if (error instanceof Problem) return error
  if (error.validation) return validationProblem(error.validation as never, error.validationContext ?? '')
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return tooLarge(route?.bodyLimit)
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return otherType(route?.schema)
  const known = ofFastify[error.code]
  if (known) return new Problem(...known)
  if (isOutOfReach(error))
    return new Problem('unavailable', 'The store is out of reach. Try again in a moment.')
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
    return new Problem('malformed-request', 'The request cannot be read.')
  }
  return new Problem('internal', 'An unexpected error. The log has it under the requestId.')
}

export function isOutOfReach(error: Error & { code?: string }): boolean {
  return outOfReach.test(error.code ?? '') || outOfReachWords.test(error.message)
}

const ofHttpParser: Record<string, [ProblemCode, string]> = {
  HPE_HEADER_OVERFLOW: ['headers-too-large', 'Request line and headers are larger than 16 KiB.'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request-timeout', 'The request took too long to arrive.'],
}

type Connection = Socket & { readonly _httpMessage?: ServerResponse | null }

function refuseConnection(error: Error & { code?: string }, socket: Connection, issuer: string): void {
  const due = socket._httpMessage
  // While an earlier, whole request waits for its answer, a refusal would be taken for that answer.
  const isTaken = due?.headersSent || due?.req.complete
  if (error.code === 'ECONNRESET' || !socket.writable || isTaken) return void socket.destroy()
  const [code, detail] = ofHttpParser[error.code ?? ''] ?? ['malformed-request', 'This is not proper HTTP.']
  const problem = new Problem(code, detail)
  const body = problemBody(problem, issuer, 'none')
  const lines = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    'Connection: close',
  ]
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`)
}
