// Check of the port to listen on: free, or taken by the Latchkey that is meant to be there.
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Config } from '../../config.ts'
import { connect } from '../connect.ts'
import { type Check, fail, ok, reasonOf } from './check.ts'
import { lookAt } from './server.ts'

const timeoutMs = 3_000

/** `answers`: it is a Latchkey that has it. */
export async function checkPort({ host, port }: Config): Promise<{ check: Check; answers: boolean }> {
  const at = `${host.includes(':') ? `[${host}]` : host}:${port}`
  if (port === 0) return { check: ok('port', 'A free one is taken at each start.'), answers: false }
  const problem = await listen(host, port)
  if (problem === null) return { check: ok('port', `${at} is free.`), answers: false }
  if (problem !== 'EADDRINUSE')
    return {
      check: fail(
        'port',
        `${at} cannot be listened on (${problem}).`,
        'Set LATCHKEY_HOST and LATCHKEY_PORT.',
      ),
      answers: false,
    }
  const seen = await lookAt(connect({ url: localUrl(host, port), timeoutMs }))
  const answers = seen.kind === 'latchkey' || seen.kind === 'not ready'
  if (seen.kind === 'latchkey')
    return { check: ok('port', `Latchkey ${seen.version} serves at ${at}.`), answers }
  if (seen.kind === 'not ready')
    return {
      check: fail('port', `The Latchkey at ${at} is not ready: ${seen.reason}.`, 'Its log says more.'),
      answers,
    }
  return {
    check: fail('port', `${at} is taken by another program.`, 'End it, or set LATCHKEY_PORT.'),
    answers,
  }
}

/** For a moment. @returns why not */
async function listen(host: string, port: number): Promise<string | null> {
  const probe = createServer().listen(port, host)
  try {
    await once(probe, 'listening')
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? reasonOf(error)
  }
  probe.close()
  await once(probe, 'close')
  return null
}

/** Who listens everywhere is found on the loopback. */
function localUrl(host: string, port: number): string {
  const there = ({ '0.0.0.0': '127.0.0.1', '::': '::1' } as Record<string, string>)[host] ?? host
  return `http://${there.includes(':') ? `[${there}]` : there}:${port}`
}
