// The Kubernetes example: what its manifests say, and its script, run as they say with files in place of the volumes,
// against a real Latchkey.
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { parse, parseAllDocuments } from 'yaml'
import { type Claims, githubClaims, startCiIssuer } from '../helpers/ci-issuer.ts'
import { basic, registerPosts, startLatchkey } from '../helpers/latchkey.ts'
import { freePort } from '../helpers/process.ts'
import { watchedShell } from '../helpers/shell.ts'
import { until } from '../sdk/between.ts'

const folder = fileURLToPath(new URL('../../integrations/kubernetes/', import.meta.url))
const read = (name: string) => readFile(join(folder, name), 'utf8')
// biome-ignore lint/suspicious/noExplicitAny: manifests of any shape; what matters of them is asserted
const documents = parseAllDocuments(await read('job.yaml')).map((one): any => one.toJS())
const job = documents.find(({ kind }) => kind === 'Job')
const pod = job.spec.template.spec
const [sidecar] = pod.initContainers
const shells = ['sh', 'bash']

const issuer = await startCiIssuer(t)
const latchkey = await startLatchkey(t, 'pglite', { LATCHKEY_INTERNAL_ISSUERS: issuer.url })
const { call, form, clock } = latchkey
const posts = await registerPosts(latchkey)
const url = latchkey.running.issuer
const serviceAccount = { name: 'nightly', uid: '6f4e1f0e-7c1d-4c55-9d0b-2f6b3f1f4a11' }
const made = await call('POST', '/api/v1/trust-policies', {
  name: 'report job',
  issuer: issuer.url,
  conditions: {
    sub: 'system:serviceaccount:reports:nightly',
    '/kubernetes.io/serviceaccount/uid': serviceAccount.uid,
  },
  scopes: ['posts:read'],
})
if (made.status !== 200) throw new Error(made.text)

const introspect = async (token: string) =>
  (await form('/oauth2/introspect', { token }, basic(posts.id, posts.secret))).body

/** As an API server signs it: without typ, the audience in a list. */
async function identity(more: Claims = {}): Promise<string> {
  const { iat, exp, jti } = githubClaims('', '', clock.now)
  const claims = {
    iss: issuer.url,
    aud: [url],
    sub: 'system:serviceaccount:reports:nightly',
    'kubernetes.io': {
      namespace: 'reports',
      pod: { name: 'nightly-x', uid: '1' },
      serviceaccount: serviceAccount,
    },
    ...{ iat, nbf: iat, exp, jti, ...more },
  }
  return issuer.sign(claims, { header: { typ: undefined } })
}

/** The sidecar with the environment of the manifest, but for where its files are, and Latchkey. */
async function started(t: Test, shell: string, more: Record<string, string> = {}, jwt?: string) {
  const files = t.testdir({ jwt: jwt ?? (await identity()) })
  const [JWT_FILE, TOKEN_FILE] = [join(files, 'jwt'), join(files, 'token')]
  const env = Object.fromEntries(
    sidecar.env.map(({ name, value }: { name: string; value: string }) => [name, value]),
  )
  const watched = watchedShell(t)
  const script = join(folder, 'token.sh')
  const process = watched.start(shell, [script], { ...env, LATCHKEY_URL: url, JWT_FILE, TOKEN_FILE, ...more })
  const token = async () => readFile(TOKEN_FILE, 'utf8').catch(() => '')
  const renewJwt = async () => writeFile(JWT_FILE, await identity())
  return { process, token, renewJwt, files, watched }
}

