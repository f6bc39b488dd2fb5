// Models 1 and 2, walked through against the example product: from making a token to the refusal of what it lacks, with
// nothing but what the catalog says.
import { isDeepStrictEqual } from 'node:util'
import type { Product } from '../../test/helpers/product.ts'
import { type Answer, type Call, caller, expect, type Made, promised, provision, say } from './steps.ts'

// biome-ignore lint/suspicious/noExplicitAny: JSON of any shape
type Catalog = any

/** What the product told Latchkey about itself when it started. */
export async function published(call: Call, product: Product): Promise<void> {
  const { body: catalog } = await call('GET', '/api/programmatic/catalog')
  const ofProduct = (one: { service: string }) => one.service === 'posts' || one.service === 'billing'
  const groups = catalog.scopeGroups.filter((group: Catalog) => group.scopes.some(ofProduct))
  const scopes = groups.flatMap((group: Catalog) => group.scopes)
  const endpoints = catalog.endpoints.filter(ofProduct)
  expect('four groups of scopes are declared', groups.length === 4)
  expect(`the product's endpoints are published, but:\n${product.output()}`, endpoints.length > 20)
  say(
    `an admin registered the example product, posts at ${product.posts} and billing at ${product.billing}; started, they ` +
      `declared ${scopes.length} scopes in ${groups.length} groups and published ${endpoints.length} endpoints`,
  )
}

/** Model 1: make a token, then go straight to the catalog; all else follows from what stands there. */
export async function walkthrough(call: Call, product: Product): Promise<Made> {
  const scopes = await scopesFor(call, 'Read feed or post data')
  const first = await provision(call, { name: 'walkthrough', subject: 'user_1', scopes })
  const read = await call('GET', '/api/programmatic/catalog?for=self', undefined, first.token)
  promised('reading the catalog with it', read, 200)
  const endpoints = read.body.endpoints.filter((one: Catalog) => one.service !== 'latchkey')
  const allowed = endpoints.filter((one: Catalog) => one.allowed).map((one: Catalog) => one.id)
  expect('no more than that', isDeepStrictEqual(allowed, ['listPlans', 'listPosts', 'readPost']))
  say(
    `model 1: made ${first.hint} for ${scopes.join(' ')}, and read the catalog with it: of the product's ` +
      `${endpoints.length} endpoints it may call ${allowed.join(', ')}`,
  )
  const list = await use(read.body, 'listPosts', first.token)
  promised('an endpoint that the catalog says it may call', list, 200)
  const refused = await use(read.body, 'createPost', first.token, { title: 'Never', body: 'written' })
  promised('one that it may not', refused, 403, {
    code: 'insufficient-scope',
    requiredScopes: endpointIn(read.body, 'createPost').missingScopes,
  })
  const after = await use(read.body, 'listPosts', first.token)
  expect('nothing was written', after.text === list.text && list.text === '[]')
  say(
    `model 1: with it GET ${product.posts}/v1/posts answers 200; POST is refused, 403 naming ${refused.body.requiredScopes}, ` +
      'before anything was written',
  )
  return first
}

