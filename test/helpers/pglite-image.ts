// A migrated PGlite store as an image, made once for a test run: initdb takes seconds, loading this does not.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PGlite } from '@electric-sql/pglite'
import { Kysely } from 'kysely'
import { openPglite } from '../../src/db/embedded.ts'
import { migrate } from '../../src/db/migrate.ts'
import type { Store } from '../../src/db/open.ts'
import { pgliteDialect } from '../../src/db/pglite-dialect.ts'

const file = fileURLToPath(new URL('../../.tap/pglite-image.tar', import.meta.url))

export async function makeImage(): Promise<void> {
  const pglite = await PGlite.create('memory://')
  const db = new Kysely({ dialect: pgliteDialect(pglite) })
  await migrate(db)
  // A third of what would have to be loaded each time, and nobody connects to them.
  await pglite.exec('update pg_database set datistemplate = false')
  for (const name of ['template0', 'template1']) await pglite.exec(`drop database ${name}`)
  const image = await pglite.dumpDataDir('none')
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, Buffer.from(await image.arrayBuffer()))
  await db.destroy()
}

/** A store of its own for one test file, in memory. */
export async function freshPglite(): Promise<Store> {
  const image = await readFile(file)
  // Looks like a Blob to PGlite; Node's own hands out forty megabytes so slowly that a third of the start was spent on it.
  const blob = { type: 'application/x-tar', arrayBuffer: async () => image.buffer }
  return openPglite('memory://', blob as unknown as Blob)
}
