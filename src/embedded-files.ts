// What the embedded default keeps beside its store: the secret it made for itself, and the first admin token.

import { randomBytes } from 'node:crypto'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const ownerOnly = 0o600

/** Whoever reads these can do everything. */
export const secretFiles = ['secret', 'admin-token'] as const

/** The operator's secret of an embedded store: made at the first start, read ever after. */
export async function embeddedSecret(dataDir: string): Promise<string> {
  const file = join(dataDir, 'secret')
  try {
    const secret = (await readFile(file, 'utf8')).trim()
    if (secret.length < 8)
      throw new Error(`${file} is not the secret that was written there. Restore it from a backup.`)
    return secret
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    const secret = randomBytes(32).toString('base64url')
    await writeOwnerOnly(file, secret)
    return secret
  }
}

/** @returns the file's path */
export async function writeAdminToken(dataDir: string, token: string): Promise<string> {
  const file = join(dataDir, 'admin-token')
  await writeOwnerOnly(file, token)
  return file
}

/** All of it or nothing, whatever ends this process on the way. */
async function writeOwnerOnly(file: string, content: string): Promise<void> {
  const unfinished = `${file}.new`
  await rm(unfinished, { force: true })
  await writeFile(unfinished, content, { mode: ownerOnly, flush: true })
  await rename(unfinished, file)
}
