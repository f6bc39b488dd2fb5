// The GitLab template as GitLab's runner runs it: before_script and script in one shell that stops at the first error,
// after_script in another one, which has the job's variables and nothing of the first one's. A real Latchkey.
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { answers, putInFront } from '../helpers/bad-moments.ts'
import { gitlabClaims, startCiIssuer } from '../helpers/ci-issuer.ts'
import { basic, registerPosts, startLatchkey } from '../helpers/latchkey.ts'
import { freePort } from '../helpers/process.ts'
import { watchedShell } from '../helpers/shell.ts'

const file = fileURLToPath(new URL('../../integrations/gitlab/latchkey.gitlab-ci.yml', import.meta.url))
const template = parse(await readFile(file, 'utf8'))['.latchkey']
const shells = ['sh', 'bash']

const issuer = await startCiIssuer(t)
const latchkey = await startLatchkey(t, 'pglite', { LATCHKEY_INTERNAL_ISSUERS: issuer.url })
const { call, form, clock } = latchkey
const posts = await registerPosts(latchkey)
const url = latchkey.running.issuer
const made = await call('POST', '/api/v1/trust-policies', {
  name: 'shop',
  issuer: issuer.url,
  provider: 'gitlab',
  conditions: { project_id: '20', namespace_id: '72', ref_protected: 'true' },
  scopes: ['posts:write'],
})
if (made.status !== 200) throw new Error(made.text)

const introspect = async (token: string) =>
  (await form('/oauth2/introspect', { token }, basic(posts.id, posts.secret))).body

/** What the runner puts in front of a job's lines. */
const preamble = 'set -o errexit\nif set -o | grep -q pipefail; then set -o pipefail; fi\n'

/** A job that writes down its token, where only the test looks. */
async function job(t: Test, shell: string, variables: Record<string, string> = {}, trace = '') {
  const folder = t.testdir({ project: {} })
  const project = join(folder, 'project')
  const temporary = join(folder, 'project.tmp')
  const jwt = await issuer.sign(gitlabClaims(issuer.url, url, clock.now))
  const env: Record<string, string> = {
    LATCHKEY_URL: url,
    LATCHKEY_JWT: jwt,
    CI_PROJECT_DIR: project,
    RUNNER_TEMP_PROJECT_DIR: temporary,
    CI_JOB_ID: '302',
    OUT: folder,
    ...variables,
  }
  const watched = watchedShell(t)
  const lines = (...scripts: readonly string[][]) =>
    ['-c', [preamble, trace, `cd '${project}'`, ...scripts.flat()].join('\n')] as const
  const run = (script: string[]) => watched.run(shell, lines(template.before_script, script), env)
  const after = () => watched.run(shell, lines(template.after_script), env)
  const token = async () => readFile(join(folder, 'token'), 'utf8')
  return { run, after, token, jwt, folder, project, temporary, watched, env }
}

const keepsToken = `printf '%s' "$LATCHKEY_TOKEN" >"$OUT/token"`

for (const shell of shells) {
  t.test(`in ${shell}`, async (t) => {
    t.test('a job has a token in all of its script, and its end is the token’s', async (t) => {
      const variables = {
        LATCHKEY_SCOPES: 'posts:read',
        LATCHKEY_SERVICES: 'posts',
        LATCHKEY_EXPIRES_IN: '600',
      }
      const { run, after, token, jwt, project, temporary, watched } = await job(t, shell, variables)
      const ran = await run([keepsToken, 'echo "in the script"'])
      t.strictSame(ran, { code: 0, output: 'in the script\n' })
      const secret = await token()
      const facts = await introspect(secret)
      t.match(facts, { active: true, scope: 'posts:read', aud: ['posts'], token_kind: 'federated' })
      t.equal(facts.exp - facts.iat, 600)
      t.strictSame(await readdir(project), [], 'no artifact can be made of it')
      t.equal((await stat(join(temporary, 'latchkey-302'))).mode & 0o777, 0o600)

      t.strictSame(await after(), { code: 0, output: 'The token is revoked.\n' })
      t.strictSame(await introspect(secret), { active: false })
      t.strictSame(await readdir(temporary), [])
      t.strictSame(await after(), { code: 0, output: '' }, 'there is none any more')
      t.ok(watched.arguments().includes('/oauth2/revoke'))
      for (const one of [secret, jwt]) t.notOk(watched.arguments().includes(one), 'in no argument')
    })

    t.test('a job that fails loses its token too', async (t) => {
      const { run, after, token } = await job(t, shell)
      t.equal((await run([keepsToken, 'false', 'echo "not reached"'])).code, 1)
      t.match(await introspect(await token()), { active: true, scope: 'posts:read posts:write' })
      t.match((await after()).output, /revoked/)
      t.strictSame(await introspect(await token()), { active: false })
    })

    t.test('a job that is being debugged does not print what the template does', async (t) => {
      const { run, after, token, jwt } = await job(t, shell, {}, 'set -x')
      const { output } = await run([': the script', `cat /dev/null >"$OUT/seen"`])
      t.match(output, /^\+ : the script$/m, 'but what the script does')
      const ended = await after()
      t.match(ended.output, /The token is revoked\./)
      const shown = output + ended.output
      t.notMatch(shown, /lk_tmp_/)
      t.notOk(shown.includes(jwt))
      t.rejects(token())
    })

    t.test('without a token the script is not run, and it is said why', async (t) => {
      const denied = async (variables: Record<string, string>, why: RegExp) => {
        const { run, after, jwt, folder } = await job(t, shell, variables)
        const { code, output } = await run([`touch "$OUT/reached"`])
        t.not(code, 0)
        t.match(output, why)
        t.notOk(output.includes(jwt))
        t.notOk((await readdir(folder)).includes('reached'))
        t.strictSame(await after(), { code: 0, output: '' })
      }
      await denied({ LATCHKEY_JWT: '' }, /^There is no LATCHKEY_JWT: /)
      for (const other of ['', 'http://latchkey.example', 'http://localhost.example', 'latchkey.example'])
        await denied({ LATCHKEY_URL: other }, /^LATCHKEY_URL must begin with https:\/\/, not be '/)
      await denied({ LATCHKEY_SCOPES: 'posts:none' }, /gives no token: .*"invalid_scope".*\n400/)
      await denied({ LATCHKEY_SERVICES: 'nothing' }, /gives no token: .*"invalid_target"/)
      await denied({ LATCHKEY_JWT: 'made.up.one' }, /gives no token: .*"invalid_request"/)
    })
  })
}

t.test('a Latchkey that is busy is asked again', async (t) => {
  const front = await putInFront(t, latchkey.url)
  front.moments.push(answers(503, { 'retry-after': '1' }, '{"error":"temporarily_unavailable"}'))
  const { run, after, token } = await job(t, 'sh', { LATCHKEY_URL: front.url })
  t.equal((await run([keepsToken])).code, 0)
  t.match(await introspect(await token()), { active: true })
  t.equal(front.seen.length, 2)
  await after()
})

t.test('a job does not fail because its token could not be revoked, and says so', async (t) => {
  const { run, after, token, env } = await job(t, 'sh')
  await run([keepsToken])
  env['LATCHKEY_URL'] = `http://127.0.0.1:${await freePort()}`
  const { code, output } = await after()
  t.equal(code, 0)
  t.match(output, /The token could not be revoked \(000\)\. It ends by itself soon\./)
  t.notOk(output.includes(await token()))
})

t.test('the identity is for the Latchkey that it is sent to', async (t) => {
  t.strictSame(template.id_tokens, { LATCHKEY_JWT: { aud: '$LATCHKEY_URL' } })
})
