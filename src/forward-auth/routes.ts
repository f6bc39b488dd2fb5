// ANY /forward-auth and below it, for gateways: nginx auth_request, Traefik, Caddy, Envoy, HAProxy, APISIX. Method,
// body and content type are whatever the gateway's client sent, so none of them matters.
import { METHODS } from 'node:http'
import type { HTTPMethods } from 'fastify'
import Type from 'typebox'
import type { Published } from '../catalog/published.ts'
import { readAuthorization } from '../guard/authorization.ts'
import { type ClientIp, clientIp, isTrustedPeer } from '../http/client-ip.ts'
import { type Lane, type LaneAnswer, sendAnswer } from '../http/lane.ts'
import type { RequestHead } from '../http/plain-request.ts'
import type { App } from '../http/server.ts'
import type { Credentials } from '../identity/credentials.ts'
import type { Range } from '../policy/network.ts'
import { type Asked, askedIn } from './asked.ts'
import { denied, type ForwardAnswer, type ForwardAuth, type Passing, type Refusal } from './forward-auth.ts'
import { type Need, type Needed, neededFor } from './need.ts'
import { isOfClient, originalOf } from './original.ts'

export type ForwardAuthRouteDependencies = {
  readonly forwardAuth: ForwardAuth
  /** What counts now; a promise when it must be waited for, which rejects when it cannot be known. */
  readonly published: () => Published | Promise<Published>
  readonly serviceById: Credentials['service']
  readonly checkCredentials: Credentials['check']
  readonly recallHeader: Credentials['recall']
  readonly trustedProxies: readonly Range[]
  readonly onTrouble: (error: Error) => void
  readonly onRefused: (why: Refusal) => void
}

const path = '/forward-auth'
/** For a gateway that has no fixed address: a service's client credentials, as in Authorization, which is the bearer's. */
const gatewayHeader = 'x-gateway-authorization'
const unavailable: ForwardAnswer = { status: 503, headers: ['retry-after', '1'], body: '', why: null }

const query = Type.Object({
  scope: Type.Optional(
    Type.String({
      description:
        'Scopes that are needed, separated by spaces; empty: any good token will do. Without it, the catalog says it.',
    }),
  ),
  service: Type.Optional(
    Type.String({ description: 'The service behind the gateway. Without it, the forwarded host tells.' }),
  ),
  team: Type.Optional(Type.String({ description: 'The team the request is about.' })),
})

const documented = {
  operationId: 'forwardAuth',
  summary: 'May this request pass? For gateways, with any method',
  description:
    '200 with X-Auth-Subject, X-Auth-Token-Id, X-Auth-Scopes and X-Auth-Team; 401; 403. Which request it is about, a trusted proxy says in X-Forwarded-Method, X-Forwarded-Uri and X-Forwarded-Host, or in X-Original-Method and X-Original-URI.',
  tags: ['Verify'],
  querystring: query,
}

export function forwardAuthRoutes(root: App, dependencies: ForwardAuthRouteDependencies): Lane {
  const answer = createAnswer(dependencies)
  root.register(async (scoped) => {
    const app = scoped as unknown as App
    for (const method of methods) {
      if (!app.supportedMethods.includes(method)) app.addHttpMethod(method)
    }
    // So early that the content type and the body are not looked at.
    app.addHook('onRequest', async (request, reply) => sendAnswer(reply, await answer(request.raw)))
    const handler = async () => {}
    const config = { policy: { access: 'public' }, catalog: { effects: { readOnly: true } } } as const
    const others = methods.filter((method) => method !== 'GET')
    // Documented once; the other methods and paths are for gateways that pass on their client's.
    app.route({ method: 'GET', url: path, exposeHeadRoute: false, config, schema: documented, handler })
    app.route({ method: others, url: path, config, schema: { hide: true }, handler })
    app.route({
      method: methods,
      url: `${path}/*`,
      exposeHeadRoute: false,
      config,
      schema: { hide: true },
      handler,
    })
  })
  return {
    takes: ({ url = '' }) =>
      url.startsWith(path) && (url.length === path.length || isNext(url[path.length]!)),
    route: path,
    contentType: null,
    answer,
  }
}

/** All that Node reads and gives to a router. */
const methods = METHODS.filter((method) => method !== 'CONNECT') as HTTPMethods[]
const isNext = (character: string) => character === '?' || character === '/'

