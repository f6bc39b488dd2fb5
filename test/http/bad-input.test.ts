// Whatever is sent, on both engines: the answer is as documented or a documented 4xx, never a 5xx, and what is refused
// writes nothing. The fields come from /openapi.json, so a new one is tried without anybody thinking of it.
import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import type { Db } from '../../src/db/tables.ts'
import { problems } from '../../src/http/problems.ts'
import {
  basic,
  engines,
  type Latchkey,
  provision,
  registerPosts,
  startLatchkey,
} from '../helpers/latchkey.ts'

type Sent = { method: string; path: string; headers?: Record<string, string>; body?: string | Buffer }
type Got = { status: number; headers: IncomingHttpHeaders; text: string }
// biome-ignore lint/suspicious/noExplicitAny: a JSON schema
type Schema = any
type Operation = { method: string; path: string; body: Schema | null; query: string[] }

/** Stands where a bad value goes; replaced in the JSON text, because JSON.stringify cannot write all of them. */
const hole = '@hole@'

/** A proper body for each operation that takes one, and where it goes. */
const examples: Record<string, (n: number) => { path?: string; body: Record<string, unknown> }> = {
  provisionToken: () => ({ body: { name: 'ci', subject: 'user_42', scopes: ['posts:read'] } }),
  narrowToken: () => ({ body: {} }),
  rotateToken: () => ({ body: {} }),
  // Like rotateToken; done for real, it would end the token that all calls here are made with.
  rotateSelf: () => ({ path: '/api/v1/tokens/nobody/rotate', body: {} }),
  checkToken: () => ({ body: { token: 'lk_pat_x' } }),
  checkTokens: () => ({ body: { checks: [{ token: 'lk_pat_x' }] } }),
  registerService: (n) => ({ body: { id: `s${n}`, name: 'S' } }),
  addCredential: () => ({ body: {} }),
  declareScopes: () => ({
    path: '/api/v1/services/scoped/scopes',
    body: {
      groups: [
        { id: 'x', title: 'X' },
        { id: 'g', title: 'G' },
      ],
      scopes: [{ name: 'scoped:read', title: 'R', group: 'g' }],
      presets: [{ id: 'p', title: 'P', scopes: ['posts:read'] }],
      jobs: [{ job: 'J', scopes: ['posts:read'] }],
      workflows: [
        {
          id: 'w',
          title: 'W',
          scopes: ['posts:read'],
          steps: [{ id: 's', endpoint: 'readSelf', save: {}, use: {} }],
        },
      ],
    },
  }),
  publishOpenapi: () => ({ path: '/api/v1/services/scoped/openapi', body: {} }),
  changeService: () => ({ path: '/api/v1/services/scoped', body: {} }),
  findScopes: () => ({ body: { endpoints: [{ method: 'GET', path: '/livez' }] } }),
  changeSubject: () => ({ body: {} }),
  createTrustPolicy: () => ({
    body: {
      name: 'ci',
      issuer: 'https://token.actions.githubusercontent.com',
      conditions: { repository_id: '1', repository_owner_id: '2' },
      scopes: ['posts:read'],
    },
  }),
  changeTrustPolicy: () => ({ body: {} }),
  testTrustPolicy: () => ({ body: {} }),
  mcp: (n) => ({
    body: { jsonrpc: '2.0', id: n, method: 'tools/call', params: { name: 'whoami', arguments: {} } },
  }),
}

const texts = [
  '',
  ' ',
  'x'.repeat(10_000),
  'é'.repeat(4_001),
  '\0',
  'a\0b',
  '\ud800',
  'a\udfffb',
  '\u0007',
  '\u001b[31m',
  '\u007f',
  '\u0085',
  'a\nb',
  'a\r\nSet-Cookie: b',
  '\u202egnp.exe',
  'שלום',
  'e\u0301\u0327\u0323'.repeat(20),
  '👩‍👩‍👧‍👦',
  '__proto__',
  'constructor',
  'toString',
  'NaN',
  '-0',
  '1e99',
  '-Infinity',
  '0x10',
  'null',
  '9007199254740993',
  '2027-02-30T00:00:00Z',
  '2027-01-01T23:59:60Z',
  '0000-01-01T00:00:00Z',
  '0001-01-01T00:00:00+23:59',
  '9999-12-31T23:59:59-23:59',
  '+010000-01-01T00:00:00Z',
  '2027-01-01t00:00:00z',
  '2027-01-01 00:00:00Z',
  '2027-01-01T00:00:00.123456789123456789Z',
  '2027-01-01',
  'P1Y',
  '999999999w',
  '10.0.0.0/99',
  'fe80::1%eth0',
  "'; drop table token; --",
  '%',
  '\\',
  '_%_\\%',
  '../../etc/passwd',
]
const deep = (open: string, close: string, depth: number) => open.repeat(depth) + close.repeat(depth)
const deepArray = deep('[', ']', 10_000)
const deepObject = `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`
/** Items without spaces, one after the other. */
const words = (text: string) => text.trim().split(/\s+/)

