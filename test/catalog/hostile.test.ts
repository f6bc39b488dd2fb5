// Documents that are broken, huge, cyclic or hostile: each is refused with a clear 400 (or 413, 415), nothing is
// fetched, nothing is changed, and checks of tokens go on meanwhile.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { engines, registerPosts, startLatchkey } from '../helpers/latchkey.ts'
import { everyRow } from '../helpers/rows.ts'
import { documentOf, operation, putDocument } from '../helpers/samples.ts'

type Hostile = {
  name: string
  document: unknown
  detail: RegExp
  yaml?: true
  status?: number
  code?: string
  pointer?: string
}

const paths = (more: object) => documentOf({ '/v1/posts': { get: operation(['posts:read']) }, ...more })
const yaml = (text: string) => ({ document: text, yaml: true as const })
const head = 'openapi: 3.1.0\ninfo: {title: T, version: "1"}\npaths: {}\n'
const withGet = (get: object, more: object = {}) =>
  documentOf({ '/a': { get: { ...operation(['posts:read']), ...get } } }, more)
const latchkeySays = (says: object, security?: object[]) =>
  withGet({ 'x-latchkey': says, ...(security && { security }) })
const schemes = (securitySchemes: object) => ({ components: { securitySchemes } })

function laughs(): string {
  const lines = ['a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]']
  for (let n = 1; n < 12; n++)
    lines.push(
      `a${n}: &a${n} [${Array(9)
        .fill(`*a${n - 1}`)
        .join(', ')}]`,
    )
  return `${head}x-a:\n  ${lines.join('\n  ')}\n`
}

/** Few aliases, each of a megabyte. */
const heavy = `${head}x-a: &a [${'lorem ipsum, '.repeat(80_000)}x]\nx-b: [${Array(60).fill('*a').join(', ')}]\n`

