// The catalog, the OpenAPI document, the problem pages and /docs are one declaration: none can say what another does not.
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { type Latchkey, startLatchkey } from '../helpers/latchkey.ts'

type Endpoint = {
  id: string
  method: string
  path: string
  access: string
  auth: { pat: boolean; clientCredentials: boolean; scopes: string[] }
  errors: string[]
}
type Operation = {
  operationId: string
  security: Record<string, string[]>[]
  responses: Record<string, unknown>
}
type Step = { endpoint: string; save?: Record<string, string> }

const committed = new URL('../../openapi/latchkey.json', import.meta.url)
const get = (latchkey: Latchkey, path: string, headers: Record<string, string> = {}) =>
  latchkey.call('GET', path, undefined, { token: null, headers })

t.test('what is served about Latchkey is what is enforced', async (t) => {
  const latchkey = await startLatchkey(t, 'pglite')
  const catalog = (await get(latchkey, '/api/programmatic/catalog')).body
  const openapi = (await get(latchkey, '/openapi.json')).body
  const endpoints: Endpoint[] = catalog.endpoints
  const operations = operationsOf(openapi)

  t.test('/openapi.json is the committed document, but for the address', async (t) => {
    const wanted = JSON.parse(await readFile(committed, 'utf8'))
    t.equal(openapi.openapi, '3.1.0')
    t.strictSame(openapi.servers, [{ url: latchkey.running.issuer }])
    t.strictSame({ ...openapi, servers: null }, { ...wanted, servers: null }, 'if not: npm run generate')
  })

  t.test(
    'the catalog lists exactly the operations of the OpenAPI document, with the same scopes',
    async (t) => {
      const fromCatalog = endpoints.map(({ id, method, path, auth }) => {
        return { id, method, path, scopes: auth.scopes, pat: auth.pat, client: auth.clientCredentials }
      })
      const fromOpenapi = operations.map(({ method, path, operation: { operationId, security } }) => {
        const token = security.find((one) => one['token'])
        const client = security.some((one) => one['client'])
        return {
          id: operationId,
          method,
          path,
          scopes: token?.['token'] ?? [],
          pat: token !== undefined,
          client,
        }
      })
      t.strictSame(sorted(fromCatalog), sorted(fromOpenapi))
      t.equal(new Set(endpoints.map((one) => one.id)).size, endpoints.length, 'each id is there once')
    },
  )

  t.test('without credentials, exactly the endpoints that are called public answer', async (t) => {
    for (const { id, method, path, access } of endpoints) {
      const answer = await latchkey.call(method, path.replace(/\{\w+\}/g, 'nothing'), undefined, {
        token: null,
      })
      // /oauth2 reads the form before it asks who calls, and here there is none.
      const shut = answer.status === 401 || (path.startsWith('/oauth2/') && answer.status === 415)
      // Gateways' door: nobody is asked who they are, and 401 is its verdict on the bearer it was shown.
      if (id === 'forwardAuth') continue
      if (access === 'public') t.not(answer.status, 401, id)
      else t.ok(shut, `${id} answers ${answer.status}`)
    }
  })

  for (const path of ['/api/programmatic/catalog', '/openapi.json']) {
    t.test(`${path} is not sent again to who has it`, async (t) => {
      const first = await get(latchkey, path)
      const etag = first.headers.get('etag')!
      t.match(etag, /^"[\w-]+"$/)
      const again = await get(latchkey, path, { 'if-none-match': `"other", W/${etag}` })
      t.match({ status: again.status, text: again.text }, { status: 304, text: '' })
      t.equal(again.headers.get('etag'), etag)
      t.equal((await get(latchkey, path, { 'if-none-match': '"other"' })).status, 200)
    })
  }

  t.test('a newly declared scope is in the catalog, under a new ETag', async (t) => {
    const before = await get(latchkey, '/api/programmatic/catalog')
    await latchkey.call('POST', '/api/v1/services', { id: 'maps', name: 'Maps' })
    await latchkey.call('PUT', '/api/v1/services/maps/scopes', {
      groups: [{ id: 'maps', title: 'Maps' }],
      scopes: [{ name: 'maps:read', title: 'Read maps', group: 'maps' }],
    })
    const after = await get(latchkey, '/api/programmatic/catalog')
    t.not(after.headers.get('etag'), before.headers.get('etag'))
    const group = after.body.scopeGroups.find((one: { id: string }) => one.id === 'maps')
    t.match(group, { scopes: [{ name: 'maps:read', service: 'maps', risk: 'medium' }] })
  })

  t.test('every error code has a page, as JSON and as HTML', async (t) => {
    const listed = catalog.errors.map((error: { code: string }) => error.code)
    for (const { errors, id } of endpoints)
      t.strictSame(
        errors.filter((code) => !listed.includes(code)),
        [],
        id,
      )
    for (const { code, status, type } of catalog.errors) {
      t.equal(type, `${latchkey.running.issuer}/problems/${code}`)
      const json = await get(latchkey, `/problems/${code}`)
      t.match(json.body, { code, status, title: /./, meaning: /./, whatToDo: /./ }, code)
      const html = await get(latchkey, `/problems/${code}`, { accept: 'text/html,*/*;q=0.8' })
      t.match(html.headers.get('content-type'), /^text\/html/)
      t.ok(html.text.includes(`<code>${code}</code>`))
    }
    t.match(await get(latchkey, '/problems/insuficient-scope'), {
      status: 404,
      body: { detail: /insufficient-scope/ },
    })
  })

  t.test(
    'every step of a workflow exists, gives what it saves, and is open to who has its scopes',
    async (t) => {
      const implied = new Map<string, string[]>(
        catalog.scopeGroups
          .flatMap((group: { scopes: { name: string; implies?: string[] }[] }) => group.scopes)
          .map((scope: { name: string; implies?: string[] }) => [
            scope.name,
            [scope.name, ...(scope.implies ?? [])],
          ]),
      )
      for (const { id, scopes, steps } of catalog.workflows as {
        id: string
        scopes: string[]
        steps: Step[]
      }[]) {
        const held = scopes.flatMap((scope) => implied.get(scope) ?? [])
        for (const step of steps) {
          const endpoint = endpoints.find((one) => one.id === step.endpoint)
          t.ok(endpoint, `${id}: ${step.endpoint}`)
          const missing = endpoint!.auth.scopes.filter((scope) => !held.includes(scope))
          if (!endpoint!.auth.clientCredentials)
            t.strictSame(missing, [], `${id}: ${step.endpoint} is in reach`)
          const answer = schemaOfAnswer(openapi, step.endpoint)
          for (const pointer of Object.values(step.save ?? {})) {
            const member = pointer.replace(/^\$response\.body#\/(0\/)?/, '')
            t.ok(answer.properties?.[member], `${id}: ${step.endpoint} answers with ${member}`)
          }
        }
      }
    },
  )

  t.test('/docs/ needs nothing from elsewhere, and forbids itself to ask', async (t) => {
    const page = await get(latchkey, '/docs/')
    t.equal(page.status, 200)
    const policy = page.headers.get('content-security-policy') ?? ''
    t.match(policy, /default-src 'self'/)
    t.notMatch(policy, /https?:|\*|upgrade-insecure-requests/)
    const used = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map((found) => found[1]!)
    t.ok(used.length >= 4, 'scripts and styles are found in the page')
    t.notMatch(page.text, /<script>[^<]/, 'no inline script, which the policy would refuse')
    for (const resource of used) {
      const url = new URL(resource, `${latchkey.url}/docs/`)
      t.equal(url.origin, latchkey.url, resource)
      t.equal((await get(latchkey, url.pathname)).status, 200, resource)
    }
    const start = await get(latchkey, '/docs/static/swagger-initializer.js')
    t.match(start.text, /"validatorUrl":\s*null/, 'the document is sent to nobody')
  })
})

function operationsOf(openapi: { paths: Record<string, Record<string, Operation>> }) {
  return Object.entries(openapi.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  )
}

type Schema = { $ref?: string; items?: Schema; properties?: Record<string, unknown> }

/** Of the 200; of an array, its items'. */
// biome-ignore lint/suspicious/noExplicitAny: a document, read as such
function schemaOfAnswer(openapi: any, operationId: string): Schema {
  const { operation } = operationsOf(openapi).find((one) => one.operation.operationId === operationId)!
  // biome-ignore lint/suspicious/noExplicitAny: see above
  const schema: Schema = (operation.responses['200'] as any).content['application/json'].schema
  const one = schema.items ?? schema
  return one.$ref ? openapi.components.schemas[one.$ref.split('/').at(-1)!] : one
}

const sorted = <T extends { id: string }>(list: T[]) => list.sort((a, b) => (a.id < b.id ? -1 : 1))
