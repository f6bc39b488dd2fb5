// The keys of issuers: fetched only from where it is safe, kept, asked for again, and never more often than the
// cool-down, so that whoever presents tokens cannot have us hammer anybody.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { createFetchJson, type FetchJson } from '../../src/identity/trust/fetch-json.ts'
import { wrongIssuer } from '../../src/identity/trust/issuer.ts'
import { type Jwt, readJwt } from '../../src/identity/trust/jwt.ts'
import { coolDownMs, createCheckSignature, IssuerOutOfReach } from '../../src/identity/trust/keys.ts'
import { isPublicAddress } from '../../src/identity/trust/public-address.ts'
import { type CiIssuer, githubClaims, newKey, startCiIssuer } from '../helpers/ci-issuer.ts'

async function withKeys(
  issuer: CiIssuer,
  fetchJson: FetchJson = createFetchJson([new URL(issuer.url).origin]),
) {
  const clock = { now: 0 }
  const troubles: string[] = []
  const check = createCheckSignature(
    fetchJson,
    () => clock.now,
    (_issuer, error) => troubles.push(error.message),
  )
  const jwt = async (signing = {}) =>
    readJwt(await issuer.sign(githubClaims(issuer.url, 'x', 0), signing)) as Jwt
  const ask = async (signing = {}) => {
    const token = await jwt(signing)
    return check(token, issuer.url).catch((error) =>
      error instanceof IssuerOutOfReach ? 'out of reach' : Promise.reject(error),
    )
  }
  return { clock, troubles, ask }
}

t.test('keys are asked for once, whoever needs them at the same time', async (t) => {
  const issuer = await startCiIssuer(t)
  const { ask } = await withKeys(issuer)
  t.strictSame(await Promise.all(Array.from({ length: 20 }, () => ask())), Array(20).fill(null))
  t.strictSame(issuer.asked, ['/.well-known/openid-configuration', '/jwks'])
})

t.test('a key that is not there is asked for once in each cool-down', async (t) => {
  const issuer = await startCiIssuer(t)
  const { ask, clock } = await withKeys(issuer)
  const fresh = await newKey('ES256')
  t.equal(await ask({ key: fresh }), 'unknown_key')
  issuer.keys.push(fresh)
  for (let n = 0; n < 50; n++) t.equal(await ask({ key: fresh, header: { kid: `k${n}` } }), 'unknown_key')
  t.equal(issuer.asked.length, 2)
  clock.now += coolDownMs
  t.strictSame(await Promise.all(Array.from({ length: 20 }, () => ask({ key: fresh }))), Array(20).fill(null))
  t.equal(issuer.asked.length, 4, 'rotated to, and asked once')
})

t.test('a key that is withdrawn stops working when the keys are asked for again', async (t) => {
  const issuer = await startCiIssuer(t)
  const { ask, clock } = await withKeys(issuer)
  const leaked = issuer.keys[0]!
  t.equal(await ask(), null)
  issuer.keys.splice(0, 1, await newKey('RS256'))
  clock.now += 600_000
  t.equal(await ask({ key: leaked }), 'unknown_key')
})

t.test('an issuer that cannot be asked is no verdict, and left alone for the cool-down', async (t) => {
  const issuer = await startCiIssuer(t)
  const { ask, clock, troubles } = await withKeys(issuer)
  issuer.instead.set('/jwks', (response) => response.writeHead(500).end())
  for (let n = 0; n < 20; n++) t.equal(await ask(), 'out of reach')
  t.equal(issuer.asked.length, 2)
  clock.now += coolDownMs
  t.equal(await ask(), 'out of reach')
  t.equal(issuer.asked.length, 4)
  issuer.instead.clear()
  clock.now += coolDownMs
  t.equal(await ask(), null)
  issuer.instead.set('/jwks', (response) => response.writeHead(500).end())
  clock.now += 599_999
  t.equal(await ask(), null, 'what is fresh is good')
  clock.now += 1
  t.equal(await ask(), 'out of reach', 'what is stale is not')
  t.strictSame(new Set(troubles), new Set(['it answered 500']))
})

