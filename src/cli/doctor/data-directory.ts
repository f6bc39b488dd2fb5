// Checks of the embedded store from outside: who may use and read its directory, which version wrote it, who has it. The
// store itself is not opened: that would write to it, and what only start-up can tell, start-up tells.
import { existsSync } from 'node:fs'
import { access, constants, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { isLocked } from '../../db/directory-lock.ts'
import { checkFormat } from '../../db/embedded.ts'
import { secretFiles } from '../../embedded-files.ts'
import { type Check, fail, ok, reasonOf, warn } from './check.ts'

/** @param answers whether a Latchkey answers at the configured port */
export async function checkDataDirectory(dataDir: string, answers: boolean): Promise<Check[]> {
  if (!existsSync(dataDir)) return [await checkPlaceFor(dataDir)]
  const permissions = await checkPermissions(dataDir)
  return permissions.status === 'fail' ? [permissions] : [permissions, await checkLock(dataDir, answers)]
}

async function checkPlaceFor(dataDir: string): Promise<Check> {
  let place = dirname(resolve(dataDir))
  while (!existsSync(place)) place = dirname(place)
  try {
    await access(place, constants.W_OK | constants.X_OK)
    return ok('data-directory', `${dataDir} is made at the first start.`)
  } catch (error) {
    const message = `${dataDir} cannot be made: ${reasonOf(error)}`
    return fail('data-directory', message, 'Set LATCHKEY_DATA_DIR to a place of your own.')
  }
}

async function checkPermissions(dataDir: string): Promise<Check> {
  try {
    await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK)
    if (existsSync(join(dataDir, 'store'))) await checkFormat(dataDir)
    const secrets = await openToOthers(secretFiles.map((file) => join(dataDir, file)))
    if (secrets.length > 0)
      return fail(
        'data-directory',
        `Others can use ${secrets.join(' and ')}.`,
        `Replace what is in there if they may have, and: chmod 600 ${secrets.join(' ')}`,
      )
    const [open] = await openToOthers([dataDir])
    if (open) return warn('data-directory', `Others can look into ${dataDir}.`, `chmod 700 ${dataDir}`)
    return ok('data-directory', `${dataDir} is for its owner alone.`)
  } catch (error) {
    return fail('data-directory', reasonOf(error), 'Or check LATCHKEY_DATA_DIR.')
  }
}

/** Windows has no such bits. */
async function openToOthers(files: readonly string[]): Promise<string[]> {
  const present = process.platform === 'win32' ? [] : files.filter((file) => existsSync(file))
  const modes = await Promise.all(present.map(async (file) => (await stat(file)).mode))
  return present.filter((_file, index) => (modes[index]! & 0o077) !== 0)
}

async function checkLock(dataDir: string, answers: boolean): Promise<Check> {
  if (!(await isLocked(dataDir))) return ok('lock', `No process has ${dataDir}.`)
  if (answers) return ok('lock', `${dataDir} is in use by the Latchkey at the port.`)
  return warn(
    'lock',
    `${dataDir} is in use by a process that does not answer at the port: no other starts on it.`,
    'Stop that one, or set LATCHKEY_DATA_DIR or LATCHKEY_PORT.',
  )
}
