// What the image would run, without a container engine: its files, its production dependencies, its environment, its
// command and its health check, as a user without rights, on PostgreSQL. And that Dockerfile and compose file name
// things that exist.
import { execFile } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { settings } from '../../src/config.ts'
import { freshPostgresUrl } from '../helpers/databases.ts'
import { freePort, startProcess } from '../helpers/process.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))
const dockerfile = await readFile(join(root, 'Dockerfile'), 'utf8')
const compose = await readFile(join(root, 'docker-compose.yml'), 'utf8')
const image = lastStage(dockerfile)

const nobody = 65_534
const unprivileged = process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {}

t.test('what the image runs is healthy on PostgreSQL, as a user without rights', async (t) => {
  const tree = await productionTree()
  t.teardown(() => rm(tree, { recursive: true, force: true }))
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const [port, management] = [await freePort(), await freePort()]
  const env = {
    ...image.env,
    LATCHKEY_PORT: String(port),
    LATCHKEY_MANAGEMENT_PORT: String(management),
    DATABASE_URL_FILE: await secretFile(tree, 'database-url', url),
    LATCHKEY_SECRET_FILE: await secretFile(tree, 'latchkey-secret', 'a secret of the production tree\n'),
  }
  const started = { cwd: tree, env, command: own(image.command), ...unprivileged }
  const latchkey = await startProcess(started)
  t.teardown(() => latchkey.stop('SIGKILL'))

  t.test('the health check of the image is content', async (t) => {
    const [program, ...args] = own(image.healthCheck)
    await t.resolves(run(program, args, { env: { ...env, PATH: process.env['PATH'] }, ...unprivileged }))
    const elsewhere = { ...env, LATCHKEY_PORT: String(await freePort()), PATH: process.env['PATH'] }
    await t.rejects(run(program, args, { env: elsewhere, ...unprivileged }), 'and would not be otherwise')
  })

  t.test('it listens on every address, and has metrics on the management port', async (t) => {
    t.equal(latchkey.url, `http://0.0.0.0:${port}`)
    for (const url of [`http://127.0.0.1:${port}/readyz`, `http://127.0.0.1:${management}/readyz`]) {
      t.match(await (await fetch(url)).json(), { status: 'ok' }, url)
    }
    const metrics = await (await fetch(`http://127.0.0.1:${management}/metrics`)).text()
    t.match(metrics, /^build_info\{version="/m)
    const onMainPort = await fetch(`http://127.0.0.1:${port}/metrics`)
    await onMainPort.text()
    t.equal(onMainPort.status, 404, 'metrics stay inside')
  })

  t.test('bootstrap prints the admin token, alone, on stdout, once', async (t) => {
    const options = { cwd: tree, env: { ...env, PATH: process.env['PATH'] }, ...unprivileged }
    const bootstrap = (...args: string[]) =>
      run(process.execPath, ['bin/latchkey.js', 'bootstrap', ...args], options)
    const { stdout } = await bootstrap()
    t.match(stdout, /^lk_svc_[0-9A-Za-z]{36}\n$/)
    await t.rejects(bootstrap(), { code: 1, stdout: '', stderr: /--force/ } as never)
    t.match((await bootstrap('--force')).stdout, /^lk_svc_[0-9A-Za-z]{36}\n$/)

    const headers = { authorization: `Bearer ${stdout.trim()}` }
    const self = await fetch(`http://127.0.0.1:${port}/api/v1/tokens/self`, { headers })
    t.match(await self.json(), { name: 'admin', active: true })
  })

  t.test('SIGTERM ends it with 0', async (t) => {
    t.equal(await latchkey.stop(), 0)
    t.notMatch(latchkey.output(), /a secret of the production tree/)
  })
})

t.test('Dockerfile and compose file name files and settings that exist', async (t) => {
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((found) =>
    found[1]!.split(' '),
  )
  const ignore = (await readFile(join(root, '.dockerignore'), 'utf8')).split('\n')
  for (const path of new Set(copied)) {
    await t.resolves(stat(join(root, path)), path)
    t.ok(ignore.includes(`!${path}`), `${path} is let into the build`)
  }
  const known = new Set(Object.values(settings).flatMap(({ name }) => [name, `${name}_FILE`]))
  const named = [...`${dockerfile}\n${compose}`.matchAll(/\b(?:LATCHKEY_|DATABASE_URL)\w*/g)].map(
    ([name]) => name,
  )
  t.ok(named.length > 5)
  for (const name of new Set(named)) t.ok(known.has(name), name)

  const used = [...compose.matchAll(/\/run\/secrets\/([\w-]+)/g)].map((found) => found[1]!)
  const operate = await readFile(join(root, 'docs/operate/README.md'), 'utf8')
  for (const name of used) {
    t.match(compose, new RegExp(`^ {2}${name}: \\{ file: \\./secrets/${name} \\}$`, 'm'))
    t.match(operate, new RegExp(`> secrets/${name}$`, 'm'), `the documentation makes ${name}`)
  }
  t.match(await readFile(join(root, '.gitignore'), 'utf8'), /^secrets\/$/m, 'secrets are not committed')
  t.match(compose, /condition: service_healthy/)
  t.match(dockerfile, /^USER node$/m)
  t.equal(image.env['LATCHKEY_HOST'], '0.0.0.0')
  t.equal(image.env['LATCHKEY_MANAGEMENT_PORT'], '9090')
})

type Image = {
  env: Record<string, string>
  command: string[]
  healthCheck: string[]
  /** From the sources, and from what was built of them. */
  copied: string[]
}

function lastStage(text: string): Image {
  const stage = text.slice(text.lastIndexOf('\nFROM '))
  const list = (found: RegExpExecArray | null): string[] => JSON.parse(found![1]!)
  return {
    env: Object.fromEntries(
      [...stage.matchAll(/^ENV (\w+)=(\S+)$/gm)].map(([, name, value]) => [name, value]),
    ),
    command: list(/^CMD (\[.+\])$/m.exec(stage)),
    healthCheck: list(/^HEALTHCHECK .*CMD (\[.+\])$/m.exec(stage)),
    copied: [
      ...[...stage.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((found) => found[1]!.split(' ')),
      ...[...stage.matchAll(/^COPY --from=build \/app\/(\S+) \1$/gm)].map((found) => found[1]!),
    ],
  }
}

/** `node` means this Node. */
const own = ([, ...args]: readonly string[]): [string, ...string[]] => [process.execPath, ...args]

/** The files of the image's last stage: what it copies, and what `npm ci --omit=dev` would install. */
async function productionTree(): Promise<string> {
  const tree = await mkdtemp(join(tmpdir(), 'latchkey-tree-'))
  await chmod(tree, 0o755)
  for (const path of image.copied) await cp(join(root, path), join(tree, path), { recursive: true })
  const listed = await run('npm', ['ls', '--omit=dev', '--all', '--parseable'], { cwd: root })
  const packages = listed.stdout.trim().split('\n').slice(1)
  for (const path of packages) {
    // What is nested in a package is listed by itself, if it belongs here at all.
    const filter = (from: string) => !relative(path, from).split('/').includes('node_modules')
    // A link of the workspace leads to where it would in the image.
    await cp(path, join(tree, relative(root, path)), { recursive: true, filter, verbatimSymlinks: true })
  }
  return tree
}

async function secretFile(tree: string, name: string, content: string): Promise<string> {
  await mkdir(join(tree, 'secrets'), { recursive: true })
  const file = join(tree, 'secrets', name)
  await writeFile(file, content, { mode: 0o644 })
  return file
}