/** As JSON text. */
const values = [
  ...texts.map((text) => JSON.stringify(text)),
  ...words(`null true 0 -0 -1 1.5 1e99 1e400 -1e400 2147483648 9007199254740993 [] {} [[]] [null] [1] [{}] [""]
    ["\\u0000"] ["\\ud800"] [true,false] {"a":{"b":[{}]}} {"toString":1} {"constructor":"x"} {"__proto__":1} {"":1}
    {"\\u0000":1} {"constructor":{"prototype":{"a":1}}} {"a":null} {"a":"\\u0000"} {"a":1e400}
    ["posts:read","posts:read"]`),
  `[${Array.from({ length: 1000 }, (_, n) => `"s${n}:read"`).join()}]`,
  `{${Array.from({ length: 21 }, (_, n) => `"k${n}":1`).join()}}`,
  deepArray,
  deepObject,
]
const names = [
  ...words('__proto__ constructor toString NAME'),
  '',
  ' ',
  'na\0me',
  '\ud800',
  'x'.repeat(5_000),
]

/** Bodies that are right nowhere. */
const bodies: (string | Buffer)[] = [
  ...words(`null true 1 "x" [] [{}] { } {] {"a":} {"a":1,} {'a':1} {"a":NaN} {"a":Infinity} {"a":undefined} {"a":01}
    {"a":+1} {a:1} {}{} {}x /**/{"x":1} {"__proto__":{"admin":true}} {"constructor":{"prototype":{"admin":true}}}
    {"a":"\\x"} {"a":"\\u12"} {"\\u005f_proto__":1} <?xml?> name=ci {"name":"a","name":{}} {"token":"a","token":[]}
    {"id":"a","id":0,"name":"x"} {"disabled":true,"disabled":3}`),
  ...['', ' ', '{"a" 1}', '{"a":"\n"}', '{"a":"\0"}', '\0', '{"x":1}\0', deepArray, deepObject],
  `{${Array.from({ length: 4_000 }, (_, n) => `"k${n}":1`).join()}}`,
  `{"name":"${'x'.repeat(60_000)}"}`,
  `{"name":"${'x'.repeat(1_000_000)}"}`,
  Buffer.from('{"x":"\xff\xfe"}', 'latin1'),
  Buffer.from([0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00]),
  Buffer.from([0x1f, 0x8b, 0x08, 0x00, 0x00]),
]

const jsonTypes = [
  ...words('application/json APPLICATION/JSON Application/Json'),
  'application/\tjson',
  'application /json',
]
const otherTypes =
  words(`application/jsonx application/jso json text/json text/plain application/ld+json */* / ;
  multipart/form-data;boundary=x application/octet-stream __proto__ constructor application/json/json
  application/json,application/json application/json+xml ${'a'.repeat(500)}`)
const endings = [
  ...words('; ;; ;charset=UTF-8 ;charset="utf-8" ;charset=utf-16 ;charset'),
  '\t',
  ' ;x',
  '\t;\tx=y',
]
const contentTypes = [...jsonTypes, ...otherTypes].flatMap((type) => [
  ...[type, ` ${type}`, `\t${type}`],
  ...endings.map((end) => type + end),
])

const badSegments =
  words(`%00 a%00b %2f a%2fb %5c .. %2e%2e . %ff %ed%a0%80 %c0%af % %z %0 %0a %0d%0a %7f __proto__
  constructor toString ;a=b a;b %20 + * ' %22 %e2%80%aex -1 1e99 NaN tok_ tok_%00 self%00 self%2f
  ${'a'.repeat(64)} ${'a'.repeat(65)} ${'a'.repeat(201)} ${'a'.repeat(5_000)}`)