t.test('max-age shortens how long keys are kept, never below a minute nor beyond ten', async (t) => {
  for (const [header, keptMs] of [
    ['max-age=1', 60_000],
    ['public, max-age=120', 120_000],
    ['max-age=999999', 600_000],
    ['no-store', 600_000],
  ] as const) {
    const issuer = await startCiIssuer(t)
    const { ask, clock } = await withKeys(issuer)
    const keys = JSON.stringify({ keys: issuer.keys.map(({ jwk }) => jwk) })
    issuer.instead.set('/jwks', (response) => response.writeHead(200, { 'cache-control': header }).end(keys))
    await ask()
    clock.now += keptMs - 1
    await ask()
    t.equal(issuer.asked.length, 2, header)
    clock.now += 1
    await ask()
    t.equal(issuer.asked.length, 4, header)
  }
})

t.test('keys that are good for nothing check nothing', async (t) => {
  const issuer = await startCiIssuer(t)
  const key = issuer.keys[0]!
  const serve = (keys: unknown) =>
    issuer.instead.set('/jwks', (response) => response.end(JSON.stringify({ keys })))
  for (const [what, keys, expected] of [
    ['no list', {}, 'out of reach'],
    ['nothing in it', [], 'unknown_key'],
    ['odd things in it', [null, 1, 'x', [], {}], 'unknown_key'],
    ['a shared secret', [{ kty: 'oct', kid: key.kid, k: 'AAAA', alg: 'RS256' }], 'unknown_key'],
    ['a private key', [{ ...key.jwk, d: 'AQAB' }], 'unknown_key'],
    ['for encryption', [{ ...key.jwk, use: 'enc' }], 'unknown_key'],
    ['for another algorithm', [{ ...key.jwk, alg: 'PS256' }], 'unknown_key'],
    ['two of one name', [key.jwk, key.jwk], 'unknown_key'],
    ['too short', [{ kty: 'RSA', kid: key.kid, n: 'AQAB', e: 'AQAB' }], 'bad_signature'],
    ['after many others', [...Array(150).fill({ ...key.jwk, kid: 'x' }), key.jwk], 'unknown_key'],
    ['as it should be', [key.jwk, null], null],
  ] as const) {
    serve(keys)
    const { ask } = await withKeys(issuer)
    t.equal(await ask(), expected, what)
  }
})

t.test('a discovery document that is not the issuer’s own is not believed', async (t) => {
  const issuer = await startCiIssuer(t)
  for (const document of [
    { issuer: `${issuer.url}/`, jwks_uri: `${issuer.url}/jwks` },
    { issuer: 'https://ci.example', jwks_uri: `${issuer.url}/jwks` },
    { jwks_uri: `${issuer.url}/jwks` },
    { issuer: issuer.url },
    { issuer: issuer.url, jwks_uri: 1 },
    { issuer: issuer.url, jwks_uri: 'file:///etc/passwd' },
    { issuer: issuer.url, jwks_uri: 'http://10.0.0.1/jwks' },
    { issuer: issuer.url, jwks_uri: 'https://169.254.169.254/latest/meta-data' },
    { issuer: issuer.url, jwks_uri: 'https://localhost/jwks' },
    [],
    'x',
    null,
  ]) {
    issuer.instead.set('/.well-known/openid-configuration', (response) =>
      response.end(JSON.stringify(document)),
    )
    const { ask } = await withKeys(issuer)
    t.equal(await ask(), 'out of reach', JSON.stringify(document))
  }
  t.notOk(issuer.asked.includes('/jwks'))
})

