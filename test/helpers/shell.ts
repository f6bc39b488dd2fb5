// Runs shell scripts as those who use them do, and looks over curl's shoulder: what stands in its arguments, every
// process of the machine can read.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { Test } from 'tap'
import './plain-children.ts'

export type Shell = {
  /** All arguments that curl was given so far. */
  arguments(): string
  run(shell: string, args: readonly string[], env: Record<string, string>): Promise<Finished>
  start(shell: string, args: readonly string[], env: Record<string, string>): Started
}
export type Finished = { readonly code: number; readonly output: string }
export type Started = {
  readonly output: () => string
  readonly ended: Promise<Finished>
  signal(signal: NodeJS.Signals): void
}

export function watchedShell(t: Test): Shell {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-shell-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const log = join(folder, 'arguments')
  const curl = execFileSync('sh', ['-c', 'command -v curl'], { encoding: 'utf8' }).trim()
  writeFileSync(join(folder, 'curl'), `#!/bin/sh\nprintf '%s\\n' "$@" >>'${log}'\nexec ${curl} "$@"\n`)
  chmodSync(join(folder, 'curl'), 0o755)
  const PATH = folder + delimiter + process.env['PATH']

  const start: Shell['start'] = (shell, args, env) => {
    const child = spawn(shell, args, { env: { PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    const written: string[] = []
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => written.push(text))
    const output = () => written.join('')
    const ended = once(child, 'close').then(([code]) => ({ code: Number(code ?? -1), output: output() }))
    t.teardown(() => child.kill('SIGKILL'))
    return { output, ended, signal: (signal) => child.kill(signal) }
  }
  return {
    arguments: () => (existsSync(log) ? readFileSync(log, 'utf8') : ''),
    start,
    run: (shell, args, env) => start(shell, args, env).ended,
  }
}