const badPaths =
  words(`// /// /% /%zz /%00 /. /.. /../ /%2e%2e/ /\\ /api//v1/tokens //api/v1/tokens /api/v1//tokens
  /api/v1/tokens/ /api/v1/tokens// /api/v1/./tokens /api/v1/../v1/tokens /API/v1/tokens /api/v1/tokens%2fself
  /api/v1/tokens;x=1 /api/v1/tokens%00 /api/v1/tokens%20 /api/v1/%74okens% /api%2fv1 /api/v1/tokens/self/
  /api/v1/tokens/self/self /docs/../package.json /docs/static/..%2f..%2f..%2fpackage.json /docs/static/%00
  /docs/static/%2e%2e/%2e%2e/package.json /docs/static/..%5c..%5cpackage.json /problems/__proto__ /problems/constructor
  /problems/%00 /.git/config /.env /metrics /api/v1 /oauth2`)
const badQueries = words(
  '?% ?%zz ?%00 ?= ?& ?a ?__proto__=1 ?constructor[a]=1 ?limit[]=1 ?limit[__proto__]=1 ??',
)

const shortTexts = texts.filter((text) => text.length < 1_000).map(encoded)

for (const engine of engines) {
  t.test(engine, async (t) => {
    const latchkey = await startLatchkey(t, engine)
    const posts = await registerPosts(latchkey)
    await latchkey.call('POST', '/api/v1/services', { id: 'scoped', name: 'Scoped' })
    const token = await provision(latchkey)
    const operations = await readOperations(latchkey, { id: token.id, service: 'scoped', subject: 'user_43' })
    const json = { authorization: `Bearer ${latchkey.admin}`, 'content-type': 'application/json' }
    const form = { ...basic(posts.id, posts.secret), 'content-type': 'application/x-www-form-urlencoded' }
    const agent = new Agent({ keepAlive: true })
    t.teardown(() => agent.destroy())

    let tried = 0
    let n = 0
    let granted = 0
    let wrong: string[] = []
    let rows = await rowCounts(latchkey.running.store.db)
    /** Sends, and notes what is wrong with the answer, if anything. */
    async function attempt(sent: Sent, allowed: 'refused' | 'either', pointer?: string): Promise<Got> {
      const got = await send(latchkey.url, agent, sent)
      tried += 1
      const refused = got.status >= 400
      const finding =
        (!refused && allowed === 'refused' && `answered ${got.status}`) ||
        (refused && refusalFinding(sent.path, got, pointer))
      if (finding) wrong.push(`${describe(sent)}: ${finding} ${got.text.slice(0, 200)}`)
      if (!refused && sent.method !== 'GET' && !/^\/oauth2|\/verify|scopes-for|\/mcp/.test(sent.path))
        granted += 1
      return got
    }
    /** Nothing is there that was refused: each change that was granted has left one audit event, and nothing else has. */
    async function countRows(what: string): Promise<void> {
      const now = await rowCounts(latchkey.running.store.db)
      const asGranted = granted === 0 ? now.all === rows.all : now.audit === rows.audit + granted
      if (!asGranted) wrong.push(`${what}: ${granted} granted, but ${rows.all} → ${now.all}`)
      rows = now
      granted = 0
    }
    async function report(t: Test): Promise<void> {
      await countRows('all in all')
      t.comment(`${tried} tried on ${engine}`)
      for (const one of wrong.slice(0, 10)) t.fail(one, { diff: '', source: '', stack: '', at: null })
      t.equal(wrong.length, 0, 'wrong answers')
      wrong = []
      tried = 0
    }

    t.test(
      'a bad value in any field of any JSON body is refused by a pointer to it, and nothing is written',
      async (t) => {
        for (const [id, { method, path, body }] of operations) {
          if (body === null) continue
          const example = examples[id]
          if (!example) throw new Error(`Give "${id}" a proper body in the table examples of this file`)
          for (const pointer of pointersOf(body)) {
            for (const value of values) {
              const base = example(++n)
              const text = JSON.stringify(withHole(base.body, pointer)).replace(`"${hole}"`, () => value)
              await attempt({ method, path: base.path ?? path, headers: json, body: text }, 'either', pointer)
            }
            await countRows(`${id} ${pointer}`)
          }
          for (const name of names) {
            const base = example(++n)
            const field = `${JSON.stringify(name)}:1`
            const text = JSON.stringify({ ...base.body, [hole]: 1 }).replace(`"${hole}":1`, () => field)
            await attempt({ method, path: base.path ?? path, headers: json, body: text }, 'refused')
          }
        }
        await report(t)
      },
    )

    t.test('a body that is no JSON object, too large, too deep or not UTF-8 is refused', async (t) => {
      for (const [, { method, path, body }] of operations) {
        if (body === null) continue
        // Nothing at all is a wish to rotate as usual.
        const isOptional = path.endsWith('/rotate')
        for (const text of bodies.filter((one) => one !== '' || !isOptional))
          await attempt({ method, path, headers: json, body: text }, 'refused')
      }
      await report(t)
    })

    // CVE-2025-32442, CVE-2026-25223, CVE-2026-33806: a content type spelled oddly skipped the schema.
    t.test('no spelling of the content type gets a body past its schema', async (t) => {
      const { 'content-type': _, ...untyped } = json
      const bad = '{"name":"ci","subject":"user_42","surprise":1}'
      const path = '/api/v1/tokens'
      for (const type of contentTypes) {
        await attempt(
          { method: 'POST', path, headers: { ...untyped, 'content-type': type }, body: bad },
          'refused',
        )
      }
      for (const type of otherTypes) {
        const got = await attempt(
          { method: 'POST', path, headers: { ...untyped, 'content-type': type }, body: '{"name":"ci"}' },
          'refused',
        )
        t.equal(got.status, 415, type)
      }
      for (const body of ['', '{"name":"ci"}']) {
        await attempt({ method: 'POST', path, headers: untyped, body }, 'refused')
      }
      await report(t)
    })

    t.test('a bad query parameter is refused or means nothing, alone and repeated', async (t) => {
      for (const [, { method, path, query }] of operations) {
        if (method !== 'GET') continue
        for (const name of query) {
          for (const text of shortTexts) {
            await attempt({ method, path: `${path}?${name}=${text}`, headers: json }, 'either')
          }
          await attempt({ method, path: `${path}?${name}=a&${name}=a`, headers: json }, 'refused')
        }
        for (const text of badQueries) await attempt({ method, path: path + text, headers: json }, 'either')
      }
      await report(t)
    })

    t.test('a bad path is found nowhere, and a bad id names nothing', async (t) => {
      for (const path of badPaths) {
        for (const method of ['GET', 'POST', 'DELETE'])
          await attempt({ method, path, headers: json, body: '{}' }, 'refused')
      }
      for (const [id, { method, path, body }] of operations) {
        const template = [...operations.templates.get(id)!]
        for (const segment of template.length > 1 ? badSegments : []) {
          for (let at = 1; at < template.length; at++) {
            const bad = path.split(template[at]!).join(segment)
            const text = body === null ? undefined : JSON.stringify(examples[id]!(++n).body)
            await attempt({ method, path: bad, headers: json, ...(text && { body: text }) }, 'either')
          }
        }
      }
      await report(t)
    })

    t.test('a bad form is refused in OAuth’s own words, or finds no token', async (t) => {
      const { authorization: _, ...anonymous } = form
      for (const path of ['/oauth2/introspect', '/oauth2/revoke', '/oauth2/token']) {
        const post = (
          headers: Record<string, string>,
          body: string | Buffer,
          allowed: 'refused' | 'either',
        ) => attempt({ method: 'POST', path, headers, body }, allowed)
        for (const name of words(
          'token token_type_hint client_id client_secret client_ip scope team __proto__',
        )) {
          for (const text of path === '/oauth2/token' ? [] : shortTexts) {
            const body = name === 'token' ? `token=${text}` : `token=lk_pat_x&${name}=${text}`
            const got = await post(form, body, 'either')
            if (got.status === 200) t.match(got.text, /^\{("active":false)?\}$/)
            if (name.startsWith('client')) await post(anonymous, `${body}&client_secret=x`, 'refused')
          }
          await post(form, `token=lk_pat_x&${name}=a&${name}=a`, 'refused')
        }
        const malformed = words('% token=% token=%zz = & token token[]=a')
        for (const body of [...bodies, ...malformed, 'token=a'.repeat(20_000)])
          await post(form, body, 'either')
        for (const type of path === '/oauth2/introspect' ? contentTypes : otherTypes) {
          await post({ ...form, 'content-type': type }, '{"token":"a"}', 'refused')
        }
      }
      await report(t)
    })

    t.test('a bad Authorization header is refused like a missing one', async (t) => {
      const credentials = [
        ':',
        'a',
        'a:',
        ':b',
        '\0:\0',
        'posts:\0',
        'posts\0:x',
        'a:%',
        '%ff:b',
        '%00:x',
        'é:ü',
        '__proto__:x',
        'x'.repeat(9_000),
      ]
      const headers = [
        ...[
          '',
          ' ',
          'Bearer',
          'Bearer ',
          'Bearer  x',
          'bearer x',
          'Bearer x y',
          'Bearer x,Bearer y',
          'Bearer\tx',
          'Bearer é',
        ],
        ...[
          'Bearer __proto__',
          'Basic',
          'Basic =',
          'Basic ====',
          'Digest x',
          'Negotiate',
          'x'.repeat(9_000),
          `Bearer ${'x'.repeat(9_000)}`,
        ],
        ...[
          `Bearer ${latchkey.admin}x`,
          `Bearer ${latchkey.admin.slice(0, -1)}`,
          `Bearer ${latchkey.admin.toUpperCase()}`,
        ],
        ...credentials.map((text) => `Basic ${Buffer.from(text).toString('base64')}`),
        ...credentials.map((text) => `Basic ${Buffer.from(text, 'latin1').toString('base64url')}`),
      ]
      for (const authorization of headers) {
        for (const [path, body] of [
          ['/api/v1/tokens', '{"name":"ci"}'],
          ['/api/v1/verify', '{"token":"x"}'],
          ['/oauth2/introspect', 'token=x'],
          ['/oauth2/revoke', 'token=x'],
        ] as const) {
          const type = path.startsWith('/oauth2') ? form['content-type'] : json['content-type']
          const sent = { method: 'POST', path, headers: { authorization, 'content-type': type }, body }
          const got = await attempt(sent, 'refused')
          t.equal(got.status, 401, authorization.slice(0, 60))
          t.type(got.headers['www-authenticate'], 'string')
        }
      }
      await report(t)
    })

    t.test('after all that Latchkey works, and has logged no failure of its own', async (t) => {
      t.equal((await provision(latchkey)).active, true)
      t.notMatch(latchkey.log(), 'request failed')
    })
  })
}

