// `npm run demo`: starts Latchkey as anybody would, on a free port with a store that is thrown away, and does with it
// what it is for, together with the example product. Prints what it did, line by line; the first answer that is not as
// promised ends it with exit 1.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { startProcess } from '../test/helpers/process.ts'
import { type Product, registerProduct, startProduct } from '../test/helpers/product.ts'
import { published, smallestSet, walkthrough } from './demo/product.ts'
import {
  type Answer,
  type Call,
  caller,
  expect,
  form,
  type Made,
  promised,
  provision,
  say,
} from './demo/steps.ts'

const dayMs = 86_400_000

const folder = await mkdtemp(join(tmpdir(), 'latchkey-demo-'))
try {
  const env = { LATCHKEY_TOKEN_PREFIX: 'gpx', LATCHKEY_TRUSTED_PROXIES: '127.0.0.1, ::1' }
  const latchkey = await startProcess({ cwd: folder, env })
  const admin = await readFile(join(folder, '.latchkey/admin-token'), 'utf8')
  await demo(latchkey.url, admin.trim()).finally(() => latchkey.stop())
} catch (error) {
  console.error(`✗ ${(error as Error).message}`)
  process.exitCode = 1
} finally {
  await rm(folder, { recursive: true, force: true })
}

async function demo(url: string, admin: string): Promise<void> {
  say(`Latchkey is up at ${url}, its store in a temporary directory, its admin token in a file beside it`)
  const settings = await registerProduct({ url, admin })
  const product = await startProduct({ ...settings, LATCHKEY_TOKEN_PREFIX: 'gpx' })
  await tour({ url, admin, product, clientSecret: settings['POSTS_CLIENT_SECRET']! }).finally(() =>
    product.stop(),
  )
}

type Site = {
  readonly url: string
  readonly admin: string
  readonly product: Product
  /** Of posts. */
  readonly clientSecret: string
}

async function tour({ url, admin, product, clientSecret }: Site): Promise<void> {
  const call = caller(url, admin)
  const basic = `Basic ${Buffer.from(`posts:${clientSecret}`).toString('base64')}`
  const introspect = (
    token: string,
    more: Record<string, string> = {},
    authorization: string | null = basic,
  ) => form(url, '/oauth2/introspect', { token, ...more }, authorization)

  await published(call, product)
  const first = await walkthrough(call, product)
  await smallestSet(url, call, basic)

  const team = await qAndATokens(call, introspect)
  say(
    `model 3: made read-only and read-write tokens of one team, ending in 7, 30, 60, 90 days and never; another team is refused`,
  )

  const api = await provision(call, {
    name: 'backup',
    ipRestriction: '203.0.113.0/24',
    type: 'personal',
    subject: 'user_4',
  })
  const members = [
    'active',
    'createdAt',
    'expireAt',
    'id',
    'ipRestriction',
    'lastUsedAt',
    'name',
    'subject',
    'token',
    'type',
  ]
  expect(
    'the answer has what this model’s readers look for',
    members.every((name) => name in api),
  )
  promised('used from its network', await introspect(api.token, { client_ip: '203.0.113.9' }), 200, {
    active: true,
  })
  promised('used from elsewhere', await introspect(api.token, { client_ip: '198.51.100.9' }), 200, {
    active: false,
  })
  const revoked = await call('DELETE', `/api/v1/tokens/${api.id}`)
  promised('revoking', revoked, 200, { message: 'Token revoked', status: 200 })
  promised('an id that does not exist', await call('DELETE', '/api/v1/tokens/tok_nothing'), 404, {
    status: 404,
  })
  say(
    `model 4: made ${api.hint}, good from 203.0.113.0/24 only; revoke answers "${revoked.body.message}", ${revoked.body.status}`,
  )

  const scanner = await provision(call, {
    name: 'scanner',
    type: 'service',
    subject: 'integration_5',
    expireAt: null,
  })
  promised('the bearer itself', await call('GET', '/api/v1/tokens/self', undefined, scanner.token), 200, {
    expireAt: null,
    status: 'active',
  })
  promised('revoking', await call('DELETE', `/api/v1/tokens/${scanner.id}`), 200)
  promised('the next request', await call('GET', '/api/v1/tokens/self', undefined, scanner.token), 401, {
    code: 'invalid-token',
  })
  promised('and at introspection', await introspect(scanner.token), 200, { active: false })
  say(`model 5: made ${scanner.hint}, which never expires; revoked it, and its next request got 401`)

  await introspectThreeWays(url, call, introspect, first, clientSecret)
  say(
    `introspected ${first.hint} by Basic, by form and by Bearer: three equal answers; without credentials: 401`,
  )

  await listNarrowRevoke(call, introspect, first, team)
  say(`listed by status and team; narrowed ${first.hint} to no scope at all, and could not widen it again`)

  const events = await call('GET', `/api/v1/audit-events?tokenId=${scanner.id}`)
  const actions = events.body
    .map((event: { action: string }) => event.action)
    .filter((one: string) => one !== 'token.refused')
  expect('the audit log tells it all', isDeepStrictEqual(actions, ['token.revoked', 'token.provisioned']))
  say(`read back from the audit log who did what to ${scanner.hint}: ${actions.reverse().join(', ')}`)
}

