// What both services of the product have in common: a Fastify application that Latchkey guards, and that tells Latchkey,
// when it is ready, what it is.
import { timingSafeEqual } from 'node:crypto'
import latchkey, { createVerifier } from '@latchkey/sdk/fastify'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import type { Scopes } from './scopes.ts'

/** What an admin of Latchkey gave the service (register.ts), and what it shares with the rest of the product. */
export type ServiceOptions = {
  readonly latchkeyUrl: string
  readonly clientSecret: string
  /** A token with `catalog:publish` whose subject is the service. */
  readonly publishToken: string
  /** What the secrets of tokens begin with. */
  readonly tokenPrefix: string
  /** The one good session of a browser, in place of a real sign-in; undefined: there is none. */
  readonly session: string | undefined
}

export type ServiceKind = {
  /** As registered in Latchkey. */
  readonly id: string
  readonly title: string
  readonly scopes: Scopes
  /** Each route says in `config.auth` who may call it, and nothing else does. */
  readonly routes: readonly ((app: FastifyInstance) => Promise<void>)[]
}

export async function createService(
  { id, title, scopes, routes }: ServiceKind,
  { latchkeyUrl: url, clientSecret, publishToken, tokenPrefix, session }: ServiceOptions,
): Promise<FastifyInstance> {
  const app = Fastify({ logger: { level: 'warn' } })
  const onTrouble = (message: string) => app.log.error(message)
  const verifier = createVerifier({
    url,
    clientId: id,
    clientSecret,
    prefixes: [tokenPrefix],
    issuer: url,
    onTrouble,
  })
  app.addHook('onClose', async () => verifier.close())
  // Before the routes, which need them, are published.
  app.addHook('onReady', () => declareScopes(app, { url, id, scopes, token: publishToken }))
  await app.register(latchkey, {
    verifier,
    session: (request) => session !== undefined && isSame(sessionIn(request), session),
    publish: { service: id, title, token: publishToken },
  })
  for (const some of routes) await app.register(some)
  app.get('/health', { config: { auth: { access: 'public', hidden: true } } }, async () => ({ ok: true }))
  return app
}

const sessionIn = ({ headers }: FastifyRequest) => /(?:^|; )session=([^;]+)/.exec(headers.cookie ?? '')?.[1]

function isSame(given: string | undefined, wanted: string): boolean {
  const [left, right] = [Buffer.from(given ?? ''), Buffer.from(wanted)]
  return left.length === right.length && timingSafeEqual(left, right)
}

type Declaration = {
  readonly url: string
  readonly id: string
  readonly scopes: Scopes
  readonly token: string
}

/** Whatever comes of it, the service starts: it is guarded all the same, as the guard needs no catalog. */
async function declareScopes(app: FastifyInstance, { url, id, scopes, token }: Declaration): Promise<void> {
  try {
    const response = await fetch(`${url}/api/v1/services/${id}/scopes`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(scopes),
      signal: AbortSignal.timeout(3_000),
    })
    if (!response.ok)
      app.log.error({ status: response.status, answer: await response.text() }, 'no scopes declared')
  } catch (error) {
    app.log.error(error, 'no scopes declared')
  }
}