t.test('the manifests fit together', async (t) => {
  const variables = Object.fromEntries(
    sidecar.env.map(({ name, value }: { name: string; value: string }) => [name, value]),
  )
  const volume = (name: string) => pod.volumes.find((one: { name: string }) => one.name === name)
  const [projected] = volume('identity').projected.sources
  t.strictSame(projected.serviceAccountToken, {
    path: 'jwt',
    audience: variables['LATCHKEY_URL'],
    expirationSeconds: 600,
  })
  t.equal(volume('token').emptyDir.medium, 'Memory', 'the token is on no disk')
  t.equal(pod.automountServiceAccountToken, false)
  t.equal(sidecar.restartPolicy, 'Always', 'a sidecar, so that it ends after the job')
  t.equal(pod.serviceAccountName, documents.find(({ kind }) => kind === 'ServiceAccount').metadata.name)

  const mountOf = (container: typeof sidecar, name: string) =>
    container.volumeMounts.find((one: { name: string }) => one.name === name)?.mountPath
  t.equal(`${mountOf(sidecar, 'identity')}/jwt`, variables['JWT_FILE'])
  t.equal(`${mountOf(sidecar, 'token')}/token`, variables['TOKEN_FILE'])
  t.strictSame(sidecar.startupProbe.exec.command, ['test', '-s', variables['TOKEN_FILE']])
  for (const container of pod.containers) {
    t.notOk(mountOf(container, 'identity'), 'the identity is for the sidecar alone')
    t.match(container.command.join(' '), `cat ${mountOf(container, 'token')}/token`)
  }
  for (const container of [sidecar, ...pod.containers])
    t.match(container.securityContext, { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true })

  const kustomization = parse(await read('kustomization.yaml'))
  const [script] = kustomization.configMapGenerator
  t.equal(script.name, volume('script').configMap.name)
  t.strictSame(sidecar.command, ['sh', `${mountOf(sidecar, 'script')}/${script.files[0]}`])
  for (const name of [...kustomization.resources, ...script.files])
    t.ok((await readdir(folder)).includes(name), name)
  t.match(parse(await read('issuer.yaml')), { kind: 'ClusterRoleBinding' })
})

for (const shell of shells) {
  t.test(`in ${shell}`, async (t) => {
    t.test('the pod has a token as long as it runs, and not after that', async (t) => {
      const jwt = await identity()
      const { process, token, files, watched } = await started(t, shell, { LATCHKEY_SERVICES: 'posts' }, jwt)
      await until(async () => (await token()) !== '')
      const secret = await token()
      t.match(await introspect(secret), { active: true, scope: 'posts:read', aud: ['posts'] })
      t.equal((await stat(join(files, 'token'))).mode & 0o777, 0o640, 'for the pod’s group')
      process.signal('SIGTERM')
      t.strictSame(await process.ended, {
        code: 0,
        output: `A token is in ${join(files, 'token')}, good for 900 s.\nThe token is revoked.\n`,
      })
      t.strictSame(await introspect(secret), { active: false })
      t.strictSame(await readdir(files), ['jwt'])
      for (const one of [secret, jwt]) t.notOk(watched.arguments().includes(one), 'in no argument')
    })

    t.test('it is renewed before it ends, by another identity, and both are revoked', async (t) => {
      const { process, token, renewJwt, files } = await started(t, shell, { LATCHKEY_EXPIRES_IN: '2' })
      await until(async () => (await token()) !== '')
      const first = await token()
      await renewJwt()
      await until(async () => (await token()) !== first)
      const second = await token()
      for (const secret of [first, second]) t.match(await introspect(secret), { active: true })
      process.signal('SIGTERM')
      t.match(await process.ended, { code: 0, output: /(The token is revoked\.\n){2}$/ })
      for (const secret of [first, second]) t.strictSame(await introspect(secret), { active: false })
      t.strictSame(await readdir(files), ['jwt'])
    })

    t.test('what is wrong is said, and the pod does not begin', async (t) => {
      const denied = async (more: Record<string, string>, why: RegExp, jwt?: string) => {
        const { process, token } = await started(t, shell, more, jwt)
        const { code, output } = await process.ended
        t.equal(code, 1)
        t.match(output, why)
        t.notMatch(output, /eyJ/)
        t.equal(await token(), '')
      }
      await denied(
        {},
        /gives no token: .*"invalid_request"/,
        await identity({ sub: 'system:serviceaccount:a:b' }),
      )
      await denied({ LATCHKEY_SCOPES: 'posts:none' }, /gives no token: .*"invalid_scope"/)
      await denied({ LATCHKEY_URL: 'http://latchkey.reports.svc' }, /^LATCHKEY_URL must begin with https:/)
    })
  })
}

t.test('a pod ends though its token cannot be revoked', async (t) => {
  const port = await freePort()
  const other = await startLatchkey(t, 'pglite', {
    LATCHKEY_INTERNAL_ISSUERS: issuer.url,
    LATCHKEY_ISSUER: url,
    LATCHKEY_PORT: String(port),
  })
  await registerPosts(other)
  const { name, issuer: of, conditions, scopes } = made.body
  await other.call('POST', '/api/v1/trust-policies', { name, issuer: of, conditions, scopes })
  const { process, token } = await started(t, 'sh', { LATCHKEY_URL: other.url })
  await until(async () => (await token()) !== '')
  await other.running.stop()
  process.signal('SIGTERM')
  t.match(await process.ended, { code: 0, output: /could not be revoked \(000\)\. It ends by itself soon\./ })
})
