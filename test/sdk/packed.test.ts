// What npm would publish of @latchkey/sdk, installed and used: its files, types and entries, and the code in its pages.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import t, { type Test } from 'tap'
import { mintSecret } from '../../src/token/format.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))
const bin = (name: string) => join(root, 'node_modules/.bin', name)

/** It lies inside the repository, so that whatever else is imported is found in the repository's node_modules. */
const consumer = t.testdir()
const installed = join(consumer, 'node_modules/@latchkey/sdk')

const program = `
import { createServer } from 'node:http'
import { createVerifier, httpRefusal } from '@latchkey/sdk'
import { createTestVerifier } from '@latchkey/sdk/testing'
import latchkey from '@latchkey/sdk/fastify'
import { createGuard as forExpress } from '@latchkey/sdk/express'
import { createGuard as forHono } from '@latchkey/sdk/hono'
import Fastify from 'fastify'

const verifier = createTestVerifier({ tokens: { reader: { scopes: ['posts:read'] } } })
const app = Fastify()
await app.register(latchkey, { verifier })
app.get('/posts', { config: { auth: { scopes: ['posts:read'] } } }, async () => 'in')
const status = async (headers) => (await app.inject({ url: '/posts', headers })).statusCode
const refused = await createVerifier({ url: 'http://127.0.0.1:9', clientId: 'a', clientSecret: 'b' }).verify('x')
const live = createVerifier({ url: process.env.LATCHKEY_URL, clientId: 'a', clientSecret: 'b' })
const verdict = await live.verify(process.env.SECRET)
console.log(JSON.stringify({
  subject: verdict.token?.subject,
  statuses: [await status({}), await status({ authorization: 'Bearer reader' })],
  refusal: httpRefusal(refused).status,
  guards: [typeof forExpress(verifier).requireScopes('a:b'), typeof forHono(verifier).requireScopes('a:b')],
}))
`

/** As `npm pack` would make it, but built aside: others may be using packages/sdk/dist at the moment. */
t.before(async () => {
  const source = join(root, 'packages/sdk')
  const built = join(consumer, 'built')
  await mkdir(installed, { recursive: true })
  const dist = join(built, 'dist')
  await run(bin('tsc'), ['-p', source, '--outDir', dist, '--tsBuildInfoFile', join(dist, '.tsbuildinfo')])
  for (const name of ['package.json', 'README.md', 'LICENSE']) await cp(join(source, name), join(built, name))
  await run('npm', ['pack', '--ignore-scripts', '--pack-destination', consumer], { cwd: built })
  await run('tar', [
    '-xzf',
    join(consumer, await tarballIn(consumer)),
    '-C',
    installed,
    '--strip-components=1',
  ])
  await writeFile(join(consumer, 'package.json'), '{"type":"module"}')
})

const tarballIn = async (folder: string) => (await readdir(folder)).find((name) => name.endsWith('.tgz'))!

t.test('nothing is packed but what was built, and its two pages', async (t) => {
  const files = await readdir(installed, { recursive: true, withFileTypes: true })
  const paths = files
    .filter((one) => one.isFile())
    .map((one) => join(one.parentPath, one.name).slice(installed.length + 1))
  t.ok(
    paths.every((path) => /^(package\.json|README\.md|LICENSE|dist\/.+\.(js|d\.ts))$/.test(path)),
    paths.join(' '),
  )
  const manifest = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'))
  t.equal(manifest.dependencies, undefined, 'no runtime dependencies')
  for (const name of Object.keys(manifest.peerDependencies)) {
    t.ok(manifest.peerDependenciesMeta[name].optional, `${name} is optional`)
  }
})

t.test('built files import nothing but node, each other, and types', async (t) => {
  const files = (await readdir(join(installed, 'dist'), { recursive: true })).filter((name) =>
    name.endsWith('.js'),
  )
  t.ok(files.length > 10)
  for (const name of files) {
    const text = await readFile(join(installed, 'dist', name), 'utf8')
    for (const [, from] of text.matchAll(/(?:from|import) ["']([^"']+)["']/g))
      t.match(from, /^(node:|\.\.?\/[\w/.-]+\.js$)/, name)
  }
})

