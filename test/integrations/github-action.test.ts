// The GitHub Action as GitHub runs it: real processes with a runner's environment, a service that signs the job's
// identity, a real Latchkey. What it was given is never to be seen in the log, and is over when the job is.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { answers, loses, putInFront } from '../helpers/bad-moments.ts'
import { startCiIssuer } from '../helpers/ci-issuer.ts'
import { action, actionFolder, type Ran, runStep, startGithubTokens, stateOf } from '../helpers/github.ts'
import { basic, registerPosts, startLatchkey } from '../helpers/latchkey.ts'
import { freePort } from '../helpers/process.ts'

const conditions = { repository_id: '724513876', repository_owner_id: '9919' }
const issuer = await startCiIssuer(t, '/_services/token')
const latchkey = await startLatchkey(t, 'pglite', { LATCHKEY_INTERNAL_ISSUERS: issuer.url })
const { call, form, clock } = latchkey
clock.now = Date.now()
const posts = await registerPosts(latchkey)
const url = latchkey.running.issuer
await trust({ audience: url })

async function trust(more: object): Promise<string> {
  const { text, body } = await call('POST', '/api/v1/trust-policies', {
    name: 'site',
    issuer: issuer.url,
    conditions,
    scopes: ['posts:write'],
    maxLifetimeMinutes: 30,
    ...more,
  })
  if (!body.id) throw new Error(text)
  return body.id
}

const github = (t: Test, claims = {}) => startGithubTokens(t, issuer, () => clock.now, claims)

const introspect = async (token: string) =>
  (await form('/oauth2/introspect', { token }, basic(posts.id, posts.secret))).body

const errorOf = ({ log }: Ran) => /^::error::(.+)$/m.exec(log)?.[1] ?? log

/** It failed before there was a token, said why, and showed nothing. */
function failed(t: Test, ran: Ran, why: RegExp): void {
  t.equal(ran.code, 1)
  t.match(errorOf(ran), why)
  t.strictSame([ran.outputs, ran.state], [{}, {}])
  t.notMatch(ran.log, /eyJ[\w-]{20,}|lk_tmp_/)
}

t.test('GitHub’s runners can run it as it is: no build, no dependencies', async (t) => {
  t.match(action.runs, { using: 'node24', main: 'main.mjs', post: 'post.mjs', 'post-if': 'always()' })
  for (const name of (await readdir(actionFolder)).filter((name) => name.endsWith('.mjs'))) {
    const text = await readFile(join(actionFolder, name), 'utf8')
    for (const [, from] of text.matchAll(/from '([^']+)'/g))
      t.match(from, /^(node:|\.\/)/, `${name}: ${from}`)
  }
})

t.test('a job has a token for the steps that follow, and its end is the token’s', async (t) => {
  const { env, given } = await github(t)
  const main = await runStep(
    t,
    'main',
    { url: `${url}/`, scopes: 'posts:read', services: 'posts', ttl: '20m' },
    env,
  )
  t.equal(main.code, 0, main.log)
  const { token, ...told } = main.outputs as { token: string }
  t.match(token, /^lk_tmp_[0-9A-Za-z]{36}$/)
  t.match(told, { scopes: 'posts:read' })
  const facts = await introspect(token)
  t.match(facts, { active: true, scope: 'posts:read', aud: ['posts'] })
  const until = Date.parse(main.outputs['expires-at']!)
  t.ok(Math.abs(until - facts.exp * 1_000) < 60_000 && facts.exp - facts.iat === 1_200)

  t.strictSame(main.masked, [given[0], token], 'both are masked')
  for (const secret of main.masked) t.notOk(main.log.includes(secret), 'and not seen before that')
  t.match(main.log, /^A token with posts:read, good until 20/)
  t.notMatch(main.log, new RegExp(token.slice(0, 12)))

  const post = await runStep(t, 'post', { url }, { ...env, ...stateOf(main) })
  t.equal(post.code, 0)
  t.equal(post.log.trim(), 'The token is revoked.')
  t.strictSame(post.masked, [token])
  t.strictSame(await introspect(token), { active: false })
  const again = await runStep(t, 'post', { url }, stateOf(main))
  t.match([again.code, again.log.trim()], [0, 'The token was over already.'])
})

t.test(
  'left out, it is all that the policy has, for a quarter of an hour, for Latchkey’s own audience',
  async (t) => {
    const { env } = await github(t)
    const { outputs } = await runStep(t, 'main', { url }, env)
    const facts = await introspect(outputs['token']!)
    t.match(facts, { active: true, scope: 'posts:read posts:write', aud: undefined })
    t.equal(facts.exp - facts.iat, 900)
  },
)

t.test('a policy that is for another audience is met by naming it', async (t) => {
  const id = await trust({ audience: 'latchkey at acme', scopes: ['posts:read'] })
  const { env } = await github(t)
  const { outputs } = await runStep(t, 'main', { url, audience: 'latchkey at acme' }, env)
  t.equal(outputs['scopes'], 'posts:read')
  await call('DELETE', `/api/v1/trust-policies/${id}`)
})

