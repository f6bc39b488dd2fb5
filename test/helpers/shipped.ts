// The shipped process and the command `latchkey`, asked the few questions that only they can answer.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { type LatchkeyProcess, startProcess } from './process.ts'
import './plain-children.ts'

const fileOf = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
export const cliFile = fileOf('bin/latchkey.js')
export const mainFile = fileOf('dist/main.js')
if (!existsSync(mainFile)) throw new Error('There is no dist/main.js to test. Make it with: npm run build')

export type Env = Record<string, string>
type At = Pick<LatchkeyProcess, 'url'>

/** Running, and killed when the test ends. */
export async function started(t: Test, env: Env): Promise<LatchkeyProcess> {
  const latchkey = await startProcess({ cwd: tmpdir(), env })
  t.teardown(() => latchkey.stop('SIGKILL'))
  return latchkey
}

/** What it writes when it does not start: `Latchkey ended with <code>. It wrote: …`. */
export async function refusal(t: Test, env: Env): Promise<string> {
  try {
    await started(t, env)
  } catch (error) {
    return (error as Error).message
  }
  return 'It started.'
}

/** `latchkey <args>`, to its end. */
export function command(args: readonly string[], env: Env = {}) {
  const options = { env: { PATH: process.env['PATH'], ...env } }
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [cliFile, ...args], options, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    )
  })
}

export const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` })

export async function provisionAt({ url }: At, secret: string, name: string) {
  const response = await fetch(`${url}/api/v1/tokens`, {
    method: 'POST',
    headers: { ...bearer(secret), 'content-type': 'application/json' },
    body: JSON.stringify({ name, subject: 'u' }),
  })
  const body = (await response.json()) as { id: string; token: string }
  return { ...body, status: response.status }
}

export async function selfAt(
  { url }: At,
  secret: string,
): Promise<{ status: number; lastUsedAt: string | null }> {
  const response = await fetch(`${url}/api/v1/tokens/self`, { headers: bearer(secret) })
  const body = (await response.json()) as { lastUsedAt: string | null }
  return { ...body, status: response.status }
}