/** Model 2: the smallest set of scopes for two jobs, what it opens, what it does not, and its end. */
export async function smallestSet(url: string, call: Call, basic: string): Promise<void> {
  const jobs = ['Create or update posts', 'Create checkout links']
  const scopes = await scopesFor(call, ...jobs)
  const made = await provision(call, { name: 'sell posts', subject: 'user_1', scopes, expiresIn: '1h' })
  expect('the token carries the product’s prefix', /^gpx_pat_[0-9A-Za-z]{36}$/.test(made.token))
  const { body: catalog } = await call('GET', '/api/programmatic/catalog?for=self', undefined, made.token)
  const post = await use(catalog, 'createPost', made.token, { title: 'Hello', body: 'The first post.' })
  promised('writing a post', post, 201, { by: 'user_1', state: 'draft' })
  const link = { what: post.body.id, amount: 1900, currency: 'EUR' }
  promised('a checkout link', await use(catalog, 'createCheckoutLink', made.token, link), 201, link)
  say(`model 2: the jobs "${jobs.join('" and "')}" need ${scopes.join(' ')}; did both with ${made.hint}`)

  const money = { to: 'acct_7', amount: 500 }
  const transfer = await use(catalog, 'transfer', made.token, money)
  promised('a transfer', transfer, 403, { code: 'insufficient-scope', requiredScopes: ['transfers:manage'] })
  const preset = catalog.presets.find((one: Catalog) => one.id === 'bookkeeping')
  const bookkeeper = await provision(call, { name: 'books', subject: 'user_1', scopes: preset.scopes })
  const books = await use(catalog, 'readBalance', bookkeeper.token)
  promised('the books', books, 200, { balance: 10_000, transfers: [] })
  promised('a browser’s part', await use(catalog, 'changePassword', made.token, {}), 403, {
    code: 'browser-session-required',
  })
  const question = { token: made.token, requiredScopes: ['transfers:manage'] }
  const check = await call('POST', '/api/v1/verify', question, basic)
  promised('the check by itself', check, 200, { code: 'missing_scope', missingScopes: ['transfers:manage'] })
  promised('Latchkey’s own', await call('POST', '/api/v1/tokens', { name: 'more' }, made.token), 403, {
    requiredScopes: ['tokens:write'],
  })
  say(
    'model 2: it is refused a transfer (no money moved), the password (needs a browser), making tokens: 403',
  )

  const gateway = [
    await asGateway(url, catalog, 'createPost', made),
    await asGateway(url, catalog, 'transfer', made),
  ]
  expect('a gateway is told the same', isDeepStrictEqual(gateway, [200, 403]))
  say('model 2: a gateway that asks /forward-auth is told the same: 200 for the post, 403 for the transfer')

  promised('revoking', await call('DELETE', `/api/v1/tokens/${made.id}`), 200)
  const wait = await untilRefused(
    () => use(catalog, 'listPosts', made.token),
    () => use(catalog, 'readCheckoutLink', made.token, undefined, 'link_1'),
  )
  expect('a gateway is told so, too', (await asGateway(url, catalog, 'createPost', made)) === 401)
  say(`model 2: revoked ${made.hint}; both services and the gateway refuse it with 401, ${wait} ms later`)
}

async function scopesFor(call: Call, ...jobs: string[]): Promise<string[]> {
  const answer = await call('POST', '/api/v1/catalog/scopes-for', { jobs })
  promised(`scopes for ${jobs.join(', ')}`, answer, 200)
  return answer.body.scopes
}

function endpointIn(catalog: Catalog, id: string): Catalog {
  return catalog.endpoints.find((one: Catalog) => one.id === id)
}

/** Where it is, and how it is called, both from the catalog. */
function placeOf(
  catalog: Catalog,
  id: string,
  parameter = '',
): { method: string; base: string; path: string } {
  const { method, path, service } = endpointIn(catalog, id)
  const { baseUrl } = catalog.services.find((one: Catalog) => one.id === service)
  return { method, base: baseUrl, path: path.replace(/\{\w+\}/, parameter) }
}

function use(
  catalog: Catalog,
  id: string,
  token: string,
  body?: object,
  parameter?: string,
): Promise<Answer> {
  const { method, base, path } = placeOf(catalog, id, parameter)
  return caller(base, token)(method, path, body)
}

/** What a gateway in front of the product is answered. */
async function asGateway(url: string, catalog: Catalog, id: string, { token }: Made): Promise<number> {
  const { method, base, path } = placeOf(catalog, id)
  const headers = {
    authorization: `Bearer ${token}`,
    'x-forwarded-method': method,
    'x-forwarded-uri': path,
    'x-forwarded-host': new URL(base).host,
  }
  return (await fetch(`${url}/forward-auth`, { headers })).status
}

/** The library forgets when word of the revoke reaches it, and without a word after 2 seconds. @returns milliseconds */
async function untilRefused(...asks: (() => Promise<Answer>)[]): Promise<number> {
  const start = performance.now()
  for (;;) {
    const answers = await Promise.all(asks.map((ask) => ask()))
    const took = Math.round(performance.now() - start)
    if (answers.every(({ status }) => status === 401)) return took
    expect('it is refused within 2 seconds', took < 2_000)
  }
}
