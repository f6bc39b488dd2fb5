// Run by tap once before all tests, as a process of its own: sees to a PostgreSQL server for the run and to the
// template database, and to the PGlite image. It leaves the address in a file for databases.ts, and the stopping to after.ts.
import { readdirSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { migrate } from '../../src/db/migrate.ts'
import { openPostgres } from '../../src/db/postgres.ts'
import { makeTemplate, replaceSharedServer } from './databases.ts'
import { makeImage } from './pglite-image.ts'
import { startPostgres } from './postgres-server.ts'

const oldestVersion = 15

try {
  checkFolders()
  const given = process.env['TEST_DATABASE_URL']
  if (given) await checkGivenServer(given)
  else await startSharedServer()

  await makeTemplate(migrateUrl)
  await makeImage()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}

/** What is not in a folder's all.test.ts would not be run, without a word. */
function checkFolders(): void {
  const test = fileURLToPath(new URL('..', import.meta.url))
  const files = readdirSync(test, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.test.ts'),
  )
  const run = files.filter((file) => basename(file) === 'all.test.ts').map((file) => dirname(file))
  const left = files.filter((file) => !run.includes(dirname(file)))
  if (left.length > 0) throw new Error(`${left.join(', ')}: not run, for want of an all.test.ts beside it`)
}

async function migrateUrl(url: string): Promise<void> {
  const store = await openPostgres(url)
  await migrate(store.db)
  await store.close()
}

async function startSharedServer(): Promise<void> {
  // Not with us, who end before the tests begin, but with tap: after.ts does not run when tap is killed.
  const server = await startPostgres({ diesWith: process.ppid })
  await replaceSharedServer({
    url: server.url,
    tapPid: process.ppid,
    supervisorPid: server.supervisorPid()!,
    folder: server.folder,
    binDir: server.binDir,
  })
}

async function checkGivenServer(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  client.on('error', () => {}) // a server that goes away mid-query fails the query as well
  try {
    await client.connect()
    const { rows } = await client.query<{ version: number; may_create: boolean }>(
      `select current_setting('server_version_num')::int / 10000 as version, rolcreatedb or rolsuper as may_create
       from pg_roles where rolname = current_user`,
    )
    const { version, may_create } = rows[0]!
    if (version < oldestVersion) throw new Error(`it is PostgreSQL ${version}, too old`)
    if (!may_create) throw new Error('its user may not create databases (ALTER ROLE … CREATEDB)')
  } catch (error) {
    throw new Error(
      `TEST_DATABASE_URL cannot be used: ${String(error)}\nPoint it at a PostgreSQL ${oldestVersion} or later and a user who may create databases, or unset it to let the tests start their own.`,
      { cause: error },
    )
  } finally {
    await client.end().catch(() => {})
  }
}
