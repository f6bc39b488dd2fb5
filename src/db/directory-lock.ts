// One process for each data directory: each puts a Unix socket of its own into it, on which only a living process can
// answer. PGlite has no lock of its own, and two processes on one directory lose data silently.
import { randomBytes, randomInt } from 'node:crypto'
import { mkdtemp, readdir, realpath, rename, rm, symlink } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

const prefix = 'lock-'
const mostTries = 4

type Claim = { readonly name: string; withdraw(): Promise<void> }

/** @returns the function that gives the directory free @throws Error when another process has it */
export async function lockDirectory(directory: string): Promise<() => Promise<void>> {
  const { path, forget } = await shortPath(await realpath(directory))
  for (let tries = 1; ; tries++) {
    // First claim, then look: of two that start together, at least one sees the other.
    const claim = await claimIn(path)
    const free = !(await othersLive(path, claim.name))
    if (free) return () => claim.withdraw().then(forget)
    await claim.withdraw()
    if (tries === mostTries) break
    await wait(randomInt(100))
  }
  await forget()
  throw new Error(
    `The data directory ${directory} is in use by another Latchkey process. Stop that one, or set LATCHKEY_DATA_DIR.`,
  )
}

/** Whether a living process has the directory. Only looks. */
export async function isLocked(directory: string): Promise<boolean> {
  const { path, forget } = await shortPath(await realpath(directory))
  try {
    const living = await Promise.all((await claimsIn(path)).map((name) => answers(join(path, name))))
    return living.includes(true)
  } finally {
    await forget()
  }
}

async function claimIn(path: string): Promise<Claim> {
  const name = prefix + randomBytes(4).toString('hex')
  // Others' connections are no business of ours; their resets must not end this process.
  const server = createServer((socket) => socket.on('error', () => {}).destroy())
  const unready = join(path, `.${name}`)
  await new Promise<void>((resolve, reject) => server.on('error', reject).listen(unready, resolve))
  server.unref()
  // Under its name only once it answers, or it would be taken for a dead one.
  await rename(unready, join(path, name))
  return {
    name,
    withdraw: async () => {
      await new Promise((resolve) => server.close(resolve))
      await rm(join(path, name), { force: true })
    },
  }
}

/** Removes the claims of processes that were killed on the way: a name is never used twice, so they stay dead. */
async function othersLive(path: string, own: string): Promise<boolean> {
  for (const name of (await claimsIn(path)).filter((one) => one !== own)) {
    if (await answers(join(path, name))) return true
    await rm(join(path, name), { force: true })
  }
  return false
}

const claimsIn = async (path: string): Promise<string[]> =>
  (await readdir(path)).filter((name) => name.startsWith(prefix))

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy()
      resolve(true)
    })
    // Whatever else is wrong (no permission, say), somebody may be there.
    socket.on('error', ({ code }: NodeJS.ErrnoException) =>
      resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'),
    )
  })
}

/** Socket paths end at about 100 bytes; a deep directory is reached through a short link to it. */
async function shortPath(path: string): Promise<{ path: string; forget: () => Promise<void> }> {
  if (Buffer.byteLength(path) < 80) return { path, forget: async () => {} }
  const folder = await mkdtemp(join(tmpdir(), 'lk-'))
  const link = join(folder, 'd')
  await symlink(path, link)
  return { path: link, forget: () => rm(folder, { recursive: true }) }
}
