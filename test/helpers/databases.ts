// A fresh PostgreSQL database for each test that wants one, cloned from a migrated template. It leaves the server to
// before.ts, which starts one for the whole run unless TEST_DATABASE_URL names one, and the migrating to its caller.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'

/** Told by before.ts to the tests and to after.ts: each is a process of its own, with tap for its parent. */
export interface SharedServer {
  readonly url: string
  /** The tap process the server belongs to. */
  readonly tapPid: number
  readonly supervisorPid: number
  readonly folder: string
  /** For `startPostgres({ binDir })`: spares a copy of the binaries. */
  readonly binDir: string
}

const sharedServersFile = fileURLToPath(new URL('../../.tap/latchkey-postgres.json', import.meta.url))

const template = 'latchkey_template'

export async function freshPostgresUrl(): Promise<{ url: string; drop(): Promise<void> }> {
  const server = serverUrl()
  const name = `latchkey_test_${randomBytes(8).toString('hex')}`
  await asAdmin(server, async (client) => {
    const found = await client.query('select from pg_database where datname = $1', [template])
    await client.query(`create database ${name}${found.rowCount === 1 ? ` template ${template}` : ''}`)
  })
  const drop = (): Promise<void> => asAdmin(server, (client) => dropDatabase(client, name))
  return { url: databaseUrl(server, name), drop }
}

/** Built aside and renamed when done, so that no test ever clones half a schema, nor that of an earlier run. */
export async function makeTemplate(migrate: (url: string) => Promise<void>): Promise<void> {
  const server = serverUrl()
  const unfinished = `${template}_${randomBytes(8).toString('hex')}`
  await asAdmin(server, async (client) => {
    await client.query(`create database ${unfinished}`)
    try {
      await migrate(databaseUrl(server, unfinished))
      // A template with a session on it cannot be cloned: keep everyone out, autovacuum included.
      await client.query(`alter database ${unfinished} allow_connections false`)
      await client.query(`select pg_advisory_lock(hashtext('${template}'))`)
      await dropDatabase(client, template)
      await client.query(`alter database ${unfinished} rename to ${template}`)
    } catch (error) {
      await dropDatabase(client, unfinished)
      throw error
    }
  })
}

export function sharedServer(): SharedServer | undefined {
  return readSharedServers().find((server) => server.tapPid === process.ppid)
}

/** Entries by run, as two may go on in one checkout; those of runs that were killed are left out on this occasion. */
export async function replaceSharedServer(ours: SharedServer | undefined): Promise<void> {
  const others = readSharedServers().filter(({ tapPid }) => tapPid !== process.ppid && isRunning(tapPid))
  const servers = ours === undefined ? others : [...others, ours]
  if (servers.length === 0) return rm(sharedServersFile, { force: true })
  await mkdir(dirname(sharedServersFile), { recursive: true })
  const written = `${sharedServersFile}.${process.pid}`
  await writeFile(written, `${JSON.stringify(servers, undefined, 2)}\n`)
  await rename(written, sharedServersFile)
}

function readSharedServers(): SharedServer[] {
  try {
    return JSON.parse(readFileSync(sharedServersFile, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function serverUrl(): string {
  const url = process.env['TEST_DATABASE_URL'] || sharedServer()?.url
  if (url !== undefined) return url
  throw new Error(
    'No PostgreSQL is running for the tests. Run them through `npx tap <file>`, which starts one, or set TEST_DATABASE_URL.',
  )
}

function databaseUrl(server: string, name: string): string {
  const url = new URL(server)
  url.pathname = `/${name}`
  return url.href
}

async function dropDatabase(client: pg.Client, name: string): Promise<void> {
  await client.query(`drop database if exists ${name} with (force)`)
}

async function asAdmin<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  client.on('error', () => {}) // a server that goes away mid-query fails the query as well
  await client.connect().catch((cause: Error) => {
    throw new Error(
      `The test PostgreSQL at ${new URL(url).host} does not answer: ${cause.message || String(cause)}. Run the tests through \`npx tap <file>\`, which starts one, or mend TEST_DATABASE_URL.`,
      { cause },
    )
  })
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
