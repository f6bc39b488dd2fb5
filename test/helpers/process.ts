// A Latchkey as a process of its own, from dist, as `npm start` runs it: for what only a real process can show.
import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import './plain-children.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const readyWithinMs = 90_000

export type LatchkeyProcess = {
  readonly url: string
  /** All it wrote, the log and what it said to people. */
  readonly output: () => string
  readonly pid: number
  /** SIGTERM unless told otherwise. @returns the exit code, or null when a signal ended it */
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

export type ProcessOptions = {
  /** Where it runs; the data directory is `.latchkey` in it, unless a setting says otherwise. */
  readonly cwd: string
  readonly env?: Record<string, string>
  /** Default: `node dist/main.js` of this repository. */
  readonly command?: readonly [string, ...string[]]
  readonly uid?: number
  readonly gid?: number
}

/** Resolves when it listens. Nothing of the environment but PATH is handed on. @throws Error with what it wrote */
export async function startProcess({
  cwd,
  env = {},
  command,
  uid,
  gid,
}: ProcessOptions): Promise<LatchkeyProcess> {
  const [program, ...args] = command ?? [process.execPath, `${root}dist/main.js`]
  const child = spawn(program, args, {
    cwd,
    env: { PATH: process.env['PATH'], LATCHKEY_PORT: '0', LATCHKEY_DRAIN_SECONDS: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
  })
  const exit = once(child, 'exit') as Promise<[number | null]>
  const written: string[] = []
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => written.push(text))
  const output = () => written.join('')
  const url = await listening(child, output)
  return {
    url,
    output,
    pid: child.pid!,
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      return (await exit)[0]
    },
  }
}

function listening(child: ChildProcess, output: () => string): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`Latchkey ${why}. It wrote:\n${output()}`))
    const late = setTimeout(() => {
      child.kill('SIGKILL')
      fail(`does not listen after ${readyWithinMs / 1000} s`)
    }, readyWithinMs)
    child.on('error', reject)
    child.on('exit', (code, signal) => fail(`ended with ${code ?? signal}`))
    child.stdout!.on('data', () => {
      const url = /"url":"([^"]+)".*"msg":"listening"/.exec(output())?.[1]
      if (url === undefined) return
      clearTimeout(late)
      resolve(url)
    })
    child.on('close', () => clearTimeout(late))
  })
}

/**
 * For a setting that cannot say "any free one" and be told which. Until it is bound, others may take it: so out of a range where
 * neither the system nor any Latchkey, proxy or PostgreSQL of other tests looks for one, which goes for the next few as well.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 14_990)
    const probe = createServer().listen(port, '127.0.0.1')
    const isFree = await once(probe, 'listening').then(
      () => true,
      () => false,
    )
    if (isFree) return once(probe.close(), 'close').then(() => port)
  }
}
