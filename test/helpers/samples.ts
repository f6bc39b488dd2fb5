// The sample product of model 2: two services, posts and billing, with all its scopes, jobs and routes.
import { readFile } from 'node:fs/promises'
import { type Answer, type CallOptions, type Latchkey, provision } from './latchkey.ts'

const sample = (name: string) => readFile(new URL(`../../openapi/samples/${name}`, import.meta.url), 'utf8')

export const samples = {
  posts: await sample('posts.openapi.yaml'),
  billing: await sample('billing.openapi.json'),
  postsScopes: JSON.parse(await sample('posts.scopes.json')),
  billingScopes: JSON.parse(await sample('billing.scopes.json')),
}

export type PutOptions = CallOptions & { type?: string; query?: string }

/** PUT of a document: text as it is, anything else as JSON. */
export async function putDocument(
  { url, admin }: Pick<Latchkey, 'url' | 'admin'>,
  service: string,
  document: unknown,
  { type = 'application/json', query = '', token = admin, headers = {} }: PutOptions = {},
): Promise<Answer> {
  const response = await fetch(`${url}/api/v1/services/${service}/openapi${query}`, {
    method: 'PUT',
    headers: {
      'content-type': type,
      ...(token !== null && { authorization: `Bearer ${token}` }),
      ...headers,
    },
    body:
      typeof document === 'string' || document instanceof Uint8Array ? document : JSON.stringify(document),
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, body: JSON.parse(text) }
}

/** Registers both services, declares their scopes, publishes their documents. @throws Error when one is refused */
export async function publishSamples(latchkey: Latchkey): Promise<void> {
  const done = (what: string, answer: Answer) => {
    if (answer.status !== 200) throw new Error(`${what}: ${answer.status} ${answer.text}`)
  }
  const { call } = latchkey
  for (const id of ['posts', 'billing']) {
    done(
      id,
      await call('POST', '/api/v1/services', { id, name: `The ${id}`, clientSecret: 'brought-by-hand' }),
    )
    done(
      id,
      await call(
        'PUT',
        `/api/v1/services/${id}/scopes`,
        id === 'posts' ? samples.postsScopes : samples.billingScopes,
      ),
    )
  }
  done('posts', await putDocument(latchkey, 'posts', samples.posts, { type: 'application/yaml' }))
  done('billing', await putDocument(latchkey, 'billing', samples.billing))
}

/** A token whose subject is the service: it may publish for that one. */
export const publisher = async (latchkey: Latchkey, service: string): Promise<string> =>
  (await provision(latchkey, { subject: service, scopes: ['catalog:publish'] })).token

const pat = { pat: { type: 'http', scheme: 'bearer' }, session: { type: 'apiKey', in: 'cookie', name: 's' } }

/** A small OpenAPI 3.1 document. */
export const documentOf = (paths: object, more: object = {}) => ({
  openapi: '3.1.0',
  info: { title: 'T', version: '1' },
  paths,
  components: { securitySchemes: pat },
  ...more,
})

/** An operation that needs scopes; without any, public. */
export const operation = (scopes: string[] = [], more: object = {}) => ({
  security: scopes.length > 0 ? [{ pat: scopes }] : [],
  responses: { 200: { description: 'ok' } },
  ...more,
})
