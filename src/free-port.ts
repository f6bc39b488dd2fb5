// A port that has to be known before it is listened on: the issuer's default names it, and workers share it.

import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

export type HeldPort = { readonly port: number; readonly release: () => Promise<unknown> }

/**
 * Nobody else gets it until it is released. From below the range out of which the system takes ports for connections that
 * go out (Linux: from 32768), or one of them may have it by the time it is listened on.
 * @param reserved will be listened on by ourselves, for something else
 */
export async function holdPort(host: string, reserved: readonly number[] = []): Promise<HeldPort> {
  for (let triesLeft = mostTries; ; triesLeft--) {
    const port = anyBut(reserved)
    const holder = createServer((socket) => socket.destroy()).listen(port, host)
    try {
      await once(holder, 'listening')
      let released: Promise<unknown> | undefined
      return { port, release: () => (released ??= once(holder.close(), 'close')) }
    } catch (error) {
      if (triesLeft === 0 || (error as { code?: string }).code !== 'EADDRINUSE') throw error
    }
  }
}

/** One that was free a moment ago, for a process that is yet to begin. */
export async function freePort(host: string, reserved: readonly number[] = []): Promise<number> {
  const { port, release } = await holdPort(host, reserved)
  await release()
  return port
}

function anyBut(reserved: readonly number[]): number {
  const port = randomInt(25_000, 32_768)
  return reserved.includes(port) ? anyBut(reserved) : port
}

const mostTries = 20
