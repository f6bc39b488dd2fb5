// The CI job of examples/ci, as a CI provider would run it: a process with what the provider gives it, an issuer over
// HTTP, a real Latchkey, the real example product.
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { gitlabClaims, startCiIssuer } from '../helpers/ci-issuer.ts'
import { startGithubTokens } from '../helpers/github.ts'
import { startLatchkey } from '../helpers/latchkey.ts'
import { registerProduct, startProduct } from '../helpers/product.ts'
import { documentOf, putDocument } from '../helpers/samples.ts'
import { watchedShell } from '../helpers/shell.ts'

const script = fileURLToPath(new URL('../../examples/ci/job.sh', import.meta.url))
const shells = ['sh', 'bash']
const page = await readFile(new URL('../../examples/ci/README.md', import.meta.url), 'utf8')
const shown = /^```\n(.*?)^```/ms.exec(page)![1]

const issuer = await startCiIssuer(t)
const latchkey = await startLatchkey(t, 'pglite', { LATCHKEY_INTERNAL_ISSUERS: issuer.url })
const { call, clock } = latchkey
// The product lives by the real clock.
clock.now = Date.now()
const url = latchkey.running.issuer
const settings = await registerProduct(latchkey)
// The thread that reads documents takes seconds to start from TypeScript: the product does not wait that long.
await putDocument(latchkey, 'posts', documentOf({}), { query: '?dryRun=true' })
const product = await startProduct(settings)
t.teardown(() => product.stop())
const ofIt = { issuer: issuer.url, scopes: ['posts:write', 'posts:read'], services: ['posts'] }
const github = { repository_id: '724513876', repository_owner_id: '9919' }
const gitlab = { project_id: '20', namespace_id: '72', ref_protected: 'true' }
for (const [provider, conditions] of Object.entries({ github, gitlab })) {
  const policy = { ...ofIt, name: provider, provider, conditions, subject: `ci_${provider}` }
  const { status, text } = await call('POST', '/api/v1/trust-policies', policy)
  if (status !== 200) throw new Error(text)
}

const watched = watchedShell(t)
const run = (shell: string, env: Record<string, string>) =>
  watched.run(shell, [script], { LATCHKEY_URL: url, POSTS_URL: product.posts, ...env })

const statusOf = async (subject: string): Promise<string[]> =>
  (await call('GET', `/api/v1/tokens?subject=${subject}&status=any`)).body.map(
    ({ status }: { status: string }) => status,
  )

for (const shell of shells) {
  t.test(
    `a job gets a token, uses it, is refused what it is not for, and leaves nothing behind, in ${shell}`,
    async (t) => {
      const onGithub = (await startGithubTokens(t, issuer, () => clock.now)).env
      const jwt = await issuer.sign(gitlabClaims(issuer.url, url, clock.now))
      for (const [provider, env] of Object.entries({ github: onGithub, gitlab: { LATCHKEY_JWT: jwt } })) {
        const { code, output } = await run(shell, env)
        t.equal(code, 0, output)
        t.equal(output.replace(/post_\d+/g, 'post_1'), shown, `${provider}, as README.md shows it`)
        t.notMatch(output, /eyJ|lk_tmp_/)
        const statuses = await statusOf(`ci_${provider}`)
        t.ok(statuses.length > 0 && statuses.every((status) => status === 'revoked'), statuses.join())
      }
    },
  )
}

t.test('a job that fails says where, and its token is revoked all the same', async (t) => {
  const jwt = await issuer.sign(gitlabClaims(issuer.url, url, clock.now))
  const failed = await run('sh', { LATCHKEY_JWT: jwt, POSTS_URL: `${product.posts}/nowhere` })
  t.equal(failed.code, 1)
  t.match(failed.output, /POST \/v1\/posts → 404\n/)
  t.match(failed.output, /^Expected 201, and was answered: /m)
  t.match(failed.output, /^The token is revoked\.$/m)
  const again = await run('sh', { LATCHKEY_JWT: jwt })
  t.equal(again.code, 1)
  t.match(again.output, /^There is no token: \{"error":"invalid_request"/)
  const nobody = await run('sh', {})
  t.not(nobody.code, 0)
  t.match(nobody.output, /this job has no identity/)
  t.ok((await statusOf('ci_gitlab')).every((status) => status === 'revoked'))
  t.notMatch(watched.arguments(), /eyJ|lk_tmp_/, 'no secret was in an argument')
})