function send(url: string, agent: Agent, { method, path, headers = {}, body }: Sent): Promise<Got> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
    const sent = request(
      { agent, hostname, port, method, path, headers: { ...headers, ...length } },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk) => chunks.push(chunk))
        response.on('end', () =>
          resolve({
            status: response.statusCode!,
            headers: response.headers,
            text: Buffer.concat(chunks).toString(),
          }),
        )
      },
    )
    sent.on('error', (error) =>
      reject(new Error(`${describe({ method, path, body: body ?? '' })}: ${error}`)),
    )
    sent.end(body)
  })
}

/** All rows of all tables but those that are written by the clock: use, and the refusals of known tokens. */
async function rowCounts(db: Db): Promise<{ all: string; audit: number }> {
  const { rows } = await sql<{ all: string; audit: number }>`select concat_ws(' ',
    (select count(*) from token), (select count(*) from token_secret), (select count(*) from subject),
    (select count(*) from service), (select count(*) from service_secret), (select count(*) from scope_group),
    (select count(*) from scope), (select count(*) from digest_key), (select count(*) from service_document),
    (select count(*) from service_guidance), (select count(*) from trust_policy),
    (select count(*) from federated_use), audit) as "all", audit
    from (select count(*)::int as audit from audit_event where action <> 'token.refused') a`.execute(db)
  return rows[0]!
}