const cases = (external: string): Hostile[] => [
  // Cannot be read.
  { name: 'an empty body', document: '', detail: /empty/ },
  { name: 'blanks', document: ' \n ', detail: /empty/ },
  { name: 'broken JSON', document: '{"openapi": "3.1.0",\n }', detail: /line 2, column 2/ },
  { name: 'JSON that ends early', document: '{"openapi": "3.1.0"', detail: /not JSON/ },
  { name: 'YAML sent as JSON', document: head, detail: /not JSON/ },
  { name: 'bytes that are no UTF-8', document: Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), detail: /UTF-8/ },
  { name: 'broken YAML', ...yaml(`${head}a: [1`), detail: /line 4, column 6/ },
  { name: 'a key that stands twice', ...yaml(`${head}info: {}`), detail: /twice.*line 4, column 1/ },
  { name: 'a key that is a map', ...yaml(`${head}? {a: 1}\n: 2`), detail: /key of the YAML is a map/ },
  { name: 'several documents', ...yaml(`${head}---\n${head}`), detail: /MULTIPLE_DOCS/ },
  {
    name: 'a tag that makes something else',
    ...yaml(`%YAML 1.1\n---\n${head}a: !!binary aGVsbG8=\n`),
    detail: /JSON does not have/,
  },
  { name: 'a value that is not a number', ...yaml(`${head}a: .nan`), detail: /JSON does not have/ },
  // Too much.
  { name: 'a billion laughs', ...yaml(laughs()), detail: /too many aliases/ },
  { name: 'a few laughs of a megabyte', ...yaml(heavy), detail: /too large when its aliases/ },
  { name: 'an alias that contains itself', ...yaml(`${head}x-a: &a [*a]`), detail: /leads back/ },
  {
    name: 'an alias that contains itself further down',
    ...yaml(`${head}x-a: &a {b: {c: [1, *a]}}`),
    detail: /leads back/,
  },
  { name: 'an alias of nothing', ...yaml(`${head}x-a: *a`), detail: /aliases|not YAML/ },
  {
    name: 'JSON nested deeply',
    document: `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
    detail: /nested/,
  },
  { name: 'YAML nested deeply', ...yaml(`a: ${'['.repeat(20_000)}`), detail: /nested|not YAML|too long/ },
  {
    name: 'YAML in a staircase',
    ...yaml(Array.from({ length: 300 }, (_, n) => `${' '.repeat(n)}a:`).join('\n')),
    detail: /nested/,
  },
  { name: 'a million values', document: `{"a":[${'0,'.repeat(1_100_000)}0]}`, detail: /too large/ },
  {
    name: 'more than 5 MB',
    document: `{"a":"${'x'.repeat(5 * 1024 * 1024)}"}`,
    detail: /5120 KiB/,
    status: 413,
    code: 'too-large',
  },
  // Leads elsewhere.
  {
    name: 'a reference to a file',
    document: withGet({ responses: { 200: { $ref: 'file:///etc/passwd' } } }),
    detail: /leads out/,
    pointer: '/paths/~1a/get/responses/200/$ref',
  },
  {
    name: 'a reference to a URL',
    document: withGet({ responses: { 200: { $ref: `${external}/x.json` } } }),
    detail: /Nothing is fetched/,
  },
  {
    name: 'a reference to a neighbour',
    document: withGet({ responses: { 200: { $ref: './common.yaml#/a' } } }),
    detail: /leads out/,
  },
  {
    name: 'a path that is elsewhere',
    document: documentOf({ '/a': { $ref: `${external}/paths.json#/a` } }),
    detail: /leads out/,
  },
  {
    name: 'a reference that leads nowhere',
    document: withGet({ responses: { 200: { $ref: '#/components/responses/None' } } }),
    detail: /leads nowhere/,
  },
  {
    name: 'a reference into what all objects inherit',
    document: documentOf({}, { components: { schemas: { A: { $ref: '#/constructor/prototype' } } } }),
    detail: /leads nowhere/,
  },
  {
    name: 'a reference into __proto__',
    document: documentOf({}, { components: { schemas: { A: { $ref: '#/__proto__/polluted' } } } }),
    detail: /leads nowhere/,
  },
  {
    name: 'a path that refers to itself',
    document: documentOf({ '/a': { $ref: '#/paths/~1a' } }),
    detail: /circle/,
  },
  {
    name: 'a key __proto__',
    document: '{"openapi":"3.1.0","__proto__":{"polluted":true}}',
    detail: /__proto__/,
  },
  { name: 'a key __proto__ in YAML', ...yaml(`${head}__proto__: {polluted: true}`), detail: /__proto__/ },
  // Is not OpenAPI.
  ...([null, 1, 'x', [], [1]] as unknown[]).map((one) => ({
    name: `JSON ${JSON.stringify(one)}`,
    document: JSON.stringify(one),
    detail: /not an object/,
  })),
  {
    name: 'an object of no kind',
    document: {},
    detail: /does not say that it is OpenAPI/,
    pointer: '/openapi',
  },
  {
    name: 'Swagger 2.0',
    document: { swagger: '2.0', info: { title: 'T', version: '1' }, paths: {} },
    detail: /3\.0 or 3\.1/,
  },
  { name: 'a version to come', document: { ...documentOf({}), openapi: '4.0.0' }, detail: /3\.0 or 3\.1/ },
  { name: 'no info', document: { openapi: '3.1.0', paths: {} }, detail: /info/ },
  {
    name: 'a field that OpenAPI does not have',
    document: withGet({ responces: {} }),
    detail: /responces/,
    pointer: '/paths/~1a/get',
  },
  { name: 'paths that are a list', document: { ...documentOf({}), paths: [] }, detail: /not OpenAPI 3\.1/ },
  // Cannot be enforced.
  {
    name: 'no security',
    document: documentOf({ '/a': { get: { responses: { 200: { description: 'ok' } } } } }),
    detail: /"security": \[\] if it is public/,
    pointer: '/paths/~1a/get',
  },
  {
    name: 'one scope or another',
    document: withGet({ security: [{ pat: ['posts:read'] }, { pat: ['posts:write'] }] }),
    detail: /cannot be enforced/,
  },
  {
    name: 'a token and a session at once',
    document: withGet({ security: [{ pat: [], session: [] }] }),
    detail: /at once/,
  },
  {
    name: 'scopes that nobody needs to have',
    document: withGet({ security: [{ pat: ['posts:read'] }, {}] }),
    detail: /lets everybody in/,
  },
  {
    name: 'a scheme that is not there',
    document: withGet({ security: [{ pet: [] }] }),
    detail: /Did you mean "pat"/,
  },
  {
    name: 'only schemes that Latchkey does not know',
    document: withGet(
      { security: [{ key: [] }] },
      schemes({ key: { type: 'apiKey', in: 'query', name: 'k' } }),
    ),
    detail: /x-latchkey\.access/,
  },
  {
    name: 'a scope that nobody declares',
    document: withGet({ security: [{ pat: ['posts:raed'] }] }),
    detail: /Did you mean "posts:read"/,
    code: 'unknown-scope',
  },
  {
    name: 'scopes that differ',
    document: latchkeySays({ scopes: ['posts:write'] }),
    detail: /different scopes/,
  },
  {
    name: 'public with scopes',
    document: latchkeySays({ scopes: ['posts:read'] }, []),
    detail: /takes none/,
  },
  {
    name: 'said to be public, but not',
    document: latchkeySays({ access: 'public' }),
    detail: /its security says token/,
  },
  {
    name: 'a webhook with a token',
    document: latchkeySays({ access: 'webhook-ingress' }),
    detail: /signature of its own/,
  },
  {
    name: 'admin-only without a token',
    document: latchkeySays({ access: 'admin-only' }, []),
    detail: /bearer scheme/,
  },
  {
    name: 'a kind of access that does not exist',
    document: latchkeySays({ access: 'dual' }),
    detail: /Must be one of both/,
  },
  {
    name: 'a key that x-latchkey does not have',
    document: latchkeySays({ acess: 'public' }),
    detail: /Did you mean "access"/,
    pointer: '/paths/~1a/get/x-latchkey/acess',
  },
  { name: 'x-latchkey that is a list', document: latchkeySays([]), detail: /Must be an object/ },
  {
    name: 'an error that nobody explains',
    document: latchkeySays({ errors: ['conflct'] }),
    detail: /Did you mean "conflict"/,
  },
  {
    name: 'an error that is explained twice',
    document: latchkeySays({ errors: [{ code: 'conflict', status: 409, meaning: 'x', whatToDo: 'x' }] }),
    detail: /explained by Latchkey/,
  },
  {
    name: 'x-latchkey where it says nothing',
    document: documentOf({}, { 'x-latchkey': { hidden: true } }),
    detail: /belongs into an operation/,
  },
  { name: 'an id with a dot', document: withGet({ operationId: 'posts.list' }), detail: /no dots/ },
  {
    name: 'an id twice',
    document: paths({
      '/b': { get: operation([], { operationId: 'x' }), put: operation([], { operationId: 'x' }) },
    }),
    detail: /stands for GET \/b already/,
    pointer: '/paths/~1b/put/operationId',
  },
  {
    name: 'one path under two names',
    document: paths({ '/b/{x}': { get: operation() }, '/b/{y}': { get: operation() } }),
    detail: /the same to a gateway/,
  },
  {
    name: 'a path with and without a slash',
    document: paths({ '/b': { get: operation() }, '/b/': { get: operation() } }),
    detail: /the same to a gateway/,
  },
  ...['/a//b', '/a/../b', '/a;b', '/a%2Fb', '/a\\b', '/a?b', '/a#b', '/{a}{b}', '/{a', '/{a}/{a}', '/a*'].map(
    (path) => ({
      name: `the path ${path}`,
      document: paths({ [path]: { get: operation() } }),
      detail: /^The path "/,
    }),
  ),
  {
    name: 'servers of one operation',
    document: withGet({ servers: [{ url: 'https://other.example' }] }),
    detail: /servers of a single operation/,
  },
  {
    name: 'a server that is no place',
    document: documentOf({}, { servers: [{ url: 'ftp://files.example/' }] }),
    detail: /http or https/,
  },
  {
    name: 'a server with a password',
    document: documentOf({}, { servers: [{ url: 'https://a:b@x.example/' }] }),
    detail: /without user/,
  },
]