function createAnswer(dependencies: ForwardAuthRouteDependencies) {
  const { forwardAuth, published, serviceById, checkCredentials, recallHeader, trustedProxies } = dependencies
  const trouble = (error: Error): ForwardAnswer => {
    dependencies.onTrouble(error)
    return unavailable
  }
  const counted = (answer: ForwardAnswer): LaneAnswer => {
    if (answer.why !== null) dependencies.onRefused(answer.why)
    return answer
  }

  function answerAs(request: RequestHead, isGateway: boolean): ForwardAnswer | Promise<ForwardAnswer> {
    const parts = partsOf(request.url!)
    const asked = parts && askedIn(parts.query)
    if (asked === null || !isSound(asked, parts!.query, request.headers)) return denied('query')
    const from = clientIp(request, trustedProxies, isGateway)
    const pass = ({ need, service }: Needed) => forwardAuth(passingOf(request, asked, need, service, from))
    if (asked.need !== null) {
      const passing = pass({ need: asked.need, service: asked.service })
      return asked.service === null ? passing : ofKnownService(asked.service, passing)
    }
    const isTrusted = isGateway || isTrustedPeer(request, trustedProxies)
    const original = originalOf({
      method: request.method!,
      headers: request.headers,
      suffix: parts!.suffix,
      isTrusted,
    })
    if (original === null) return denied('request')
    if (original === 'unknown') return denied('unsaid')
    const now = published()
    return now instanceof Promise
      ? now.then((read) => pass(neededFor(read, original, asked.service)))
      : pass(neededFor(now, original, asked.service))
  }

  /**
   * A name that is spelled wrong must not pass for a service that nothing is limited to. Asked last: for whom nothing
   * passes anyhow, the store is not read.
   */
  async function ofKnownService(
    id: string,
    passing: ForwardAnswer | Promise<ForwardAnswer>,
  ): Promise<ForwardAnswer> {
    const answer = await passing
    if (answer.status !== 200) return answer
    return (await serviceById(id)) ? answer : denied('service')
  }

  async function answerGateway(request: RequestHead, header: string): Promise<ForwardAnswer> {
    const given = readAuthorization(header)
    if (given.scheme !== 'basic') return denied('gateway')
    const gateway = await checkCredentials(given.clientId, given.clientSecret, header)
    return gateway ? answerAs(request, true) : denied('gateway')
  }

  return (request: RequestHead): LaneAnswer | Promise<LaneAnswer> => {
    try {
      const header = request.headers[gatewayHeader] as string | undefined
      const isUnknown = header !== undefined && recallHeader(header) === null
      const answer = isUnknown ? answerGateway(request, header) : answerAs(request, header !== undefined)
      return answer instanceof Promise ? answer.catch(trouble).then(counted) : counted(answer)
    } catch (error) {
      return trouble(error as Error)
    }
  }
}

type UrlParts = { readonly suffix: string | null; readonly query: string }

/**
 * Of the URL that the gateway called: what it put behind our path, and the query, which is its own with or without that.
 * null: our path is spelled in a way that the router reads, and nobody else needs.
 */
function partsOf(url: string): UrlParts | null {
  const own = url.startsWith('/') ? url : (wholeUrl.exec(url)?.[1] ?? '')
  const rest = own.slice(path.length)
  if (!own.startsWith(path) || (rest !== '' && !isNext(rest[0]!))) return null
  return rest.startsWith('/') ? { suffix: rest, query: '' } : { suffix: null, query: rest.slice(1) }
}

/**
 * The gateway's own words are ours, and none of them is spelled wrong: "temas=a" would limit nothing. What it has left there
 * of its client's may say anything, but nothing to us.
 */
const isSound = ({ words }: Asked, query: string, headers: RequestHead['headers']): boolean =>
  words === 'none' || (words !== 'both' && isOfClient(query, headers) === (words === 'others'))

/** RFC 9112 §3.2.2. With nothing behind our path: what is there would be for this host, and Host could say another. */
const wholeUrl = /^https?:\/\/[^/?#]+(\/forward-auth(?:\?.*)?)$/i

function passingOf(
  { headers }: RequestHead,
  { team }: Asked,
  need: Need,
  service: string | null,
  from: ClientIp,
): Passing {
  return { authorization: headers.authorization, need, service, team, from, agent: headers['user-agent'] }
}