type Introspect = (
  token: string,
  more?: Record<string, string>,
  authorization?: string | null,
) => Promise<Answer>
/** A description, one team, an end in 7, 30, 60, 90 days or none, read-only or read and write. */
async function qAndATokens(call: Call, introspect: Introspect): Promise<Made[]> {
  const made: Made[] = []
  for (const days of [7, 30, 60, 90, null]) {
    const token = await provision(call, {
      name: `questions ${days ?? 'for ever'}`,
      description: 'Reads and answers questions of team_a',
      subject: 'user_3',
      team: 'team_a',
      scopes: days === 7 ? ['posts:read'] : ['posts:write'],
      ...(days === null ? { expireAt: null } : { expiresIn: `${days}d` }),
    })
    const lasts =
      token.expireAt === null ? null : Math.round((Date.parse(token.expireAt) - Date.now()) / dayMs)
    expect(`it lasts ${days} days`, lasts === days)
    made.push(token)
  }
  const [readOnly, readWrite] = made as [Made, Made]
  promised('reading', await introspect(readOnly.token, { team: 'team_a', scope: 'posts:read' }), 200, {
    active: true,
    team: 'team_a',
  })
  promised('writing', await introspect(readOnly.token, { scope: 'posts:write' }), 200, { active: false })
  promised('writing', await introspect(readWrite.token, { scope: 'posts:read posts:write' }), 200, {
    active: true,
  })
  promised('another team', await introspect(readWrite.token, { team: 'team_b' }), 200, { active: false })
  return made
}

async function introspectThreeWays(
  url: string,
  call: Call,
  introspect: Introspect,
  made: Made,
  clientSecret: string,
) {
  const gateway = await provision(call, {
    name: 'gateway',
    subject: 'posts',
    type: 'service',
    scopes: ['tokens:introspect'],
  })
  const answers = [
    await introspect(made.token),
    await introspect(made.token, { client_id: 'posts', client_secret: clientSecret }, null),
    await introspect(made.token, {}, `Bearer ${gateway.token}`),
  ]
  for (const answer of answers)
    promised('introspection', answer, 200, { active: true, sub: 'user_1', scope: 'posts:read' })
  expect('the three answers are equal', new Set(answers.map((answer) => answer.text)).size === 1)
  const nobody = await form(url, '/oauth2/introspect', { token: made.token }, null)
  promised('introspection without credentials', nobody, 401, { error: 'invalid_client' })
}

async function listNarrowRevoke(call: Call, introspect: Introspect, made: Made, team: Made[]): Promise<void> {
  const list = await call('GET', '/api/v1/tokens?team=team_a&status=active&limit=3')
  promised('a list', list, 200)
  expect('a page has 3 tokens', list.body.length === 3)
  expect('it links to the next', /rel="next"/.test(list.headers.get('link') ?? ''))
  expect('no secret is in a list', !team.some(({ token }) => list.text.includes(token)))
  const narrowed = await call('PATCH', `/api/v1/tokens/${made.id}`, { name: 'kept for its name', scopes: [] })
  promised('narrowing', narrowed, 200, { name: 'kept for its name', scopes: [] })
  const without = await introspect(made.token)
  promised('introspection after it', without, 200, { active: true })
  expect('a token without scopes is shown without scope', !('scope' in without.body))
  promised('widening', await call('PATCH', `/api/v1/tokens/${made.id}`, { scopes: ['posts:read'] }), 403, {
    code: 'policy-violation',
  })
  promised('revoking', await call('DELETE', `/api/v1/tokens/${made.id}`), 200)
  expect('inactive is inactive, and no more', (await introspect(made.token)).text === '{"active":false}')
}
