// The emitted workflows are walked through by a runner that nobody here wrote, from the document as it is served, against
// the real thing: a document that is only valid may still say what cannot be done. The runner also holds each answer
// against the OpenAPI documents that are served.
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import t, { type Test } from 'tap'
import { type Latchkey, provision, startLatchkey } from '../helpers/latchkey.ts'
import { type Product, registerProduct, startProduct } from '../helpers/product.ts'

const redocly = createRequire(import.meta.url).resolve('@redocly/cli/bin/cli.js')

type Ran = { code: number; output: string }

/** @param inputs in the environment, as there are secrets among them */
function run(args: readonly string[], cwd: string, inputs: object = {}): Promise<Ran> {
  const env = {
    PATH: process.env['PATH'],
    HOME: cwd,
    REDOCLY_TELEMETRY: 'off',
    REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true',
    REDOCLY_CLI_RESPECT_INPUT: JSON.stringify(inputs),
  }
  return new Promise((resolve) => {
    const done = (error: Error | null, stdout: string, stderr: string) =>
      resolve({ code: error ? 1 : 0, output: stdout + stderr })
    execFile(process.execPath, [redocly, ...args], { cwd, env, timeout: 120_000 }, done)
  })
}

/** @returns how to run one of its workflows, as they are now */
async function arazzoOf(t: Test, { call }: Latchkey) {
  const { text, body } = await call('GET', '/api/programmatic/arazzo.json', undefined, { token: null })
  const cwd = t.testdir({ 'all.arazzo.json': text })
  return {
    lint: () => run(['lint', 'all.arazzo.json'], cwd),
    walk: (workflow: string, inputs: object) =>
      run(['respect', 'all.arazzo.json', '--workflow', workflow], cwd, inputs),
    ids: body.workflows.map((one: { workflowId: string }) => one.workflowId),
  }
}

const passed = ({ output }: Ran, steps: number) => output.includes(`Steps: ${steps} passed, ${steps} total`)

t.test('Latchkey’s own workflows', async (t) => {
  const latchkey = await startLatchkey(t, 'pglite')
  const { admin, call } = latchkey
  const { lint, walk, ids } = await arazzoOf(t, latchkey)
  const status = async (id: string) => (await call('GET', `/api/v1/tokens/${id}`)).body.status

  t.test('the document is valid', async (t) => {
    const { code, output } = await lint()
    t.equal(code, 0, output)
  })

  t.test('all of them can be walked through', async (t) => {
    t.strictSame(ids, ['protect-a-service', 'give-a-script-a-token', 'end-a-leaked-token'])
    const protect = await walk('protect-a-service', {
      token: admin,
      service: 'maps',
      groups: [{ id: 'maps', title: 'Maps' }],
      scopes: [{ name: 'maps:read', title: 'Read maps', group: 'maps' }],
    })
    t.ok(protect.code === 0 && passed(protect, 3), protect.output)
    t.equal((await call('GET', '/api/v1/services/maps/scopes')).body.scopes[0].name, 'maps:read')

    const give = await walk('give-a-script-a-token', {
      token: admin,
      name: 'script',
      scopes: ['maps:read'],
      expiresIn: '1h',
    })
    t.ok(give.code === 0 && passed(give, 3), give.output)
    const { body: found } = await call('GET', '/api/v1/tokens?q=script')
    t.match(found, [{ name: 'script', scopes: ['maps:read'] }])

    const leaked = await provision(latchkey, { scopes: [] })
    const end = await walk('end-a-leaked-token', { token: admin, hint: leaked.hint })
    t.ok(end.code === 0 && passed(end, 3), end.output)
    t.equal(await status(leaked.id), 'revoked')
  })

  t.test('with a token that is no good, or lacks a scope, they fail and change nothing', async (t) => {
    const safe = await provision(latchkey, { scopes: [], subject: 'user_7' })
    const weak = await provision(latchkey, { scopes: ['tokens:read'], subject: 'user_7' })
    for (const token of ['lk_pat_nonsense', weak.token]) {
      const { code, output } = await walk('end-a-leaked-token', { token, hint: safe.hint })
      t.not(code, 0, output)
      t.match(output, /Workflows: 1 failed/)
    }
    const none = await walk('end-a-leaked-token', { token: admin, hint: 'of-no-token' })
    t.not(none.code, 0, 'nothing is revoked when nothing was found')
    t.equal(await status(safe.id), 'active')
  })
})

t.test('the workflows of the example product', async (t) => {
  const latchkey = await startLatchkey(t, 'pglite')
  const product: Product = await startProduct(await registerProduct(latchkey))
  t.teardown(() => product.stop())
  const { lint, walk, ids } = await arazzoOf(t, latchkey)
  t.ok(ids.includes('publish-post') && ids.includes('sell-with-checkout-link'), product.output())
  const { code, output } = await lint()
  t.equal(code, 0, output)
  const holder = (scopes: string[]) => provision(latchkey, { scopes })

  const { token: author } = await holder(['posts:write'])
  const publish = await walk('publish-post', { token: author })
  t.ok(publish.code === 0 && passed(publish, 2), publish.output)

  const { token: seller } = await holder(['billing:checkout'])
  const sell = await walk('sell-with-checkout-link', { token: seller })
  t.equal(sell.code, 0, sell.output)

  const refused = await walk('sell-with-checkout-link', { token: author })
  t.not(refused.code, 0, refused.output)
})
