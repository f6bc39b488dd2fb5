// One process for each data directory: a Unix socket in it that only a living process can answer on.
// PGlite has no lock of its own, and two processes on one directory lose data silently.
import { mkdtemp, realpath, rm, symlink, unlink } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** @returns the function that gives the directory free @throws Error when another process has it */
export async function lockDirectory(directory: string): Promise<() => Promise<void>> {
  const path = await shortPath(join(await realpath(directory), 'lock'))
  if (await answers(path.name)) throw inUse(directory)
  // The socket file of a process that was killed stays behind; nobody answers there, so it may go.
  await unlink(path.name).catch(() => {})
  const server = await listen(path.name, directory)
  return async () => {
    await new Promise((resolve) => server.close(resolve))
    await path.forget()
  }
}

function inUse(directory: string): Error {
  return new Error(
    `The data directory ${directory} is in use by another Latchkey process. Stop that one, or set LATCHKEY_DATA_DIR.`,
  )
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}

function listen(path: string, directory: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    // A probing process hangs up at once; its reset must not end this one.
    const server = createServer((socket) => socket.on('error', () => {}).destroy())
    server.on('error', () => reject(inUse(directory)))
    server.listen(path, () => resolve(server.unref()))
  })
}

/** Socket paths end at about 100 bytes; a deep directory is reached through a short link to it. */
async function shortPath(path: string): Promise<{ name: string; forget: () => Promise<void> }> {
  if (Buffer.byteLength(path) < 100) return { name: path, forget: async () => {} }
  const folder = await mkdtemp(join(tmpdir(), 'lk-'))
  const link = join(folder, 'd')
  await symlink(join(path, '..'), link)
  return { name: join(link, 'lock'), forget: () => rm(folder, { recursive: true }) }
}
