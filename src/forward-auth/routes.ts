// ANY /forward-auth and below it, for gateways: nginx auth_request, Traefik, Caddy, Envoy, HAProxy, APISIX. Method,
// body and content type are whatever the gateway's client sent, so none of them matters.
import type { IncomingMessage } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { clientIp } from '../http/client-ip.ts'
import type { Lane, LaneAnswer } from '../http/lane.ts'
import type { App } from '../http/server.ts'
import type { ServiceIdentity } from '../identity/credentials.ts'
import type { Range } from '../policy/network.ts'
import { scopePattern } from '../policy/scopes.ts'
import type { Asked, ForwardAuth } from './forward-auth.ts'

export type ForwardAuthRouteDependencies = {
  readonly forwardAuth: ForwardAuth
  readonly serviceById: (id: string) => Promise<ServiceIdentity | null>
  readonly trustedProxies: readonly Range[]
  readonly onTrouble: (error: Error) => void
}

const path = '/forward-auth'
const unavailable: LaneAnswer = { status: 503, headers: ['retry-after', '1'], body: '' }
const denied: LaneAnswer = { status: 403, headers: ['www-authenticate', 'Bearer realm="latchkey"'], body: '' }

const query = Type.Object({
  scope: Type.Optional(
    Type.String({
      description: 'Scopes that are needed, separated by spaces; empty: any good token will do.',
    }),
  ),
  service: Type.Optional(
    Type.String({ description: 'The service behind the gateway; judges the audience.' }),
  ),
  team: Type.Optional(Type.String({ description: 'The team the request is about.' })),
})

const documented = {
  operationId: 'forwardAuth',
  summary: 'May this request pass? For gateways, with any method',
  description: '200 with X-Auth-Subject, X-Auth-Token-Id, X-Auth-Scopes and X-Auth-Team; 401; 403.',
  tags: ['Verify'],
  querystring: query,
}

export function forwardAuthRoutes(root: App, dependencies: ForwardAuthRouteDependencies): Lane {
  const answer = createAnswer(dependencies)
  root.register(async (scoped) => {
    const app = scoped as unknown as App
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', (_request, payload, done) => {
      payload.resume()
      done(null)
    })
    app.setValidatorCompiler(() => () => true)
    const handler = async (request: FastifyRequest, reply: FastifyReply) => {
      const { status, headers, body } = await answer(request.raw)
      for (let at = 0; at < headers.length; at += 2) reply.header(headers[at]!, headers[at + 1]!)
      return reply.code(status).send(body)
    }
    const config = { policy: { access: 'public' }, catalog: { effects: { readOnly: true } } } as const
    const others = app.supportedMethods.filter((method) => method !== 'GET')
    // Documented once; the other methods and paths are for gateways that pass on their client's.
    app.route({ method: 'GET', url: path, exposeHeadRoute: false, config, schema: documented, handler })
    app.route({ method: others as never, url: path, config, schema: { hide: true }, handler })
    app.route({
      method: app.supportedMethods as never,
      url: `${path}/*`,
      exposeHeadRoute: false,
      config,
      schema: { hide: true },
      handler,
    })
  })
  return {
    takes: ({ url = '' }) => url.startsWith(path) && (url.length === path.length || url[path.length] === '?'),
    route: path,
    contentType: null,
    answer,
  }
}

function createAnswer({ forwardAuth, serviceById, trustedProxies, onTrouble }: ForwardAuthRouteDependencies) {
  const trouble = (error: Error): LaneAnswer => {
    onTrouble(error)
    return unavailable
  }
  const answerFor = (request: IncomingMessage, asked: AskedById, service: ServiceIdentity | null) => {
    const answer = forwardAuth({
      authorization: request.headers.authorization,
      asked: { scopes: asked.scopes, service, team: asked.team },
      from: clientIp(request, trustedProxies),
      agent: request.headers['user-agent'],
    })
    return answer instanceof Promise ? answer.catch(trouble) : answer
  }
  return (request: IncomingMessage): LaneAnswer | Promise<LaneAnswer> => {
    try {
      const asked = askedIn(request.url ?? '')
      if (asked === null) return denied
      if (asked.serviceId === null) return answerFor(request, asked, null)
      return serviceById(asked.serviceId)
        .then((service) => (service ? answerFor(request, asked, service) : denied))
        .catch(trouble)
    } catch (error) {
      return trouble(error as Error)
    }
  }
}

type AskedById = Omit<Asked, 'service'> & { readonly serviceId: string | null }

/** The query is the gateway's configuration, so the same few come again and again. */
const known = new Map<string, AskedById | null>()
let last: { readonly url: string; readonly asked: AskedById | null } = { url: '', asked: null }
const oneScope = new RegExp(scopePattern)

/** null: it cannot be read, so nothing may pass. */
function askedIn(url: string): AskedById | null {
  if (url !== last.url) last = { url, asked: askedInQuery(url) }
  return last.asked
}

function askedInQuery(url: string): AskedById | null {
  const at = url.indexOf('?')
  const text = at < 0 ? '' : url.slice(at + 1)
  let asked = known.get(text)
  if (asked === undefined) {
    asked = readAsked(new URLSearchParams(text))
    if (known.size >= 1_000) known.clear()
    known.set(text, asked)
  }
  return asked
}

function readAsked(parameters: URLSearchParams): AskedById | null {
  for (const name of ['scope', 'service', 'team']) if (parameters.getAll(name).length > 1) return null
  const scopes =
    parameters
      .get('scope')
      ?.split(/[ ,]+/)
      .filter((scope) => scope !== '') ?? null
  if (scopes?.some((scope) => !oneScope.test(scope))) return null
  const serviceId = parameters.get('service')
  if (serviceId !== null && !/^[a-z0-9_-]+$/.test(serviceId)) return null
  return { scopes, serviceId, team: parameters.get('team') }
}