t.test('a program can use it as installed', async (t) => {
  await writeFile(join(consumer, 'program.js'), program)
  const latchkey = await startStub(t)
  const env = { PATH: process.env['PATH'], LATCHKEY_URL: latchkey.url, SECRET: mintSecret('lk', 'personal') }
  // It ends by itself, although it does not close its verifier: listening keeps no process alive.
  const { stdout } = await run(process.execPath, ['program.js'], { cwd: consumer, timeout: 30_000, env })
  t.equal(latchkey.streams(), 1)
  t.strictSame(JSON.parse(stdout), {
    subject: 'user_42',
    statuses: [401, 200],
    refusal: 401,
    guards: ['function', 'function'],
  })
})

t.test('the code in the pages, and a program that gets types wrong, are type-checked', async (t) => {
  const pages = { sdk: 'docs/verify/sdk.md', readme: 'packages/sdk/README.md' }
  let blocks = 0
  for (const [name, path] of Object.entries(pages)) {
    const text = await readFile(join(root, path), 'utf8')
    for (const [, code] of text.matchAll(/^```ts\n(.*?)^```/gms))
      await writeFile(join(consumer, `${name}${blocks++}.ts`), `${code}\nexport {}\n`)
  }
  t.equal(blocks, 6)
  await writeFile(
    join(consumer, 'wrong.ts'),
    `import { createVerifier } from '@latchkey/sdk'
import Fastify from 'fastify'
import '@latchkey/sdk/fastify'
import '@fastify/swagger'
const verifier = createVerifier({ url: '', clientId: '', clientSecret: '' })
const verdict = await verifier.verify('x')
// @ts-expect-error the token is there only when the verdict is active
verdict.token
// @ts-expect-error a misspelt option
await verifier.verify('x', { scope: ['posts:read'] })
// @ts-expect-error a route needs scopes, or another access than a token's
Fastify().get('/', { config: { auth: {} } }, async () => '')
// @ts-expect-error public routes have no token
Fastify().get('/', async (request) => request.auth.subject)
`,
  )
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2022',
    strict: true,
    noEmit: true,
    types: ['node'],
    skipLibCheck: false,
  }
  await writeFile(join(consumer, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
  const { stdout, code } = await run(bin('tsc'), ['-p', consumer]).catch((error) => error)
  const ours = String(stdout)
    .split('\n')
    .filter((line) => /^\S*(sdk|readme|wrong)/.test(line))
  t.strictSame(ours, [])
  if (code) t.comment(stdout)
})

t.test('publint and attw find nothing wrong', async (t) => {
  const { messages, pkg } = await publint({ pkgDir: installed, pack: false, strict: true })
  t.strictSame(
    messages.map((message) => formatMessage(message, pkg as never)),
    [],
  )
  const tarball = await tarballIn(consumer)
  // Its exit code is what counts: what is wrong for CommonJS is told, and ignored by this profile.
  const attw = run(bin('attw'), [join(consumer, tarball), '--profile', 'esm-only', '--format', 'ascii'])
  await t.resolves(attw.catch(({ stdout, stderr }) => Promise.reject(new Error(stdout + stderr))))
})

/** Takes every token for good, and has a stream that does not end. */
async function startStub(t: Test): Promise<{ url: string; streams: () => number }> {
  const createdAt = '2026-01-01T00:00:00Z'
  const facts = { team: null, audience: [], scopes: [], ipRestriction: null, createdAt, expireAt: null }
  const token = { id: 'tok_1', type: 'personal', subject: 'user_42', ...facts }
  let streams = 0
  const server = createServer((request, response) => {
    if (request.method === 'POST') {
      response.end(JSON.stringify({ valid: true, code: 'valid', missingScopes: [], token }))
      return
    }
    streams += 1
    response
      .writeHead(200, { 'content-type': 'text/event-stream' })
      .write('id: a.0\nevent: reset\ndata: {}\n\n')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, streams: () => streams }
}
