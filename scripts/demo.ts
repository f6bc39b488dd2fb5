// `npm run demo`: starts Latchkey as anybody would, on a free port with a store that is thrown away, and does with it
// what it is for. Prints what it did, line by line; the first answer that is not as promised ends it with exit 1.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { startProcess } from '../test/helpers/process.ts'

// The scopes of a payments product, as its manual groups them.
const groups = {
  Content: ['posts:read', 'posts:write', 'places:read', 'artifacts:write'],
  Workspace: ['workspaces:run', 'workspaces:manage'],
  Billing: ['billing:read', 'billing:checkout', 'billing:manage', 'payouts:manage', 'transfers:manage'],
  Account: [
    'notifications:read',
    'notifications:write',
    'memberships:manage',
    'sharing:manage',
    'webhooks:manage',
  ],
}
const dayMs = 86_400_000

// biome-ignore lint/suspicious/noExplicitAny: JSON of any shape; what matters of it is asserted
type Answer = { status: number; headers: Headers; text: string; body: any }

const folder = await mkdtemp(join(tmpdir(), 'latchkey-demo-'))
try {
  const latchkey = await startProcess({ cwd: folder, env: { LATCHKEY_TOKEN_PREFIX: 'gpx' } })
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
  const call = caller(url, admin)

  const service = await call('POST', '/api/v1/services', { id: 'product', name: 'A payments product' })
  promised('registering a service', service, 200, { clientId: 'product' })
  const basic = `Basic ${Buffer.from(`product:${service.body.clientSecret}`).toString('base64')}`
  const introspect = (
    token: string,
    more: Record<string, string> = {},
    authorization: string | null = basic,
  ) => form(url, '/oauth2/introspect', { token, ...more }, authorization)
  const scopes = Object.values(groups).flat()
  promised('declaring scopes', await call('PUT', '/api/v1/services/product/scopes', declaration()), 200)
  say(
    `registered the service "product", which declares ${scopes.length} scopes in ${Object.keys(groups).length} groups`,
  )

  const first = await provision(call, { name: 'walkthrough', subject: 'user_1', scopes: ['posts:read'] })
  const catalog = await call('GET', '/api/programmatic/catalog', undefined, first.token)
  const listed = catalog.body.scopeGroups.flatMap((group: { scopes: { name: string }[] }) => group.scopes)
  expect(
    'the catalog lists every scope',
    scopes.every((name) => listed.some((one: { name: string }) => one.name === name)),
  )
  say(
    `model 1: made ${first.hint}, and read the catalog: ${catalog.body.endpoints.length} endpoints, ${listed.length} scopes`,
  )

  const smallest = await provision(call, {
    name: 'checkout links',
    subject: 'user_1',
    scopes: ['billing:checkout'],
  })
  expect('the token carries the product’s prefix', /^gpx_pat_[0-9A-Za-z]{36}$/.test(smallest.token))
  const lacking = await call(
    'POST',
    '/api/v1/verify',
    { token: smallest.token, requiredScopes: ['payouts:manage'] },
    basic,
  )
  promised('a check for a scope it lacks', lacking, 200, {
    valid: false,
    code: 'missing_scope',
    missingScopes: ['payouts:manage'],
  })
  const refused = await call('POST', '/api/v1/tokens', { name: 'more' }, smallest.token)
  promised('a call beyond its scopes', refused, 403, {
    code: 'insufficient-scope',
    requiredScopes: ['tokens:write'],
  })
  say(
    `model 2: made ${smallest.hint} for billing:checkout; refused payouts:manage, and with 403 what needs tokens:write`,
  )

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

  await introspectThreeWays(url, call, introspect, first, service.body.clientSecret)
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

function declaration() {
  return {
    groups: Object.keys(groups).map((title) => ({ id: title.toLowerCase(), title })),
    scopes: Object.entries(groups).flatMap(([group, names]) =>
      names.map((name) => {
        const implied = name.replace(/:(write|manage)$/, ':read')
        const implies = implied !== name && names.includes(implied) ? [implied] : []
        return { name, title: name.replace(':', ', '), group: group.toLowerCase(), implies }
      }),
    ),
  }
}

type Call = ReturnType<typeof caller>
type Introspect = (
  token: string,
  more?: Record<string, string>,
  authorization?: string | null,
) => Promise<Answer>
type Made = { id: string; token: string; hint: string; expireAt: string | null }

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
    subject: 'product',
    type: 'service',
    scopes: ['tokens:introspect'],
  })
  const answers = [
    await introspect(made.token),
    await introspect(made.token, { client_id: 'product', client_secret: clientSecret }, null),
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

async function provision(call: Call, body: Record<string, unknown>): Promise<Made & Record<string, unknown>> {
  const answer = await call('POST', '/api/v1/tokens', body)
  promised(`provisioning "${body['name']}"`, answer, 200, { active: true, name: body['name'] })
  expect('a secret may not be stored on the way', answer.headers.get('cache-control') === 'no-store')
  expect('Location names the token', answer.headers.get('location') === `/api/v1/tokens/${answer.body.id}`)
  return answer.body
}

/** @param as a token, or a whole Authorization header */
function caller(url: string, admin: string) {
  return async (method: string, path: string, body?: unknown, as = admin): Promise<Answer> => {
    const headers = {
      authorization: as.includes(' ') ? as : `Bearer ${as}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    }
    return read(
      await fetch(url + path, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) }),
    )
  }
}

async function form(
  url: string,
  path: string,
  fields: Record<string, string>,
  authorization: string | null,
): Promise<Answer> {
  const headers = authorization === null ? {} : { authorization }
  return read(await fetch(url + path, { method: 'POST', headers, body: new URLSearchParams(fields) }))
}

async function read(response: Response): Promise<Answer> {
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, body: JSON.parse(text) }
}

function promised(
  what: string,
  { status, body, text }: Answer,
  wanted: number,
  members: Record<string, unknown> = {},
): void {
  const asWanted = Object.entries(members).every(([name, value]) => isDeepStrictEqual(body[name], value))
  if (status !== wanted || !asWanted) {
    throw new Error(
      `${what}: expected ${wanted} ${JSON.stringify(members)}, got ${status} ${text.slice(0, 500)}`,
    )
  }
}

function expect(what: string, holds: boolean): void {
  if (!holds) throw new Error(`not as promised: ${what}`)
}

function say(line: string): void {
  console.log(`✓ ${line}`)
}