t.test(
  'what is fetched is small, quick, JSON, and where it was asked for',
  { timeout: 30_000 },
  async (t) => {
    const issuer = await startCiIssuer(t)
    const fetchJson = createFetchJson([issuer.url])
    const at = (path: string, answer: Parameters<CiIssuer['instead']['set']>[1]) => {
      issuer.instead.set(path, answer)
      return fetchJson(issuer.url + path)
    }
    for (const status of [301, 302, 303, 307, 308])
      await t.rejects(
        at('/moved', (response) => response.writeHead(status, { location: '/jwks' }).end()),
        /it answered 3/,
      )
    t.notOk(issuer.asked.includes('/jwks'))
    for (const status of [204, 400, 404, 500])
      await t.rejects(
        at('/no', (response) => response.writeHead(status).end()),
        /it answered/,
      )
    await t.rejects(
      at('/large', (response) => response.end(`{"x":"${'x'.repeat(600_000)}"}`)),
      /too large/,
    )
    await t.rejects(
      at('/html', (response) => response.end('<html>')),
      SyntaxError,
    )
    await t.rejects(
      at('/list', (response) => response.end('[]')),
      /no JSON object/,
    )
    await t.rejects(
      at('/broken', (response) => void response.writeHead(200).write('{', () => response.destroy())),
    )
    const begun = Date.now()
    await Promise.all([
      t.rejects(at('/silent', () => {})),
      t.rejects(
        at('/slow', (response) => {
          const drip = setInterval(() => response.write(' '), 200)
          response.on('close', () => clearInterval(drip))
        }),
      ),
    ])
    t.ok(Date.now() - begun < 10_000, 'given up after some seconds')
  },
)

t.test('nothing inside is connected to unless the operator lists it', async (t) => {
  let connected = 0
  const server = createServer((_request, response) => response.end('{}')).on('connection', () => {
    connected += 1
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const fetchJson = createFetchJson([])
  for (const host of [
    'localhost',
    '127.0.0.1',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '2130706433',
    '0x7f000001',
    '0',
    'user@127.0.0.1',
  ])
    for (const scheme of ['https', 'http'])
      await t.rejects(fetchJson(`${scheme}://${host}:${port}/`), /address|may not be/, `${scheme} ${host}`)
  // Listed, but plain http for what is not this machine.
  await t.rejects(createFetchJson(['http://10.0.0.1'])('http://10.0.0.1/'), /public/)
  await t.rejects(
    createFetchJson([`http://127.0.0.1:${port}`])(`http://localhost:${port}/`),
    /may not be/,
    'another spelling is another origin',
  )
  t.equal(connected, 0)
  t.match(await createFetchJson([`http://localhost:${port}`])(`http://localhost:${port}/`), { json: {} })
  t.equal(connected, 1)
})

t.test('an address is public, or it is not', async (t) => {
  const inside = `0.0.0.0 10.0.0.1 100.64.0.1 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1
    192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255 :: ::1 ::ffff:10.0.0.1 ::ffff:127.0.0.1 ::10.0.0.1
    64:ff9b::a00:1 100::1 2001::1 2001:db8::1 2002:a00:1::1 3fff::1 fc00::1 fd12::1 fe80::1 ff02::1 5f00::1 localhost x 1`
  const outside =
    '1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 192.0.1.1 198.20.0.1 223.255.255.255 2606:4700::1111 2a00:1450::1 2001:4860::8888 ::ffff:8.8.8.8'
  for (const address of inside.split(/\s+/)) t.notOk(isPublicAddress(address), address)
  for (const address of outside.split(' ')) t.ok(isPublicAddress(address), address)
})

t.test('an operator lists issuers by their origin', async (t) => {
  for (const issuer of ['https://gitlab.internal', 'https://gitlab.internal/path', 'https://10.0.0.1:6443/x'])
    t.equal(wrongIssuer(issuer, ['https://gitlab.internal', 'https://10.0.0.1:6443']), null, issuer)
  for (const issuer of ['http://gitlab.internal', 'https://10.0.0.1', 'https://10.0.0.2:6443'])
    t.match(
      wrongIssuer(issuer, ['https://gitlab.internal', 'https://10.0.0.1:6443']),
      /LATCHKEY_INTERNAL_ISSUERS/,
      issuer,
    )
})
