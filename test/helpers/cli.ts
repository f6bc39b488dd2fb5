// The command line as a program: `bin/latchkey.js`, from dist, with an environment of its own and no terminal. What it
// writes, and how it ends.
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import './plain-children.ts'

export const cliFile = fileURLToPath(new URL('../../bin/latchkey.js', import.meta.url))

export type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string }
export type RunOptions = { readonly env?: Record<string, string>; readonly input?: string }

export type Cli = {
  /** Where it runs; its home and its configuration are in there. */
  readonly folder: string
  /** PATH, HOME, XDG_CONFIG_HOME and what the test gave; nothing else is handed on. */
  readonly env: Record<string, string>
  run(args: readonly string[], options?: RunOptions): Promise<Ended>
  /** With --json: what it printed, parsed; exit 0 is expected. */
  // biome-ignore lint/suspicious/noExplicitAny: a test asserts it anyway
  json(args: readonly string[], options?: RunOptions): Promise<any>
}

/** A home of its own, removed when the test ends. @param env as LATCHKEY_URL, for every run */
export async function createCli(t: Test, env: Record<string, string> = {}): Promise<Cli> {
  const folder = await mkdtemp(join(tmpdir(), 'lk-cli-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const own = { PATH: process.env['PATH']!, HOME: folder, XDG_CONFIG_HOME: join(folder, 'config'), ...env }
  const run = (args: readonly string[], options: RunOptions = {}) =>
    runProgram(args, { cwd: folder, env: { ...own, ...options.env }, input: options.input ?? '' })
  return {
    folder,
    env: own,
    run,
    async json(args, options) {
      const { code, stdout, stderr } = await run([...args, '--json'], options)
      if (code !== 0) throw new Error(`latchkey ${args.join(' ')} ended with ${code}: ${stderr}`)
      return JSON.parse(stdout)
    },
  }
}

type ProgramOptions = { cwd: string; env: Record<string, string>; input: string }

async function runProgram(args: readonly string[], { cwd, env, input }: ProgramOptions): Promise<Ended> {
  const child = spawn(process.execPath, [cliFile, ...args], { cwd, env })
  const code = new Promise<number | null>((resolve) => child.on('close', resolve))
  // It may end without having read.
  child.stdin.on('error', () => {}).end(input)
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { code: await code, stdout, stderr }
}
