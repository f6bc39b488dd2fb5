// What the embedded default keeps beside its store: the secret it made for itself, and the first admin token.

import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const ownerOnly = 0o600

/** The operator's secret of an embedded store: made at the first start, read ever after. */
export async function embeddedSecret(dataDir: string): Promise<string> {
  const file = join(dataDir, 'secret')
  try {
    return (await readFile(file, 'utf8')).trim()
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

async function writeOwnerOnly(file: string, content: string): Promise<void> {
  await mkdir(join(file, '..'), { recursive: true, mode: 0o700 })
  await writeFile(file, content, { mode: ownerOnly })
  // The mode above counts only for a new file.
  await chmod(file, ownerOnly)
}