async function readOperations(latchkey: Latchkey, ids: Record<'id' | 'service' | 'subject', string>) {
  const { body: document } = await latchkey.call('GET', '/openapi.json')
  const operations = new Map<string, Operation>()
  const templates = new Map<string, string[]>()
  for (const [template, methods] of Object.entries<Schema>(document.paths)) {
    const id = template.includes('/services/')
      ? ids.service
      : template.includes('/subjects/')
        ? ids.subject
        : ids.id
    const path = template
      .replace('{id}', id)
      .replace('{credentialId}', 'sec_1')
      .replace('{code}', 'conflict')
      .replace('{service}', 'latchkey')
    for (const [method, operation] of Object.entries<Schema>(methods)) {
      // A stream has no end to wait for.
      if (operation.responses?.['200']?.content?.['text/event-stream']) continue
      const body = operation.requestBody?.content['application/json']?.schema ?? null
      const parameters: Schema[] = operation.parameters ?? []
      const query = parameters.filter((one) => one.in === 'query').map((one) => one.name)
      operations.set(operation.operationId, { method: method.toUpperCase(), path, body, query })
      const inPath = [id, 'sec_1', 'conflict'].filter((one) => template.includes('{') && path.includes(one))
      templates.set(operation.operationId, ['', ...inPath])
    }
  }
  return Object.assign(operations, { templates })
}

