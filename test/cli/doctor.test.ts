// `latchkey doctor`: each thing that it looks at, found well and found wrong, with what to do; and that it only looks.
import { once } from 'node:events'
import { chmod, readdir, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import { version } from '../../src/version.ts'
import { type Cli, createCli, type RunOptions } from '../helpers/cli.ts'
import { freshPostgresUrl, sharedServer } from '../helpers/databases.ts'
import { startLatchkey } from '../helpers/latchkey.ts'
import { startPostgres } from '../helpers/postgres-server.ts'
import { freePort, startProcess } from '../helpers/process.ts'

type Check = { name: string; status: string; message: string; whatToDo: string | null }

/** By name; the exit code must be that of what is found. */
async function examine(t: Test, cli: Cli, env: Record<string, string> = {}, args: readonly string[] = []) {
  const { code, stdout, stderr } = await cli.run(['doctor', '--json', ...args], { env })
  t.equal(stderr, '')
  const { ok, checks }: { ok: boolean; checks: Check[] } = JSON.parse(stdout)
  for (const check of checks) t.same(Object.keys(check), ['name', 'status', 'message', 'whatToDo'])
  t.equal(ok, !checks.some(({ status }) => status === 'fail'))
  t.equal(code, ok ? 0 : 1)
  return Object.fromEntries(checks.map((check) => [check.name, check]))
}

async function onDatabase(url: string, text: string): Promise<object[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

/** At a port that nothing else has. */
const createQuietCli = async (t: Test) => createCli(t, { LATCHKEY_PORT: String(await freePort()) })

t.test('on a machine where nothing was started yet, all is well, and nothing is made', async (t) => {
  const cli = await createQuietCli(t)
  const before = await readdir(cli.folder)
  const { code, stdout, stderr } = await cli.run(['doctor'])
  t.match({ code, stderr }, { code: 0, stderr: '' })
  const lines = stdout.trimEnd().split('\n')
  t.same(
    lines.map((line) => line.split(/ +/).slice(0, 2).join(' ')),
    ['ok node', 'ok settings', 'ok data-directory', 'ok port', 'ok issuer', 'ok proxies'],
  )
  t.match(stdout, /^ok {4}data-directory {2}\.latchkey is made at the first start\.$/m)
  t.same(await readdir(cli.folder), before)
  t.same(await cli.run(['doctor', '--quiet']), { code: 0, stdout: '', stderr: '' })
})

t.test('all that is wrong with the settings is told at once, and no value of them', async (t) => {
  const cli = await createQuietCli(t)
  const env = { LATCHKEY_PORT: 'eighty', LATCHKEY_SECRET: 'short!', LATCHKEY_LOG_LEVEL: 'loud' }
  const { code, stdout } = await cli.run(['doctor'], { env })
  t.equal(code, 1)
  for (const name of Object.keys(env))
    t.match(stdout, new RegExp(`^fail  settings  +${name} .*settings.md`, 'm'))
  t.notMatch(stdout, /eighty|short!|loud/)
  t.same(await cli.run(['doctor', '--quiet'], { env }), {
    code: 1,
    stdout: 'settings\nsettings\nsettings\n',
    stderr: '',
  })
  const mistyped = await cli.run(['doctor'], { env: { LATCHKEY_DRAIN_SECOND: '30' } })
  t.equal(mistyped.code, 0)
  t.match(
    mistyped.stdout,
    /^warn {2}settings +LATCHKEY_DRAIN_SECOND is no setting .*LATCHKEY_DRAIN_SECONDS\. See/m,
  )
})

t.test('what the settings say of the world in front', async (t) => {
  const cli = await createQuietCli(t)
  const https = { LATCHKEY_ISSUER: 'https://tokens.example.com' }
  t.match(await examine(t, cli, https), {
    issuer: { status: 'ok', message: /tokens\.example\.com/ },
    proxies: { status: 'warn', whatToDo: /LATCHKEY_TRUSTED_PROXIES/ },
  })
  t.match(await examine(t, cli, { ...https, LATCHKEY_TRUSTED_PROXIES: '10.0.0.0/8' }), {
    proxies: { status: 'ok', message: /1 address or range/ },
  })
})

t.test('the port: free, of another program, or not ours to listen on', async (t) => {
  const cli = await createCli(t)
  const port = async (env: Record<string, string>) => (await examine(t, cli, env))['port']
  t.match(await port({ LATCHKEY_PORT: '0' }), { status: 'ok' })
  const other = createServer((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi'))
  await once(other.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => other.close())
  const taken = { LATCHKEY_PORT: String((other.address() as AddressInfo).port) }
  t.match(await port(taken), {
    status: 'fail',
    message: /taken by another program/,
    whatToDo: /LATCHKEY_PORT/,
  })
  const elsewhere = { LATCHKEY_PORT: String(await freePort()), LATCHKEY_HOST: '192.0.2.1' }
  t.match(await port(elsewhere), { status: 'fail', message: /EADDRNOTAVAIL/, whatToDo: /LATCHKEY_HOST/ })
})

t.test('the embedded store: in use, left behind, and open to others', async (t) => {
  const cli = await createCli(t)
  const own = String(await freePort())
  const env = { LATCHKEY_PORT: own }
  const running = await startProcess({ cwd: cli.folder, env: { ...env, LATCHKEY_DRAIN_SECONDS: '60' } })
  t.match(await examine(t, cli, env), {
    'data-directory': { status: 'ok' },
    lock: { status: 'ok', message: /in use by the Latchkey at the port/ },
    port: { status: 'ok', message: new RegExp(`^Latchkey ${version} serves at 127\\.0\\.0\\.1:${own}\\.$`) },
  })
  t.match(await examine(t, cli, { LATCHKEY_PORT: String(await freePort()) }), {
    lock: { status: 'warn', message: /no other starts on it/, whatToDo: /LATCHKEY_DATA_DIR/ },
    port: { status: 'ok' },
  })

  process.kill(running.pid, 'SIGTERM')
  while ((await fetch(`${running.url}/readyz`)).status === 200);
  const stopping = await examine(t, cli, env, ['--url', running.url])
  const notReady = { status: 'fail', message: /not ready: stopping/ }
  t.match(stopping, { port: notReady, server: notReady })
  await running.stop('SIGKILL')

  const directory = join(cli.folder, '.latchkey')
  const before = await readdir(directory)
  t.match(await examine(t, cli, env), {
    lock: { status: 'ok', message: /No process has/ },
    port: { status: 'ok' },
  })
  t.same(await readdir(directory), before, 'what a killed process left stays')
  await chmod(directory, 0o755)
  t.match(await examine(t, cli, env), { 'data-directory': { status: 'warn', whatToDo: /chmod 700/ } })
  await chmod(join(directory, 'admin-token'), 0o644)
  t.match(await examine(t, cli, env), {
    'data-directory': { status: 'fail', message: /admin-token/, whatToDo: /chmod 600 \S+admin-token$/ },
  })
  await chmod(join(directory, 'admin-token'), 0o600)
  await writeFile(join(directory, 'format'), 'pglite-0.1\n')
  t.match(await examine(t, cli, env), {
    'data-directory': { status: 'fail', message: /written by another version/ },
  })
  const file = { ...env, LATCHKEY_DATA_DIR: 'file' }
  await writeFile(join(cli.folder, 'file'), '')
  t.match(await examine(t, cli, file), { 'data-directory': { status: 'fail' } })
})

t.test('PostgreSQL: what start-up refuses, and what it would do', async (t) => {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const latchkey = await startLatchkey(t, 'postgres', { DATABASE_URL: url })
  const right = { DATABASE_URL: url, LATCHKEY_SECRET: 'a secret of the tests' }
  const cli = await createQuietCli(t)
  const keys = () => onDatabase(url, 'select id from digest_key order by id')
  const present = await keys()

  const well = await examine(t, cli, { ...right, LATCHKEY_PORT: new URL(latchkey.url).port })
  t.match(well, {
    database: { status: 'ok' },
    schema: { status: 'ok', message: /All migrations are applied/ },
    secret: { status: 'ok', message: /opens this database/ },
    failover: { status: 'warn', message: /Best effort/, whatToDo: /synchronous_standby_names/ },
    clock: { status: 'ok', message: /^The database is \d+ ms (behind|ahead of) this machine\.$/ },
    port: { status: 'ok', message: /serves at/ },
    issuer: { status: 'warn', whatToDo: /public address/ },
  })
  t.notOk('data-directory' in well)

  const wrong = await examine(t, cli, { ...right, LATCHKEY_SECRET: 'another secret' })
  t.match(wrong, { database: { status: 'ok' }, secret: { status: 'fail', message: /is not the secret/ } })
  const replacing = { LATCHKEY_SECRET: 'another secret', LATCHKEY_SECRET_PREVIOUS: right.LATCHKEY_SECRET }
  t.match(await examine(t, cli, { ...right, ...replacing }), { secret: { status: 'ok', message: /is new/ } })
  t.same(await keys(), present, 'no key was made')

  const off = `${url}?options=-c%20synchronous_commit%3Doff`
  t.match(await examine(t, cli, { ...right, DATABASE_URL: off }), {
    database: { status: 'fail', message: /synchronous_commit=off.*Turn it on/, whatToDo: null },
  })
  const nobody = await examine(t, cli, { ...right, DATABASE_URL: 'postgres://me:hunter22@127.0.0.1:9/x' })
  t.match(nobody, { database: { status: 'fail', message: /^DATABASE_URL .*ECONNREFUSED/, whatToDo: null } })
  t.notMatch(JSON.stringify(nobody), /hunter22/)

  await onDatabase(url, 'alter table digest_key rename column id to name')
  t.match(await examine(t, cli, right), {
    secret: { status: 'fail', message: /column "id"/ },
    clock: { status: 'ok' },
  })
  await onDatabase(url, `insert into kysely_migration values ('9999_later', '2030-01-01T00:00:00Z')`)
  t.match(await examine(t, cli, right), {
    schema: { status: 'fail', message: /9999_later/, whatToDo: /newer/ },
  })
})

t.test(
  'PostgreSQL: an empty database stays empty; with a synchronous standby a failover is safe',
  async (t) => {
    const shared = sharedServer()
    const server = await startPostgres({
      settings: { synchronous_standby_names: 'nobody' },
      ...(shared && { binDir: shared.binDir }),
    })
    t.teardown(() => server.remove())
    const cli = await createQuietCli(t)
    const env = { DATABASE_URL: server.url, LATCHKEY_SECRET: 'a secret of the tests' }
    t.match(await examine(t, cli, env), {
      database: { status: 'ok' },
      schema: { status: 'warn', message: /0001_init/, whatToDo: /latchkey migrate/ },
      secret: { status: 'ok', message: /No key yet/ },
      failover: { status: 'ok', message: /^Safe/ },
    })
    t.same(await onDatabase(server.url, `select from pg_tables where schemaname = 'public'`), [])
  },
)

t.test('the Latchkey that one is signed in to', async (t) => {
  const { url, admin } = await startLatchkey(t, 'pglite')
  const cli = await createQuietCli(t)
  const session = (env: Record<string, string>, args?: string[]) => examine(t, cli, env, args)
  t.match(await session({ LATCHKEY_URL: url, LATCHKEY_TOKEN: admin }), {
    server: {
      status: 'ok',
      message: new RegExp(`^Latchkey ${version} serves at ${url} \\(LATCHKEY_URL\\)\\.$`),
    },
    credential: { status: 'ok', message: /^tok_\w+ \(admin\) from LATCHKEY_TOKEN is good/ },
  })
  t.match(await session({}, ['--url', url]), { credential: { status: 'warn', whatToDo: /latchkey login/ } })
  const bad = await session({ LATCHKEY_URL: url, LATCHKEY_TOKEN: 'lk_pat_nonsense' })
  t.match(bad, { server: { status: 'ok' }, credential: { status: 'fail', message: /is not taken by/ } })
  t.notMatch(JSON.stringify(bad), /nonsense/)
  t.match(await session({ LATCHKEY_URL: 'http://127.0.0.1:9' }), {
    server: { status: 'fail', message: /cannot be reached/, whatToDo: /LATCHKEY_URL/ },
  })
  t.match(await session({ LATCHKEY_TOKEN_FILE: 'nowhere' }), {
    credential: { status: 'fail', message: /cannot be read \(ENOENT\)|names a file that cannot be read/ },
  })
  const login: RunOptions = { input: admin, env: { LATCHKEY_URL: url } }
  await cli.run(['login', '--with-token'], login)
  t.match(await session({}), { server: { message: /\(profile\)/ }, credential: { message: /from profile/ } })
})
