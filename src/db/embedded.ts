// The embedded store: PGlite in a data directory that belongs to one process at a time. It survives kill -9 but,
// as PGlite does not fsync, not a power cut. Which of the two stores is used decides open.ts.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { PGlite } from '@electric-sql/pglite'
import { CompiledQuery, Kysely } from 'kysely'
import { lockDirectory } from './directory-lock.ts'
import type { Store } from './open.ts'
import { pgliteDialect } from './pglite-dialect.ts'
import type { Db, Tables } from './tables.ts'

// Compiling PGlite once more, optimised, takes 40 to 100 MB and makes no change measurably faster; of initdb it would be a
// quarter of the processor time.
setFlagsFromString('--liftoff-only')

/** Data directories do not survive a major version of PostgreSQL, so it is written beside them. */
const storeFormat = 'pglite-0.5/postgresql-18'

// PGlite's default of 128 MB of shared buffers is never given back; 16 MB halves a small process.
const startParams = [...PGlite.defaultStartParams, '-c', 'shared_buffers=16MB']

/** @throws Error saying what to do when the directory is in use or was made by another version */
export async function openEmbedded(dataDir: string): Promise<Store> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const unlock = await lockDirectory(dataDir)
  try {
    const files = join(dataDir, 'store')
    if (existsSync(files)) await checkFormat(dataDir)
    else await initialise(dataDir, files)
    const store = await openPglite(files)
    return {
      ...store,
      close: async () => {
        await store.close()
        await unlock()
      },
    }
  } catch (error) {
    await unlock()
    throw error
  }
}

/** @param files a directory, or `memory://` with an image to load */
export async function openPglite(files: string, image?: Blob): Promise<Store> {
  const pglite = await PGlite.create(files, { startParams, ...(image && { loadDataDir: image }) })
  const db: Db = new Kysely<Tables>({ dialect: pgliteDialect(pglite) })
  return {
    engine: 'embedded',
    failover: null,
    db,
    changes: db,
    // Behind a transaction that holds the one session, never inside it.
    read: async <R>(_name: string, text: string, values: unknown[]) =>
      (await db.executeQuery<R>(CompiledQuery.raw(text, values))).rows,
    listen: null,
    close: () => db.destroy(),
  }
}

/** @throws Error when another version wrote it */
export async function checkFormat(dataDir: string): Promise<void> {
  const found = (await readFile(join(dataDir, 'format'), 'utf8').catch(() => 'of none')).trim()
  if (found === storeFormat) return
  throw new Error(
    `${dataDir} was written by another version (${found}; this one reads ${storeFormat}). Dump it with that version, or choose another LATCHKEY_DATA_DIR.`,
  )
}

/** initdb takes 800 MB that the process would keep, so a child does it and takes the memory along. */
async function initialise(dataDir: string, files: string): Promise<void> {
  for (const name of await readdir(dataDir)) {
    if (name.startsWith('store.new')) await rm(join(dataDir, name), { recursive: true, force: true })
  }
  // A name of its own: the child of a process that was killed may still be writing to another.
  const unfinished = await mkdtemp(`${files}.new-`)
  const child = fork(fileURLToPath(import.meta.url), [unfinished], { execArgv: process.execArgv })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`The embedded store could not be made in ${files} (exit code ${code})`)
  await writeFile(join(dataDir, 'format'), `${storeFormat}\n`)
  // Only a whole store gets the name, whatever ends this process on the way.
  await rename(unfinished, files)
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2]) {
  const pglite = await PGlite.create(process.argv[2], { startParams })
  await pglite.close()
}