/** Every field of a schema, as JSON pointers; the first item stands for all. */
function pointersOf(schema: Schema, at = ''): string[] {
  const own = at === '' ? [] : [at]
  const fields = Object.entries(schema.properties ?? {}).flatMap(([name, one]) =>
    pointersOf(one, `${at}/${name}`),
  )
  const items = schema.items ? pointersOf(schema.items, `${at}/0`) : []
  const keyed = schema.patternProperties ? [`${at}/key`, `${at}/__proto__`, `${at}/constructor`] : []
  const either = (schema.anyOf ?? []).flatMap((one: Schema) => pointersOf(one, at))
  return [...new Set([...own, ...fields, ...items, ...keyed, ...either])]
}

function withHole(base: Record<string, unknown>, pointer: string): unknown {
  const copy = structuredClone(base)
  let at: Record<string, unknown> = copy
  const path = pointer.slice(1).split('/')
  for (const [index, step] of path.entries()) {
    const next =
      index === path.length - 1
        ? hole
        : (Object.hasOwn(at, step) && at[step]) || (path[index + 1] === '0' ? [] : {})
    Object.defineProperty(at, step, { value: next, enumerable: true, configurable: true, writable: true })
    at = at[step] as Record<string, unknown>
  }
  return copy
}

/** As a careless client would: bytes that are no UTF-8 for a lone surrogate. */
function encoded(text: string): string {
  return /\p{Surrogate}/u.test(text) ? '%ed%a0%80' : encodeURIComponent(text)
}

function refusalFinding(path: string, got: Got, pointer?: string): string | null {
  if (got.status >= 500) return `answered ${got.status}`
  // A gateway understands nothing else, and reads no body.
  if (path.startsWith('/forward-auth?') && [401, 403].includes(got.status)) return null
  return path.startsWith('/oauth2/') ? oauthFinding(got) : problemFinding(got, pointer)
}

function problemFinding({ status, headers, text }: Got, pointer?: string): string | null {
  if (!headers['content-type']?.startsWith('application/problem+json'))
    return `content type ${headers['content-type']}`
  const problem = JSON.parse(text)
  const kind = Object.hasOwn(problems, problem.code) ? problems[problem.code as keyof typeof problems] : null
  if (kind?.status !== status || problem.status !== status)
    return `${status} is not the status of ${problem.code}`
  if (problem.message !== problem.detail || !problem.message) return 'has no message'
  if (!problem.requestId || headers['x-request-id'] !== problem.requestId) return 'has no requestId'
  if (headers['cache-control'] !== 'no-store' || headers['x-content-type-options'] !== 'nosniff')
    return 'lacks headers'
  if (/\bat .*\.[jt]s:|select |insert |node_modules/.test(text)) return 'shows its insides'
  // Without groups it is the scopes that are wrong.
  if (pointer === undefined || pointer === '/groups' || problem.code !== 'validation-failed') return null
  const pointers: string[] = problem.errors.map((error: { pointer: string }) => error.pointer)
  return pointers.some((one) => one.startsWith(pointer) || pointer.startsWith(one))
    ? null
    : `points to ${pointers}`
}

function oauthFinding({ headers, text }: Got): string | null {
  if (!headers['content-type']?.startsWith('application/json'))
    return `content type ${headers['content-type']}`
  const { error, error_description, ...more } = JSON.parse(text)
  if (!/^[a-z_]+$/.test(error) || Object.keys(more).length > 0) return 'is no OAuth error'
  // RFC 6749 §5.2
  return /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/.test(error_description)
    ? null
    : 'has characters that OAuth forbids'
}

const describe = ({ method, path, headers, body = '' }: Sent) =>
  `${method} ${path.slice(0, 120)} ${headers?.['content-type'] ?? ''} ${JSON.stringify(body.toString().slice(0, 160))}`