t.test('what is wrong is said so that it can be mended, and the step fails', async (t) => {
  const { env } = await github(t)
  failed(t, await runStep(t, 'main', { url }), /permissions: \{ id-token: write \}/)
  failed(t, await runStep(t, 'main', { url: '' }, env), /^url: "" is no URL/)
  failed(t, await runStep(t, 'main', { url: 'http://latchkey.example' }, env), /^url: must begin with https:/)
  failed(
    t,
    await runStep(t, 'main', { url: 'http://127.0.0.1.example' }, env),
    /^url: must begin with https:/,
  )
  failed(t, await runStep(t, 'main', { url: 'https://a:b@latchkey.example' }, env), /^url: must have no user/)
  for (const ttl of ['15', '0m', 'a while', '1d'])
    failed(t, await runStep(t, 'main', { url, ttl }, env), /^ttl: .+ is no duration\. Write 90s, 15m or 1h/)
  failed(t, await runStep(t, 'main', { url, scopes: 'posts:none' }, env), /400 invalid_scope: /)
  failed(t, await runStep(t, 'main', { url, services: 'nothing' }, env), /400 invalid_target: /)
  const wrong = { ...env, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'of another job' }
  failed(t, await runStep(t, 'main', { url }, wrong), /GitHub gives this job no identity: it answered 401/)
  const { env: ofFork } = await github(t, { event_name: 'pull_request_target', repository_id: '1' })
  const untrusted = await runStep(t, 'main', { url }, ofFork)
  failed(t, untrusted, /400 invalid_request: The subject_token is not trusted here, or not any more\./)
  t.match(errorOf(untrusted), /repository_id=1, repository_owner_id=9919, .*event_name=pull_request_target/)
})

t.test(
  'who answers in the name of Latchkey cannot have its answer shown, or do what a step may',
  async (t) => {
    const front = await putInFront(t, latchkey.url)
    const { env } = await github(t)
    const inputs = { url: front.url, audience: url }
    const ask = async (status: number, body: string) => {
      front.moments.push(answers(status, {}, body))
      return runStep(t, 'main', inputs, env)
    }
    failed(t, await ask(200, '<html>welcome</html>'), /answers, but not as Latchkey/)
    failed(
      t,
      await ask(200, '{"access_token":"lk_tmp_x\\n::stop::","expires_in":900}'),
      /answers, but not as Latchkey/,
    )
    failed(
      t,
      await ask(200, '{"access_token":["lk_tmp_x"],"expires_in":900}'),
      /answers, but not as Latchkey/,
    )
    const told = await ask(400, '{"error":"x","error_description":"a\\n::set-env name=PATH::/tmp"}')
    failed(t, told, /400 x: a%0A::set-env/)
    t.equal(told.log.match(/^::/gm)?.length, 1)
    front.moments.push(answers(307, { location: `${latchkey.url}/oauth2/token` }))
    failed(t, await runStep(t, 'main', inputs, env), /gives no token: 307/)
    t.equal(front.seen.length, 5, 'it is asked once')
  },
)

t.test('what may pass is tried again, each time with another identity', async (t) => {
  const front = await putInFront(t, latchkey.url)
  const tokens = await github(t)
  tokens.failing.push(500)
  front.moments.push(answers(503, { 'retry-after': '0' }, '{"error":"temporarily_unavailable"}'), loses)
  const main = await runStep(t, 'main', { url: front.url, audience: url }, tokens.env)
  t.equal(main.code, 0, main.log)
  const sent = front.seen.map(({ form }) => form.get('subject_token'))
  t.strictSame(sent, tokens.given, 'what was sent')
  t.equal(new Set(sent).size, 3)
  t.match(
    main.log,
    /it answered 500\. Trying again in 1 s\.\n.*503 temporarily_unavailable Trying again in 0 s\./,
  )
  for (const secret of main.masked) t.notOk(main.log.includes(secret))

  front.moments.push(answers(503, { 'retry-after': '3600' }))
  failed(t, await runStep(t, 'main', { url: front.url, audience: url }, tokens.env), /gives no token: 503/)
  const gone = `http://127.0.0.1:${await freePort()}`
  failed(t, await runStep(t, 'main', { url: gone }, tokens.env), /cannot be reached at .* \(ECONNREFUSED\)/)
})

t.test('a job does not fail because its token could not be revoked, and says so', async (t) => {
  const front = await putInFront(t, latchkey.url)
  const { env } = await github(t)
  const main = await runStep(t, 'main', { url: front.url, audience: url }, env)
  front.moments.push(answers(503, { 'retry-after': '0' }))
  const post = await runStep(t, 'post', { url }, stateOf(main))
  t.match(post.log, /Trying again in 0 s\.\nThe token is revoked\./)

  const state = { ...stateOf(main), STATE_url: `http://127.0.0.1:${await freePort()}` }
  const away = await runStep(t, 'post', { url }, state)
  t.equal(away.code, 0)
  t.match(away.log, /^::warning::The token could not be revoked: .*ECONNREFUSED.* It ends by itself at 20/m)
  t.notOk(away.log.includes(main.outputs['token']!))
  const nothing = await runStep(t, 'post', { url })
  t.strictSame([nothing.code, nothing.log], [0, ''], 'there was no token')
})
