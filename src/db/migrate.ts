// Brings a database to the schema of this version: the files of migrations/, in order, each once.
// Safe when several replicas start together: Kysely's Migrator takes a lock.
import { readdir, readFile } from 'node:fs/promises'
import {
  DEFAULT_MIGRATION_TABLE,
  type Kysely,
  type Migration,
  type MigrationProvider,
  Migrator,
  sql,
} from 'kysely'

const folder = new URL('../../migrations/', import.meta.url)

const sqlFiles: MigrationProvider = {
  async getMigrations() {
    const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort()
    const entries = names.map(async (name): Promise<[string, Migration]> => {
      const text = await readFile(new URL(name, folder), 'utf8')
      return [name.slice(0, -'.sql'.length), { up: async (db) => void (await sql.raw(text).execute(db)) }]
    })
    return Object.fromEntries(await Promise.all(entries))
  },
}

/** @returns the names of the migrations that this call applied @throws the database's error */
// biome-ignore lint/suspicious/noExplicitAny: a migration runs on the tables as they were
export async function migrate(db: Kysely<any>): Promise<string[]> {
  const migrator = new Migrator({ db, provider: sqlFiles })
  const { error, results = [] } = await migrator.migrateToLatest()
  if (error) throw error
  return results.map((result) => result.migrationName)
}

/** How far a database is: `pending` it lacks, `unknown` were applied by a newer version. Only looks. */
// biome-ignore lint/suspicious/noExplicitAny: see above
export async function schemaState(db: Kysely<any>): Promise<{ pending: string[]; unknown: string[] }> {
  const known = await new Migrator({ db, provider: sqlFiles }).getMigrations()
  const pending = known.filter((one) => one.executedAt === undefined).map((one) => one.name)
  if (pending.length === known.length) return { pending, unknown: [] }
  const names = new Set(known.map((one) => one.name))
  const applied = await db.selectFrom(DEFAULT_MIGRATION_TABLE).select('name').orderBy('name').execute()
  return { pending, unknown: applied.map((row) => row['name']).filter((name) => !names.has(name)) }
}
