// A port that has to be known before it is listened on: the issuer's default names it, and workers share it.

import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * From below the range out of which the system takes ports for connections that go out (Linux: from 32768), or one of them
 * may have it by the time it is listened on.
 */
export async function freePort(host: string): Promise<number> {
  for (let triesLeft = mostTries; ; triesLeft--) {
    const port = randomInt(25_000, 32_768)
    const probe = createServer().listen(port, host)
    try {
      await once(probe, 'listening')
      probe.close()
      await once(probe, 'close')
      return port
    } catch (error) {
      if (triesLeft === 0 || (error as { code?: string }).code !== 'EADDRINUSE') throw error
    }
  }
}

const mostTries = 20