for (const engine of engines) {
  t.test(engine, async (t) => {
    const latchkey = await startLatchkey(t, engine)
    const { db } = latchkey.running.store
    await registerPosts(latchkey)
    let fetched = 0
    const trap = createServer((_request, response) => {
      fetched += 1
      response.end('{}')
    }).listen(0, '127.0.0.1')
    t.teardown(() => trap.close())
    await new Promise((ready) => trap.once('listening', ready))
    const hostile = cases(`http://127.0.0.1:${(trap.address() as AddressInfo).port}`)

    t.test('each is refused for what is wrong with it, and changes nothing', async (t) => {
      const good = await putDocument(latchkey, 'posts', paths({}))
      t.equal(good.status, 200, good.text)
      const catalog = async () =>
        (await latchkey.call('GET', '/api/programmatic/catalog', undefined, { token: null })).text
      const [rows, shown] = [await everyRow(db), await catalog()]
      for (const {
        name,
        document,
        detail,
        yaml: isYaml,
        status = 400,
        code = 'validation-failed',
        pointer,
      } of hostile) {
        const begun = performance.now()
        const answer = await putDocument(latchkey, 'posts', document, {
          type: isYaml ? 'application/yaml' : 'application/json',
        })
        const body = { status: answer.status, ...answer.body }
        t.match(body, { status, code, detail, ...(pointer && { errors: [{ pointer }] }) }, name)
        t.ok((answer.body.errors ?? []).length <= 20)
        const took = performance.now() - begun
        if (took > 2_000) t.comment(`${name}: ${took.toFixed(0)} ms`)
      }
      t.equal(await everyRow(db), rows)
      t.equal(await catalog(), shown)
      t.equal(fetched, 0)
      t.equal(({} as { polluted?: boolean }).polluted, undefined)
      t.comment(`${hostile.length} documents`)
      t.ok(hostile.length >= 70)
    })

    t.test('only the media types of OpenAPI are taken', async (t) => {
      for (const type of [
        'text/plain',
        'application/xml',
        'application/x-www-form-urlencoded',
        'multipart/form-data; boundary=x',
      ])
        t.match(
          await putDocument(latchkey, 'posts', '{}', { type }),
          { status: 415, body: { code: 'unsupported-media-type' } },
          type,
        )
      t.equal(
        (
          await latchkey.call(
            'POST',
            '/api/v1/services',
            {},
            { headers: { 'content-type': 'application/yaml' } },
          )
        ).status,
        415,
        'and only here',
      )
    })

    t.test('checks of tokens do not wait for a document that takes long', async (t) => {
      const slow = `a: [${','.repeat(100_000)}]`
      let reading = true
      const put = putDocument(latchkey, 'posts', slow, { type: 'application/yaml' }).finally(() => {
        reading = false
      })
      let [checks, slowest] = [0, 0]
      while (reading) {
        const begun = performance.now()
        t.equal((await latchkey.call('GET', '/api/v1/tokens/self')).status, 200)
        slowest = Math.max(slowest, performance.now() - begun)
        checks += 1
      }
      t.equal((await put).status, 400)
      t.comment(`${checks} checks meanwhile, the slowest took ${slowest.toFixed(0)} ms`)
      t.ok(checks > 5)
    })
  })
}
